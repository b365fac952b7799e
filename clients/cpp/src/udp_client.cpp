#include "craftnet/udp_client.h"

#include <cstring>

#include "craftnet/bodies.h"

namespace craftnet {

namespace {

constexpr Time kAckDelay = 20 * kMillisecond;
constexpr std::size_t kAckEvery = 16;
constexpr Time kResyncPause = kSecond;
constexpr Time kLongestLeavePause = 5 * kSecond;
constexpr std::size_t kHeaders = wire::SealedHeader::kSize + wire::Acknowledgement::kSize;
constexpr std::size_t kBodyRoom = UdpClient::kRoom - kSealedOverhead;

}  // namespace

UdpClient::UdpClient(Crypto& crypto, Lz4& lz4, const Agreement& agreement, Time now)
    : token_(agreement.token),
      tolerance_(agreement.progress_tolerance),
      lz4_agreed_(agreement.lz4),
      timing_(agreement.heartbeat_interval),
      handshake_(crypto, agreement.token, agreement.servers, timing_, now),
      lz4_(lz4),
      packet_size_(agreement.packet_size) {}

// --- What comes in ---

Outcome UdpClient::receive(std::uint8_t* datagram, std::size_t size, Time now) {
  if (ending_ != Ending::kNone) return Outcome::kUnknownConnection;
  bool challenge = false;
  Outcome outcome = kind_from_server({datagram, size}, challenge);
  if (outcome == Outcome::kAccepted) {
    outcome = challenge ? handshake_.challenged({datagram, size}, now) : open(datagram, size, now);
  }
  ++counts_[static_cast<std::size_t>(outcome)];
  return outcome;
}

Outcome UdpClient::open(std::uint8_t* datagram, std::size_t size, Time now) {
  Opener* opener = handshake_.opener();
  if (opener == nullptr) return Outcome::kUnknownConnection;
  Opener::Opened opened;
  const Outcome outcome = opener->open(datagram, size, opened);
  if (outcome != Outcome::kAccepted) return outcome;
  timing_.received(now);
  if (!connected_) {
    connected_ = connected_pending_ = true;
    timing_.begin(now);
    handshake_.done();
    if (sessions_.leaving()) leave_at_ = now;
  }
  return take(opened, now);
}

Outcome UdpClient::take(const Opener::Opened& opened, Time now) {
  if (opened.kind == wire::Kind::kState || opened.kind == wire::Kind::kMessage) schedule_ack(now);
  wire::Acknowledgement acknowledgement;
  Outcome outcome = wire::decode(opened.content, acknowledgement);
  if (outcome == Outcome::kAccepted) outcome = arrived_.take(acknowledgement, handshake_.sealer()->sequence());
  if (outcome != Outcome::kAccepted) return outcome;
  return take_body(opened.kind, opened.sequence, opened.content.behind(wire::Acknowledgement::kSize), now);
}

Outcome UdpClient::take_body(wire::Kind kind, std::uint64_t sequence, Bytes body, Time now) {
  switch (kind) {
    case wire::Kind::kState:
      return apply(body, sequence, false, now);
    case wire::Kind::kMessage: {
      if (!lz4_agreed_) return Outcome::kType;
      if (reassembly_ == nullptr) reassembly_ = std::make_unique<Reassembly>(lz4_, packet_size_);
      Bytes content;
      std::uint64_t counts_as = 0;
      const Outcome outcome = reassembly_->take(body, sequence, content, counts_as);
      if (outcome != Outcome::kAccepted || content.size == 0) return outcome;
      return apply(content, counts_as, true, now);
    }
    case wire::Kind::kHeartbeat: {
      wire::Heartbeat heartbeat;
      const Outcome outcome = decode_heartbeat(body, heartbeat);
      if (outcome == Outcome::kAccepted) timing_.received_heartbeat(heartbeat, sequence, now);
      return outcome;
    }
    case wire::Kind::kPathChallenge: {
      wire::Probe probe;
      const Outcome outcome = decode_exactly(body, probe);
      if (outcome != Outcome::kAccepted) return outcome;
      path_data_ = probe.data;
      path_challenged_ = true;
      timing_.address_changed(now);
      return outcome;
    }
    default: {
      wire::Close close;
      const Outcome outcome = decode_exactly(body, close);
      if (outcome != Outcome::kAccepted) return outcome;
      close_reason_ = close.reason;
      end(Ending::kClosed);
      close_pending_ = true;
      return outcome;
    }
  }
}

Outcome UdpClient::apply(Bytes body, std::uint64_t sequence, bool packed, Time now) {
  const Outcome outcome = examine_state(body, packed);
  if (outcome != Outcome::kAccepted) return outcome;
  Faults faults;
  sessions_.apply(body, sequence, now, faults);
  for (std::size_t k = 0; k < faults.count && k < Faults::kKept; ++k) {
    ++counts_[static_cast<std::size_t>(faults.outcomes[k])];
  }
  resync_wanted_ = resync_wanted_ || faults.count > 0;
  const Octets<32>* secret = sessions_.fresh_secret();
  if (secret != nullptr) {
    token_.secret = *secret;
    renewed_pending_ = true;
  }
  return Outcome::kAccepted;
}

void UdpClient::schedule_ack(Time now) noexcept {
  ++unacknowledged_;
  ack_at_ = earlier(ack_at_, unacknowledged_ >= kAckEvery ? now : now + kAckDelay);
}

void UdpClient::end(Ending ending) noexcept {
  ending_ = ending;
  ending_pending_ = true;
}

// --- What goes out ---

std::size_t UdpClient::transmit(Time now, std::uint8_t* datagram) {
  if (close_pending_) {
    close_pending_ = false;
    if (ending_ == Ending::kClosed) return write_ack(now, datagram);
    wire::Close close;
    close.reason = wire::Reason::kLeft;
    wire::encode(close, datagram + kHeaders);
    return seal(wire::Kind::kClose, datagram, wire::Close::kSize);
  }
  if (ending_ != Ending::kNone) return 0;
  if (connected_) return write_due(now, datagram);
  if (handshake_.failed(now)) {
    end(handshake_.broken() ? Ending::kBroken : Ending::kUnreachable);
    return 0;
  }
  return handshake_.transmit(now, datagram) ? wire::kHandshakeSize : 0;
}

std::size_t UdpClient::write_due(Time now, std::uint8_t* datagram) noexcept {
  if (timing_.timed_out(now)) {
    end(Ending::kSilent);
    return 0;
  }
  if (path_challenged_) {
    path_challenged_ = false;
    std::memcpy(datagram + kHeaders, path_data_.data(), path_data_.size());
    return seal(wire::Kind::kPathResponse, datagram, path_data_.size());
  }
  if (timing_.due(now)) return write_heartbeat(now, datagram);
  if (sessions_.leave_unclaimed(now)) {
    leave_pause_ = timing_.timeout();
    leave_at_ = now;
  }
  if (now >= leave_at_) return write_leave(now, datagram);
  if (now >= resync_at()) {
    resync_wanted_ = false;
    resync_from_ = now + kResyncPause;
    return seal(wire::Kind::kResync, datagram, 0);
  }
  return now >= ack_at_ ? write_ack(now, datagram) : 0;
}

std::size_t UdpClient::write_heartbeat(Time now, std::uint8_t* datagram) noexcept {
  handshake_.sealer()->before_heartbeat(now, arrived_.newest());
  wire::encode(timing_.next_heartbeat(now), datagram + kHeaders);
  return seal(wire::Kind::kHeartbeat, datagram, wire::Heartbeat::kSize);
}

std::size_t UdpClient::write_leave(Time now, std::uint8_t* datagram) noexcept {
  const std::size_t size = sessions_.write_leave(datagram + kHeaders, kBodyRoom);
  if (size == 0) {
    leave_at_ = kNever;
    return 0;
  }
  leave_at_ = now + leave_pause_;
  leave_pause_ = earlier(2 * leave_pause_, kLongestLeavePause);
  return seal(wire::Kind::kLeave, datagram, size);
}

std::size_t UdpClient::write_ack(Time now, std::uint8_t* datagram) noexcept {
  const std::size_t size = sessions_.write_ack(datagram + kHeaders, kBodyRoom);
  ack_at_ = now;  // `seal` clears it once every table is named.
  return seal(wire::Kind::kAck, datagram, size);
}

std::size_t UdpClient::seal(wire::Kind kind, std::uint8_t* datagram, std::size_t body) noexcept {
  if (!sessions_.to_acknowledge()) {  // every datagram acknowledges, but only an ACK names tables.
    ack_at_ = kNever;
    unacknowledged_ = 0;
  }
  wire::encode(handshake_.opener()->window().acknowledgement(), datagram + wire::SealedHeader::kSize);
  const std::size_t size = handshake_.sealer()->seal(kind, datagram, wire::Acknowledgement::kSize + body);
  if (size == 0) end(Ending::kBroken);
  return size;
}

Time UdpClient::deadline() const noexcept {
  if (close_pending_) return 0;
  if (ending_ != Ending::kNone) return kNever;
  if (!connected_) return handshake_.deadline();
  if (path_challenged_) return 0;
  const Time sessions = earlier(sessions_.unclaimed_until(), leave_at_);
  return earlier(earlier(timing_.deadline(), ack_at_), earlier(sessions, resync_at()));
}

void UdpClient::leave(std::uint8_t index, Time now) noexcept {
  if (ending_ != Ending::kNone || !sessions_.leave(index)) return;
  if (sessions_.nothing_left()) {
    close();
    return;
  }
  leave_pause_ = timing_.timeout();
  if (connected_) leave_at_ = now;
}

void UdpClient::close() noexcept {
  if (ending_ != Ending::kNone) return;
  close_pending_ = handshake_.sealer() != nullptr;
  end(Ending::kLeft);
}

// --- What has happened ---

bool UdpClient::poll(UdpEvent& event) noexcept {
  const auto take_pending = [&event](bool& pending, UdpEvent::Kind kind) noexcept {
    if (!pending) return false;
    pending = false;
    event = {kind, 0};
    return true;
  };
  if (take_pending(connected_pending_, UdpEvent::Kind::kConnected)) return true;
  if (take_pending(renewed_pending_, UdpEvent::Kind::kRenewed)) return true;
  while (changes_ != 0 || polled_ < sessions_.size()) {
    if (changes_ == 0) {
      Session& session = sessions_.at(polled_++);
      changes_ = session.take_changes();
      changes_of_ = session.index();
      continue;
    }
    constexpr struct {
      SessionChange bit;
      UdpEvent::Kind kind;
    } kKinds[] = {{kProgressChanged, UdpEvent::Kind::kProgress},
                  {kMaterialsChanged, UdpEvent::Kind::kMaterials},
                  {kPositionChanged, UdpEvent::Kind::kPosition},
                  {kSessionOver, UdpEvent::Kind::kSessionOver}};
    for (const auto& each : kKinds) {
      if ((changes_ & each.bit) == 0) continue;
      changes_ = static_cast<std::uint8_t>(changes_ & ~static_cast<unsigned>(each.bit));
      event = {each.kind, changes_of_};
      return true;
    }
  }
  polled_ = 0;
  return take_pending(ending_pending_, UdpEvent::Kind::kEnded);
}

bool UdpClient::shown(std::uint8_t index, Time now, Bar::Shown& shown) noexcept {
  Session* session = sessions_.find(index);
  if (session == nullptr || !session->has_progress()) return false;
  const double bound = error_bound(session->progress(), tolerance_, timing_.uncertainty());
  shown = session->bar().at(session->progress(), server_time(now), bound);
  return true;
}

}  // namespace craftnet
