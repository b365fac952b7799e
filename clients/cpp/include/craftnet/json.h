// Reads JSON text from front to back, without building anything. What is wrong makes every further call fail.
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

  /// What comes next. kNothing: the text is wrong there, or at its end.
  [[nodiscard]] Type peek() noexcept;

  /// Enters the object that comes next. False when it is something else.
  [[nodiscard]] bool enter_object() noexcept { return enter('{'); }

  /// Goes on to the next member of the object entered last, and gives its name as it is written. False at the end of
  /// the object, which is then left, or when the text is wrong.
  [[nodiscard]] bool next_member(std::string_view& name) noexcept;

  [[nodiscard]] bool enter_array() noexcept { return enter('['); }

  /// Goes on to the next element. False at the end of the array, which is then left, or when the text is wrong.
  [[nodiscard]] bool next_element() noexcept { return next(']'); }

  /// Reads a string. At most `most` bytes of it are kept.
  [[nodiscard]] bool read_string(std::string& value, std::size_t most = 65536);
  [[nodiscard]] bool read_number(double& value) noexcept;

  /// Reads a number without a fraction, 0 to 2^63 − 1.
  [[nodiscard]] bool read_count(std::uint64_t& value) noexcept;
  [[nodiscard]] bool read_bool(bool& value) noexcept;

  /// Reads over whatever comes next.
  bool skip() noexcept;

  /// Whether nothing but white space follows, and nothing was wrong.
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
  std::uint32_t begun_ = 0;    // bit of a depth: whether something of the object or array there was read …
  std::uint32_t objects_ = 0;  // … and whether it is an object.
  bool failed_ = false;
};

}  // namespace craftnet
