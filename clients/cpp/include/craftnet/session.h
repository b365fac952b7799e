// The state of one session, and of all sessions of a connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "craftnet/materials.h"
#include "craftnet/progress.h"
#include "craftnet/state.h"
#include "craftnet/time.h"

namespace craftnet {

/// A position in a feed, for `resume`.
struct Position {
  char epoch[65] = {};  ///< 1 to 64 characters and a terminating zero; empty: no position.
  std::uint64_t version = 0;

  [[nodiscard]] bool known() const noexcept { return epoch[0] != '\0'; }
};

/// Whether a client whose newest complete table has this version (0: none) has reached `position` (PROTOCOL.md, 7.3).
[[nodiscard]] bool has_reached(std::uint64_t position, std::uint32_t materials_version) noexcept;

/// Reassembles the reason of a failure from its parts.
class Reason {
 public:
  /// `whole`: whether all parts have arrived. kContradictory: it disagrees with another part, and all are dropped.
  [[nodiscard]] Outcome take(const wire::ReasonPart& part, Bytes text, std::uint64_t sequence, bool& whole) noexcept;

  /// The newest complete text, in which U+FFFD replaces what is not UTF-8. Empty: none.
  [[nodiscard]] const std::string& whole_text() const noexcept { return whole_text_; }
  [[nodiscard]] std::uint32_t whole_version() const noexcept { return whole_version_; }

  /// Frees what only further parts need.
  void settle() noexcept;

 private:
  [[nodiscard]] std::string decoded() const;
  [[nodiscard]] bool add(const wire::ReasonPart& part, Bytes text) noexcept;

  std::uint64_t newest_ = 0;  // the sequence of the newest part taken.
  std::uint32_t version_ = 0;
  bool open_ = false;
  std::size_t there_count_ = 0;
  std::vector<std::uint8_t> octets_;
  std::vector<bool> there_;
  std::uint32_t whole_version_ = 0;
  std::string whole_text_;
};

/// What has changed in a session, as bits.
enum SessionChange : std::uint8_t {
  kProgressChanged = 1,
  kMaterialsChanged = 2,
  kPositionChanged = 4,
  kSessionOver = 8,
};

class Session {
 public:
  explicit Session(std::uint8_t index) noexcept : index_(index) {}

  /// Applies a record that arrived with this sequence, or in a MESSAGE that counts as it. The outcome concerns this
  /// record.
  [[nodiscard]] Outcome take(const StateRecord& record, std::uint64_t sequence);

  /// Returns the changes since the last call, as bits of SessionChange.
  [[nodiscard]] std::uint8_t take_changes() noexcept;

  [[nodiscard]] std::uint8_t index() const noexcept { return index_; }

  [[nodiscard]] bool has_progress() const noexcept { return has_progress_; }
  [[nodiscard]] const Progress& progress() const noexcept { return progress_; }
  [[nodiscard]] std::uint32_t progress_version() const noexcept { return progress_version_; }

  /// Why the craft failed; empty while unknown.
  [[nodiscard]] std::string_view failure_reason() const noexcept {
    return reason_ == nullptr || !explained_ ? std::string_view() : std::string_view(reason_->whole_text());
  }

  [[nodiscard]] const Materials& materials() const noexcept { return materials_; }

  /// The newest position that the client has reached.
  [[nodiscard]] const Position& position() const noexcept { return reached_; }

  [[nodiscard]] bool over() const noexcept { return over_; }
  [[nodiscard]] wire::Reason over_reason() const noexcept { return over_reason_; }

  [[nodiscard]] Bar& bar() noexcept { return bar_; }
  void smooth(double seconds) noexcept { bar_ = Bar(seconds); }

 private:
  friend class Sessions;

  void take_progress(const wire::ProgressState& record, std::uint64_t sequence);
  void take_position(const wire::FeedPosition& record, Bytes epoch, std::uint64_t sequence) noexcept;
  void explain();
  void locate() noexcept;

  std::uint8_t index_;
  std::uint8_t changes_ = 0;
  bool has_progress_ = false;
  bool explained_ = false;  // whether the complete reason belongs to the progress held.
  bool over_ = false;
  bool located_ = true;  // whether `announced_` is reached.
  wire::Reason over_reason_ = wire::Reason::kEnded;
  bool to_acknowledge_ = false;  // the next ACK must name this session's table.
  bool leaving_ = false;
  Time unclaimed_until_ = kNever;  // when the client leaves it, unless …/connect names it.
  std::uint32_t progress_version_ = 0;
  std::uint64_t progress_sequence_ = 0;  // of the datagram with the progress held.
  Progress progress_;
  Bar bar_;
  Materials materials_;
  std::unique_ptr<Reason> reason_;       // few crafts fail.
  std::uint64_t position_sequence_ = 0;  // of the datagram with `announced_`.
  Position announced_;                   // the newest position received …
  Position reached_;                     // … and the newest whose table has arrived as well.
};

/// Records of a STATE that were refused while the others were applied.
struct Faults {
  static constexpr std::size_t kKept = 8;
  std::size_t count = 0;
  Outcome outcomes[kKept] = {};  ///< the first ones.

  void add(Outcome outcome) noexcept {
    if (count < kKept) outcomes[count] = outcome;
    ++count;
  }
};

/// The sessions of a connection by index. Session 0 exists from the beginning.
class Sessions {
 public:
  Sessions();

  /// Applies all records of a STATE's body, which `examine_state` must have accepted. `sequence`: that of its datagram,
  /// or the one that a MESSAGE counts as.
  void apply(Bytes body, std::uint64_t sequence, Time now, Faults& faults);

  /// The session with this index; null when it is unknown.
  [[nodiscard]] Session* find(std::uint8_t index) noexcept;

  /// Registers a session that …/connect has named.
  Session& claim(std::uint8_t index);

  [[nodiscard]] std::size_t size() const noexcept { return sessions_.size(); }
  [[nodiscard]] Session& at(std::size_t place) noexcept { return *sessions_[place]; }

  /// Whether a table has to be named in an ACK.
  [[nodiscard]] bool to_acknowledge() const noexcept;

  /// Writes the body of an ACK, at most `room` bytes; the next one names what does not fit.
  [[nodiscard]] std::size_t write_ack(std::uint8_t* out, std::size_t room) noexcept;

  /// Starts leaving this session; false when it is over or unknown.
  bool leave(std::uint8_t index) noexcept;

  /// Whether a session that is not over is being left.
  [[nodiscard]] bool leaving() const noexcept;

  /// Whether every session is over, or being left.
  [[nodiscard]] bool nothing_left() const noexcept;

  /// Writes the body of a LEAVE.
  [[nodiscard]] std::size_t write_leave(std::uint8_t* out, std::size_t room) const noexcept;

  /// When the first unclaimed session is due to be left.
  [[nodiscard]] Time unclaimed_until() const noexcept;

  /// Leaves the sessions that were not claimed in time; true if there were any.
  bool leave_unclaimed(Time now) noexcept;

  /// The newest secret received; null if none has arrived since the last call.
  [[nodiscard]] const Octets<32>* fresh_secret() noexcept;

 private:
  [[nodiscard]] Session* find_or_add(std::uint8_t index, Time now);

  std::vector<std::unique_ptr<Session>> sessions_;  // by ascending index.
  Octets<32> secret_{};
  std::uint64_t secret_sequence_ = 0;
  bool secret_is_new_ = false;
};

}  // namespace craftnet
