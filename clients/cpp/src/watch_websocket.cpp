// The WebSocket side of a watch.
#include "craftnet/text.h"
#include "craftnet/watch.h"

namespace craftnet {

namespace {

constexpr Time kLate = 5 * kSecond;  // maximum delay of a heartbeat.
constexpr Time kRenewalPause = 5 * kSecond;

// A version: the number of all changes, then 11 bits of that of the materials' and 11 of the queue's.
constexpr unsigned kMaterialsShift = 11;
constexpr unsigned kCountShift = 22;
constexpr std::uint64_t kLowBits = (std::uint64_t{1} << kCountShift) - 1;
constexpr std::uint64_t kMaterialsBits = kLowBits & ~((std::uint64_t{1} << kMaterialsShift) - 1);
constexpr std::uint64_t kRecoverable = 1024;

}  // namespace

void Watch::open_websocket() {
  std::string target = "/ws/crafting/" + std::string(to_text(settings_.session).data()) +
                       "?player_id=" + to_text(settings_.player).data() +
                       "&heartbeat=" + std::to_string(settings_.heartbeat);
  const bool binary = settings_.subprotocol == Subprotocol::kBinary && !json_only_;
  if (position_.known()) {
    target += "&resume=" + resume();
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
  repeat_expected_ = false;
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
  if (repeats(message)) return;
  take_position(message);
  if (message.has_material || message.has_queue || !message.changes.empty()) {
    emit(WatchEvent::Kind::kMessage, Transport::kWebSocket, 0, message);
  }
  if (!message.has_progress) return;
  take_progress(message.progress, message.failure_reason, message.progress_rounding);
  end_with(message.progress, now);
}

/// The value of the `resume` parameter. The server refuses to recover from a position 1024 changes ago: by then the
/// newest record's count is the better guess.
std::string Watch::resume() const {
  std::uint64_t version = position_.version;
  const std::uint64_t known = version >> kCountShift;
  if (version != 0 && changes_counted_ >= known + kRecoverable)
    version = changes_counted_ << kCountShift | (version & kLowBits);
  return std::string(position_.epoch) + ":" + std::to_string(version) + (position_over_udp_ ? ":udp" : "");
}

void Watch::take_position(const FeedMessage& message) {
  if (message.position.known()) {
    // The notifications of a change, all but the last one, have the position before it.
    const bool before = ((message.position.version ^ position_.version) & kMaterialsBits) == 0;
    if (message.answers_resume && message.recovered) repeat_expected_ = !uncounted_.empty();
    if (!before || (message.answers_resume && !message.recovered)) uncounted_.clear();
    position_over_udp_ = false;
    position_ = message.position;
    changes_counted_ = position_.version >> kCountShift;
    emit(WatchEvent::Kind::kPosition, Transport::kWebSocket);
    return;
  }
  if (message.changes_counted == 0 && message.changes.empty()) return;
  if (message.changes_counted > changes_counted_) changes_counted_ = message.changes_counted;
  count_change();
  uncounted_ = message.changes;
  uncounted_timestamp_ = message.timestamp;
}

/// Whether the server repeats a record that arrived before the connection was lost.
bool Watch::repeats(const FeedMessage& message) noexcept {
  if (!repeat_expected_ || message.answers_resume) return false;
  repeat_expected_ = false;
  bool same = message.timestamp == uncounted_timestamp_ && message.changes.size() == uncounted_.size();
  for (std::size_t k = 0; same && k < uncounted_.size(); ++k) {
    const wire::ChangeRow& one = uncounted_[k];
    const wire::ChangeRow& other = message.changes[k];
    same = one.material_id == other.material_id && one.quantity == other.quantity && one.quality == other.quality &&
           one.change_type == other.change_type;
  }
  if (!same) uncounted_.clear();
  return same;
}

/// Counts the change of the last record of materials, now that the update that it belongs to is complete.
void Watch::count_change() {
  if (uncounted_.empty() || position_.version == 0) return;  // 0: not all of the state has arrived.
  const std::uint64_t version = position_.version;
  constexpr std::uint64_t kOneMaterials = std::uint64_t{1} << kMaterialsShift;
  const std::uint64_t materials = (version + kOneMaterials) & kMaterialsBits;
  position_.version = ((version >> kCountShift) + 1) << kCountShift | materials | (version & (kOneMaterials - 1));
  emit(WatchEvent::Kind::kPosition, Transport::kWebSocket);
}

void Watch::drop_websocket() {
  if (websocket_stage_ != Stage::kIdle) request(WatchRequest::Kind::kCloseWebSocket);
  websocket_stage_ = Stage::kIdle;
  websocket_timeout_at_ = kNever;
}

}  // namespace craftnet
