#include "craftnet/progress.h"

#include <cmath>

namespace craftnet {

namespace {

constexpr double kMost = 99.99;           // only the server declares completion.
constexpr double kWentBack = 3.0;         // points; a smaller step back corrects an estimate.
constexpr double kRounding = 0.005;       // points lost by rounding on the wire …
constexpr double kClockRounding = 0.001;  // … and seconds.
constexpr double kWhole = 100.0;

[[nodiscard]] double seconds(Time time) noexcept { return static_cast<double>(time) / static_cast<double>(kSecond); }

[[nodiscard]] double capped(double percent) noexcept { return percent < kMost ? percent : kMost; }

[[nodiscard]] bool moves(const Progress& progress) noexcept {
  return progress.status == wire::Status::kActive && progress.remaining >= 0.0;
}

}  // namespace

Progress progress_of(const wire::ProgressState& record) noexcept {
  Progress progress;
  progress.status = record.status;
  progress.percent = record.percent / 100.0;
  progress.anchor = static_cast<Time>(record.anchor_ms) * kMillisecond;
  progress.remaining = record.remaining_ms == wire::kUnknown ? -1.0 : record.remaining_ms / 1000.0;
  progress.quality = record.quality;
  progress.target_quality = record.target_quality;
  return progress;
}

bool same_progress(const Progress& one, const Progress& other) noexcept {
  return one.status == other.status && one.anchor == other.anchor && one.quality == other.quality &&
         one.target_quality == other.target_quality && std::fabs(one.percent - other.percent) < 1e-9 &&
         std::fabs(one.remaining - other.remaining) < 1e-9;
}

double percent_at(const Progress& progress, Time now) noexcept {
  if (progress.status == wire::Status::kCompleted) return kWhole;
  const double elapsed = seconds(now - progress.anchor);
  if (!moves(progress) || elapsed <= 0.0) return capped(progress.percent);
  if (elapsed >= progress.remaining) return kMost;
  return capped(progress.percent + (kWhole - progress.percent) * elapsed / progress.remaining);
}

double remaining_at(const Progress& progress, Time now) noexcept {
  if (progress.status == wire::Status::kCompleted || progress.status == wire::Status::kFailed) return 0.0;
  const double elapsed = seconds(now - progress.anchor);
  if (!moves(progress) || elapsed <= 0.0) return progress.remaining;
  return elapsed >= progress.remaining ? 0.0 : progress.remaining - elapsed;
}

double error_bound(const Progress& progress, double tolerance, Time uncertainty) noexcept {
  double bound = tolerance + kRounding;
  if (moves(progress)) {
    const double left = kWhole - progress.percent;
    const double off = seconds(uncertainty) + kClockRounding;
    bound += off < progress.remaining ? left * off / progress.remaining : left;
  }
  return bound < kWhole ? bound : kWhole;
}

Bar::Shown Bar::at(const Progress& progress, Time now, double bound) noexcept {
  const double target = percent_at(progress, now);
  const bool went_back = updated_ && target < shown_ - kWentBack;
  const double elapsed = began_ ? seconds(now - shown_at_) : 0.0;
  const bool jumps = !began_ || smoothing_ <= 0.0 || progress.status == wire::Status::kCompleted;
  if (went_back || (jumps && target > shown_)) {
    shown_ = target;
  } else if (target > shown_ && elapsed > 0.0) {
    shown_ += (target - shown_) * (1.0 - std::exp(-elapsed / smoothing_));
  }
  updated_ = false;
  began_ = true;
  shown_at_ = now;
  const double error = bound + std::fabs(shown_ - target);
  return {shown_, error < kWhole ? error : kWhole};
}

}  // namespace craftnet
