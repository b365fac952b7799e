#include "craftnet/json.h"

#include <cmath>

namespace craftnet {

namespace {

[[nodiscard]] bool is_digit(char letter) noexcept { return letter >= '0' && letter <= '9'; }

[[nodiscard]] int hex_digit(char letter) noexcept {
  if (is_digit(letter)) return letter - '0';
  if (letter >= 'a' && letter <= 'f') return letter - 'a' + 10;
  if (letter >= 'A' && letter <= 'F') return letter - 'A' + 10;
  return -1;
}

/// The four hexadecimal digits at `at`, which `scan_string` has checked.
[[nodiscard]] std::uint32_t code_unit(std::string_view raw, std::size_t at) noexcept {
  std::uint32_t unit = 0;
  for (std::size_t k = 0; k < 4; ++k) unit = unit * 16 + static_cast<std::uint32_t>(hex_digit(raw[at + k]));
  return unit;
}

void append_utf8(std::string& text, std::uint32_t code) {
  const auto put = [&text](std::uint32_t octet) { text.push_back(static_cast<char>(octet)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0U | (code >> 6));
    put(0x80U | (code & 63U));
  } else if (code < 0x10000) {
    put(0xE0U | (code >> 12));
    put(0x80U | ((code >> 6) & 63U));
    put(0x80U | (code & 63U));
  } else {
    put(0xF0U | (code >> 18));
    put(0x80U | ((code >> 12) & 63U));
    put(0x80U | ((code >> 6) & 63U));
    put(0x80U | (code & 63U));
  }
}

[[nodiscard]] char unescaped(char letter) noexcept {
  switch (letter) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return letter;
  }
}

}  // namespace

JsonReader::Type JsonReader::peek() noexcept {
  skip_space();
  if (failed_ || at_ >= text_.size()) return Type::kNothing;
  switch (text_[at_]) {
    case '{':
      return Type::kObject;
    case '[':
      return Type::kArray;
    case '"':
      return Type::kString;
    case 't':
    case 'f':
      return Type::kBool;
    case 'n':
      return Type::kNull;
    default:
      return text_[at_] == '-' || is_digit(text_[at_]) ? Type::kNumber : Type::kNothing;
  }
}

bool JsonReader::next_member(std::string_view& name) noexcept { return next('}') && scan_string(name) && take(':'); }

bool JsonReader::read_string(std::string& value, std::size_t most) {
  std::string_view raw;
  value.clear();
  if (!scan_string(raw)) return false;
  for (std::size_t at = 0; at < raw.size() && value.size() < most;) {
    if (raw[at] != '\\') {
      value.push_back(raw[at++]);
      continue;
    }
    if (raw[at + 1] != 'u') {
      value.push_back(unescaped(raw[at + 1]));
      at += 2;
      continue;
    }
    std::uint32_t code = code_unit(raw, at + 2);
    at += 6;
    const bool high = code >= 0xD800 && code < 0xDC00;
    if (high && at + 6 <= raw.size() && raw[at] == '\\' && raw[at + 1] == 'u') {
      const std::uint32_t low = code_unit(raw, at + 2);
      if (low >= 0xDC00 && low < 0xE000) {
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        at += 6;
      }
    }
    append_utf8(value, code >= 0xD800 && code < 0xE000 ? 0xFFFD : code);
  }
  return true;
}

bool JsonReader::read_number(double& value) noexcept {
  std::string_view raw;
  if (!scan_number(raw)) return false;
  double mantissa = 0.0;
  int exponent = 0;
  std::size_t at = raw[0] == '-' ? 1 : 0;
  bool fraction = false;
  for (; at < raw.size() && (is_digit(raw[at]) || raw[at] == '.'); ++at) {
    if (raw[at] == '.') {
      fraction = true;
      continue;
    }
    mantissa = mantissa * 10 + (raw[at] - '0');
    if (fraction) --exponent;
  }
  if (at < raw.size()) {  // at the e.
    const bool negative = raw[at + 1] == '-';
    int said = 0;
    for (++at; at < raw.size(); ++at) {
      if (is_digit(raw[at]) && said < 10000) said = said * 10 + (raw[at] - '0');
    }
    exponent += negative ? -said : said;
  }
  if (mantissa == 0) exponent = 0;  // 0e999 is 0.
  value = exponent < 0 ? mantissa / std::pow(10.0, -exponent) : mantissa * std::pow(10.0, exponent);
  if (raw[0] == '-') value = -value;
  return std::isfinite(value) || fail();
}

