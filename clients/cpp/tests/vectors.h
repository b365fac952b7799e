// protocol/vectors.json, and what tests of it share.
#pragma once

#include <cmath>
#include <cstring>
#include <string_view>

#include "craftnet/crypto.h"
#include "craftnet/keys.h"
#include "craftnet/liblz4.h"
#include "craftnet/materials.h"
#include "craftnet/openssl.h"
#include "craftnet/progress.h"
#include "testing.h"

namespace vectors {

using testing::Json;

const Json& all();

template <std::size_t N>
craftnet::Octets<N> octets(const Json& digits) {
  craftnet::Octets<N> out{};
  const std::vector<std::uint8_t> found = testing::unhex(digits.text);
  std::memcpy(out.data(), found.data(), N);
  return out;
}

/// OpenSSL with the client's nonce of the vectors.
class Fixed final : public craftnet::Crypto {
 public:
  std::unique_ptr<craftnet::Aead> aes_128_gcm(const craftnet::Octets<16>& key,
                                              craftnet::Direction direction) noexcept override {
    return openssl_.aes_128_gcm(key, direction);
  }
  bool hmac_sha256(craftnet::Bytes key, craftnet::Bytes data, craftnet::Octets<32>& digest) noexcept override {
    return openssl_.hmac_sha256(key, data, digest);
  }
  bool random(std::uint8_t* out, std::size_t size) noexcept override {
    std::memset(out, 0x63, size);
    return true;
  }

 private:
  craftnet::OpenSslCrypto openssl_;
};

craftnet::Crypto& crypto();
craftnet::Lz4& lz4();

craftnet::SessionToken token();
craftnet::Generation generation(craftnet::Sender sender, std::size_t number);

// Values, as the vectors write them.

constexpr const char* kStatuses[] = {"active", "paused", "interrupted", "completed", "failed"};
constexpr const char* kProblems[] = {"insufficient_quantity", "quality_too_low", "material_unavailable",
                                     "material_restored"};

inline bool near(double found, const Json& wanted) { return std::fabs(found - wanted.number) < 0.001; }

inline bool same_number(std::uint32_t found, std::uint32_t absent, const Json& wanted) {
  return found == absent ? wanted.null() : !wanted.null() && wanted.number == found;
}
inline bool same_quality(std::uint8_t found, const Json& wanted) { return same_number(found, 0, wanted); }
inline bool same_quantity(std::uint32_t found, const Json& wanted) {
  return same_number(found, craftnet::wire::kUnknown, wanted);
}

bool same_progress(const craftnet::Progress& found, std::string_view reason, const Json& wanted);

inline craftnet::wire::Problem problem_of(const craftnet::Material& material) { return material.problem(); }
template <typename Row>
craftnet::wire::Problem problem_of(const Row& row) {
  return row.problem;
}

template <typename Found>
bool same_problem(const Found& found, const Json& wanted) {
  return wanted["problem"].text == kProblems[static_cast<int>(problem_of(found))] &&
         same_quantity(found.required_quantity, wanted["required_quantity"]) &&
         same_quantity(found.available_quantity, wanted["available_quantity"]) &&
         same_quality(found.required_quality, wanted["required_quality"]) &&
         same_quality(found.available_quality, wanted["available_quality"]);
}

}  // namespace vectors
