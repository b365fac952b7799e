#include "craftnet/materials.h"

#include <cstring>

namespace craftnet {

namespace {

[[nodiscard]] Material material_of(const wire::MaterialRow& row) noexcept {
  Material material;
  material.id = row.material_id;
  material.quantity = row.quantity;
  material.quality = row.quality;
  return material;
}

template <typename Problem>
void give_problem(Material& material, const Problem& problem) noexcept {
  material.problem_number = static_cast<std::uint8_t>(static_cast<unsigned>(problem.problem) + 1U);
  material.required_quantity = problem.required_quantity;
  material.available_quantity = problem.available_quantity;
  material.required_quality = problem.required_quality;
  material.available_quality = problem.available_quality;
}

void take_problem(Material& material) noexcept {
  const Material clean;
  material.problem_number = 0;
  material.required_quantity = clean.required_quantity;
  material.available_quantity = clean.available_quantity;
  material.required_quality = clean.required_quality;
  material.available_quality = clean.available_quality;
}

[[nodiscard]] bool same_problem(const Material& material, const wire::ProblemRow& problem) noexcept {
  return material.has_problem() && material.problem() == problem.problem &&
         material.required_quantity == problem.required_quantity &&
         material.available_quantity == problem.available_quantity &&
         material.required_quality == problem.required_quality &&
         material.available_quality == problem.available_quality;
}

[[nodiscard]] bool same_entry(const wire::ProblemRow& one, const wire::ProblemRow& other) noexcept {
  return one.row == other.row && one.problem == other.problem && one.required_quantity == other.required_quantity &&
         one.available_quantity == other.available_quantity && one.required_quality == other.required_quality &&
         one.available_quality == other.available_quality;
}

[[nodiscard]] bool same_row(const Material& material, const wire::MaterialRow& row) noexcept {
  return material.id == row.material_id && material.quantity == row.quantity && material.quality == row.quality;
}

template <typename Row>
[[nodiscard]] Row row_at(Bytes rest, std::size_t number) noexcept {
  Row row;
  (void)wire::decode(rest.behind(number * Row::kSize), row);  // checked when the record was read.
  return row;
}

void apply(Material& material, const wire::RowChange& change) noexcept {
  if (change.has_quantity) material.quantity = change.quantity;
  if (change.has_quality) material.quality = change.quality;
  if (!change.has_problem) return;
  if (change.stands) {
    give_problem(material, change.problem);
  } else {
    take_problem(material);
  }
}

}  // namespace

bool operator==(const Material& one, const Material& other) noexcept {
  return one.id == other.id && one.quantity == other.quantity && one.required_quantity == other.required_quantity &&
         one.available_quantity == other.available_quantity && one.required_quality == other.required_quality &&
         one.available_quality == other.available_quality && one.quality == other.quality &&
         one.problem_number == other.problem_number;
}

// --- PartialTable ---

void PartialTable::begin(std::uint32_t version) noexcept {
  version_ = version;
  has_totals_ = false;
  rows_ = problems_ = 0;
  rows_there_ = problems_there_ = 0;
  table_.clear();
  row_there_.clear();
  row_has_problem_.clear();
  entries_.clear();
}

Outcome PartialTable::add(const wire::MaterialsPart& part, Bytes rows) noexcept {
  if (part.rows > kMostRows) return Outcome::kOutOfRange;
  if (has_totals_ && (part.rows != rows_ || part.problems != problems_)) return Outcome::kContradictory;
  if (!has_totals_) {
    has_totals_ = true;
    rows_ = part.rows;
    problems_ = part.problems;
    table_.resize(rows_);
    row_there_.assign(rows_, false);
  }
  for (std::size_t k = 0; k < part.count; ++k) {
    const std::size_t number = part.first + k;
    const auto row = row_at<wire::MaterialRow>(rows, k);
    if (row_there_[number]) {
      if (!same_row(table_[number], row)) return Outcome::kContradictory;
      continue;
    }
    table_[number] = material_of(row);
    row_there_[number] = true;
    ++rows_there_;
  }
  return problems_fit() ? Outcome::kAccepted : Outcome::kContradictory;
}

Outcome PartialTable::add(const wire::ProblemsPart& part, Bytes entries) noexcept {
  for (std::size_t k = 0; k < part.count; ++k) {
    const Outcome outcome = add_problem(part.first + k, row_at<wire::ProblemRow>(entries, k));
    if (outcome != Outcome::kAccepted) return outcome;
  }
  return problems_fit() ? Outcome::kAccepted : Outcome::kContradictory;
}

Outcome PartialTable::add_problem(std::size_t number, const wire::ProblemRow& problem) noexcept {
  if (number >= kMostRows || problem.row >= kMostRows) return Outcome::kOutOfRange;
  if (number >= entries_.size()) entries_.resize(number + 1);
  Entry& entry = entries_[number];
  if (entry.there) return same_entry(entry.problem, problem) ? Outcome::kAccepted : Outcome::kContradictory;
  if (problem.row >= row_has_problem_.size()) row_has_problem_.resize(problem.row + std::size_t{1}, false);
  if (row_has_problem_[problem.row]) return Outcome::kContradictory;
  row_has_problem_[problem.row] = true;
  entry = {problem, true};
  ++problems_there_;
  return Outcome::kAccepted;
}

bool PartialTable::problems_fit() const noexcept {
  return !has_totals_ || (entries_.size() <= problems_ && row_has_problem_.size() <= rows_);
}

bool PartialTable::complete() const noexcept {
  return has_totals_ && rows_there_ == rows_ && problems_there_ == problems_;
}

void PartialTable::take(Table& table) noexcept {
  for (const Entry& entry : entries_) give_problem(table_[entry.problem.row], entry.problem);
  table.swap(table_);
  const std::uint32_t version = version_;
  *this = PartialTable();  // frees its memory: most following tables arrive as differences.
  version_ = version;
}

// --- History ---

void History::push(std::uint32_t version, bool usable, const Table& table, const Table& following) noexcept {
  std::size_t differ = 0;
  bool same_materials = table.size() == following.size();
  for (std::size_t row = 0; same_materials && row < table.size(); ++row) {
    same_materials = table[row].id == following[row].id;
    if (!(table[row] == following[row])) ++differ;
  }
  if (same_materials) {
    push_changes(version, usable, differ);
    for (std::size_t row = 0; row < table.size(); ++row) {
      if (!(table[row] == following[row])) put_row(row, table[row]);
    }
    return;
  }
  Entry entry;
  entry.version = version;
  entry.rows = static_cast<std::uint16_t>(table.size());
  entry.whole = true;
  entry.usable = usable;
  if (!add(entry) || table.empty()) return;
  const std::size_t at = octets_.size();
  octets_.resize(at + entry.size());
  std::memcpy(octets_.data() + at, table.data(), entry.size());
}

void History::push_changes(std::uint32_t version, bool usable, std::size_t rows) noexcept {
  Entry entry;
  entry.version = version;
  entry.rows = static_cast<std::uint16_t>(rows);
  entry.usable = usable;
  (void)add(entry);
}

void History::put_row(std::size_t number, const Material& material) noexcept {
  if (entries_.empty()) return;  // the entry was too large.
  const std::size_t at = octets_.size();
  octets_.resize(at + kChangeSize);
  store_u16(octets_.data() + at, static_cast<std::uint16_t>(number));
  std::memcpy(octets_.data() + at + 2, reinterpret_cast<const std::uint8_t*>(&material) + kIdSize, kChangeSize - 2);
}

bool History::add(const Entry& entry) noexcept {
  const std::size_t size = entry.size();
  while (!entries_.empty() && (entries_.size() >= kKept || octets_.size() + size > kBudget)) drop_oldest();
  if (size > kBudget) return false;
  entries_.push_back(entry);
  return true;
}

void History::drop_oldest() noexcept {
  const auto size = static_cast<std::ptrdiff_t>(entries_.front().size());
  octets_.erase(octets_.begin(), octets_.begin() + size);
  entries_.erase(entries_.begin());
}

bool History::rebuild(std::uint32_t version, Table& table) const noexcept {
  std::size_t wanted = entries_.size();
  while (wanted > 0 && !(entries_[wanted - 1].version == version && entries_[wanted - 1].usable)) --wanted;
  if (wanted == 0) return false;
  std::size_t end = octets_.size();
  for (std::size_t k = entries_.size(); k >= wanted; --k) {
    const Entry& entry = entries_[k - 1];
    end -= entry.size();
    const std::uint8_t* at = octets_.data() + end;
    if (entry.whole) {
      table.resize(entry.rows);
      if (entry.rows > 0) std::memcpy(table.data(), at, entry.size());
      continue;
    }
    for (std::size_t row = 0; row < entry.rows; ++row, at += kChangeSize) {
      std::memcpy(reinterpret_cast<std::uint8_t*>(&table[load_u16(at)]) + kIdSize, at + 2, kChangeSize - 2);
    }
  }
  return true;
}

void History::forget(std::uint32_t version) noexcept {
  for (Entry& entry : entries_) {
    if (entry.version == version) entry.usable = false;
  }
}

// --- Materials ---

/// Prepares for a part of this version. True when that table is complete, so that the part is only compared with it.
bool Materials::begin_part(std::uint32_t version) noexcept {
  const bool known = has_table_ && version == complete_ && !contradicted_;
  if (!parts_open_ || parts_version_ != version) {
    parts_open_ = true;
    parts_version_ = version;
    parts_.begin(version);
  }
  return known;
}

Outcome Materials::finish_part(Outcome outcome, bool known, std::uint64_t sequence, bool& changed) noexcept {
  if (outcome != Outcome::kAccepted) {
    parts_open_ = false;
    if (known) contradicted_ = true;
    return outcome;
  }
  if (sequence > newest_) newest_ = sequence;
  if (known || !parts_.complete()) return Outcome::kAccepted;
  Table whole;
  parts_.take(whole);
  hold(parts_version_, whole);
  changed = true;
  return Outcome::kAccepted;
}

void Materials::settle() noexcept {
  parts_ = PartialTable();
  history_ = History();
  parts_open_ = false;
}

Outcome Materials::agrees(const wire::MaterialsPart& part, Bytes rows) const noexcept {
  if (part.rows != table_.size() || part.problems != problems()) return Outcome::kContradictory;
  for (std::size_t k = 0; k < part.count; ++k) {
    if (!same_row(table_[part.first + k], row_at<wire::MaterialRow>(rows, k))) return Outcome::kContradictory;
  }
  return Outcome::kAccepted;
}

Outcome Materials::agrees(const wire::ProblemsPart& part, Bytes entries) const noexcept {
  std::size_t number = 0;  // in the list of problems, which has the order of the rows.
  std::size_t equal = 0;
  for (std::size_t row = 0; row < table_.size(); ++row) {
    if (!table_[row].has_problem()) continue;
    if (number >= part.first && number < static_cast<std::size_t>(part.first) + part.count) {
      const auto entry = row_at<wire::ProblemRow>(entries, number - part.first);
      if (entry.row == row && same_problem(table_[row], entry)) ++equal;
    }
    ++number;
  }
  return equal == part.count ? Outcome::kAccepted : Outcome::kContradictory;
}

std::size_t Materials::problems() const noexcept {
  std::size_t count = 0;
  for (const Material& material : table_) count += material.has_problem() ? 1U : 0U;
  return count;
}

Outcome Materials::take_delta(const wire::MaterialsDelta& delta, Bytes bits, std::uint64_t sequence,
                              bool& changed) noexcept {
  changed = false;
  if (sequence < newest_) return Outcome::kAccepted;
  if (has_table_ && delta.version == complete_ && !contradicted_) {
    newest_ = sequence;
    return Outcome::kAccepted;
  }
  const std::uint32_t baseline = delta.version - delta.back;
  if (!has_table_ || baseline == 0) return Outcome::kNoBaseline;
  if (baseline == complete_ && !contradicted_) {
    if (table_.size() != delta.rows) return Outcome::kNoBaseline;
  } else {
    Table before = table_;
    if (!history_.rebuild(baseline, before) || before.size() != delta.rows) return Outcome::kNoBaseline;
    hold(baseline, before);  // the difference then is one more change of the newest table.
  }
  change(delta, bits);
  parts_open_ = false;
  newest_ = sequence;
  changed = true;
  return Outcome::kAccepted;
}

/// Applies a difference to the newest table, its baseline.
void Materials::change(const wire::MaterialsDelta& delta, Bytes bits) noexcept {
  history_.forget(delta.version);
  history_.push_changes(complete_, complete_ != delta.version, delta.count);
  ChangeReader changes(delta, bits);
  wire::RowChange change;
  Outcome outcome = Outcome::kAccepted;
  while (changes.next(change, outcome)) {
    history_.put_row(change.row, table_[change.row]);
    apply(table_[change.row], change);
  }
  complete_ = delta.version;
}

void Materials::hold(std::uint32_t version, Table& following) noexcept {
  history_.forget(version);
  if (has_table_) history_.push(complete_, !contradicted_ && complete_ != version, table_, following);
  table_.swap(following);
  complete_ = version;
  has_table_ = true;
  contradicted_ = false;
}

}  // namespace craftnet
