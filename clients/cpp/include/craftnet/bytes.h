// Views of bytes, big-endian integers, and bits.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "craftnet/outcome.h"

// What modules of an engine call in the core: where they are libraries of their own, as in Unreal's editor, its build tool
// defines this as the compiler's word for an exported symbol.
#ifndef CRAFTNETCORE_API
#define CRAFTNETCORE_API
#endif

namespace craftnet {

template <std::size_t N>
using Octets = std::array<std::uint8_t, N>;

/// The 16 bytes of a uuid in the order of its text form.
using Uuid = Octets<16>;

/// A view of bytes; does not own them.
struct Bytes {
  const std::uint8_t* data = nullptr;
  std::size_t size = 0;

  constexpr Bytes() noexcept = default;
  constexpr Bytes(const std::uint8_t* first, std::size_t count) noexcept : data(first), size(count) {}
  template <std::size_t N>
  constexpr Bytes(const Octets<N>& octets) noexcept : data(octets.data()), size(N) {}  // NOLINT: as a view, on purpose.

  /// The bytes after the first `count`; `count` must be at most `size`.
  [[nodiscard]] constexpr Bytes behind(std::size_t count) const noexcept { return {data + count, size - count}; }
  /// The first `count` bytes; `count` must be at most `size`.
  [[nodiscard]] constexpr Bytes first(std::size_t count) const noexcept { return {data, count}; }
};

[[nodiscard]] constexpr std::uint8_t load_u8(const std::uint8_t* at) noexcept { return at[0]; }

[[nodiscard]] constexpr std::uint16_t load_u16(const std::uint8_t* at) noexcept {
  return static_cast<std::uint16_t>((static_cast<std::uint32_t>(at[0]) << 8) | at[1]);
}

[[nodiscard]] constexpr std::uint32_t load_u32(const std::uint8_t* at) noexcept {
  return (static_cast<std::uint32_t>(at[0]) << 24) | (static_cast<std::uint32_t>(at[1]) << 16) |
         (static_cast<std::uint32_t>(at[2]) << 8) | static_cast<std::uint32_t>(at[3]);
}

[[nodiscard]] constexpr std::uint64_t load_u64(const std::uint8_t* at) noexcept {
  return (static_cast<std::uint64_t>(load_u32(at)) << 32) | load_u32(at + 4);
}

constexpr void store_u8(std::uint8_t* at, std::uint8_t value) noexcept { at[0] = value; }

constexpr void store_u16(std::uint8_t* at, std::uint16_t value) noexcept {
  at[0] = static_cast<std::uint8_t>(value >> 8);
  at[1] = static_cast<std::uint8_t>(value & 0xFFU);
}

constexpr void store_u32(std::uint8_t* at, std::uint32_t value) noexcept {
  store_u16(at, static_cast<std::uint16_t>(value >> 16));
  store_u16(at + 2, static_cast<std::uint16_t>(value & 0xFFFFU));
}

constexpr void store_u64(std::uint8_t* at, std::uint64_t value) noexcept {
  store_u32(at, static_cast<std::uint32_t>(value >> 32));
  store_u32(at + 4, static_cast<std::uint32_t>(value & 0xFFFFFFFFU));
}

/// Reads bits, the highest of each byte first. Past the end it reads zeros, and `truncated` is true.
class BitReader {
 public:
  explicit BitReader(Bytes octets) noexcept : octets_(octets) {}

  /// The next `count` bits, at most 32.
  [[nodiscard]] std::uint32_t take(unsigned count) noexcept;

  /// A quantity with its length in front of it. False when it is not in its shortest form, is cut short, or is unknown
  /// where it must be known; `refusal` gives the outcome.
  [[nodiscard]] bool number(bool may_be_unknown, std::uint32_t& value) noexcept;

  /// Skips the rest of the byte. False when one of its bits is set, or when the reader is past the end.
  [[nodiscard]] bool finish() noexcept;

  /// The number of bytes of which at least one bit was read.
  [[nodiscard]] std::size_t begun() const noexcept { return (at_ + 7) / 8; }

  [[nodiscard]] bool truncated() const noexcept { return truncated_; }
  [[nodiscard]] Outcome refusal() const noexcept { return truncated_ ? Outcome::kTruncated : Outcome::kOutOfRange; }

 private:
  Bytes octets_;
  std::size_t at_ = 0;
  bool truncated_ = false;
};

}  // namespace craftnet
