// The client's side of the handshake (PROTOCOL.md, "Handshake").
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "craftnet/crypto.h"
#include "craftnet/keys.h"
#include "craftnet/protection.h"
#include "craftnet/time.h"
#include "craftnet/timing.h"

namespace craftnet {

class Handshake {
 public:
  /// Addresses of a server that are tried, at most.
  static constexpr std::size_t kMaxServers = 6;

  /// `servers`: how many addresses the server may be at, 1 to kMaxServers. `pulse` outlives the handshake.
  Handshake(Crypto& crypto, const SessionToken& token, std::size_t servers, Pulse& pulse, Time now) noexcept;

  /// Writes what is to be sent at `now` (wire::kHandshakeSize bytes); false when nothing is.
  [[nodiscard]] bool transmit(Time now, std::uint8_t* datagram) noexcept;

  /// Takes a CHALLENGE.
  [[nodiscard]] Outcome challenged(Bytes datagram, Time now) noexcept;

  /// When `transmit` has something, or the handshake has failed.
  [[nodiscard]] Time deadline() const noexcept { return earlier(due_, give_up_at_); }

  [[nodiscard]] bool failed(Time now) const noexcept { return broken_ || now >= give_up_at_; }

  /// Whether the cryptography library has failed.
  [[nodiscard]] bool broken() const noexcept { return broken_; }

  /// Which of the server's addresses the newest datagram goes to, from 0.
  [[nodiscard]] std::size_t server() const noexcept { return server_; }

  /// The connection is there: gives up what only the handshake needs.
  void done() noexcept { attempt_.reset(); }

  /// Null until a CHALLENGE came.
  [[nodiscard]] Sealer* sealer() noexcept { return sealer_.get(); }
  [[nodiscard]] Opener* opener() noexcept { return opener_.get(); }

 private:
  void start(Time now) noexcept;

  Crypto& crypto_;
  SessionToken token_;
  Pulse& pulse_;
  Octets<32> key_{};

  struct Attempt {
    Octets<16> nonces[kMaxServers] = {};
    wire::Response response;
  };

  std::unique_ptr<Attempt> attempt_;
  std::unique_ptr<Sealer> sealer_;
  std::unique_ptr<Opener> opener_;
  Time give_up_at_;
  Time due_ = 0;
  Time last_sent_ = 0;
  std::size_t servers_;
  std::size_t first_ = 0;  // the address that is tried first.
  std::size_t server_ = 0;
  std::size_t sends_ = 0;  // of what is sent until it is answered.
  bool broken_ = false;    // the cryptography library has failed.
};

}  // namespace craftnet
