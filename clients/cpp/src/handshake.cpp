#include "craftnet/handshake.h"

#include <cstring>
#include <new>

namespace craftnet {

namespace {

constexpr Time kFirstPause = 500 * kMillisecond;
constexpr Time kLongestPause = 4 * kSecond;
constexpr Time kTimeout = 15 * kSecond;
constexpr std::size_t kResponses = 3;
constexpr std::size_t kMost = 16;  // doublings, after which the pause is kLongestPause anyway.

[[nodiscard]] Time pause(std::size_t before) noexcept {
  return earlier(kFirstPause << (before < kMost ? before : kMost), kLongestPause);
}

}  // namespace

Handshake::Handshake(Crypto& crypto, const SessionToken& token, std::size_t servers, Timing& timing, Time now) noexcept
    : crypto_(crypto), token_(token), timing_(timing), give_up_at_(now + kTimeout), servers_(servers) {
  if (servers_ < 1) servers_ = 1;
  if (servers_ > kMaxServers) servers_ = kMaxServers;
  attempt_.reset(new (std::nothrow) Attempt);
  broken_ = attempt_ == nullptr || !derive_handshake_key(crypto, token.secret, key_);
  if (!broken_) start(now);
}

void Handshake::start(Time now) noexcept {
  for (std::size_t k = 0; k < servers_; ++k) {
    if (!crypto_.random(attempt_->nonces[k].data(), attempt_->nonces[k].size())) broken_ = true;
  }
  sealer_.reset();
  opener_.reset();
  sends_ = 0;
  due_ = now;
}

bool Handshake::transmit(Time now, std::uint8_t* datagram) noexcept {
  if (broken_ || attempt_ == nullptr || now < due_) return false;
  if (sealer_ != nullptr && sends_ == kResponses) {
    first_ = (server_ + 1) % servers_;
    start(now);
  }
  if (sealer_ != nullptr) {
    wire::encode(attempt_->response, datagram);
    due_ = now + pause(sends_);
  } else {
    server_ = (first_ + sends_) % servers_;
    wire::Hello hello;
    hello.connection_id = token_.connection_id;
    hello.client_nonce = attempt_->nonces[server_];
    wire::encode(hello, datagram);
    due_ = now + pause(sends_ / servers_);
  }
  ++sends_;
  last_sent_ = now;
  constexpr std::size_t kCovered = wire::Hello::kSize;
  static_assert(wire::Response::kSize == kCovered && kCovered + kTagSize == wire::kHandshakeSize, "see layouts.py");
  Octets<16> mac{};
  broken_ = !handshake_mac(crypto_, key_, {datagram, kCovered}, mac);
  std::memcpy(datagram + kCovered, mac.data(), mac.size());
  return !broken_;
}

Outcome Handshake::challenged(Bytes datagram, Time now) noexcept {
  constexpr std::size_t kCovered = wire::Challenge::kSize;
  if (datagram.size < kCovered + kTagSize) return Outcome::kTruncated;
  if (datagram.size > kCovered + kTagSize) return Outcome::kTrailing;
  wire::Challenge challenge;
  const Outcome outcome = decode(datagram, challenge);
  if (outcome != Outcome::kAccepted) return outcome;
  if (challenge.connection_id != token_.connection_id) return Outcome::kUnknownConnection;
  Octets<16> mac{};
  if (!handshake_mac(crypto_, key_, datagram.first(kCovered), mac) || !same_bytes(mac, datagram.behind(kCovered))) {
    return Outcome::kForged;
  }
  if (sealer_ != nullptr) return Outcome::kRepeated;
  std::size_t server = 0;
  while (server < servers_ && attempt_->nonces[server] != challenge.client_nonce) ++server;
  if (server == servers_) return Outcome::kRepeated;
  Generation client;
  Generation server_keys;
  if (!derive_first(crypto_, token_.secret, challenge.client_nonce, challenge.server_nonce, Sender::kClient, client) ||
      !derive_first(crypto_, token_.secret, challenge.client_nonce, challenge.server_nonce, Sender::kServer,
                    server_keys)) {
    broken_ = true;
    return Outcome::kForged;
  }
  if (sends_ == 1 && server == server_) {  // the HELLO was not retransmitted: a round-trip sample (RFC 6298).
    const auto issued = static_cast<Time>(challenge.issued_us);
    timing_.add_sample(now - last_sent_, issued - (last_sent_ + (now - last_sent_) / 2));
  }
  server_ = server;
  sealer_.reset(new (std::nothrow) Sealer(crypto_, token_.connection_id, client));
  opener_.reset(new (std::nothrow) Opener(crypto_, token_.connection_id, server_keys));
  broken_ = sealer_ == nullptr || opener_ == nullptr || !sealer_->usable() || !opener_->usable();
  attempt_->response.connection_id = challenge.connection_id;
  attempt_->response.client_nonce = challenge.client_nonce;
  attempt_->response.issued_us = challenge.issued_us;
  attempt_->response.server_nonce = challenge.server_nonce;
  attempt_->response.cookie = challenge.cookie;
  sends_ = 0;
  due_ = now;
  return Outcome::kAccepted;
}

}  // namespace craftnet
