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
  /// Maximum number of a server's addresses that are tried.
  static constexpr std::size_t kMaxServers = 6;

  /// `servers`: the number of the server's addresses, 1 to kMaxServers. `timing` must outlive the handshake.
  Handshake(Crypto& crypto, const SessionToken& token, std::size_t servers, Timing& timing, Time now) noexcept;

  /// Writes the datagram due at `now` (wire::kHandshakeSize bytes); false when none is due.
  [[nodiscard]] bool transmit(Time now, std::uint8_t* datagram) noexcept;

  /// Processes a CHALLENGE.
  [[nodiscard]] Outcome challenged(Bytes datagram, Time now) noexcept;

  /// When `transmit` has a datagram, or the handshake fails.
  [[nodiscard]] Time deadline() const noexcept { return earlier(due_, give_up_at_); }

  [[nodiscard]] bool failed(Time now) const noexcept { return broken_ || now >= give_up_at_; }

  /// Whether the cryptography library has failed.
  [[nodiscard]] bool broken() const noexcept { return broken_; }

  /// The index of the server's address that the newest datagram goes to.
  [[nodiscard]] std::size_t server() const noexcept { return server_; }

  /// Frees what only the handshake needs, once the connection is established.
  void done() noexcept { attempt_.reset(); }

  /// Null until a CHALLENGE is accepted.
  [[nodiscard]] Sealer* sealer() noexcept { return sealer_.get(); }
  [[nodiscard]] Opener* opener() noexcept { return opener_.get(); }

 private:
  void start(Time now) noexcept;

  Crypto& crypto_;
  SessionToken token_;
  Timing& timing_;
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
  std::size_t first_ = 0;  // the address to try first.
  std::size_t server_ = 0;
  std::size_t sends_ = 0;  // transmissions of the present HELLO or RESPONSE.
  bool broken_ = false;    // the cryptography library has failed.
};

}  // namespace craftnet
