// The WebSocket side of a watch.
#include "craftnet/text.h"
#include "craftnet/watch.h"

namespace craftnet {

namespace {

constexpr Time kLate = 5 * kSecond;  // maximum delay of a heartbeat.
constexpr Time kRenewalPause = 5 * kSecond;

}  // namespace

void Watch::open_websocket() {
  std::string target = "/ws/crafting/" + std::string(to_text(settings_.session).data()) +
                       "?player_id=" + to_text(settings_.player).data() +
                       "&heartbeat=" + std::to_string(settings_.heartbeat);
  const bool binary = settings_.subprotocol == Subprotocol::kBinary && !json_only_;
  if (position_.known()) {
    target += "&resume=" + std::string(position_.epoch) + ":" + std::to_string(position_.version);
    if (position_over_udp_) target += ":udp";
  } else if (binary) {
    target += "&resume=0:0";  // the first message then says the epoch, for which records have no room.
  }
  websocket_stage_ = Stage::kOpening;
  request(WatchRequest::Kind::kOpenWebSocket, std::move(target));
  if (!json_only_ && settings_.subprotocol != Subprotocol::kJson) {
    requests_.back().protocols.emplace_back(name(settings_.subprotocol));
  }
  requests_.back().protocols.emplace_back(name(Subprotocol::kJson));
}

void Watch::websocket_opened(std::string_view subprotocol, Time now) {
  if (result_ != Result::kNone || websocket_stage_ != Stage::kOpening) return;
  Subprotocol selected = Subprotocol::kJson;
  if (!parse_subprotocol(subprotocol, selected)) {
    drop_websocket();
    lose(Transport::kWebSocket, {}, false, now);
    return;
  }
  decoder_.use(selected);
  websocket_stage_ = Stage::kOpen;
  was_refused_ = false;
  websocket_timeout_at_ = now + static_cast<Time>(settings_.heartbeat) * kSecond + kLate;
  backoff_.opened(now);
  contact(now);
  emit(WatchEvent::Kind::kConnected, Transport::kWebSocket);
}

void Watch::websocket_refused(int status, double retry_after, Time now) {
  if (result_ != Result::kNone || websocket_stage_ != Stage::kOpening) return;
  if (status != 0) contact(now);
  lose(Transport::kWebSocket, verdict_of_status(status, retry_after), false, now);
}

void Watch::websocket_text(std::string_view text, Time now) {
  if (result_ != Result::kNone || websocket_stage_ != Stage::kOpen) return;
  FeedMessage message;
  if (decoder_.decode_text(text, message) != Outcome::kAccepted) {
    drop_websocket();
    lose(Transport::kWebSocket, {}, false, now);
    return;
  }
  take_message(message, now);
}

void Watch::websocket_binary(Bytes octets, Time now) {
  if (result_ != Result::kNone || websocket_stage_ != Stage::kOpen) return;
  FeedMessage message;
  std::uint8_t missing = 0;
  const Outcome outcome = decoder_.decode_binary(octets, message, missing);
  if (outcome == Outcome::kAccepted) {
    take_message(message, now);
    return;
  }
  if (outcome == Outcome::kNoBaseline) {  // an unknown dictionary: reconnects with JSON while it is downloaded.
    request(WatchRequest::Kind::kDictionary, "/ws/dictionaries/" + std::to_string(missing));
    json_only_ = true;
  }
  drop_websocket();
  lose(Transport::kWebSocket, {}, false, now);
}

void Watch::websocket_closed(std::uint16_t code, std::string_view reason, Time now) {
  if (result_ != Result::kNone || websocket_stage_ == Stage::kIdle) return;
  websocket_timeout_at_ = kNever;
  lose(Transport::kWebSocket, verdict_of_close(code, reason), false, now);
}

void Watch::take_message(FeedMessage& message, Time now) {
  contact(now);
  websocket_timeout_at_ = now + static_cast<Time>(settings_.heartbeat) * kSecond + kLate;
  if (message.type == MessageType::kTokenAccepted) return;
  if (message.type == MessageType::kTokenRefused) {
    renew_at_ = now + kRenewalPause;
    return;
  }
  if (message.session_id != settings_.session) return;
  const Time ahead = message.timestamp - now;  // too small by the message's delay.
  if (!has_websocket_offset_ || ahead > websocket_offset_) websocket_offset_ = ahead;
  has_websocket_offset_ = true;
  if (message.answers_resume && !message.recovered) emit(WatchEvent::Kind::kReset, Transport::kWebSocket);
  if (message.position.known()) {
    position_ = message.position;
    position_over_udp_ = false;
    emit(WatchEvent::Kind::kPosition, Transport::kWebSocket);
  }
  if (message.has_material || message.has_queue || !message.changes.empty()) {
    emit(WatchEvent::Kind::kMessage, Transport::kWebSocket);
    if (events_.back().kind == WatchEvent::Kind::kMessage) events_.back().message = message;
  }
  if (!message.has_progress) return;
  take_progress(message.progress, message.failure_reason, message.progress_rounding);
  end_with(message.progress, now);
}

void Watch::drop_websocket() {
  if (websocket_stage_ != Stage::kIdle) request(WatchRequest::Kind::kCloseWebSocket);
  websocket_stage_ = Stage::kIdle;
  websocket_timeout_at_ = kNever;
}

}  // namespace craftnet
