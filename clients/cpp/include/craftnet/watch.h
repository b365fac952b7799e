// Follows one session over UDP or WebSocket to its end, across lost connections. It has neither sockets nor a clock:
// the owner performs the requests of `next_request`, reports their results, and reads events from `poll`.
//
//     UDP ──no datagram for 3 s──▶ WebSocket, from the same position ──UDP works again──▶ UDP
//
// After each call, the owner calls `next_request`, `transmit` and `poll` until each returns nothing, and calls `tick`
// and these three again at `deadline`.
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
  bool udp = true;                                 ///< use UDP, and try it first.
  bool websocket = true;                           ///< use WebSocket while UDP does not work.
  Subprotocol subprotocol = Subprotocol::kBinary;  ///< offered first, before JSON.
  bool lz4 = true;                                 ///< offer LZ4 over UDP, for MESSAGEs.
  std::string region;                              ///< of the UDP endpoint, such as us-east; empty: no preference.
  bool expected = false;                           ///< over UDP, ask for the progress that the server expects.
  Time udp_timeout = 3 * kSecond;                  ///< for the first datagram; after it, WebSocket is used.
  Time udp_retry = 30 * kSecond;                   ///< from then until UDP is tried again; doubles up to 300 s.
  Time timeout = 60 * kSecond;                     ///< without any contact, after which the watch gives up.
  std::uint32_t heartbeat = 25;                    ///< seconds between heartbeats over WebSocket, 5 to 300.
  double smoothing = 0.15;                         ///< seconds: see `Bar`.
};

/// A request to the owner.
struct WatchRequest {
  enum class Kind : std::uint8_t {
    kToken,           ///< get a bearer token (`fresh`: a new one), then call `token` or `no_token`.
    kConnect,         ///< POST `body` to `target` with the token, then call `connect_answered`.
    kResolve,         ///< look up the host `target` for datagrams to `port`, then call `resolved`.
    kCloseUdp,        ///< close the UDP socket.
    kOpenWebSocket,   ///< open `target`, a path with a query, with `protocols`; `websocket_opened` or `_refused`.
    kSendText,        ///< send `body` over the WebSocket.
    kCloseWebSocket,  ///< close the WebSocket with 1000, and report nothing of it any more.
    kDictionary,      ///< GET `target`, then call `dictionary` if it succeeds.
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
    kLost,        ///< the connection is lost; the next attempt follows after `wait`.
    kReset,       ///< forget the notifications and places in queues received before.
    kProgress,    ///< see `progress`.
    kMaterials,   ///< over UDP: see `materials`.
    kMessage,     ///< over WebSocket: a notification, a place in a queue, or changes of materials, in `message`.
    kPosition,    ///< see `position`.
    kEnded,       ///< see `result`; no event follows.
  };

  Kind kind = Kind::kConnecting;
  Transport transport = Transport::kUdp;
  Time wait = 0;
  FeedMessage message;
};

class CRAFTNETCORE_API Watch {
 public:
  enum class Result : std::uint8_t { kNone, kCompleted, kFailed, kOver, kRefused, kUnreachable, kStopped };

  /// `crypto` and `lz4` must outlive the watch.
  Watch(Crypto& crypto, Lz4& lz4, const WatchSettings& settings, Time now);

  [[nodiscard]] bool next_request(WatchRequest& request);
  [[nodiscard]] bool poll(WatchEvent& event);
  [[nodiscard]] Time deadline() const noexcept;

  /// Acts on expired timeouts; to be called at `deadline`.
  void tick(Time now);

  // Results of requests.

  void token(std::string_view token, Time now);
  void no_token(Time now);

  /// `status`: 0 without a response. `retry_after`: seconds, 0 without the header.
  void connect_answered(int status, std::string_view body, double retry_after, Time now);

  /// `addresses`: the number of the host's addresses, which are tried in order; 0: the look-up failed.
  void resolved(std::size_t addresses, Time now);
  void websocket_opened(std::string_view subprotocol, Time now);
  void websocket_refused(int status, double retry_after, Time now);
  void websocket_text(std::string_view text, Time now);
  void websocket_binary(Bytes octets, Time now);
  void websocket_closed(std::uint16_t code, std::string_view reason, Time now);

  /// `octets` must outlive the watch.
  void dictionary(std::uint8_t id, Bytes octets) { decoder_.add_dictionary(id, octets); }

  // Datagrams, as in UdpClient.

  void datagram(std::uint8_t* octets, std::size_t size, Time now);
  [[nodiscard]] std::size_t transmit(Time now, std::uint8_t* datagram);
  [[nodiscard]] std::size_t server() const noexcept { return udp_ == nullptr ? 0 : udp_->server(); }
  void moved(Time now) noexcept;

