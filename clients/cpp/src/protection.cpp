#include "craftnet/protection.h"

#include <new>

namespace craftnet {

namespace {

constexpr std::uint64_t kHalf = 32768;
constexpr std::uint64_t kWhole = 65536;
constexpr Time kRotationPeriod = 600 * kSecond;
constexpr std::uint64_t kRotationDatagrams = 1U << 20;

constexpr std::uint8_t kChallengeKind = 2;

#ifdef CRAFTNET_KEYLOG
void log_key(Crypto& crypto, std::uint32_t connection_id, Sender sender, const Generation& generation) noexcept {
  crypto.key_made(connection_id, sender, generation);
}
#else
void log_key(const Crypto&, std::uint32_t, Sender, const Generation&) noexcept {}
#endif

}  // namespace

std::uint64_t ReplayWindow::complete(std::uint16_t low) const noexcept {
  const std::uint64_t expected = newest_ + 1;
  const std::uint64_t candidate = expected - expected % kWhole + low;
  if (candidate + kHalf <= expected) return candidate + kWhole;
  if (candidate > expected + kHalf && candidate >= kWhole) return candidate - kWhole;
  return candidate;
}

Outcome ReplayWindow::examine(std::uint64_t sequence) const noexcept {
  if (sequence == 0) return Outcome::kStale;
  if (sequence > newest_) return Outcome::kAccepted;
  const std::uint64_t behind = newest_ - sequence;
  if (behind >= kBehind) return Outcome::kStale;
  return ((received_[behind / 64] >> (behind % 64)) & 1U) != 0 ? Outcome::kReplayed : Outcome::kAccepted;
}

void ReplayWindow::remember(std::uint64_t sequence) noexcept {
  if (sequence <= newest_) {
    const std::uint64_t behind = newest_ - sequence;
    received_[behind / 64] |= std::uint64_t{1} << (behind % 64);
    return;
  }
  const std::uint64_t ahead = sequence - newest_;
  newest_ = sequence;
  constexpr std::size_t kWords = kBehind / 64;
  const std::uint64_t words = ahead / 64 < kWords ? ahead / 64 : kWords;
  const auto bits = static_cast<unsigned>(ahead % 64);
  for (std::size_t word = kWords; word-- > 0;) {
    const std::uint64_t high = word >= words ? received_[word - words] : 0;
    const std::uint64_t low = word >= words + 1 ? received_[word - words - 1] : 0;
    received_[word] = bits == 0 ? high : (high << bits) | (low >> (64 - bits));
  }
  received_[0] |= 1;
}

wire::Acknowledgement ReplayWindow::acknowledgement() const noexcept {
  wire::Acknowledgement acknowledgement;
  acknowledgement.newest = static_cast<std::uint32_t>(newest_ & 0xFFFFFFFFU);
  acknowledgement.earlier = static_cast<std::uint32_t>((received_[0] >> 1) & 0xFFFFFFFFU);
  return acknowledgement;
}

Sealer::Sealer(Crypto& crypto, std::uint32_t connection_id, const Generation& generation,
               std::uint64_t sequence) noexcept
    : crypto_(crypto),
      connection_id_(connection_id),
      generation_(generation),
      aead_(crypto.aes_128_gcm(generation.key, Direction::kSeal)),
      sequence_(sequence),
      rotated_at_(sequence) {
  log_key(crypto, connection_id, Sender::kClient, generation);
}

std::size_t Sealer::seal(wire::Kind kind, std::uint8_t* datagram, std::size_t content) noexcept {
  if (aead_ == nullptr) return 0;
  ++sequence_;
  wire::SealedHeader header;
  header.key_phase = generation_.phase();
  header.kind = kind;
  header.connection_id = connection_id_;
  header.sequence = static_cast<std::uint16_t>(sequence_ & 0xFFFFU);
  wire::encode(header, datagram);
  constexpr std::size_t kHeader = wire::SealedHeader::kSize;
  const bool sealed = aead_->seal(generation_.nonce(sequence_), {datagram, kHeader}, datagram + kHeader, content);
  return sealed ? kHeader + content + kTagSize : 0;
}

void Sealer::before_heartbeat(Time now, std::uint64_t acknowledged) noexcept {
  if (since_ == kNever) since_ = now;
  const bool due = now - since_ >= kRotationPeriod || sequence_ - rotated_at_ >= kRotationDatagrams;
  if (!due || acknowledged <= rotated_at_) return;
  Generation following;
  if (!derive_following(crypto_, generation_, Sender::kClient, following)) return;
  std::unique_ptr<Aead> aead = crypto_.aes_128_gcm(following.key, Direction::kSeal);
  if (aead == nullptr) return;
  generation_ = following;
  aead_ = std::move(aead);
  log_key(crypto_, connection_id_, Sender::kClient, generation_);
  rotated_at_ = sequence_;
  since_ = now;
}

Opener::Opener(Crypto& crypto, std::uint32_t connection_id, const Generation& generation) noexcept
    : crypto_(crypto), connection_id_(connection_id) {
  current_.generation = generation;
  current_.aead = crypto.aes_128_gcm(generation.key, Direction::kOpen);
  log_key(crypto, connection_id, Sender::kServer, generation);
}

Outcome Opener::open(std::uint8_t* datagram, std::size_t size, Opened& opened) noexcept {
  if (size < kSealedOverhead) return Outcome::kTruncated;
  wire::SealedHeader header;
  const Outcome outcome = decode({datagram, size}, header);
  if (outcome != Outcome::kAccepted) return outcome;
  if (header.connection_id != connection_id_) return Outcome::kUnknownConnection;
  const std::uint64_t sequence = window_.complete(header.sequence);
  const Outcome examined = window_.examine(sequence);
  if (examined != Outcome::kAccepted) return examined;
  const Keys* keys = keys_for(header.key_phase, sequence);
  constexpr std::size_t kHeader = wire::SealedHeader::kSize;
  const std::size_t content = size - kHeader - kTagSize;
  if (keys == nullptr || keys->aead == nullptr ||
      !keys->aead->open(keys->generation.nonce(sequence), {datagram, kHeader}, datagram + kHeader, content)) {
    return Outcome::kForged;
  }
  window_.remember(sequence);
  opened_with(keys, sequence);
  opened = {header.kind, sequence, {datagram + kHeader, content}};
  return Outcome::kAccepted;
}

Opener::Keys* Opener::keys_for(std::uint8_t phase, std::uint64_t sequence) noexcept {
  if (phase == current_.generation.phase()) return &current_;
  if (before_ != nullptr && sequence < lowest_) return before_.get();
  if (following_ == nullptr) {
    following_.reset(new (std::nothrow) Keys);
    if (following_ == nullptr) return nullptr;
    if (!derive_following(crypto_, current_.generation, Sender::kServer, following_->generation)) {
      following_.reset();
      return nullptr;
    }
    following_->aead = crypto_.aes_128_gcm(following_->generation.key, Direction::kOpen);
  }
  return following_.get();
}

void Opener::opened_with(const Keys* keys, std::uint64_t sequence) noexcept {
  if (keys == before_.get()) return;
  if (keys == following_.get()) {
    before_ = std::move(following_);
    Keys now_current = std::move(*before_);
    *before_ = std::move(current_);
    current_ = std::move(now_current);
    log_key(crypto_, connection_id_, Sender::kServer, current_.generation);
    lowest_ = UINT64_MAX;
  }
  if (sequence < lowest_) lowest_ = sequence;
}

Outcome Acknowledgements::take(const wire::Acknowledgement& acknowledgement, std::uint64_t sent) noexcept {
  const std::uint64_t low = acknowledgement.newest;
  const std::uint32_t bits = acknowledgement.earlier;
  constexpr std::uint64_t kAround = std::uint64_t{1} << 32;
  if (low == 0 && bits == 0 && sent < kAround) return Outcome::kAccepted;
  const std::uint64_t behind =
      (sent - low) & (kAround - 1);  // no acknowledgement is 2³² behind the last sequence sent.
  if (behind >= sent) return Outcome::kOutOfRange;
  const std::uint64_t newest = sent - behind;
  std::uint64_t reach = 0;  // distance of the oldest bit from the newest sequence.
  for (std::uint32_t rest = bits; rest != 0; rest >>= 1) ++reach;
  if (reach >= newest) return Outcome::kOutOfRange;
  if (newest > newest_) newest_ = newest;
  return Outcome::kAccepted;
}

Outcome kind_from_server(Bytes datagram, bool& challenge) noexcept {
  challenge = false;
  if (datagram.size < kSealedOverhead) return Outcome::kTruncated;
  const std::uint8_t first = datagram.data[0];
  if ((first >> 6) != wire::kDatagramVersion) return Outcome::kReserved;
  const bool phase = (first & 0x20U) != 0;
  const auto kind = static_cast<std::uint8_t>(first & 0x1FU);
  if (kind == kChallengeKind && !phase) {
    challenge = true;
    return Outcome::kAccepted;
  }
  switch (static_cast<wire::Kind>(kind)) {
    case wire::Kind::kState:
    case wire::Kind::kMessage:
    case wire::Kind::kHeartbeat:
    case wire::Kind::kClose:
    case wire::Kind::kPathChallenge:
      return Outcome::kAccepted;
    default:
      return Outcome::kType;
  }
}

}  // namespace craftnet
