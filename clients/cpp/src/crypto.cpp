#include "craftnet/crypto.h"

#include <cstring>

namespace craftnet {

namespace {

constexpr std::size_t kDigest = 32;
constexpr std::size_t kLongestInfo = 64;

}  // namespace

bool hkdf_sha256(Crypto& crypto, Bytes material, Bytes salt, Bytes info, std::uint8_t* out, std::size_t size) noexcept {
  if (info.size > kLongestInfo || size > 2 * kDigest) return false;
  const Octets<kDigest> zeros{};
  Octets<kDigest> key{};
  if (!crypto.hmac_sha256(salt.size > 0 ? salt : Bytes(zeros), material, key)) return false;
  Octets<kDigest + kLongestInfo + 1> input{};
  Octets<kDigest> block{};
  std::size_t before = 0;  // size of the preceding block, with which the input begins.
  for (std::uint8_t number = 1; size > 0; ++number) {
    std::memcpy(input.data(), block.data(), before);
    std::memcpy(input.data() + before, info.data, info.size);
    input[before + info.size] = number;
    if (!crypto.hmac_sha256(key, {input.data(), before + info.size + 1}, block)) return false;
    const std::size_t taken = size < kDigest ? size : kDigest;
    std::memcpy(out, block.data(), taken);
    out += taken;
    size -= taken;
    before = kDigest;
  }
  return true;
}

bool same_bytes(Bytes one, Bytes other) noexcept {
  if (one.size != other.size) return false;
  std::uint8_t difference = 0;
  for (std::size_t k = 0; k < one.size; ++k) {
    difference = static_cast<std::uint8_t>(difference | (one.data[k] ^ other.data[k]));
  }
  return difference == 0;
}

}  // namespace craftnet
