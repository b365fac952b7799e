// The body of a STATE: records, one after the other (PROTOCOL.md, "STATE").
#pragma once

#include "craftnet/bytes.h"
#include "craftnet/wire.h"

namespace craftnet {

/// One record. The member that `tag` stands for is set, and the `rest` that its length or count says follows it.
struct StateRecord {
  std::uint8_t tag = 0;
  wire::ProgressState progress;
  wire::ReasonPart reason;
  wire::MaterialsPart materials;
  wire::ProblemsPart problems;
  wire::MaterialsDelta delta;
  wire::FreshSecret secret;
  wire::Selector selector;
  wire::SessionOver over;
  wire::FeedPosition position;
  Bytes rest;  ///< text, rows, bits, or an epoch.
};

/// Reads the records of a body in turn.
class StateReader {
 public:
  explicit StateReader(Bytes body) noexcept : rest_(body) {}

  [[nodiscard]] bool at_end() const noexcept { return rest_.size == 0; }

  /// Reads the next record, and looks at all of it. Unless the outcome is kAccepted, nothing more is to be read.
  [[nodiscard]] Outcome next(StateRecord& record) noexcept;

 private:
  Bytes rest_;
};

/// Reads the entries of a MaterialsDelta, whose record is right.
class ChangeReader {
 public:
  ChangeReader(const wire::MaterialsDelta& delta, Bytes bits) noexcept;

  /// False when there are no more entries.
  [[nodiscard]] bool next(wire::RowChange& change, Outcome& outcome) noexcept;
  [[nodiscard]] bool finish() noexcept { return bits_.finish(); }
  [[nodiscard]] std::size_t begun() const noexcept { return bits_.begun(); }

 private:
  BitReader bits_;
  std::uint16_t rows_;
  std::uint8_t left_;
  unsigned row_bits_ = 1;
  std::int32_t before_ = -1;
};

/// Looks at a whole body: kAccepted when everything in it is right and nothing contradicts anything else.
/// `packed`: whether it came in a MESSAGE, where no secret may be.
[[nodiscard]] Outcome examine_state(Bytes body, bool packed) noexcept;

}  // namespace craftnet
