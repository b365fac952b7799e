// Cryptography by OpenSSL, with only EVP calls that both 1.1.1 and 3 have.
#pragma once

#include "craftnet/crypto.h"

namespace craftnet {

/// Belongs to one thread at a time. One context seals for every connection and is given the key each time: a client
/// seals little, and a context takes more than 1 KB.
class CRAFTNETCORE_API OpenSslCrypto : public Crypto {
 public:
  OpenSslCrypto() = default;
  OpenSslCrypto(const OpenSslCrypto&) = delete;
  OpenSslCrypto& operator=(const OpenSslCrypto&) = delete;
  ~OpenSslCrypto() override;

  [[nodiscard]] std::unique_ptr<Aead> aes_128_gcm(const Octets<16>& key, Direction direction) noexcept override;
  [[nodiscard]] bool hmac_sha256(Bytes key, Bytes data, Octets<32>& digest) noexcept override;
  [[nodiscard]] bool random(std::uint8_t* octets, std::size_t size) noexcept override;

 private:
  void* sealing_ = nullptr;  // an EVP_CIPHER_CTX, made with the first key.
};

}  // namespace craftnet
