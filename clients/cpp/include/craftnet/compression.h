// The interface to an LZ4 library. craftnet/liblz4.h implements it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "craftnet/bytes.h"

namespace craftnet {

class Lz4 {
 public:
  virtual ~Lz4() = default;

  /// Decompresses one block, made with `dictionary` (empty: without one), to exactly `size` bytes, and never writes
  /// more. False when the block is malformed or has another size.
  [[nodiscard]] virtual bool decompress(Bytes block, Bytes dictionary, std::uint8_t* out,
                                        std::size_t size) noexcept = 0;
};

}  // namespace craftnet
