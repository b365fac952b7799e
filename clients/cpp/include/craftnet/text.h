// UUIDs and base64url as text.
#pragma once

#include <array>
#include <string_view>

#include "craftnet/bytes.h"

namespace craftnet {

/// A UUID in text form (RFC 9562): 36 characters and a terminating zero.
using UuidText = std::array<char, 37>;

[[nodiscard]] UuidText to_text(const Uuid& uuid) noexcept;

/// False when the text is not a UUID.
[[nodiscard]] bool parse_uuid(std::string_view text, Uuid& uuid) noexcept;

/// Decodes base64url without padding to exactly `size` bytes. False when the text is malformed or of another length.
[[nodiscard]] bool parse_base64url(std::string_view text, std::uint8_t* out, std::size_t size) noexcept;

/// Writes base64url without padding and without a terminating zero: 4 characters for 3 bytes.
void write_base64url(Bytes octets, char* out) noexcept;

}  // namespace craftnet
