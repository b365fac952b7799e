// The cryptography seam on OpenSSL 1.1.1 or 3: only EVP calls that both have.
#pragma once

#include "craftnet/crypto.h"

namespace craftnet {

class OpenSslCrypto final : public Crypto {
 public:
  [[nodiscard]] std::unique_ptr<Aead> aes_128_gcm(const Octets<16>& key, Direction direction) noexcept override;
  [[nodiscard]] bool hmac_sha256(Bytes key, Bytes data, Octets<32>& digest) noexcept override;
  [[nodiscard]] bool random(std::uint8_t* octets, std::size_t size) noexcept override;
};

}  // namespace craftnet
