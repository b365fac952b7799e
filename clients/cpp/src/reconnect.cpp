#include "craftnet/reconnect.h"

#include "craftnet/json.h"
#include "craftnet/text.h"

namespace craftnet {

namespace {

constexpr std::size_t kLongestPayload = 8192;  // bytes of a token's payload that are parsed.

[[nodiscard]] Time time_of(double seconds) noexcept {
  return static_cast<Time>(seconds * static_cast<double>(kSecond));
}

/// The wait that a server asks for: at most a day, and none when it says no number.
[[nodiscard]] Time wait_of(double seconds) noexcept {
  constexpr double kLongest = 86400;
  if (!(seconds > 0)) return 0;
  return time_of(seconds < kLongest ? seconds : kLongest);
}

}  // namespace

double retry_seconds(std::string_view reason) noexcept {
  constexpr std::string_view kBefore = "retry in ";
  constexpr std::string_view kBehind = " s";
  if (reason.size() <= kBefore.size() + kBehind.size() || reason.size() > 32) return -1.0;
  if (reason.substr(0, kBefore.size()) != kBefore) return -1.0;
  if (reason.substr(reason.size() - kBehind.size()) != kBehind) return -1.0;
  JsonReader number(reason.substr(kBefore.size(), reason.size() - kBefore.size() - kBehind.size()));
  double seconds = -1.0;
  return number.read_number(seconds) && number.at_end() && seconds >= 0 ? seconds : -1.0;
}

Verdict verdict_of_close(std::uint16_t code, std::string_view reason) noexcept {
  Verdict verdict;
  verdict.after = wait_of(retry_seconds(reason));
  switch (code) {
    case 1000:
      verdict.kind = Verdict::Kind::kOver;
      break;
    case 1002:
    case 1007:
    case 1008:
    case 1009:
    case 4003:
    case 4009:
    case 4029:
    case 4400:
    case 4403:
    case 4404:
      verdict.kind = Verdict::Kind::kRefused;
      break;
    case 4001:
    case 4401:
      verdict.kind = Verdict::Kind::kStale;
      break;
    default:
      break;
  }
  return verdict;
}

Verdict verdict_of_status(int status, double retry_after) noexcept {
  constexpr int kUnauthorized = 401;
  constexpr int kTooMany = 429;
  Verdict verdict;
  verdict.after = wait_of(retry_after);
  if (status == kUnauthorized) {
    verdict.kind = Verdict::Kind::kStale;
  } else if (status >= 300 && status < 500 && status != kTooMany) {
    verdict.kind = Verdict::Kind::kRefused;
  }
  return verdict;
}

Verdict verdict_of_reason(wire::Reason reason) noexcept {
  switch (reason) {
    case wire::Reason::kEnded:
    case wire::Reason::kLeft:
      return {Verdict::Kind::kOver, 0};
    case wire::Reason::kNotFound:
    case wire::Reason::kRevoked:
      return {Verdict::Kind::kRefused, 0};
    case wire::Reason::kExpired:
      return {Verdict::Kind::kStale, 0};
    default:
      return {Verdict::Kind::kLost, 0};
  }
}

Time Backoff::next() noexcept {
  Octets<4> drawn{};
  if (!crypto_.random(drawn.data(), drawn.size())) return bound_;
  const Time wait = bound_ / 1000 * static_cast<Time>(load_u32(drawn.data()) % 1001);
  bound_ = earlier(2 * bound_, kMost);
  return wait;
}

void Backoff::ended(Time now) noexcept {
  if (opened_at_ != kNever && now - opened_at_ >= kStable) bound_ = kFirst;
  opened_at_ = kNever;
}

Time token_expiry(std::string_view token) noexcept {
  const std::size_t first = token.find('.');
  const std::size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos) return kNever;
  const std::string_view payload = token.substr(first + 1, second - first - 1);
  const std::size_t size = payload.size() * 3 / 4;
  if (size == 0 || size > kLongestPayload) return kNever;
  std::uint8_t text[kLongestPayload];
  if (!parse_base64url(payload, text, size)) return kNever;
  JsonReader json({reinterpret_cast<const char*>(text), size});
  std::string_view member;
  double expiry = 0.0;
  if (!json.enter_object()) return kNever;
  while (json.next_member(member)) {
    if (member != "exp") {
      if (!json.skip()) return kNever;
      continue;
    }
    constexpr double kLatest = 253402300800.0;  // the year 10000.
    return json.read_number(expiry) && expiry > 0 && expiry < kLatest ? time_of(expiry) : kNever;
  }
  return kNever;
}

}  // namespace craftnet
