// The interface to a cryptography library. craftnet/openssl.h implements it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "craftnet/bytes.h"

namespace craftnet {

constexpr std::size_t kTagSize = 16;

/// AES-128-GCM under one key, for one direction.
class Aead {
 public:
  virtual ~Aead() = default;

  /// Encrypts `size` bytes in place and writes the tag behind them. False when the library fails.
  [[nodiscard]] virtual bool seal(const Octets<12>& nonce, Bytes header, std::uint8_t* content,
                                  std::size_t size) noexcept = 0;

  /// Decrypts `size` bytes in place; the tag follows them. False when the tag does not match; the bytes are then
  /// undefined.
  [[nodiscard]] virtual bool open(const Octets<12>& nonce, Bytes header, std::uint8_t* content,
                                  std::size_t size) noexcept = 0;
};

enum class Direction : std::uint8_t { kSeal, kOpen };

struct Generation;
enum class Sender : std::uint8_t;

class Crypto {
 public:
  virtual ~Crypto() = default;

#ifdef CRAFTNET_KEYLOG
  /// Called for each derived key, to write a key log for the Wireshark dissector. Anyone with the keys can read the
  /// connection, so builds for players do not define CRAFTNET_KEYLOG.
  virtual void key_made(std::uint32_t connection_id, Sender sender, const Generation& generation) noexcept {
    (void)connection_id;
    (void)sender;
    (void)generation;
  }
#endif

  /// The cipher under `key`; null when the library fails.
  [[nodiscard]] virtual std::unique_ptr<Aead> aes_128_gcm(const Octets<16>& key, Direction direction) noexcept = 0;

  [[nodiscard]] virtual bool hmac_sha256(Bytes key, Bytes data, Octets<32>& digest) noexcept = 0;

  /// Fills `octets` from a cryptographically secure random generator; false when the library fails.
  [[nodiscard]] virtual bool random(std::uint8_t* octets, std::size_t size) noexcept = 0;
};

/// HKDF-SHA256 (RFC 5869) of at most 64 bytes; an empty salt is 32 zeros.
[[nodiscard]] bool hkdf_sha256(Crypto& crypto, Bytes material, Bytes salt, Bytes info, std::uint8_t* out,
                               std::size_t size) noexcept;

/// Compares in a time that does not depend on where the bytes differ.
[[nodiscard]] bool same_bytes(Bytes one, Bytes other) noexcept;

}  // namespace craftnet
