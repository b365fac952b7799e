#include "craftnet/timing.h"

namespace craftnet {

namespace {

constexpr Time kLongest = 60 * kSecond;      // a longer "round trip" means that a clock was set.
constexpr Time kDrift = 100 * kMillisecond;  // between clocks that were not set.
constexpr Time kFirstTimeout = kSecond;
constexpr Time kShortestTimeout = 100 * kMillisecond;
constexpr Time kLongestTimeout = 5 * kSecond;

[[nodiscard]] constexpr std::uint64_t unsigned_time(Time time) noexcept { return static_cast<std::uint64_t>(time); }

/// The difference of two arbitrary clock readings, without overflow.
[[nodiscard]] constexpr Time difference(std::uint64_t one, std::uint64_t other) noexcept {
  return static_cast<Time>(one - other);
}

[[nodiscard]] constexpr double magnitude(double value) noexcept { return value < 0 ? -value : value; }

}  // namespace

wire::Heartbeat Timing::next_heartbeat(Time now) noexcept {
  const bool well = knows_offset() && now < received_at_ + interval_ && now >= unsteady_until_;
  send_at_ = now + (well ? interval_ : kProbing);
  wire::Heartbeat heartbeat;
  heartbeat.sent_us = unsigned_time(now);
  if (newest_sequence_ > 0) {
    heartbeat.echoed_us = newest_sent_us_;
    heartbeat.received_us = newest_sent_us_ == 0 ? 0 : unsigned_time(newest_arrived_);
  }
  sent_us_[sent_count_ % kSamples] = heartbeat.sent_us;
  ++sent_count_;
  return heartbeat;
}

void Timing::received_heartbeat(const wire::Heartbeat& heartbeat, std::uint64_t sequence, Time now) noexcept {
  if (sequence <= newest_sequence_) return;
  const bool first = newest_sequence_ == 0;
  newest_sequence_ = sequence;
  newest_sent_us_ = heartbeat.sent_us;
  newest_arrived_ = now;
  if (sent(heartbeat.echoed_us)) {
    const Time away = difference(unsigned_time(now), heartbeat.echoed_us);
    const Time held = difference(heartbeat.sent_us, heartbeat.received_us);
    const Time delay = difference(unsigned_time(away), unsigned_time(held));
    if (delay >= 0 && delay <= kLongest) {
      if (!knows_offset()) send_at_ = static_cast<Time>(heartbeat.echoed_us) + interval_;
      const auto there = static_cast<double>(difference(heartbeat.received_us, heartbeat.echoed_us));
      const auto back = static_cast<double>(difference(heartbeat.sent_us, unsigned_time(now)));
      add_sample(delay, static_cast<Time>((there + back) / 2));
    }
  }
  if (first) send_at_ = now;  // the first one is answered at once.
  if (sent_count_ == 0) return;
  const std::uint64_t last = sent_us_[(sent_count_ - 1) % kSamples];
  const auto beaten = static_cast<Time>(last);
  const bool lost = heartbeat.echoed_us != last && now >= beaten + timeout();
  if (lost) send_at_ = earlier(send_at_, later(now, beaten + kProbing));
}

void Timing::add_sample(Time delay, Time offset) noexcept {
  if (delay < 0 || delay > kLongest) return;
  const auto seconds = static_cast<double>(delay) / static_cast<double>(kSecond);
  if (smoothed_ < 0) {
    smoothed_ = seconds;
    variation_ = seconds / 2;
  } else {
    variation_ += (magnitude(smoothed_ - seconds) - variation_) / 4;
    smoothed_ += (seconds - smoothed_) / 8;
  }
  if (count_ > 0) {
    const double apart = magnitude(static_cast<double>(offset) - static_cast<double>(best().offset));
    const Time most = (delay + best().delay) / 2 + kDrift;
    if (apart > static_cast<double>(most)) count_ = next_ = 0;  // a clock was set.
  }
  samples_[next_] = {delay, offset};
  next_ = (next_ + 1) % kSamples;
  if (count_ < kSamples) ++count_;
}

Time Timing::timeout() const noexcept {
  if (smoothed_ < 0) return kFirstTimeout;
  const double seconds = smoothed_ + 4 * variation_;
  const auto timeout = static_cast<Time>(seconds * static_cast<double>(kSecond));
  return earlier(later(timeout, kShortestTimeout), kLongestTimeout);
}

const Timing::Sample& Timing::best() const noexcept {
  const Sample* found = &samples_[0];
  for (std::size_t k = 1; k < count_; ++k) {
    if (samples_[k].delay < found->delay) found = &samples_[k];
  }
  return *found;
}

bool Timing::sent(std::uint64_t sent_us) const noexcept {
  const std::size_t known = sent_count_ < kSamples ? sent_count_ : kSamples;
  for (std::size_t k = 0; k < known; ++k) {
    if (sent_us_[k] == sent_us) return true;
  }
  return false;
}

}  // namespace craftnet
