// UUIDs and base64url as text, and UTF-8.
#pragma once

#include <array>
#include <string_view>

#include "craftnet/bytes.h"

namespace craftnet {

/// A UUID in text form (RFC 9562): 36 characters and a terminating zero.
using UuidText = std::array<char, 37>;

[[nodiscard]] CRAFTNETCORE_API UuidText to_text(const Uuid& uuid) noexcept;

/// False when the text is not a UUID.
[[nodiscard]] CRAFTNETCORE_API bool parse_uuid(std::string_view text, Uuid& uuid) noexcept;

/// Decodes base64url without padding to exactly `size` bytes. False when the text is malformed or of another length.
[[nodiscard]] bool parse_base64url(std::string_view text, std::uint8_t* out, std::size_t size) noexcept;

/// Writes base64url without padding and without a terminating zero: 4 characters for 3 bytes.
void write_base64url(Bytes octets, char* out) noexcept;

/// The size of the UTF-8 character (RFC 3629) at `at`, of which `left` bytes are there; 0 when it is malformed. `left`
/// must be at least 1.
[[nodiscard]] std::size_t utf8_character(const std::uint8_t* at, std::size_t left) noexcept;

[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

}  // namespace craftnet
