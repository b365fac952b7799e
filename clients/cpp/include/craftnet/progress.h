// Progress as a function of time, and the bar that shows it (PROTOCOL.md, "In short" and "What a client must do", 9).
#pragma once

#include "craftnet/time.h"
#include "craftnet/wire.h"

namespace craftnet {

/// The progress as the server sent it. Times are on the server's clock.
struct Progress {
  wire::Status status = wire::Status::kActive;
  double percent = 0.0;             ///< 0 to 100, at the anchor.
  Time anchor = 0;                  ///< when `percent` and `remaining` were exact.
  double remaining = -1.0;          ///< seconds to go at the anchor; negative: unknown.
  std::uint8_t quality = 0;         ///< 1 to 100; 0: unknown.
  std::uint8_t target_quality = 0;  ///< 1 to 100; 0: unknown.
};

[[nodiscard]] Progress progress_of(const wire::ProgressState& record) noexcept;

[[nodiscard]] bool same_progress(const Progress& one, const Progress& other) noexcept;

/// The percentage at `now`, on the server's clock.
[[nodiscard]] double percent_at(const Progress& progress, Time now) noexcept;

/// Seconds to go at `now`, on the server's clock; negative: unknown.
[[nodiscard]] double remaining_at(const Progress& progress, Time now) noexcept;

/// Points by which `percent_at` may differ from the truth. `tolerance`: points beyond which the server sends an update;
/// `uncertainty`: of the server's clock.
[[nodiscard]] double error_bound(const Progress& progress, double tolerance, Time uncertainty) noexcept;

/// A progress bar's value: it never goes backwards unless the craft itself does.
class Bar {
 public:
  struct Shown {
    double percent = 0.0;  ///< 0 to 100.
    double error = 0.0;    ///< points by which `percent` may differ from the truth.
  };

  /// `smoothing`: seconds in which the bar covers two thirds of a jump ahead; 0: it jumps at once.
  explicit Bar(double smoothing = 0.0) noexcept : smoothing_(smoothing) {}

  /// To be called when a new progress has arrived.
  void updated() noexcept { updated_ = true; }

  /// The value at `now`, on the server's clock. `bound`: the result of `error_bound`.
  [[nodiscard]] Shown at(const Progress& progress, Time now, double bound) noexcept;

 private:
  double smoothing_;
  double shown_ = 0.0;
  Time shown_at_ = 0;
  bool updated_ = false;
  bool began_ = false;
};

}  // namespace craftnet
