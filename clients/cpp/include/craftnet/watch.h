// Follows one session over UDP or WebSocket until it is over, whatever happens to connections. Without sockets and
// without a clock: the owner does what `next_request` asks for, reports what came of it, and reads `poll`.
//
//     UDP ──no datagram for 3 s──▶ WebSocket, from the same position ──UDP works again──▶ UDP
//
// After each call, the owner calls `next_request`, `transmit` and `poll` until each has nothing more, and all of them
// again at `deadline`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "craftnet/feed_message.h"
#include "craftnet/reconnect.h"
#include "craftnet/udp_client.h"

namespace craftnet {

enum class Transport : std::uint8_t { kUdp, kWebSocket };

struct WatchSettings {
  Uuid session{};
  Uuid player{};
  bool udp = true;                                 ///< whether UDP is tried first.
  bool websocket = true;                           ///< whether WebSocket is there when UDP is not.
  Subprotocol subprotocol = Subprotocol::kBinary;  ///< offered first, before JSON.
  bool lz4 = true;                                 ///< whether MESSAGEs are asked for over UDP.
  Time udp_patience = 3 * kSecond;                 ///< within which a datagram has to come.
  Time patience = 60 * kSecond;                    ///< without any contact, after which the watch gives up.
  std::uint32_t heartbeat = 25;                    ///< seconds between signs of life over WebSocket, 5 to 300.
  double smoothing = 0.15;                         ///< seconds: see `Bar`.
};

/// What the owner is asked to do.
struct WatchRequest {
  enum class Kind : std::uint8_t {
    kToken,          ///< get a bearer token, a fresh one where `fresh`; then `token` or `no_token`.
    kConnect,        ///< POST `body` to `target` with the token; then `connect_answered`.
    kResolve,        ///< look up `target`, a host, for datagrams to `port`; then `resolved`.
    kCloseUdp,       ///< no datagram is sent or expected any more.
    kOpenWebSocket,  ///< open `target`, a path with a query, offering `protocols`; then `websocket_opened` or _refused.
    kSendText,       ///< send `body` over the WebSocket.
    kCloseWebSocket,  ///< close the WebSocket with 1000; nothing of it is to be reported any more.
    kDictionary,      ///< GET `target`; then `dictionary` or `no_dictionary`.
  };

  Kind kind = Kind::kToken;
  bool fresh = false;
  std::string target;
  std::uint16_t port = 0;
  std::string body;
  std::vector<std::string> protocols;
};

struct WatchEvent {
  enum class Kind : std::uint8_t {
    kConnecting,  ///< over `transport`.
    kConnected,   ///< over `transport`.
    kLost,        ///< the next attempt is `wait` away.
    kReset,       ///< forget the notifications and places in queues received before.
    kProgress,    ///< see `progress`.
    kMaterials,   ///< see `materials`: over UDP.
    kMessage,     ///< a notification, a place in a queue, or changes of materials over WebSocket: see `message`.
    kPosition,    ///< see `position`.
    kEnded,       ///< see `result`; nothing follows.
  };

  Kind kind = Kind::kConnecting;
  Transport transport = Transport::kUdp;
  Time wait = 0;
  FeedMessage message;
};

class Watch {
 public:
  enum class Result : std::uint8_t { kNone, kCompleted, kFailed, kOver, kRefused, kUnreachable, kStopped };

  /// `crypto` and `lz4` outlive the watch.
  Watch(Crypto& crypto, Lz4& lz4, const WatchSettings& settings, Time now);

  [[nodiscard]] bool next_request(WatchRequest& request);
  [[nodiscard]] bool poll(WatchEvent& event);
  [[nodiscard]] Time deadline() const noexcept;

  /// Does what is due.
  void tick(Time now);

  // What came of a request.

  void token(std::string_view token, Time now);
  void no_token(Time now);

  /// `status`: 0 when there was no answer. `retry_after`: seconds, 0 without the header.
  void connect_answered(int status, std::string_view body, double retry_after, Time now);

  /// `addresses`: how many the host has, 0: none. They are tried in their order.
  void resolved(std::size_t addresses, Time now);
  void websocket_opened(std::string_view subprotocol, Time now);
  void websocket_refused(int status, double retry_after, Time now);
  void websocket_text(std::string_view text, Time now);
  void websocket_binary(Bytes octets, Time now);
  void websocket_closed(std::uint16_t code, std::string_view reason, Time now);

