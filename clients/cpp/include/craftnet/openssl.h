// The cryptography seam on OpenSSL 1.1.1 or 3: only EVP calls that both have.
#pragma once

#include "craftnet/crypto.h"

namespace craftnet {

/// Not to be used by two threads at once: one context, which is given the key each time, seals for every connection.
/// What a client seals is little, and a context takes more than 1 KB.
class OpenSslCrypto : public Crypto {
 public:
  OpenSslCrypto() = default;
  OpenSslCrypto(const OpenSslCrypto&) = delete;
  OpenSslCrypto& operator=(const OpenSslCrypto&) = delete;
  ~OpenSslCrypto() override;

  [[nodiscard]] std::unique_ptr<Aead> aes_128_gcm(const Octets<16>& key, Direction direction) noexcept override;
  [[nodiscard]] bool hmac_sha256(Bytes key, Bytes data, Octets<32>& digest) noexcept override;
  [[nodiscard]] bool random(std::uint8_t* octets, std::size_t size) noexcept override;

 private:
  void* sealing_ = nullptr;  // an EVP_CIPHER_CTX, from the first key on.
};

}  // namespace craftnet
