// Time is an argument: the core reads no clock.
#pragma once

#include <cstdint>

namespace craftnet {

/// Unix time in microseconds on a clock that is never set: Unix time at the program's start, plus the time that a
/// monotonic clock has counted since.
using Time = std::int64_t;

constexpr Time kMicrosecond = 1;
constexpr Time kMillisecond = 1000;
constexpr Time kSecond = 1000000;

/// Later than everything.
constexpr Time kNever = INT64_MAX;

[[nodiscard]] constexpr Time earlier(Time one, Time other) noexcept { return one < other ? one : other; }
[[nodiscard]] constexpr Time later(Time one, Time other) noexcept { return one < other ? other : one; }

}  // namespace craftnet
