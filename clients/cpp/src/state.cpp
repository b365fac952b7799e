#include "craftnet/state.h"

namespace craftnet {

namespace {

constexpr std::size_t kLongestEpoch = 64;
constexpr std::uint16_t kWhole = 10000;
constexpr std::size_t kIndexes = 256;

template <typename Record>
[[nodiscard]] Outcome head(Bytes& rest, Record& record) noexcept {
  const Outcome outcome = wire::decode(rest, record);
  if (outcome == Outcome::kAccepted) rest = rest.behind(Record::kSize);
  return outcome;
}

[[nodiscard]] bool cut(Bytes& rest, std::size_t size, Bytes& part) noexcept {
  if (rest.size < size) return false;
  part = rest.first(size);
  rest = rest.behind(size);
  return true;
}

[[nodiscard]] bool is_epoch(Bytes text) noexcept {
  for (std::size_t k = 0; k < text.size; ++k) {
    const std::uint8_t letter = text.data[k];
    const bool alphanumeric =
        (letter >= '0' && letter <= '9') || (letter >= 'A' && letter <= 'Z') || (letter >= 'a' && letter <= 'z');
    if (!alphanumeric && letter != '_' && letter != '-') return false;
  }
  return text.size >= 1 && text.size <= kLongestEpoch;
}

[[nodiscard]] Outcome read_progress(Bytes& rest, StateRecord& record) noexcept {
  const Outcome outcome = head(rest, record.progress);
  if (outcome != Outcome::kAccepted) return outcome;
  const bool completed = record.progress.status == wire::Status::kCompleted;
  return completed && record.progress.percent != kWhole ? Outcome::kContradictory : Outcome::kAccepted;
}

[[nodiscard]] Outcome read_reason(Bytes& rest, StateRecord& record) noexcept {
  const Outcome outcome = head(rest, record.reason);
  if (outcome != Outcome::kAccepted) return outcome;
  const wire::ReasonPart& part = record.reason;
  if (!cut(rest, part.length, record.rest)) return Outcome::kTruncated;
  const bool inside = part.length > 0 && part.offset + part.length <= part.total;
  return inside ? Outcome::kAccepted : Outcome::kOutOfRange;
}

[[nodiscard]] Outcome read_materials(Bytes& rest, StateRecord& record) noexcept {
  Outcome outcome = head(rest, record.materials);
  if (outcome != Outcome::kAccepted) return outcome;
  const wire::MaterialsPart& part = record.materials;
  const bool inside = part.first + part.count <= part.rows && part.problems <= part.rows;
  const bool something = part.count > 0 || part.rows == 0;
  const bool whole = cut(rest, part.count * wire::MaterialRow::kSize, record.rest);
  if (!whole) return inside && something ? Outcome::kTruncated : Outcome::kOutOfRange;
  wire::MaterialRow row;
  for (std::size_t k = 0; k < part.count; ++k) {
    outcome = wire::decode(record.rest.behind(k * wire::MaterialRow::kSize), row);
    if (outcome != Outcome::kAccepted) return outcome;
  }
  return inside && something ? Outcome::kAccepted : Outcome::kOutOfRange;
}

[[nodiscard]] Outcome read_problems(Bytes& rest, StateRecord& record) noexcept {
  Outcome outcome = head(rest, record.problems);
  if (outcome != Outcome::kAccepted) return outcome;
  const wire::ProblemsPart& part = record.problems;
  if (part.count == 0) return Outcome::kOutOfRange;
  if (!cut(rest, part.count * wire::ProblemRow::kSize, record.rest)) return Outcome::kTruncated;
  bool twice = false;
  wire::ProblemRow row;
  for (std::size_t k = 0; k < part.count; ++k) {
    const std::uint8_t* at = record.rest.data + k * wire::ProblemRow::kSize;
    outcome = wire::decode(record.rest.behind(k * wire::ProblemRow::kSize), row);
    if (outcome != Outcome::kAccepted) return outcome;
    for (std::size_t other = 0; other < k; ++other) {
      twice = twice || load_u16(record.rest.data + other * wire::ProblemRow::kSize) == load_u16(at);
    }
  }
  return twice ? Outcome::kContradictory : Outcome::kAccepted;
}

[[nodiscard]] Outcome read_delta(Bytes& rest, StateRecord& record) noexcept {
  const Outcome outcome = head(rest, record.delta);
  if (outcome != Outcome::kAccepted) return outcome;
  const wire::MaterialsDelta& delta = record.delta;
  if (delta.back == 0 || delta.rows == 0 || delta.count == 0) return Outcome::kOutOfRange;
  ChangeReader changes(delta, rest);
  wire::RowChange change;
  Outcome entry = Outcome::kAccepted;
  while (changes.next(change, entry)) {
    if (entry != Outcome::kAccepted) return entry;
  }
  if (!changes.finish()) return Outcome::kReserved;
  return cut(rest, changes.begun(), record.rest) ? Outcome::kAccepted : Outcome::kTruncated;
}

[[nodiscard]] Outcome read_position(Bytes& rest, StateRecord& record) noexcept {
  const Outcome outcome = head(rest, record.position);
  if (outcome != Outcome::kAccepted) return outcome;
  if (!cut(rest, record.position.length, record.rest)) return Outcome::kTruncated;
  return is_epoch(record.rest) ? Outcome::kAccepted : Outcome::kOutOfRange;
}

/// The records of a body that were seen for each session.
class Consistency {
 public:
  /// Whether the record is consistent with those before it.
  [[nodiscard]] bool accepts(const StateRecord& record) noexcept {
    switch (record.tag) {
      case wire::Selector::kTag:
        session_ = record.selector.session;
        return true;
      case wire::ProgressState::kTag:
        return once(kProgress) && same(kFailure, failures_, record.progress.version);
      case wire::ReasonPart::kTag:
        return same(kFailure, failures_, record.reason.version);
      case wire::MaterialsPart::kTag:
        return same(kTable, tables_, record.materials.version);
      case wire::ProblemsPart::kTag:
        return same(kTable, tables_, record.problems.version);
      case wire::MaterialsDelta::kTag:
        return once(kDelta) && same(kTable, tables_, record.delta.version);
      case wire::SessionOver::kTag:
        return once(kOver);
      case wire::FeedPosition::kTag:
        return once(kPosition);
      case wire::SessionName::kTag:
        return once(kName);
      default:  // a secret, which belongs to no session.
        secrets_ = static_cast<std::uint8_t>(secrets_ + (secrets_ < 2 ? 1 : 0));
        return secrets_ == 1;
    }
  }

