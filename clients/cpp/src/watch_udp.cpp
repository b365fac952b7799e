// The UDP side of a watch.
#include "craftnet/json.h"
#include "craftnet/text.h"
#include "craftnet/watch.h"

namespace craftnet {

namespace {

constexpr int kOk = 200;

struct ConnectAnswer {
  std::string session_token;
  std::string endpoint;
  std::string compression;
  std::uint64_t packet_size = 4096;
  std::uint64_t heartbeat_ms = 5000;
  double tolerance = 0.5;
  std::uint64_t session_index = 0;
};

[[nodiscard]] bool parse(std::string_view body, ConnectAnswer& answer) {
  JsonReader json(body);
  std::string_view member;
  if (!json.enter_object()) return false;
  while (json.next_member(member)) {
    bool good = true;
    if (json.peek() == JsonReader::Type::kNull) member = {};  // as if it were absent.
    if (member == "session_token") {
      good = json.read_string(answer.session_token, 64);
    } else if (member == "server_endpoint") {
      good = json.read_string(answer.endpoint, 300);
    } else if (member == "compression") {
      good = json.read_string(answer.compression, 16);
    } else if (member == "negotiated_packet_size") {
      good = json.read_count(answer.packet_size);
    } else if (member == "heartbeat_interval") {
      good = json.read_count(answer.heartbeat_ms);
    } else if (member == "progress_tolerance") {
      good = json.read_number(answer.tolerance);
    } else if (member == "session_index") {
      good = json.read_count(answer.session_index);
    } else {
      good = json.skip();
    }
    if (!good) return false;
  }
  constexpr std::uint64_t kLargest = 65536;
  constexpr std::uint64_t kLongest = 3600000;
  return json.at_end() && answer.packet_size >= 1 && answer.packet_size <= kLargest && answer.heartbeat_ms >= 100 &&
         answer.heartbeat_ms <= kLongest && answer.tolerance >= 0;
}

/// `host:port`, or `[address]:port`.
[[nodiscard]] bool split_endpoint(const std::string& endpoint, std::string& host, std::uint16_t& port) {
  const std::size_t colon = endpoint.rfind(':');
  if (colon == std::string::npos || colon == 0 || endpoint.size() - colon > 6) return false;
  std::uint32_t number = 0;
  for (std::size_t at = colon + 1; at < endpoint.size(); ++at) {
    if (endpoint[at] < '0' || endpoint[at] > '9') return false;
    number = number * 10 + static_cast<std::uint32_t>(endpoint[at] - '0');
  }
  if (number == 0 || number > 65535) return false;
  port = static_cast<std::uint16_t>(number);
  host = endpoint.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return true;
}

}  // namespace

void Watch::ask_to_connect() {
  const bool prolongs = udp_stage_ == Stage::kOpen;
  std::string body = "{\"player_id\":\"" + std::string(to_text(settings_.player).data()) +
                     "\",\"client_version\":\"1.0.0\",\"supported_compression\":[" +
                     (settings_.lz4 ? "\"lz4\"" : "\"none\"") + "]";
  if (prolongs) body += std::string(",\"session_token\":\"") + to_text(udp_->session_token()).data() + "\"";
  body += "}";
  if (!prolongs) udp_stage_ = Stage::kOpening;
  request(WatchRequest::Kind::kConnect, "/udp/sessions/" + std::string(to_text(settings_.session).data()) + "/connect",
          std::move(body));
}

void Watch::connect_answered(int status, std::string_view body, double retry_after, Time now) {
  if (result_ != Result::kNone || udp_stage_ != Stage::kOpening)
    return;  // an answer that prolongs the session changes nothing.
  if (status != kOk) {
    const Verdict verdict = verdict_of_status(status, retry_after);
    const bool about_us = status == 401 || status == 403;
    lose(Transport::kUdp, verdict, status != 0 && !about_us, now);
    return;
  }
  contact(now);
  ConnectAnswer answer;
  std::string host;
  agreement_ = Agreement{};
  if (!parse(body, answer) || !parse_session_token(answer.session_token, agreement_.token) ||
      !split_endpoint(answer.endpoint, host, udp_port_)) {
    lose(Transport::kUdp, {}, true, now);
    return;
  }
  agreement_.heartbeat_interval = static_cast<Time>(answer.heartbeat_ms) * kMillisecond;
  agreement_.packet_size = static_cast<std::size_t>(answer.packet_size);
  agreement_.lz4 = answer.compression == "lz4";
  agreement_.progress_tolerance = answer.tolerance;
  udp_stage_ = Stage::kResolving;
  request(WatchRequest::Kind::kResolve, std::move(host));
  requests_.back().port = udp_port_;
}

void Watch::resolved(std::size_t addresses, Time now) {
  if (result_ != Result::kNone || udp_stage_ != Stage::kResolving) return;
  if (addresses == 0) {
    lose(Transport::kUdp, {}, true, now);
    return;
  }
  agreement_.servers = addresses;
  udp_ = std::make_unique<UdpClient>(crypto_, lz4_, agreement_, now);
  udp_stage_ = Stage::kOpen;
  udp_give_up_at_ = now + settings_.udp_timeout;
}

void Watch::datagram(std::uint8_t* octets, std::size_t size, Time now) {
  if (udp_ == nullptr) return;
  (void)udp_->receive(octets, size, now);
  read_udp(now);
}

std::size_t Watch::transmit(Time now, std::uint8_t* datagram) {
  if (udp_ == nullptr) return 0;
  const std::size_t size = udp_->transmit(now, datagram);
  read_udp(now);
  return size;
}

void Watch::moved(Time now) noexcept {
  if (udp_ != nullptr) udp_->moved(now);
}

void Watch::read_udp(Time now) {
  UdpEvent event;
  while (result_ == Result::kNone && udp_ != nullptr && udp_->poll(event)) {
    Session* session = udp_->session(event.session);
    switch (event.kind) {
      case UdpEvent::Kind::kConnected:
        udp_connected(now);
        break;
      case UdpEvent::Kind::kProgress:
        contact(now);
        take_progress(session->progress(), std::string(session->failure_reason()), 0.0);
        end_with(session->progress(), now);
        break;
      case UdpEvent::Kind::kMaterials:
        contact(now);
        emit(WatchEvent::Kind::kMaterials, Transport::kUdp);
        break;
      case UdpEvent::Kind::kPosition:
        position_ = session->position();
        position_over_udp_ = true;
        uncounted_.clear();
        changes_counted_ = 0;
        emit(WatchEvent::Kind::kPosition, Transport::kUdp);
        break;
      case UdpEvent::Kind::kSessionOver:
        lose(Transport::kUdp, verdict_of_reason(session->over_reason()), false, now);
        break;
      case UdpEvent::Kind::kEnded:
        udp_ended(now);
        return;
      default:
        break;
    }
  }
}

/// Switches to UDP, and closes the WebSocket that was in use.
void Watch::udp_connected(Time now) {
  udp_give_up_at_ = udp_probe_at_ = kNever;
  udp_probe_pause_ = kFirstProbePause;
  probing_udp_ = was_refused_ = false;
  transport_ = Transport::kUdp;
  attempt_at_ = kNever;
  drop_websocket();
  backoff_.opened(now);
  contact(now);
  emit(WatchEvent::Kind::kConnected, Transport::kUdp);
}

void Watch::udp_ended(Time now) {
  const Ending ending = udp_->ending();
  const Verdict verdict = ending == Ending::kClosed ? verdict_of_reason(udp_->close_reason()) : Verdict{};
  const bool elsewhere = ending == Ending::kUnreachable || ending == Ending::kBroken;
  udp_give_up_at_ = kNever;
  if (ending != Ending::kClosed) drop_udp();  // otherwise the ACK of CLOSE still has to be sent.
  lose(Transport::kUdp, verdict, elsewhere, now);
}

void Watch::drop_udp() {
  udp_.reset();
  udp_give_up_at_ = kNever;
  request(WatchRequest::Kind::kCloseUdp);
}

}  // namespace craftnet
