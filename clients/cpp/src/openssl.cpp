#include "craftnet/openssl.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <new>

namespace craftnet {

namespace {

[[nodiscard]] bool run(EVP_CIPHER_CTX* context, Bytes header, std::uint8_t* content, std::size_t size) noexcept {
  int written = 0;
  if (size > 0xFFFFFFU) return false;
  if (EVP_CipherUpdate(context, nullptr, &written, header.data, static_cast<int>(header.size)) != 1) return false;
  return size == 0 || EVP_CipherUpdate(context, content, &written, content, static_cast<int>(size)) == 1;
}

/// Opens with its own context, which holds the key.
class Opening final : public Aead {
 public:
  explicit Opening(EVP_CIPHER_CTX* context) noexcept : context_(context) {}
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;
  ~Opening() override { EVP_CIPHER_CTX_free(context_); }

  bool seal(const Octets<12>&, Bytes, std::uint8_t*, std::size_t) noexcept override { return false; }

  bool open(const Octets<12>& nonce, Bytes header, std::uint8_t* content, std::size_t size) noexcept override {
    int written = 0;
    std::uint8_t* tag = content + size;
    return EVP_CipherInit_ex(context_, nullptr, nullptr, nullptr, nonce.data(), -1) == 1 &&
           run(context_, header, content, size) &&
           EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(kTagSize), tag) == 1 &&
           EVP_CipherFinal_ex(context_, tag, &written) == 1;  // writes nothing: GCM has no padding.
  }

 private:
  EVP_CIPHER_CTX* context_;
};

/// Seals with a context shared by all connections.
class Sealing final : public Aead {
 public:
  Sealing(EVP_CIPHER_CTX* context, const Octets<16>& key) noexcept : context_(context), key_(key) {}

  bool seal(const Octets<12>& nonce, Bytes header, std::uint8_t* content, std::size_t size) noexcept override {
    int written = 0;
    std::uint8_t* tag = content + size;
    return EVP_CipherInit_ex(context_, nullptr, nullptr, key_.data(), nonce.data(), -1) == 1 &&
           run(context_, header, content, size) && EVP_CipherFinal_ex(context_, tag, &written) == 1 &&
           EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(kTagSize), tag) == 1;
  }

  bool open(const Octets<12>&, Bytes, std::uint8_t*, std::size_t) noexcept override { return false; }

 private:
  EVP_CIPHER_CTX* context_;
  Octets<16> key_;
};

[[nodiscard]] EVP_CIPHER_CTX* context_for(const Octets<16>& key, int encrypts) noexcept {
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  if (context == nullptr) return nullptr;
  if (EVP_CipherInit_ex(context, EVP_aes_128_gcm(), nullptr, key.data(), nullptr, encrypts) == 1) return context;
  EVP_CIPHER_CTX_free(context);
  return nullptr;
}

}  // namespace

OpenSslCrypto::~OpenSslCrypto() { EVP_CIPHER_CTX_free(static_cast<EVP_CIPHER_CTX*>(sealing_)); }

std::unique_ptr<Aead> OpenSslCrypto::aes_128_gcm(const Octets<16>& key, Direction direction) noexcept {
  if (direction == Direction::kSeal) {
    if (sealing_ == nullptr) sealing_ = context_for(key, 1);
    if (sealing_ == nullptr) return nullptr;
    return std::unique_ptr<Aead>(new (std::nothrow) Sealing(static_cast<EVP_CIPHER_CTX*>(sealing_), key));
  }
  EVP_CIPHER_CTX* context = context_for(key, 0);
  if (context == nullptr) return nullptr;
  std::unique_ptr<Aead> made(new (std::nothrow) Opening(context));
  if (made == nullptr) EVP_CIPHER_CTX_free(context);
  return made;
}

bool OpenSslCrypto::hmac_sha256(Bytes key, Bytes data, Octets<32>& digest) noexcept {
  unsigned written = 0;
  return HMAC(EVP_sha256(), key.data, static_cast<int>(key.size), data.data, data.size, digest.data(), &written) !=
             nullptr &&
         written == digest.size();
}

bool OpenSslCrypto::random(std::uint8_t* octets, std::size_t size) noexcept {
  return RAND_bytes(octets, static_cast<int>(size)) == 1;
}

}  // namespace craftnet
