// The client's end of the UDP protocol, without socket and clock: datagrams and the time go in, datagrams and events
// come out. After each call, call `transmit` until it returns 0, and again at `deadline`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "craftnet/compression.h"
#include "craftnet/crypto.h"
#include "craftnet/handshake.h"
#include "craftnet/message.h"
#include "craftnet/protection.h"
#include "craftnet/session.h"
#include "craftnet/timing.h"

namespace craftnet {

/// The answer of …/connect.
struct Agreement {
  SessionToken token;
  Time heartbeat_interval = 5 * kSecond;
  std::size_t packet_size = 4096;   ///< maximum size of a MESSAGE's content, bytes.
  bool lz4 = false;                 ///< whether the server may send MESSAGEs.
  double progress_tolerance = 0.5;  ///< points.
  std::size_t servers = 1;          ///< the number of the server's addresses.
};

/// Why a connection is over.
enum class Ending : std::uint8_t {
  kNone,         ///< it is not over.
  kClosed,       ///< the server has closed it; see `close_reason`.
  kLeft,         ///< the client has left.
  kSilent,       ///< no datagram arrived for three heartbeat intervals.
  kUnreachable,  ///< the server did not answer the handshake.
  kBroken,       ///< the cryptography library has failed.
};

struct UdpEvent {
  enum class Kind : std::uint8_t {
    kConnected,    ///< the handshake is complete.
    kRenewed,      ///< `session_token` has changed.
    kProgress,     ///< the session's progress has changed.
    kMaterials,    ///< the session's table of materials has changed.
    kPosition,     ///< the session's position has changed.
    kSessionOver,  ///< the session is over; no event of it follows.
    kEnded,        ///< the connection is over; no event follows. See `ending`.
  };

  Kind kind = Kind::kConnected;
  std::uint8_t session = 0;
};

class CRAFTNETCORE_API UdpClient {
 public:
  /// The size of the buffer that `transmit` needs, bytes.
  static constexpr std::size_t kRoom = 1200;

  /// `crypto` and `lz4` must outlive the client.
  UdpClient(Crypto& crypto, Lz4& lz4, const Agreement& agreement, Time now);

  /// Processes a datagram from any address and decrypts it in place. A refused datagram changes nothing, except as
  /// PROTOCOL.md says of authentic ones.
  Outcome receive(std::uint8_t* datagram, std::size_t size, Time now);

  /// Writes the next datagram, to be sent to `server`; returns its size, or 0 when none is due.
  [[nodiscard]] std::size_t transmit(Time now, std::uint8_t* datagram);

  /// When to call `transmit` again, even if no datagram arrives.
  [[nodiscard]] Time deadline() const noexcept;

  /// The index of the server's address that the datagram just written goes to.
  [[nodiscard]] std::size_t server() const noexcept { return handshake_.server(); }

  /// The next event; false when there is none.
  [[nodiscard]] bool poll(UdpEvent& event) noexcept;

  /// Registers a session whose index …/connect has answered with this connection's session_token.
  void join(std::uint8_t index) { sessions_.claim(index); }

  /// Leaves a session; leaving the last one closes the connection.
  void leave(std::uint8_t index, Time now) noexcept;

  /// Closes the connection: `transmit` then writes the last datagram.
  void close() noexcept;

  /// To be called when the client's own address has changed.
  void moved(Time now) noexcept {
    if (connected_) timing_.send_now(now);
  }

  [[nodiscard]] bool connected() const noexcept { return connected_ && ending_ == Ending::kNone; }
  [[nodiscard]] Ending ending() const noexcept { return ending_; }

  /// The server's reason, after Ending::kClosed.
  [[nodiscard]] wire::Reason close_reason() const noexcept { return close_reason_; }

  /// The newest session_token: opens another connection, and identifies this one to …/connect.
  [[nodiscard]] const SessionToken& session_token() const noexcept { return token_; }

  /// A session that was received or joined; null when unknown.
  [[nodiscard]] Session* session(std::uint8_t index) noexcept { return sessions_.find(index); }
  [[nodiscard]] Sessions& sessions() noexcept { return sessions_; }

  /// The value of a session's bar at `now`, and its error. False until a progress has arrived.
  [[nodiscard]] bool shown(std::uint8_t index, Time now, Bar::Shown& shown) noexcept;

  /// Round-trip time and the server's clock.
  [[nodiscard]] const Timing& timing() const noexcept { return timing_; }

  /// `now` on the server's clock, as estimated from heartbeats.
  [[nodiscard]] Time server_time(Time now) const noexcept { return now + timing_.offset(); }

  /// The number of datagrams, and of records refused alone, with this outcome.
  [[nodiscard]] std::uint32_t count(Outcome outcome) const noexcept {
    return counts_[static_cast<std::size_t>(outcome)];
  }

  /// For tests: continues as if the datagram with this sequence had been sealed.
  void skip_to(std::uint64_t sequence) noexcept { handshake_.sealer()->skip_to(sequence); }

 private:
  [[nodiscard]] Outcome open(std::uint8_t* datagram, std::size_t size, Time now);
  [[nodiscard]] Outcome take(const Opener::Opened& opened, Time now);
  [[nodiscard]] Outcome take_body(wire::Kind kind, std::uint64_t sequence, Bytes body, Time now);
  [[nodiscard]] Outcome apply(Bytes body, std::uint64_t sequence, bool packed, Time now);
  void schedule_ack(Time now) noexcept;
  void end(Ending ending) noexcept;

  [[nodiscard]] std::size_t write_due(Time now, std::uint8_t* datagram) noexcept;
  [[nodiscard]] std::size_t write_heartbeat(Time now, std::uint8_t* datagram) noexcept;
  [[nodiscard]] std::size_t write_leave(Time now, std::uint8_t* datagram) noexcept;
  [[nodiscard]] std::size_t write_ack(Time now, std::uint8_t* datagram) noexcept;
  [[nodiscard]] std::size_t seal(wire::Kind kind, std::uint8_t* datagram, std::size_t body) noexcept;
  [[nodiscard]] Time resync_at() const noexcept { return resync_wanted_ ? resync_from_ : kNever; }

  SessionToken token_;
  double tolerance_;
  bool lz4_agreed_;
  Timing timing_;
  Handshake handshake_;
  Acknowledgements arrived_;
  Lz4& lz4_;
  std::size_t packet_size_;
  std::unique_ptr<Reassembly> reassembly_;  // made with the first MESSAGE.
  Sessions sessions_;
  std::uint32_t counts_[kOutcomes] = {};
  Time ack_at_ = kNever;
  Time leave_at_ = kNever;
  Time leave_pause_ = 0;
  Time resync_from_ = 0;
  std::size_t unacknowledged_ = 0;
  Octets<8> path_data_{};
  bool path_challenged_ = false;
  bool resync_wanted_ = false;
  bool connected_ = false;
  bool connected_pending_ = false;  // this and the next two: events that `poll` has not returned yet.
  bool renewed_pending_ = false;
  bool ending_pending_ = false;
  bool close_pending_ = false;  // a last datagram has to be sent although the connection is over.
  Ending ending_ = Ending::kNone;
  wire::Reason close_reason_ = wire::Reason::kEnded;
  std::size_t polled_ = 0;       // sessions whose changes `poll` has read.
  std::uint8_t changes_ = 0;     // of the last of them, not returned yet …
  std::uint8_t changes_of_ = 0;  // … and its index.
};

}  // namespace craftnet
