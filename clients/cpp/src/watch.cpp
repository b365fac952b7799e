#include "craftnet/watch.h"

#include "craftnet/text.h"

namespace craftnet {

namespace {

constexpr Time kLongestProbePause = 300 * kSecond;
constexpr Time kReasonTimeout = 2 * kSecond;
constexpr Time kAnswerTimeout = 10 * kSecond;  // of …/connect with the look-up, and of a WebSocket's handshake.
constexpr Time kRenewalMargin = 30 * kSecond;  // before a token expires.
constexpr Time kRenewalPause = 5 * kSecond;
constexpr Time kWebSocketUncertainty = 250 * kMillisecond;
constexpr std::size_t kMostEvents = 1024;  // not polled yet; further ones are dropped.

}  // namespace

Watch::Watch(Crypto& crypto, Lz4& lz4, const WatchSettings& settings, Time now)
    : crypto_(crypto),
      lz4_(lz4),
      settings_(settings),
      decoder_(lz4),
      backoff_(crypto),
      transport_(settings.udp ? Transport::kUdp : Transport::kWebSocket),
      udp_probe_pause_(settings.udp_retry),
      contact_at_(now),
      bar_(settings.smoothing) {
  attempt(transport_, now);
}

bool Watch::next_request(WatchRequest& request) {
  if (requests_taken_ == requests_.size()) {
    requests_.clear();
    requests_taken_ = 0;
    return false;
  }
  request = std::move(requests_[requests_taken_++]);
  return true;
}

bool Watch::poll(WatchEvent& event) {
  if (events_taken_ == events_.size()) {
    events_.clear();
    events_taken_ = 0;
    return false;
  }
  event = std::move(events_[events_taken_++]);
  return true;
}

Time Watch::deadline() const noexcept {
  if (result_ != Result::kNone) return udp_ == nullptr ? kNever : udp_->deadline();
  const Time connection = udp_ == nullptr ? kNever : udp_->deadline();
  const Time attempts = earlier(attempt_at_, earlier(udp_give_up_at_, udp_probe_at_));
  return earlier(earlier(connection, attempts), earlier(renew_at_, earlier(websocket_timeout_at_, finish_at_)));
}

void Watch::tick(Time now) {
  if (result_ != Result::kNone) return;
  if (now >= finish_at_) {
    finish(Result::kFailed);
    return;
  }
  if (now >= attempt_at_) {
    attempt_at_ = kNever;
    attempt(transport_, now);
  }
  if (now >= udp_probe_at_) {
    udp_probe_at_ = kNever;
    probing_udp_ = true;
    attempt(Transport::kUdp, now);
  }
  if (now >= udp_give_up_at_) {
    udp_give_up_at_ = kNever;
    drop_udp();
    lose(Transport::kUdp, {}, true, now);
  }
  if (now >= websocket_timeout_at_) {
    drop_websocket();
    lose(Transport::kWebSocket, {}, false, now);
  }
  if (now >= renew_at_) {
    renew_at_ = now + kRenewalPause;
    renew_token(now);
  }
}

/// Starts an attempt over a transport, as soon as there is a token.
void Watch::attempt(Transport transport, Time now) {
  Stage& stage = transport == Transport::kUdp ? udp_stage_ : websocket_stage_;
  stage = Stage::kAsking;
  if (!probing_udp_) emit(WatchEvent::Kind::kConnecting, transport);
  if (!token_.empty() && !token_stale_ && token_expiry_ > now) {
    proceed(now);
    return;
  }
  if (token_asked_) return;
  token_asked_ = true;
  request(WatchRequest::Kind::kToken);
  requests_.back().fresh = token_stale_ || !token_.empty();
}

/// Continues the attempts that wait for a token.
void Watch::proceed(Time now) {
  if (udp_stage_ == Stage::kAsking) {
    udp_give_up_at_ = now + kAnswerTimeout;
    ask_to_connect();
  }
  if (websocket_stage_ == Stage::kAsking) {
    websocket_timeout_at_ = now + kAnswerTimeout;
    open_websocket();
  }
}

void Watch::token(std::string_view token, Time now) {
  token_asked_ = false;
  if (result_ != Result::kNone) return;
  const bool another = token != token_;
  token_.assign(token);
  token_expiry_ = token_expiry(token);
  token_stale_ = false;
  if (token_expiry_ != kNever) {
    const Time left = token_expiry_ - now;
    renew_at_ = later(now + kSecond, token_expiry_ - earlier(kRenewalMargin, left / 4));
  }
  if (another && websocket_stage_ == Stage::kOpen) {
    request(WatchRequest::Kind::kSendText, {}, "{\"type\":\"token\",\"token\":\"" + token_ + "\"}");
  }
  const bool prolongs = another && udp_stage_ == Stage::kOpen && udp_ != nullptr && udp_->connected();
  if (prolongs) ask_to_connect();  // with the session_token: the UDP session then lasts as long as the new token.
  proceed(now);
}

void Watch::no_token(Time now) {
  token_asked_ = false;
  if (result_ != Result::kNone) return;
  if (udp_stage_ == Stage::kAsking) lose(Transport::kUdp, {}, false, now);
  if (websocket_stage_ == Stage::kAsking) lose(Transport::kWebSocket, {}, false, now);
}

void Watch::renew_token(Time now) {
  (void)now;
  if (token_asked_) return;
  token_asked_ = true;
  request(WatchRequest::Kind::kToken);
  requests_.back().fresh = true;
}

/// Handles the loss of a transport, or a failed attempt. `elsewhere`: whether the other transport is tried at once.
void Watch::lose(Transport transport, const Verdict& verdict, bool elsewhere, Time now) {
  (transport == Transport::kUdp ? udp_stage_ : websocket_stage_) = Stage::kIdle;
  (transport == Transport::kUdp ? udp_give_up_at_ : websocket_timeout_at_) = kNever;
  if (result_ != Result::kNone) return;
  if (verdict.kind == Verdict::Kind::kStale) token_stale_ = true;
  if (transport != transport_) {  // UDP, tried while a WebSocket is in use.
    probing_udp_ = false;
    schedule_udp_probe(now);
    return;
  }
  backoff_.ended(now);
  if (transport == Transport::kUdp && elsewhere && settings_.websocket) {
    transport_ = Transport::kWebSocket;
    schedule_udp_probe(now);
    emit(WatchEvent::Kind::kLost, transport);
    attempt(transport_, now);
    return;
  }
  const bool refused =
      verdict.kind == Verdict::Kind::kRefused || (verdict.kind == Verdict::Kind::kStale && was_refused_);
  if (verdict.kind == Verdict::Kind::kOver || refused) {
    finish(refused ? Result::kRefused : Result::kOver);
    return;
  }
  was_refused_ = verdict.kind == Verdict::Kind::kStale;
  const Time wait = verdict.after + backoff_.next();
  if (now + wait - contact_at_ > settings_.timeout) {
    finish(Result::kUnreachable);
    return;
  }
  emit(WatchEvent::Kind::kLost, transport, wait);
  attempt_at_ = now + wait;
}

/// Schedules the next attempt over UDP while a WebSocket is in use, at growing intervals.
void Watch::schedule_udp_probe(Time now) {
  udp_probe_at_ = now + udp_probe_pause_;
  udp_probe_pause_ = earlier(2 * udp_probe_pause_, later(kLongestProbePause, settings_.udp_retry));
}

void Watch::stop(Time now) {
  (void)now;
  finish(Result::kStopped);
}

void Watch::finish(Result result) {
  if (result_ != Result::kNone) return;
  result_ = result;
  if (udp_ != nullptr) udp_->close();
  drop_websocket();
  emit(WatchEvent::Kind::kEnded, transport_);
}

void Watch::request(WatchRequest::Kind kind, std::string target, std::string body) {
  WatchRequest made;
  made.kind = kind;
  made.target = std::move(target);
  made.body = std::move(body);
  requests_.push_back(std::move(made));
}

void Watch::emit(WatchEvent::Kind kind, Transport transport, Time wait, const FeedMessage& message) {
  if (events_.size() >= kMostEvents && kind != WatchEvent::Kind::kEnded) return;
  WatchEvent event;
  event.kind = kind;
  event.transport = transport;
  event.wait = wait;
  event.message = message;
  events_.push_back(std::move(event));
}

void Watch::take_progress(const Progress& progress, const std::string& reason, double rounding) {
  has_progress_ = true;
  progress_ = progress;
  rounding_ = rounding;
  failure_reason_ = reason;
  bar_.updated();
  emit(WatchEvent::Kind::kProgress, transport_);
}

/// Ends the watch with the craft: at once, or once the reason of its failure has arrived or timed out.
void Watch::end_with(const Progress& progress, Time now) {
  if (progress.status == wire::Status::kCompleted) finish(Result::kCompleted);
  if (progress.status != wire::Status::kFailed) return;
  if (!failure_reason_.empty()) {
    finish(Result::kFailed);
  } else if (finish_at_ == kNever) {
    finish_at_ = now + kReasonTimeout;
  }
}

const Table* Watch::materials() noexcept {
  if (udp_ == nullptr) return nullptr;
  const Session* session = udp_->session(0);
  return session != nullptr && session->materials().has_table() ? &session->materials().table() : nullptr;
}

Time Watch::offset() const noexcept {
  if (transport_ == Transport::kUdp && udp_ != nullptr && udp_->timing().knows_offset()) return udp_->timing().offset();
  return websocket_offset_;
}

Time Watch::uncertainty() const noexcept {
  if (transport_ == Transport::kUdp && udp_ != nullptr && udp_->timing().knows_offset())
    return udp_->timing().uncertainty();
  return kWebSocketUncertainty;
}

bool Watch::shown(Time now, Bar::Shown& shown) noexcept {
  if (!has_progress_) return false;
  const double bound = error_bound(progress_, agreement_.progress_tolerance + rounding_, uncertainty());
  shown = bar_.at(progress_, server_time(now), bound);
  return true;
}

}  // namespace craftnet