bool JsonReader::read_count(std::uint64_t& value) noexcept {
  std::string_view raw;
  if (!scan_number(raw)) return false;
  value = 0;
  for (const char letter : raw) {
    if (!is_digit(letter) || value > static_cast<std::uint64_t>(INT64_MAX / 10 - 1)) return fail();
    value = value * 10 + static_cast<std::uint64_t>(letter - '0');
  }
  return true;
}

bool JsonReader::read_bool(bool& value) noexcept {
  if (peek() != Type::kBool) return fail();
  value = text_[at_] == 't';
  return take_word(value ? "true" : "false");
}

bool JsonReader::skip() noexcept {
  std::string_view raw;
  bool value = false;
  const unsigned outside = depth_;
  do {
    switch (peek()) {
      case Type::kObject:
        if (!enter('{')) return false;
        break;
      case Type::kArray:
        if (!enter('[')) return false;
        break;
      case Type::kString:
        if (!scan_string(raw)) return false;
        break;
      case Type::kNumber:
        if (!scan_number(raw)) return false;
        break;
      case Type::kBool:
        if (!read_bool(value)) return false;
        break;
      case Type::kNull:
        if (!take_word("null")) return false;
        break;
      default:
        return fail();
    }
    while (depth_ > outside) {  // advance to the next value inside, or leave.
      const bool object = ((objects_ >> depth_) & 1U) != 0;
      if (object ? next_member(raw) : next_element()) break;
      if (failed_) return false;
    }
  } while (depth_ > outside);
  return true;
}

bool JsonReader::at_end() noexcept {
  skip_space();
  return !failed_ && at_ == text_.size() && depth_ == 0;
}

bool JsonReader::fail() noexcept {
  failed_ = true;
  return false;
}

void JsonReader::skip_space() noexcept {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) {
    ++at_;
  }
}

bool JsonReader::take(char wanted) noexcept {
  skip_space();
  if (failed_ || at_ >= text_.size() || text_[at_] != wanted) return fail();
  ++at_;
  return true;
}

bool JsonReader::take_word(std::string_view word) noexcept {
  if (failed_ || text_.substr(at_, word.size()) != word) return fail();
  at_ += word.size();
  return true;
}

bool JsonReader::enter(char opening) noexcept {
  if (depth_ == kDeepest || !take(opening)) return fail();
  ++depth_;
  begun_ &= ~(1U << depth_);
  objects_ = opening == '{' ? objects_ | (1U << depth_) : objects_ & ~(1U << depth_);
  return true;
}

bool JsonReader::next(char closing) noexcept {
  skip_space();
  if (failed_ || depth_ == 0 || at_ >= text_.size()) return fail();
  if (text_[at_] == closing) {
    ++at_;
    --depth_;
    return false;
  }
  const bool begun = ((begun_ >> depth_) & 1U) != 0;
  if (begun && !take(',')) return false;
  begun_ |= 1U << depth_;
  skip_space();
  return true;
}

bool JsonReader::scan_string(std::string_view& raw) noexcept {
  if (!take('"')) return false;
  const std::size_t start = at_;
  while (at_ < text_.size() && text_[at_] != '"') {
    const char letter = text_[at_];
    if (static_cast<unsigned char>(letter) < 0x20) return fail();
    if (letter != '\\') {
      ++at_;
      continue;
    }
    if (at_ + 1 >= text_.size()) return fail();
    const char escaped = text_[at_ + 1];
    if (std::string_view("\"\\/bfnrtu").find(escaped) == std::string_view::npos) return fail();
    at_ += 2;
    if (escaped != 'u') continue;
    for (std::size_t k = 0; k < 4; ++k, ++at_) {
      if (at_ >= text_.size() || hex_digit(text_[at_]) < 0) return fail();
    }
  }
  if (at_ >= text_.size()) return fail();
  raw = text_.substr(start, at_ - start);
  ++at_;
  return true;
}

bool JsonReader::scan_number(std::string_view& raw) noexcept {
  skip_space();
  const std::size_t start = at_;
  if (at_ < text_.size() && text_[at_] == '-') ++at_;
  const bool zero = at_ < text_.size() && text_[at_] == '0';
  const std::size_t whole = digits();
  if (failed_ || whole == 0 || (zero && whole > 1)) return fail();
  if (at_ < text_.size() && text_[at_] == '.') {
    ++at_;
    if (digits() == 0) return fail();
  }
  if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
    ++at_;
    if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
    if (digits() == 0) return fail();
  }
  raw = text_.substr(start, at_ - start);
  return true;
}

std::size_t JsonReader::digits() noexcept {
  const std::size_t start = at_;
  while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
  return at_ - start;
}

}  // namespace craftnet
