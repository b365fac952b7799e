// Heartbeats, and what they tell: round trip, resend timeout, the server's clock (PROTOCOL.md, "HEARTBEAT").
#pragma once

#include <cstddef>
#include <cstdint>

#include "craftnet/time.h"
#include "craftnet/wire.h"

namespace craftnet {

class Pulse {
 public:
  /// `interval`: between heartbeats, as …/connect answers.
  explicit Pulse(Time interval = 5 * kSecond) noexcept : interval_(interval) {}

  /// The connection begins: the first heartbeat is due.
  void begin(Time now) noexcept { heard_at_ = beat_at_ = now; }

  /// Something authentic came in.
  void alive(Time now) noexcept { heard_at_ = now; }

  /// A heartbeat is due at once: our address has changed.
  void hurry(Time now) noexcept { beat_at_ = earlier(beat_at_, now); }

  [[nodiscard]] bool due(Time now) const noexcept { return now >= beat_at_; }

  /// Whether nothing was heard for three intervals.
  [[nodiscard]] bool dead(Time now) const noexcept { return now >= heard_at_ + kSilences * interval_; }

  /// When a heartbeat is due, or the server is to be taken for dead.
  [[nodiscard]] Time deadline() const noexcept { return earlier(beat_at_, heard_at_ + kSilences * interval_); }

  /// The heartbeat to send at `now`.
  [[nodiscard]] wire::Heartbeat beat(Time now) noexcept;

  /// One came in, in the datagram with this sequence. An older one than the newest says nothing.
  void heard(const wire::Heartbeat& heartbeat, std::uint64_t sequence, Time now) noexcept;

  /// A round trip took `delay` and showed the server's clock `offset` ahead.
  void sampled(Time delay, Time offset) noexcept;

  /// The smoothed round trip in seconds, RFC 6298; negative before the first sample.
  [[nodiscard]] double smoothed() const noexcept { return smoothed_; }
  [[nodiscard]] double variation() const noexcept { return variation_; }

  /// How long to wait for an acknowledgement before something is sent again.
  [[nodiscard]] Time timeout() const noexcept;

  /// How far the server's clock is ahead of ours, by the sample with the shortest round trip; 0 before there is one.
  [[nodiscard]] Time offset() const noexcept { return count_ > 0 ? best().offset : 0; }
  [[nodiscard]] bool knows_offset() const noexcept { return count_ > 0; }

  /// By how much the offset may be wrong.
  [[nodiscard]] Time uncertainty() const noexcept { return count_ > 0 ? best().delay / 2 : 0; }

 private:
  static constexpr std::size_t kSamples = 8;
  static constexpr Time kSilences = 3;

  struct Sample {
    Time delay;
    Time offset;
  };

  [[nodiscard]] const Sample& best() const noexcept;
  [[nodiscard]] bool sent(std::uint64_t sent_us) const noexcept;

  Time interval_;
  Time heard_at_ = 0;
  Time beat_at_ = 0;
  double smoothed_ = -1.0;
  double variation_ = 0.0;
  Sample samples_[kSamples] = {};
  std::size_t count_ = 0;
  std::size_t next_ = 0;
  std::uint64_t beats_[kSamples] = {};  // what our last heartbeats said.
  std::size_t beats_sent_ = 0;
  std::uint64_t newest_sequence_ = 0;  // of the newest heartbeat heard …
  std::uint64_t newest_sent_us_ = 0;   // … what it said …
  Time newest_arrived_ = 0;            // … and when it came.
};

}  // namespace craftnet
