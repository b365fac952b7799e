#include "craftnet/liblz4.h"

#include <lz4.h>

namespace craftnet {

namespace {

constexpr std::size_t kLongest = 1U << 24;

const char* text(Bytes octets) noexcept { return reinterpret_cast<const char*>(octets.data); }

}  // namespace

bool LibLz4::decompress(Bytes block, Bytes dictionary, std::uint8_t* out, std::size_t size) noexcept {
  if (block.size > kLongest || size > kLongest || dictionary.size > kLongest) return false;
  char* into = reinterpret_cast<char*>(out);
  const int from = static_cast<int>(block.size);
  const int room = static_cast<int>(size);
  const int written = dictionary.size == 0
                          ? LZ4_decompress_safe(text(block), into, from, room)
                          : LZ4_decompress_safe_usingDict(text(block), into, from, room, text(dictionary),
                                                          static_cast<int>(dictionary.size));
  return written == room;
}

}  // namespace craftnet
