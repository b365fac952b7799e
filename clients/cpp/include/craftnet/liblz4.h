// LZ4 by liblz4 (lz4.h).
#pragma once

#include "craftnet/compression.h"

namespace craftnet {

class LibLz4 final : public Lz4 {
 public:
  [[nodiscard]] bool decompress(Bytes block, Bytes dictionary, std::uint8_t* out, std::size_t size) noexcept override;
};

}  // namespace craftnet
