// The outcomes of received bytes, as PROTOCOL.md names them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace craftnet {

enum class Outcome : std::uint8_t {
  kAccepted = 0,
  kTruncated,
  kOverlong,
  kReserved,
  kType,
  kTrailing,
  kUnknownConnection,
  kRepeated,
  kStale,
  kReplayed,
  kForged,
  kOutOfRange,
  kContradictory,
  kNoBaseline,
  kGarbled,
};

constexpr std::size_t kOutcomes = 15;

/// The outcome's name in PROTOCOL.md.
[[nodiscard]] constexpr const char* name(Outcome outcome) noexcept {
  constexpr const char* kNames[kOutcomes] = {
      "accepted", "truncated",          "overlong",      "reserved",    "type",
      "trailing", "unknown_connection", "repeated",      "stale",       "replayed",
      "forged",   "out_of_range",       "contradictory", "no_baseline", "garbled",
  };
  return kNames[static_cast<std::size_t>(outcome)];
}

}  // namespace craftnet