 private:
  enum Topic : std::uint8_t { kProgress = 1, kFailure = 2, kTable = 4, kDelta = 8, kOver = 16, kPosition = 32, kName = 64 };

  [[nodiscard]] bool once(Topic topic) noexcept {
    const bool first = (seen_[session_] & topic) == 0;
    seen_[session_] = static_cast<std::uint8_t>(seen_[session_] | topic);
    return first;
  }

  [[nodiscard]] bool same(Topic topic, std::uint32_t* versions, std::uint32_t version) noexcept {
    if (once(topic)) versions[session_] = version;
    return versions[session_] == version;
  }

  std::uint8_t session_ = 0;
  std::uint8_t secrets_ = 0;
  std::uint8_t seen_[kIndexes] = {};
  std::uint32_t failures_[kIndexes] = {};
  std::uint32_t tables_[kIndexes] = {};
};

}  // namespace

Outcome StateReader::next(StateRecord& record) noexcept {
  if (rest_.size == 0) return Outcome::kTruncated;
  record.tag = rest_.data[0];
  record.rest = {};
  switch (record.tag) {
    case wire::ProgressState::kTag:
      return read_progress(rest_, record);
    case wire::ReasonPart::kTag:
      return read_reason(rest_, record);
    case wire::MaterialsPart::kTag:
      return read_materials(rest_, record);
    case wire::ProblemsPart::kTag:
      return read_problems(rest_, record);
    case wire::MaterialsDelta::kTag:
      return read_delta(rest_, record);
    case wire::FreshSecret::kTag:
      return head(rest_, record.secret);
    case wire::Selector::kTag:
      return head(rest_, record.selector);
    case wire::SessionOver::kTag:
      return head(rest_, record.over);
    case wire::FeedPosition::kTag:
      return read_position(rest_, record);
    case wire::SessionName::kTag:
      return head(rest_, record.name);
    default:
      return Outcome::kType;
  }
}

ChangeReader::ChangeReader(const wire::MaterialsDelta& delta, Bytes bits) noexcept
    : bits_(bits), rows_(delta.rows), left_(delta.count) {
  for (unsigned last = delta.rows - 1U; last > 1; last >>= 1) ++row_bits_;
}

bool ChangeReader::next(wire::RowChange& change, Outcome& outcome) noexcept {
  if (left_ == 0) return false;
  --left_;
  outcome = wire::decode(bits_, row_bits_, change);
  if (outcome != Outcome::kAccepted) return true;
  const bool something = change.has_quantity || change.has_quality || change.has_problem;
  const bool ascending = static_cast<std::int32_t>(change.row) > before_ && change.row < rows_;
  if (!something || !ascending) outcome = Outcome::kOutOfRange;
  before_ = static_cast<std::int32_t>(change.row);
  return true;
}

Outcome examine_state(Bytes body, bool packed) noexcept {
  StateReader reader(body);
  StateRecord record;
  Consistency consistency;
  bool agrees = true;
  bool secret = false;
  do {
    const Outcome outcome = reader.next(record);
    if (outcome != Outcome::kAccepted) return outcome;
    secret = secret || record.tag == wire::FreshSecret::kTag;
    agrees = consistency.accepts(record) && agrees;
  } while (!reader.at_end());
  if (!agrees) return Outcome::kContradictory;
  return packed && secret ? Outcome::kType : Outcome::kAccepted;
}

}  // namespace craftnet
