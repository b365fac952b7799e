// The seam to an LZ4 library. craftnet/liblz4.h is the one that is tested.
#pragma once

#include <cstddef>
#include <cstdint>

#include "craftnet/bytes.h"

namespace craftnet {

class Lz4 {
 public:
  virtual ~Lz4() = default;

  /// Decompresses one block that was made with `dictionary` (empty: with none) to exactly `size` bytes, and writes no
  /// more. False when it is no such block.
  [[nodiscard]] virtual bool decompress(Bytes block, Bytes dictionary, std::uint8_t* out,
                                        std::size_t size) noexcept = 0;
};

}  // namespace craftnet
