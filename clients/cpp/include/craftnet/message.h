// Reassembles and decompresses MESSAGEs (PROTOCOL.md, "MESSAGE").
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "craftnet/bytes.h"
#include "craftnet/compression.h"

namespace craftnet {

class Reassembly {
 public:
  /// `limit`: the negotiated_packet_size, bytes.
  Reassembly(Lz4& lz4, std::size_t limit) noexcept : lz4_(lz4), limit_(limit) {}

  /// Adds the body of a MESSAGE that arrived with this sequence. `content` stays empty while parts are missing; then it
  /// is the decompressed content, valid until the next call, to be applied as if it had the sequence `counts_as`.
  [[nodiscard]] Outcome take(Bytes body, std::uint64_t sequence, Bytes& content, std::uint64_t& counts_as);

 private:
  static constexpr std::size_t kParts = 4;

  [[nodiscard]] Outcome unpack(Bytes packed, std::size_t size, Bytes& content);

  Lz4& lz4_;
  std::size_t limit_;
  std::uint64_t first_ = 0;  // the sequence of the newest message's first part.
  bool open_ = false;        // whether parts of that message are missing.
  std::size_t last_ = 0;
  std::size_t size_ = 0;  // of the decompressed content.
  std::vector<std::uint8_t> parts_[kParts];
  std::vector<std::uint8_t> packed_;
  std::vector<std::uint8_t> content_;
};

}  // namespace craftnet
