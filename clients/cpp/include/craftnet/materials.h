// A session's table of materials, made of parts and differences (PROTOCOL.md, records 3, 4 and 5).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "craftnet/bytes.h"
#include "craftnet/state.h"
#include "craftnet/wire.h"

namespace craftnet {

/// One row of the table.
struct Material {
  Uuid id{};
  std::uint32_t quantity = 0;
  std::uint32_t required_quantity = wire::kUnknown;  ///< this and the next three belong to the problem.
  std::uint32_t available_quantity = wire::kUnknown;
  std::uint8_t required_quality = 0;   ///< 1 to 100; 0: unknown.
  std::uint8_t available_quality = 0;  ///< 1 to 100; 0: unknown.
  std::uint8_t quality = 0;            ///< 1 to 100; 0: unknown.
  std::uint8_t problem_number = 0;     ///< wire::Problem plus 1; 0: no problem.

  [[nodiscard]] bool has_problem() const noexcept { return problem_number != 0; }

  /// Requires `has_problem`.
  [[nodiscard]] wire::Problem problem() const noexcept { return static_cast<wire::Problem>(problem_number - 1); }
};
static_assert(sizeof(Material) == 32, "a session keeps one per row, and more than half of one per change");

[[nodiscard]] bool operator==(const Material& one, const Material& other) noexcept;

using Table = std::vector<Material>;

/// The tables before the newest one, stored as differences from it: a changed row takes 18 bytes, and a table of other
/// materials takes all of its rows.
class History {
 public:
  /// Stores `table`, the newest until now, before `following` replaces it.
  void push(std::uint32_t version, bool usable, const Table& table, const Table& following) noexcept;

  /// Stores a table of which `rows` rows are about to change; `put_row` follows for each of them.
  void push_changes(std::uint32_t version, bool usable, std::size_t rows) noexcept;

  /// Stores a row as it was before the change announced by `push_changes`.
  void put_row(std::size_t number, const Material& material) noexcept;

  /// Turns `table`, which holds the newest table, into the one of `version`. False when that is not kept.
  [[nodiscard]] bool rebuild(std::uint32_t version, Table& table) const noexcept;

  /// Stops using the table of this version as a baseline.
  void forget(std::uint32_t version) noexcept;

 private:
  static constexpr std::size_t kKept = 31;       // besides the newest.
  static constexpr std::size_t kBudget = 65536;  // bytes; beyond it the oldest table is dropped.

  // A change: the row's number, and the row without its id.
  static constexpr std::size_t kIdSize = sizeof(Uuid);
  static constexpr std::size_t kChangeSize = 2 + sizeof(Material) - kIdSize;

  struct Entry {
    std::uint32_t version = 0;
    std::uint16_t rows = 0;  // all rows of a whole table; otherwise the rows that differ.
    bool whole = false;
    bool usable = false;

    [[nodiscard]] std::size_t size() const noexcept { return rows * (whole ? sizeof(Material) : kChangeSize); }
  };

  /// Makes room for an entry. False when it is too large, and then no older table is kept.
  [[nodiscard]] bool add(const Entry& entry) noexcept;
  void drop_oldest() noexcept;

  std::vector<std::uint8_t> octets_;  // of all entries, oldest first.
  std::vector<Entry> entries_;        // oldest first.
};

/// The parts of an incomplete table.
class PartialTable {
 public:
  /// Maximum number of rows; a larger table is refused, so that a part cannot announce more memory than it takes.
  static constexpr std::size_t kMostRows = 1024;

  void begin(std::uint32_t version) noexcept;

  [[nodiscard]] Outcome add(const wire::MaterialsPart& part, Bytes rows) noexcept;
  [[nodiscard]] Outcome add(const wire::ProblemsPart& part, Bytes entries) noexcept;

  [[nodiscard]] std::uint32_t version() const noexcept { return version_; }

  /// Whether all rows and problems have arrived.
  [[nodiscard]] bool complete() const noexcept;

  /// Moves the complete table to `table` and forgets its parts.
  void take(Table& table) noexcept;

 private:
  struct Entry {
    wire::ProblemRow problem;
    bool there = false;
  };

  [[nodiscard]] Outcome add_problem(std::size_t number, const wire::ProblemRow& problem) noexcept;
  [[nodiscard]] bool problems_fit() const noexcept;

  std::uint32_t version_ = 0;
  bool has_totals_ = false;
  std::uint16_t rows_ = 0;
  std::uint16_t problems_ = 0;
  std::size_t rows_there_ = 0;
  std::size_t problems_there_ = 0;
  Table table_;
  std::vector<bool> row_there_;
  std::vector<bool> row_has_problem_;
  std::vector<Entry> entries_;  // by number in the list of problems.
};

class Materials {
 public:
  /// Applies a part that arrived with this sequence; `changed`: whether it completes a new table. kContradictory: the
  /// parts of one table disagree, and all of them are dropped.
  template <typename Part>
  [[nodiscard]] Outcome take(const Part& part, Bytes rest, std::uint64_t sequence, bool& changed) noexcept {
    changed = false;
    if (sequence < newest_ && !(parts_open_ && parts_version_ == part.version)) return Outcome::kAccepted;
    const bool known = begin_part(part.version);
    const Outcome outcome = known ? agrees(part, rest) : parts_.add(part, rest);
    return finish_part(outcome, known, sequence, changed);
  }

  /// Applies a difference that arrived with this sequence. kNoBaseline: its baseline is not held.
  [[nodiscard]] Outcome take_delta(const wire::MaterialsDelta& delta, Bytes bits, std::uint64_t sequence,
                                   bool& changed) noexcept;

  /// The version for an ACK: that of the newest complete table; 0 without one, or after a contradiction.
  [[nodiscard]] std::uint32_t version() const noexcept { return contradicted_ || !has_table_ ? 0 : complete_; }

  [[nodiscard]] bool has_table() const noexcept { return has_table_; }

  /// Frees what only further parts and differences need.
  void settle() noexcept;

  /// The newest complete table.
  [[nodiscard]] const Table& table() const noexcept { return table_; }

 private:
  [[nodiscard]] bool begin_part(std::uint32_t version) noexcept;
  [[nodiscard]] Outcome finish_part(Outcome outcome, bool known, std::uint64_t sequence, bool& changed) noexcept;
  [[nodiscard]] Outcome agrees(const wire::MaterialsPart& part, Bytes rows) const noexcept;
  [[nodiscard]] Outcome agrees(const wire::ProblemsPart& part, Bytes entries) const noexcept;
  [[nodiscard]] std::size_t problems() const noexcept;
  void hold(std::uint32_t version, Table& following) noexcept;
  void change(const wire::MaterialsDelta& delta, Bytes bits) noexcept;

  PartialTable parts_;
  History history_;
  Table table_;

  std::uint64_t newest_ = 0;  // the sequence of the newest datagram applied.
  std::uint32_t parts_version_ = 0;
  std::uint32_t complete_ = 0;
  bool parts_open_ = false;
  bool has_table_ = false;
  bool contradicted_ = false;  // parts contradicted the newest complete table.
};

}  // namespace craftnet
