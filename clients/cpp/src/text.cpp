#include "craftnet/text.h"

namespace craftnet {

namespace {

constexpr char kDigits[] = "0123456789abcdef";
constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

[[nodiscard]] constexpr bool dash_at(std::size_t place) noexcept {
  return place == 8 || place == 13 || place == 18 || place == 23;
}

[[nodiscard]] int digit(char letter) noexcept {
  if (letter >= '0' && letter <= '9') return letter - '0';
  if (letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
  if (letter >= 'A' && letter <= 'F') return letter - 'A' + 10;
  return -1;
}

[[nodiscard]] int sextet(char letter) noexcept {
  if (letter >= 'A' && letter <= 'Z') return letter - 'A';
  if (letter >= 'a' && letter <= 'z') return letter - 'a' + 26;
  if (letter >= '0' && letter <= '9') return letter - '0' + 52;
  if (letter == '-') return 62;
  if (letter == '_') return 63;
  return -1;
}

}  // namespace

UuidText to_text(const Uuid& uuid) noexcept {
  UuidText text{};
  std::size_t place = 0;
  for (const std::uint8_t octet : uuid) {
    if (dash_at(place)) text[place++] = '-';
    text[place++] = kDigits[octet >> 4];
    text[place++] = kDigits[octet & 15U];
  }
  return text;
}

bool parse_uuid(std::string_view text, Uuid& uuid) noexcept {
  if (text.size() != 36) return false;
  std::size_t place = 0;
  for (std::uint8_t& octet : uuid) {
    if (dash_at(place) && text[place++] != '-') return false;
    const int high = digit(text[place]);
    const int low = digit(text[place + 1]);
    if (high < 0 || low < 0) return false;
    octet = static_cast<std::uint8_t>(high * 16 + low);
    place += 2;
  }
  return true;
}

bool parse_base64url(std::string_view text, std::uint8_t* out, std::size_t size) noexcept {
  if (text.size() != (size * 4 + 2) / 3) return false;
  std::uint32_t bits = 0;
  unsigned held = 0;
  std::size_t written = 0;
  for (const char letter : text) {
    const int value = sextet(letter);
    if (value < 0) return false;
    bits = ((bits << 6) | static_cast<std::uint32_t>(value)) & 0xFFFFU;
    held += 6;
    if (held >= 8) {
      held -= 8;
      out[written++] = static_cast<std::uint8_t>((bits >> held) & 0xFFU);
    }
  }
  return (bits & ((1U << held) - 1U)) == 0;
}

void write_base64url(Bytes octets, char* out) noexcept {
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (std::size_t k = 0; k < octets.size; ++k) {
    bits = ((bits << 8) | octets.data[k]) & 0xFFFFFU;
    held += 8;
    while (held >= 6) {
      held -= 6;
      *out++ = kAlphabet[(bits >> held) & 63U];
    }
  }
  if (held > 0) *out = kAlphabet[(bits << (6 - held)) & 63U];
}

std::size_t utf8_character(const std::uint8_t* at, std::size_t left) noexcept {
  const std::uint8_t first = at[0];
  if (first < 0x80) return 1;
  const std::size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || size > left) return 0;
  for (std::size_t k = 1; k < size; ++k) {
    if ((at[k] & 0xC0U) != 0x80U) return 0;
  }
  const std::uint8_t second = at[1];
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool outside = (first == 0xED && second >= 0xA0) || (first == 0xF4 && second >= 0x90);
  return overlong || outside ? 0 : size;
}

bool is_utf8(std::string_view text) noexcept {
  const auto* octets = reinterpret_cast<const std::uint8_t*>(text.data());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = utf8_character(octets + at, text.size() - at);
    if (size == 0) return false;
    at += size;
  }
  return true;
}

}  // namespace craftnet
