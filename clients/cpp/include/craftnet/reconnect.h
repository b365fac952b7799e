// When a client comes back, and with what: close codes, HTTP statuses, back-off, the life of a token.
#pragma once

#include <cstdint>
#include <string_view>

#include "craftnet/crypto.h"
#include "craftnet/time.h"
#include "craftnet/wire.h"

namespace craftnet {

/// What follows from the end of a connection, or from a refusal.
struct Verdict {
  enum class Kind : std::uint8_t {
    kOver,     ///< the session is over.
    kRefused,  ///< asking again brings the same answer.
    kStale,    ///< a fresh token may do better.
    kLost,     ///< come back, with backoff.
  };

  Kind kind = Kind::kLost;
  Time after = 0;  ///< how long the server asks to wait, besides.
};

/// Of a WebSocket's close code; 1006, or any other that is not in docs/websocket.md, is a connection that broke.
[[nodiscard]] Verdict verdict_of_close(std::uint16_t code, std::string_view reason) noexcept;

/// Of an answer over HTTP that is no success; 0: there was no answer. `retry_after`: seconds, 0 without the header.
[[nodiscard]] Verdict verdict_of_status(int status, double retry_after) noexcept;

/// Of the reason in a CLOSE.
[[nodiscard]] Verdict verdict_of_reason(wire::Reason reason) noexcept;

/// The seconds in `retry in 7.3 s`; negative when a close reason says something else.
[[nodiscard]] double retry_seconds(std::string_view reason) noexcept;

/// Exponential backoff with full jitter: each wait is drawn evenly between nothing and a bound that doubles.
class Backoff {
 public:
  explicit Backoff(Crypto& crypto) noexcept : crypto_(crypto) {}

  /// How long to wait before the next attempt.
  [[nodiscard]] Time next() noexcept;

  /// A connection is up. When it has held for 10 s, the next wait is drawn as the first.
  void opened(Time now) noexcept { opened_at_ = now; }

  /// A connection has ended.
  void ended(Time now) noexcept;

 private:
  Crypto& crypto_;
  Time bound_ = kFirst;
  Time opened_at_ = kNever;

  static constexpr Time kFirst = 500 * kMillisecond;
  static constexpr Time kMost = 30 * kSecond;
  static constexpr Time kStable = 10 * kSecond;
};

/// When a JWT expires, by its own `exp`; kNever when it does not say. Nothing of it is verified.
[[nodiscard]] Time token_expiry(std::string_view token) noexcept;

}  // namespace craftnet
