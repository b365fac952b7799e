#include "craftnet/bytes.h"

namespace craftnet {

namespace {

constexpr unsigned kUnknownLength = 63;
constexpr unsigned kLongestNumber = 32;
constexpr std::uint32_t kUnknownNumber = 0xFFFFFFFFU;

}  // namespace

std::uint32_t BitReader::take(unsigned count) noexcept {
  if (at_ + count > octets_.size * 8) {
    truncated_ = true;
    at_ = octets_.size * 8;
    return 0;
  }
  std::uint64_t value = 0;
  unsigned left = count;
  while (left > 0) {
    const auto inside = static_cast<unsigned>(at_ & 7U);
    const unsigned taken = left < 8 - inside ? left : 8 - inside;
    const auto shifted = static_cast<unsigned>(octets_.data[at_ >> 3]) >> (8 - inside - taken);
    value = (value << taken) | (shifted & ((1U << taken) - 1U));
    at_ += taken;
    left -= taken;
  }
  return static_cast<std::uint32_t>(value);
}

bool BitReader::number(bool may_be_unknown, std::uint32_t& value) noexcept {
  const unsigned length = take(6);
  value = kUnknownNumber;
  if (truncated_) return false;
  if (length == kUnknownLength) return may_be_unknown;
  if (length > kLongestNumber) return false;
  value = take(length);
  if (truncated_) return false;
  const bool shortest = length == 0 || (value >> (length - 1)) == 1;
  return shortest && value != kUnknownNumber;
}

bool BitReader::finish() noexcept {
  const auto rest = static_cast<unsigned>((8 - (at_ & 7U)) & 7U);
  return take(rest) == 0 && !truncated_;
}

}  // namespace craftnet
