#include "craftnet/openssl.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <new>

namespace craftnet {

namespace {

class Gcm final : public Aead {
 public:
  explicit Gcm(EVP_CIPHER_CTX* context) noexcept : context_(context) {}
  Gcm(const Gcm&) = delete;
  Gcm& operator=(const Gcm&) = delete;
  ~Gcm() override { EVP_CIPHER_CTX_free(context_); }

  bool seal(const Octets<12>& nonce, Bytes header, std::uint8_t* content, std::size_t size) noexcept override {
    return run(nonce, header, content, size) &&
           EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(kTagSize), content + size) == 1;
  }

  bool open(const Octets<12>& nonce, Bytes header, std::uint8_t* content, std::size_t size) noexcept override {
    tag_ = content + size;
    return run(nonce, header, content, size);
  }

 private:
  bool run(const Octets<12>& nonce, Bytes header, std::uint8_t* content, std::size_t size) noexcept {
    if (size > 0xFFFFFFU) return false;
    int written = 0;
    if (EVP_CipherInit_ex(context_, nullptr, nullptr, nullptr, nonce.data(), -1) != 1) return false;
    if (EVP_CipherUpdate(context_, nullptr, &written, header.data, static_cast<int>(header.size)) != 1) return false;
    if (size > 0 && EVP_CipherUpdate(context_, content, &written, content, static_cast<int>(size)) != 1) return false;
    if (tag_ != nullptr &&
        EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(kTagSize), tag_) != 1) {
      return false;
    }
    return EVP_CipherFinal_ex(context_, content + size, &written) == 1;  // writes nothing: GCM has no padding.
  }

  EVP_CIPHER_CTX* context_;
  std::uint8_t* tag_ = nullptr;
};

}  // namespace

std::unique_ptr<Aead> OpenSslCrypto::aes_128_gcm(const Octets<16>& key, Direction direction) noexcept {
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  if (context == nullptr) return nullptr;
  const int encrypts = direction == Direction::kSeal ? 1 : 0;
  if (EVP_CipherInit_ex(context, EVP_aes_128_gcm(), nullptr, key.data(), nullptr, encrypts) != 1) {
    EVP_CIPHER_CTX_free(context);
    return nullptr;
  }
  std::unique_ptr<Aead> made(new (std::nothrow) Gcm(context));
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
