#include "craftnet/session.h"

#include <cstring>

#include "craftnet/text.h"

namespace craftnet {

namespace {

constexpr Time kClaimTimeout = 20 * kSecond;
constexpr std::size_t kMostLive = 32;  // sessions of a connection that are not over.

}  // namespace

bool has_reached(std::uint64_t position, std::uint32_t materials_version) noexcept {
  return ((materials_version - (position >> 11)) & 2047U) < 1024U;
}

Outcome Session::take(const StateRecord& record, std::uint64_t sequence) {
  if (over_) return Outcome::kAccepted;
  bool changed = false;
  Outcome outcome = Outcome::kAccepted;
  switch (record.tag) {
    case wire::ProgressState::kTag:
      take_progress(record.progress, sequence);
      return outcome;
    case wire::ReasonPart::kTag:
      if (reason_ == nullptr) reason_ = std::make_unique<Reason>();
      outcome = reason_->take(record.reason, record.rest, sequence, changed);
      explain();
      return outcome;
    case wire::MaterialsPart::kTag:
      outcome = materials_.take(record.materials, record.rest, sequence, changed);
      break;
    case wire::ProblemsPart::kTag:
      outcome = materials_.take(record.problems, record.rest, sequence, changed);
      break;
    case wire::MaterialsDelta::kTag:
      outcome = materials_.take_delta(record.delta, record.rest, sequence, changed);
      break;
    case wire::FeedPosition::kTag:
      take_position(record.position, record.rest, sequence);
      return outcome;
    case wire::SessionOver::kTag:
      over_ = true;
      over_reason_ = record.over.reason;
      materials_.settle();
      if (reason_ != nullptr) reason_->settle();
      changes_ |= kSessionOver;
      return outcome;
    default:
      return outcome;
  }
  if (changed) changes_ |= kMaterialsChanged;
  return outcome;
}

std::uint8_t Session::take_changes() noexcept {
  locate();
  const std::uint8_t changes = changes_;
  changes_ = 0;
  return changes;
}

void Session::take_progress(const wire::ProgressState& record, std::uint64_t sequence) {
  if (sequence <= progress_sequence_) return;
  progress_sequence_ = sequence;
  const Progress progress = progress_of(record);
  if (has_progress_ && record.version == progress_version_ && same_progress(progress, progress_)) return;
  has_progress_ = true;
  progress_version_ = record.version;
  progress_ = progress;
  explained_ = false;
  bar_.updated();
  changes_ |= kProgressChanged;
  explain();
}

/// Attaches the reason to the progress once both have arrived.
void Session::explain() {
  const bool whole = reason_ != nullptr && !reason_->whole_text().empty();
  if (explained_ || !has_progress_ || !whole || reason_->whole_version() != progress_version_) return;
  explained_ = true;
  changes_ |= kProgressChanged;
}

void Session::take_position(const wire::FeedPosition& record, Bytes epoch, std::uint64_t sequence) noexcept {
  if (sequence <= position_sequence_) return;
  position_sequence_ = sequence;
  announced_ = Position{};
  std::memcpy(announced_.epoch, epoch.data, epoch.size);
  announced_.version = record.version;
  located_ = false;
}

/// Takes over the announced position once its table of materials has arrived.
void Session::locate() noexcept {
  if (located_ || !has_reached(announced_.version, materials_.version())) return;
  located_ = true;
  reached_ = announced_;
  changes_ |= kPositionChanged;
}

// --- Reason ---

Outcome Reason::take(const wire::ReasonPart& part, Bytes text, std::uint64_t sequence, bool& whole) noexcept {
  whole = false;
  const bool same = open_ && part.version == version_;
  if (sequence < newest_ && !same) return Outcome::kAccepted;
  if (!same) {
    open_ = true;
    version_ = part.version;
    octets_.assign(part.total, 0);
    there_.assign(part.total, false);
    there_count_ = 0;
  }
  if (!add(part, text)) {
    open_ = false;
    return Outcome::kContradictory;
  }
  if (sequence > newest_) newest_ = sequence;
  whole = there_count_ == octets_.size();
  if (whole) {
    whole_version_ = version_;
    whole_text_ = decoded();
  }
  return Outcome::kAccepted;
}

void Reason::settle() noexcept {
  octets_ = {};
  there_ = {};
  open_ = false;
}

bool Reason::add(const wire::ReasonPart& part, Bytes text) noexcept {
  if (part.total != octets_.size()) return false;
  for (std::size_t k = 0; k < text.size; ++k) {
    const std::size_t at = part.offset + k;
    if (there_[at] && octets_[at] != text.data[k]) return false;
    if (!there_[at]) ++there_count_;
    there_[at] = true;
    octets_[at] = text.data[k];
  }
  return true;
}

std::string Reason::decoded() const {
  std::string text;
  text.reserve(octets_.size());
  for (std::size_t at = 0; at < octets_.size();) {
    const std::size_t size = utf8_character(octets_.data() + at, octets_.size() - at);
    if (size == 0) {
      text += "\xEF\xBF\xBD";
      ++at;
      continue;
    }
    text.append(reinterpret_cast<const char*>(octets_.data() + at), size);
    at += size;
  }
  return text;
}

// --- Sessions ---

Sessions::Sessions() { claim(0); }

void Sessions::apply(Bytes body, std::uint64_t sequence, Time now, Faults& faults) {
  StateReader reader(body);
  StateRecord record;
  Session* session = find(0);
  while (!reader.at_end() && reader.next(record) == Outcome::kAccepted) {
    if (record.tag == wire::Selector::kTag) {
      session = find_or_add(record.selector.session, now);
      continue;
    }
    if (record.tag == wire::FreshSecret::kTag) {
      if (sequence <= secret_sequence_) continue;
      secret_sequence_ = sequence;
      secret_ = record.secret.secret;
      secret_is_new_ = true;
      continue;
    }
    if (session == nullptr) continue;
    const bool of_table = record.tag == wire::MaterialsPart::kTag || record.tag == wire::ProblemsPart::kTag ||
                          record.tag == wire::MaterialsDelta::kTag;
    if (of_table && !session->over_) session->to_acknowledge_ = true;
    const Outcome outcome = session->take(record, sequence);
    if (outcome != Outcome::kAccepted) faults.add(outcome);
  }
}

Session* Sessions::find(std::uint8_t index) noexcept {
  for (const std::unique_ptr<Session>& session : sessions_) {
    if (session->index_ == index) return session.get();
  }
  return nullptr;
}

/// Null when the server names more sessions than a connection carries.
Session* Sessions::find_or_add(std::uint8_t index, Time now) {
  Session* known = find(index);
  if (known != nullptr) return known;
  std::size_t live = 0;
  for (const std::unique_ptr<Session>& session : sessions_) live += session->over_ ? 0U : 1U;
  if (live >= kMostLive) return nullptr;
  Session& made = claim(index);
  made.unclaimed_until_ = now + kClaimTimeout;
  return &made;
}

Session& Sessions::claim(std::uint8_t index) {
  Session* known = find(index);
  if (known != nullptr) {
    known->unclaimed_until_ = kNever;
    return *known;
  }
  auto place = sessions_.begin();
  while (place != sessions_.end() && (*place)->index_ < index) ++place;
  return **sessions_.insert(place, std::make_unique<Session>(index));
}

bool Sessions::to_acknowledge() const noexcept {
  for (const std::unique_ptr<Session>& session : sessions_) {
    if (session->to_acknowledge_) return true;
  }
  return false;
}

std::size_t Sessions::write_ack(std::uint8_t* out, std::size_t room) noexcept {
  wire::Held held;
  held.version = sessions_.front()->materials_.version();
  wire::encode(held, out);
  sessions_.front()->to_acknowledge_ = false;
  std::size_t size = wire::Held::kSize;
  for (const std::unique_ptr<Session>& session : sessions_) {
    if (!session->to_acknowledge_ || size + wire::HeldToo::kSize > room) continue;
    wire::HeldToo other;
    other.session = session->index_;
    other.version = session->materials_.version();
    wire::encode(other, out + size);
    size += wire::HeldToo::kSize;
    session->to_acknowledge_ = false;
  }
  return size;
}

bool Sessions::leave(std::uint8_t index) noexcept {
  Session* session = find(index);
  if (session == nullptr || session->over_) return false;
  session->leaving_ = true;
  session->unclaimed_until_ = kNever;
  return true;
}

bool Sessions::leaving() const noexcept {
  for (const std::unique_ptr<Session>& session : sessions_) {
    if (session->leaving_ && !session->over_) return true;
  }
  return false;
}

bool Sessions::nothing_left() const noexcept {
  for (const std::unique_ptr<Session>& session : sessions_) {
    if (!session->leaving_ && !session->over_) return false;
  }
  return true;
}

std::size_t Sessions::write_leave(std::uint8_t* out, std::size_t room) const noexcept {
  std::size_t size = 0;
  for (const std::unique_ptr<Session>& session : sessions_) {
    if (session->leaving_ && !session->over_ && size < room) out[size++] = session->index_;
  }
  return size;
}

Time Sessions::unclaimed_until() const noexcept {
  Time soonest = kNever;
  for (const std::unique_ptr<Session>& session : sessions_) soonest = earlier(soonest, session->unclaimed_until_);
  return soonest;
}

bool Sessions::leave_unclaimed(Time now) noexcept {
  bool any = false;
  for (const std::unique_ptr<Session>& session : sessions_) {
    if (now < session->unclaimed_until_) continue;
    session->unclaimed_until_ = kNever;
    session->leaving_ = !session->over_;
    any = any || session->leaving_;
  }
  return any;
}

const Octets<32>* Sessions::fresh_secret() noexcept {
  if (!secret_is_new_) return nullptr;
  secret_is_new_ = false;
  return &secret_;
}

}  // namespace craftnet