  /// `octets` outlive the watch.
  void dictionary(std::uint8_t id, Bytes octets) { decoder_.add_dictionary(id, octets); }

  // Datagrams, as in UdpClient.

  void datagram(std::uint8_t* octets, std::size_t size, Time now);
  [[nodiscard]] std::size_t transmit(Time now, std::uint8_t* datagram);
  [[nodiscard]] std::size_t server() const noexcept { return udp_ == nullptr ? 0 : udp_->server(); }
  void moved(Time now) noexcept;

  /// The owner has seen enough.
  void stop(Time now);

  // What is known.

  [[nodiscard]] Transport transport() const noexcept { return using_; }
  [[nodiscard]] const std::string& bearer() const noexcept { return token_; }
  [[nodiscard]] bool has_progress() const noexcept { return has_progress_; }
  [[nodiscard]] const Progress& progress() const noexcept { return progress_; }
  [[nodiscard]] const std::string& failure_reason() const noexcept { return failure_reason_; }

  /// The table of materials; null until one has arrived, and over WebSocket, which does not send it.
  [[nodiscard]] const Table* materials() noexcept;
  [[nodiscard]] const Position& position() const noexcept { return position_; }
  [[nodiscard]] Result result() const noexcept { return result_; }

  /// What to show at `now`. False until a progress has arrived.
  [[nodiscard]] bool shown(Time now, Bar::Shown& shown) noexcept;
  [[nodiscard]] Time server_time(Time now) const noexcept { return now + offset(); }
  [[nodiscard]] const UdpClient* udp() const noexcept { return udp_.get(); }

 private:
  enum class Stage : std::uint8_t { kIdle, kAsking, kResolving, kOpening, kOpen };

  void attempt(Transport transport, Time now);
  void proceed(Time now);
  void lose(Transport transport, const Verdict& verdict, bool elsewhere, Time now);
  void lost_preferred(Time now);
  void finish(Result result);
  void request(WatchRequest::Kind kind, std::string target = {}, std::string body = {});
  void tell(WatchEvent::Kind kind, Transport transport, Time wait = 0);
  void contact(Time now) noexcept { contact_at_ = now; }
  void take_progress(const Progress& progress, const std::string& reason, double rounding);
  void end_with(const Progress& progress, Time now);

  void ask_to_connect();
  void drop_udp();
  void read_udp(Time now);
  void udp_ended(Time now);
  void udp_connected(Time now);

  void open_websocket();
  void drop_websocket();
  void take_message(FeedMessage& message, Time now);
  void renew_token(Time now);

  [[nodiscard]] Time offset() const noexcept;
  [[nodiscard]] Time uncertainty() const noexcept;

  static constexpr Time kFirstReturn = 30 * kSecond;

  Crypto& crypto_;
  Lz4& lz4_;
  WatchSettings settings_;
  FeedDecoder decoder_;
  Backoff backoff_;
  std::vector<WatchRequest> requests_;
  std::vector<WatchEvent> events_;
  std::size_t requested_ = 0;  // handed out of `requests_` …
  std::size_t told_ = 0;       // … and of `events_`.

  std::string token_;
  Time token_expiry_ = kNever;
  bool token_asked_ = false;
  bool token_stale_ = false;
  bool was_refused_ = false;  // the newest token was: another refusal is final.

  Transport using_;  // whose news count.
  Stage udp_stage_ = Stage::kIdle;
  Stage websocket_stage_ = Stage::kIdle;
  std::unique_ptr<UdpClient> udp_;
  Agreement agreement_;
  std::uint16_t udp_port_ = 0;
  bool scouting_ = false;  // UDP is tried next to a WebSocket that is in use.
  bool json_only_ = false;

  Time attempt_at_ = kNever;  // the next one, over `using_`.
  Time udp_give_up_at_ = kNever;
  Time return_at_ = kNever;  // when UDP is tried again.
  Time return_pause_ = kFirstReturn;
  Time renew_at_ = kNever;
  Time silence_at_ = kNever;  // when the WebSocket is taken for lost.
  Time finish_at_ = kNever;   // a failed craft's reason may still come.
  Time contact_at_;

  bool has_progress_ = false;
  Progress progress_;
  double rounding_ = 0.0;
  std::string failure_reason_;
  Bar bar_;
  Position position_;
  bool position_over_udp_ = false;
  Time websocket_offset_ = 0;  // how far the server's clock is ahead, as far as messages show.
  bool has_websocket_offset_ = false;
  Result result_ = Result::kNone;
};

}  // namespace craftnet
