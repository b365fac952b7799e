// The UDP side of a watch.
#include "craftnet/connect.h"
#include "craftnet/watch.h"

namespace craftnet {

namespace {

constexpr int kOk = 200;

}  // namespace

void Watch::ask_to_connect() {
  const bool prolongs = udp_stage_ == Stage::kOpen;
  const SessionToken* connection = prolongs ? &udp_->session_token() : nullptr;
  if (!prolongs) udp_stage_ = Stage::kOpening;
  request(WatchRequest::Kind::kConnect, connect_target(settings_.session),
          connect_body(settings_.player, settings_.lz4, connection, settings_.region, settings_.expected));
}

void Watch::connect_answered(int status, std::string_view body, double retry_after, Time now) {
  if (result_ != Result::kNone || udp_stage_ != Stage::kOpening) return;  // an answer that prolongs changes nothing.
  if (status != kOk) {
    const Verdict verdict = verdict_of_status(status, retry_after);
    const bool about_us = status == 401 || status == 403;
    lose(Transport::kUdp, verdict, status != 0 && !about_us, now);
    return;
  }
  contact(now);
  ConnectAnswer answer;
  if (!parse_connect_answer(body, answer)) {
    lose(Transport::kUdp, {}, true, now);
    return;
  }
  agreement_ = answer.agreement;
  udp_stage_ = Stage::kResolving;
  request(WatchRequest::Kind::kResolve, std::move(answer.host));
  requests_.back().port = answer.port;
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
  udp_probe_pause_ = settings_.udp_retry;
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
