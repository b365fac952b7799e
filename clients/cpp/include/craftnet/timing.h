// Heartbeats, and what follows from them: round-trip time, timeouts, the server's clock (PROTOCOL.md, "HEARTBEAT").
#pragma once

#include <cstddef>
#include <cstdint>

#include "craftnet/time.h"
#include "craftnet/wire.h"

namespace craftnet {

class Timing {
 public:
  /// `interval`: the time between heartbeats, from the answer of …/connect.
  explicit Timing(Time interval = 5 * kSecond) noexcept : interval_(interval) {}

  /// The connection is established: the first heartbeat is due.
  void begin(Time now) noexcept { received_at_ = send_at_ = now; }

  /// An authentic datagram has arrived.
  void received(Time now) noexcept { received_at_ = now; }

  /// Makes a heartbeat due at once, because the client's address has changed.
  void send_now(Time now) noexcept {
    unsteady_until_ = now + kUnsteady;
    send_at_ = earlier(send_at_, now);
  }

  /// The server has seen another address of the client: another change is likely. For a minute, a heartbeat every
  /// second shows the server the present address.
  void address_changed(Time now) noexcept {
    unsteady_until_ = now + kUnsteady;
    send_at_ = earlier(send_at_, now + kProbing);
  }

  [[nodiscard]] bool due(Time now) const noexcept { return now >= send_at_; }

  /// Whether no datagram has arrived for three intervals.
  [[nodiscard]] bool timed_out(Time now) const noexcept { return now >= received_at_ + kMissedIntervals * interval_; }

  /// When a heartbeat is due, or the connection times out.
  [[nodiscard]] Time deadline() const noexcept {
    return earlier(send_at_, received_at_ + kMissedIntervals * interval_);
  }

  /// The heartbeat to send at `now`.
  [[nodiscard]] wire::Heartbeat next_heartbeat(Time now) noexcept;

  /// Processes the heartbeat of the datagram with this sequence. One older than the newest is ignored.
  void received_heartbeat(const wire::Heartbeat& heartbeat, std::uint64_t sequence, Time now) noexcept;

  /// Adds a round trip that took `delay` and showed the server's clock to be `offset` ahead.
  void add_sample(Time delay, Time offset) noexcept;

  /// The smoothed round-trip time (RFC 6298) in seconds; negative before the first sample.
  [[nodiscard]] double smoothed() const noexcept { return smoothed_; }
  [[nodiscard]] double variation() const noexcept { return variation_; }

  /// The wait for an acknowledgement before a retransmission.
  [[nodiscard]] Time timeout() const noexcept;

  /// How far the server's clock is ahead, from the sample with the shortest round trip; 0 before the first one.
  [[nodiscard]] Time offset() const noexcept { return count_ > 0 ? best().offset : 0; }
  [[nodiscard]] bool knows_offset() const noexcept { return count_ > 0; }

  /// The maximum error of the offset.
  [[nodiscard]] Time uncertainty() const noexcept { return count_ > 0 ? best().delay / 2 : 0; }

 private:
  static constexpr std::size_t kSamples = 8;
  static constexpr Time kMissedIntervals = 3;
  static constexpr Time kUnsteady = 60 * kSecond;
  static constexpr Time kProbing = kSecond;  // between heartbeats while the offset is unknown, the server is silent, or
                                             // the address has changed lately.

  struct Sample {
    Time delay;
    Time offset;
  };

  [[nodiscard]] const Sample& best() const noexcept;
  [[nodiscard]] bool sent(std::uint64_t sent_us) const noexcept;

  Time interval_;
  Time received_at_ = 0;
  Time send_at_ = 0;
  Time unsteady_until_ = 0;
  double smoothed_ = -1.0;
  double variation_ = 0.0;
  Sample samples_[kSamples] = {};
  std::size_t count_ = 0;
  std::size_t next_ = 0;
  std::uint64_t sent_us_[kSamples] = {};  // when our last heartbeats were sent.
  std::size_t sent_count_ = 0;
  std::uint64_t newest_sequence_ = 0;  // of the newest heartbeat received …
  std::uint64_t newest_sent_us_ = 0;   // … its own time …
  Time newest_arrived_ = 0;            // … and when it arrived.
};

}  // namespace craftnet
