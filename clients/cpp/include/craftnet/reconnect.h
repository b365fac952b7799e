// When and how a client reconnects: close codes, HTTP statuses, backoff, the expiry of tokens.
#pragma once

#include <cstdint>
#include <string_view>

#include "craftnet/crypto.h"
#include "craftnet/time.h"
#include "craftnet/wire.h"

namespace craftnet {

/// What to do after a connection ended, or a request was refused.
struct Verdict {
  enum class Kind : std::uint8_t {
    kOver,     ///< nothing: the session is over.
    kRefused,  ///< nothing: a retry would be refused as well.
    kStale,    ///< retry with a fresh token.
    kLost,     ///< reconnect, with backoff.
  };

  Kind kind = Kind::kLost;
  Time after = 0;  ///< the wait that the server asks for, in addition to the backoff; at most a day.
};

/// The verdict of a WebSocket's close code (docs/reference/close-codes.md); an unknown one is a lost connection.
[[nodiscard]] Verdict verdict_of_close(std::uint16_t code, std::string_view reason) noexcept;

/// The verdict of a failed HTTP request; status 0: no response. `retry_after`: seconds, 0 without the header.
[[nodiscard]] Verdict verdict_of_status(int status, double retry_after) noexcept;

/// The verdict of the reason in a CLOSE.
[[nodiscard]] Verdict verdict_of_reason(wire::Reason reason) noexcept;

/// The seconds in a close reason such as `retry in 7.3 s`; negative for any other reason.
[[nodiscard]] double retry_seconds(std::string_view reason) noexcept;

/// Exponential backoff with full jitter: each wait is uniform between 0 and a bound that doubles.
class Backoff {
 public:
  explicit Backoff(Crypto& crypto) noexcept : crypto_(crypto) {}

  /// The wait before the next attempt.
  [[nodiscard]] Time next() noexcept;

  /// A connection is established. Once it has lasted 10 s, the bound starts again at its first value.
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

/// When a JWT expires, from its `exp`; kNever without one. Verifies nothing.
[[nodiscard]] Time token_expiry(std::string_view token) noexcept;

}  // namespace craftnet
