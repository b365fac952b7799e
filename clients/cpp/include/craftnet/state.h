// The body of a STATE: a sequence of records (PROTOCOL.md, "STATE").
#pragma once

#include "craftnet/bytes.h"
#include "craftnet/wire.h"

namespace craftnet {

/// One record. The member of its `tag` is set, and `rest` is the part that its length or count announces.
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
  wire::SessionName name;
  wire::FeedPosition position;
  Bytes rest;  ///< text, rows, bits, or an epoch.
};

/// Reads the records of a body one after the other.
class StateReader {
 public:
  explicit StateReader(Bytes body) noexcept : rest_(body) {}

  [[nodiscard]] bool at_end() const noexcept { return rest_.size == 0; }

  /// Reads and checks the next record. Unless the outcome is kAccepted, the reader must not be used again.
  [[nodiscard]] Outcome next(StateRecord& record) noexcept;

 private:
  Bytes rest_;
};

/// Reads the entries of a MaterialsDelta whose record was accepted.
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

/// Checks a whole body: kAccepted when every record is valid and none contradicts another. `packed`: whether it came in
/// a MESSAGE, which must not contain a secret.
[[nodiscard]] CRAFTNETCORE_API Outcome examine_state(Bytes body, bool packed) noexcept;

}  // namespace craftnet
