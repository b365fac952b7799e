// A pull parser for JSON. After malformed text, every further call fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace craftnet {

class JsonReader {
 public:
  enum class Type : std::uint8_t { kObject, kArray, kString, kNumber, kBool, kNull, kNothing };

  explicit JsonReader(std::string_view text) noexcept : text_(text) {}

  /// The type of the next value. kNothing: the text is malformed there, or ends.
  [[nodiscard]] Type peek() noexcept;

  /// Enters the next value, an object. False when it is anything else.
  [[nodiscard]] bool enter_object() noexcept { return enter('{'); }

  /// Advances to the next member of the innermost object and returns its name as written. False at the end of the
  /// object, which the reader then leaves, and when the text is malformed.
  [[nodiscard]] bool next_member(std::string_view& name) noexcept;

  [[nodiscard]] bool enter_array() noexcept { return enter('['); }

  /// Advances to the next element. False at the end of the array, which the reader then leaves, and when malformed.
  [[nodiscard]] bool next_element() noexcept { return next(']'); }

  /// Reads a string and keeps at most `most` bytes of it.
  [[nodiscard]] bool read_string(std::string& value, std::size_t most = 65536);
  [[nodiscard]] bool read_number(double& value) noexcept;

  /// Reads a number without a fraction, 0 to 2^63 − 1.
  [[nodiscard]] bool read_count(std::uint64_t& value) noexcept;
  [[nodiscard]] bool read_bool(bool& value) noexcept;

  /// Skips the next value.
  bool skip() noexcept;

  /// Whether only white space follows and the text was well-formed.
  [[nodiscard]] bool at_end() noexcept;

  [[nodiscard]] bool failed() const noexcept { return failed_; }

 private:
  static constexpr unsigned kDeepest = 31;

  bool fail() noexcept;
  void skip_space() noexcept;
  [[nodiscard]] bool take(char wanted) noexcept;
  [[nodiscard]] bool take_word(std::string_view word) noexcept;
  [[nodiscard]] bool enter(char opening) noexcept;
  [[nodiscard]] bool next(char closing) noexcept;
  [[nodiscard]] bool scan_string(std::string_view& raw) noexcept;
  [[nodiscard]] bool scan_number(std::string_view& raw) noexcept;
  [[nodiscard]] std::size_t digits() noexcept;

  std::string_view text_;
  std::size_t at_ = 0;
  unsigned depth_ = 0;
  std::uint32_t begun_ = 0;    // bit n: whether a member or element at depth n was read.
  std::uint32_t objects_ = 0;  // bit n: whether the value at depth n is an object.
  bool failed_ = false;
};

}  // namespace craftnet
