// The session_token, and the keys derived from it (PROTOCOL.md, "Keys").
#pragma once

#include <array>
#include <string_view>

#include "craftnet/bytes.h"
#include "craftnet/crypto.h"

namespace craftnet {

/// The `session_token` in the answer of …/connect.
struct SessionToken {
  std::uint32_t connection_id = 0;
  Octets<32> secret{};
};

/// The text of a session_token: 48 characters and a terminating zero.
using SessionTokenText = std::array<char, 49>;

/// False when the text is not a session_token.
[[nodiscard]] bool parse_session_token(std::string_view text, SessionToken& token) noexcept;
[[nodiscard]] SessionTokenText to_text(const SessionToken& token) noexcept;

/// The end of a connection that seals.
enum class Sender : std::uint8_t { kClient, kServer };

/// One generation of one direction's keys.
struct CRAFTNETCORE_API Generation {
  std::uint32_t number = 0;
  Octets<16> key{};
  Octets<12> iv{};
  Octets<32> next{};

  /// The key phase that datagrams of this generation carry.
  [[nodiscard]] std::uint8_t phase() const noexcept { return static_cast<std::uint8_t>(number & 1U); }

  /// The nonce of the datagram with this sequence.
  [[nodiscard]] Octets<12> nonce(std::uint64_t sequence) const noexcept;
};

/// Derives the key of the handshake's MACs. This and the next two return false when the cryptography library fails.
[[nodiscard]] CRAFTNETCORE_API bool derive_handshake_key(Crypto& crypto, const Octets<32>& secret,
                                                         Octets<32>& key) noexcept;

[[nodiscard]] CRAFTNETCORE_API bool derive_first(Crypto& crypto, const Octets<32>& secret,
                                                 const Octets<16>& client_nonce, const Octets<16>& server_nonce,
                                                 Sender sender, Generation& generation) noexcept;

[[nodiscard]] bool derive_following(Crypto& crypto, const Generation& before, Sender sender,
                                    Generation& generation) noexcept;

/// The first 16 bytes of HMAC-SHA256.
[[nodiscard]] CRAFTNETCORE_API bool handshake_mac(Crypto& crypto, const Octets<32>& key, Bytes covered,
                                                  Octets<16>& mac) noexcept;

}  // namespace craftnet