  /// Ends the watch: leaves the session and closes connections.
  void stop(Time now);

  // The present state.

  [[nodiscard]] Transport transport() const noexcept { return transport_; }
  [[nodiscard]] const std::string& bearer() const noexcept { return token_; }
  [[nodiscard]] bool has_progress() const noexcept { return has_progress_; }
  [[nodiscard]] const Progress& progress() const noexcept { return progress_; }
  [[nodiscard]] const std::string& failure_reason() const noexcept { return failure_reason_; }

  /// The table of materials; null until one has arrived, and over WebSocket, which sends none.
  [[nodiscard]] const Table* materials() noexcept;
  [[nodiscard]] const Position& position() const noexcept { return position_; }
  [[nodiscard]] Result result() const noexcept { return result_; }

  /// The bar's value at `now`. False until a progress has arrived.
  [[nodiscard]] bool shown(Time now, Bar::Shown& shown) noexcept;
  [[nodiscard]] Time server_time(Time now) const noexcept { return now + offset(); }
  [[nodiscard]] const UdpClient* udp() const noexcept { return udp_.get(); }

 private:
  enum class Stage : std::uint8_t { kIdle, kAsking, kResolving, kOpening, kOpen };

  void attempt(Transport transport, Time now);
  void proceed(Time now);
  void lose(Transport transport, const Verdict& verdict, bool elsewhere, Time now);
  void schedule_udp_probe(Time now);
  void finish(Result result);
  void request(WatchRequest::Kind kind, std::string target = {}, std::string body = {});
  void emit(WatchEvent::Kind kind, Transport transport, Time wait = 0, const FeedMessage& message = {});
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
  void take_position(const FeedMessage& message);
  [[nodiscard]] bool repeats(const FeedMessage& message) noexcept;
  void count_change();
  [[nodiscard]] std::string resume() const;
  void renew_token(Time now);

  [[nodiscard]] Time offset() const noexcept;
  [[nodiscard]] Time uncertainty() const noexcept;

  Crypto& crypto_;
  Lz4& lz4_;
  WatchSettings settings_;
  FeedDecoder decoder_;
  Backoff backoff_;
  std::vector<WatchRequest> requests_;
  std::vector<WatchEvent> events_;
  std::size_t requests_taken_ = 0;  // of `requests_`, by `next_request`.
  std::size_t events_taken_ = 0;    // of `events_`, by `poll`.

  std::string token_;
  Time token_expiry_ = kNever;
  bool token_asked_ = false;
  bool token_stale_ = false;
  bool was_refused_ = false;  // the newest token was refused: another refusal is final.

  Transport transport_;  // the one in use.
  Stage udp_stage_ = Stage::kIdle;
  Stage websocket_stage_ = Stage::kIdle;
  std::unique_ptr<UdpClient> udp_;
  Agreement agreement_;
  bool probing_udp_ = false;  // UDP is tried while a WebSocket is in use.
  bool json_only_ = false;

  Time attempt_at_ = kNever;      // when the next attempt over `transport_` is due.
  Time udp_give_up_at_ = kNever;  // when an answer, or the first datagram, is overdue.
  Time udp_probe_at_ = kNever;    // when UDP is tried again while a WebSocket is in use.
  Time udp_probe_pause_;
  Time renew_at_ = kNever;
  Time websocket_timeout_at_ = kNever;  // when a silent WebSocket, or a handshake, counts as lost.
  Time finish_at_ = kNever;             // when to stop waiting for the reason of a failed craft.
  Time contact_at_;

  bool has_progress_ = false;
  Progress progress_;
  double rounding_ = 0.0;
  std::string failure_reason_;
  Bar bar_;
  Position position_;
  bool position_over_udp_ = false;  // UDP says nothing about queues: the server has to repeat them.
  bool has_websocket_offset_ = false;
  bool repeat_expected_ = false;  // after a reconnect, the server repeats the uncounted record first.

  // Records of craftnet.bin.v1 have no position. Each record of materials stands for one change, which `position_`
  // counts once the next message shows that its notifications have arrived as well.
  std::uint64_t changes_counted_ = 0;       // by the newest record.
  std::vector<wire::ChangeRow> uncounted_;  // the newest record of materials; empty: it is counted.
  Time uncounted_timestamp_ = 0;

  Time websocket_offset_ = 0;  // how far the server's clock is ahead, estimated from messages.
  Result result_ = Result::kNone;
};

}  // namespace craftnet
