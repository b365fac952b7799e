// Uuids and base64url as text.
#pragma once

#include <array>
#include <string_view>

#include "craftnet/bytes.h"

namespace craftnet {

/// A uuid's text form, RFC 9562: 36 characters and a zero.
using UuidText = std::array<char, 37>;

[[nodiscard]] UuidText to_text(const Uuid& uuid) noexcept;

/// False when the text is no uuid.
[[nodiscard]] bool parse_uuid(std::string_view text, Uuid& uuid) noexcept;

/// Decodes base64url without padding to exactly `size` bytes. False when it is something else, or another length.
[[nodiscard]] bool parse_base64url(std::string_view text, std::uint8_t* out, std::size_t size) noexcept;

/// Writes the base64url text of the bytes, without padding and without a zero: 4 characters for 3 bytes.
void write_base64url(Bytes octets, char* out) noexcept;

}  // namespace craftnet
