// The client's end of the UDP protocol, without a socket and without a clock: datagrams and the time go in, datagrams
// and events come out. After each call, `transmit` is called until it has nothing more, and again at `deadline`.
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

/// What …/connect has answered.
struct Agreement {
  SessionToken token;
  Time heartbeat_interval = 5 * kSecond;
  std::size_t packet_size = 4096;   ///< bytes of the longest content of a message.
  bool lz4 = false;                 ///< whether MESSAGEs may come.
  double progress_tolerance = 0.5;  ///< points.
  std::size_t servers = 1;          ///< how many addresses the server may be at.
};

/// Why a connection is over.
enum class Ending : std::uint8_t {
  kNone,         ///< it is not.
  kClosed,       ///< the server has closed it; `close_reason` says why.
  kLeft,         ///< the client has left.
  kSilent,       ///< nothing was heard for three heartbeat intervals.
  kUnreachable,  ///< the handshake was not answered.
  kBroken,       ///< the cryptography library has failed.
};

struct UdpEvent {
  enum class Kind : std::uint8_t {
    kConnected,    ///< the handshake is done.
    kRenewed,      ///< `session_token` is another one.
    kProgress,     ///< of the session.
    kMaterials,    ///< of the session.
    kPosition,     ///< of the session.
    kSessionOver,  ///< of the session, and nothing else of it follows.
    kEnded,        ///< nothing follows; see `ending`.
  };

  Kind kind = Kind::kConnected;
  std::uint8_t session = 0;
};

class UdpClient {
 public:
  /// Bytes that `transmit` needs.
  static constexpr std::size_t kRoom = 1200;

  /// `crypto` and `lz4` outlive the client.
  UdpClient(Crypto& crypto, Lz4& lz4, const Agreement& agreement, Time now);

  /// Takes a datagram from whatever address, and decrypts it where it is. What the outcome refuses has changed nothing,
  /// but for what PROTOCOL.md says of authentic datagrams.
  Outcome receive(std::uint8_t* datagram, std::size_t size, Time now);

  /// Writes the next datagram that is to be sent to `server`; returns its size, 0: there is none.
  [[nodiscard]] std::size_t transmit(Time now, std::uint8_t* datagram);

  /// When to call `transmit` again, even if nothing comes in.
  [[nodiscard]] Time deadline() const noexcept;

  /// Which of the server's addresses a datagram just written goes to, from 0.
  [[nodiscard]] std::size_t server() const noexcept { return handshake_.server(); }

  /// The next event; false when there is none.
  [[nodiscard]] bool poll(UdpEvent& event) noexcept;

  /// …/connect has said that the session with this index is the connection's.
  void join(std::uint8_t index) { sessions_.claim(index); }

  /// Hears no more of a session; leaving the last one closes the connection.
  void leave(std::uint8_t index, Time now) noexcept;

  /// Leaves: what `transmit` has then is the last datagram.
  void close() noexcept;

  /// The client's own address has changed.
  void moved(Time now) noexcept {
    if (connected_) pulse_.hurry(now);
  }

  [[nodiscard]] bool connected() const noexcept { return connected_ && ending_ == Ending::kNone; }
  [[nodiscard]] Ending ending() const noexcept { return ending_; }

  /// Of Ending::kClosed.
  [[nodiscard]] wire::Reason close_reason() const noexcept { return close_reason_; }

  /// The newest session_token: what another connection is opened with, and what …/connect is shown.
  [[nodiscard]] const SessionToken& session_token() const noexcept { return token_; }

  /// A session that was received or joined; null when it is unknown.
  [[nodiscard]] Session* session(std::uint8_t index) noexcept { return sessions_.find(index); }
  [[nodiscard]] Sessions& sessions() noexcept { return sessions_; }

  /// What to show of a session at `now`, and by how much it may be wrong. False until a progress has arrived.
  [[nodiscard]] bool shown(std::uint8_t index, Time now, Bar::Shown& shown) noexcept;

  /// Round trip, and the server's clock.
  [[nodiscard]] const Pulse& pulse() const noexcept { return pulse_; }

  /// `now` on the server's clock, as well as it is known.
  [[nodiscard]] Time server_time(Time now) const noexcept { return now + pulse_.offset(); }

  /// How many datagrams, and records refused alone, had this outcome.
  [[nodiscard]] std::uint32_t count(Outcome outcome) const noexcept {
    return counts_[static_cast<std::size_t>(outcome)];
  }

  /// For tests: goes on counting as if this datagram had been sealed.
  void skip_to(std::uint64_t sequence) noexcept { handshake_.sealer()->skip_to(sequence); }

 private:
  [[nodiscard]] Outcome open(std::uint8_t* datagram, std::size_t size, Time now);
  [[nodiscard]] Outcome take(const Opener::Opened& opened, Time now);
  [[nodiscard]] Outcome take_body(wire::Kind kind, std::uint64_t sequence, Bytes body, Time now);
  [[nodiscard]] Outcome apply(Bytes body, std::uint64_t sequence, bool packed, Time now);
  void owe_ack(Time now) noexcept;
  void end(Ending ending) noexcept;

  [[nodiscard]] std::size_t write_due(Time now, std::uint8_t* datagram) noexcept;
  [[nodiscard]] std::size_t write_heartbeat(Time now, std::uint8_t* datagram) noexcept;
  [[nodiscard]] std::size_t write_leave(Time now, std::uint8_t* datagram) noexcept;
  [[nodiscard]] std::size_t write_ack(Time now, std::uint8_t* datagram) noexcept;
  [[nodiscard]] std::size_t seal(wire::Kind kind, std::uint8_t* datagram, std::size_t body) noexcept;
  [[nodiscard]] Time resync_at() const noexcept { return resync_wanted_ ? resync_from_ : kNever; }

  SessionToken token_;
  double tolerance_;
  bool packs_;
  Pulse pulse_;
  Handshake handshake_;
  Acknowledgements arrived_;
  Lz4& lz4_;
  std::size_t packet_size_;
  std::unique_ptr<Reassembly> reassembly_;  // from the first MESSAGE on.
  Sessions sessions_;
  std::uint32_t counts_[kOutcomes] = {};
  Time ack_at_ = kNever;
  Time leave_at_ = kNever;
  Time leave_pause_ = 0;
  Time resync_from_ = 0;
  std::size_t unacknowledged_ = 0;
  Octets<8> path_data_{};
  bool path_asked_ = false;
  bool resync_wanted_ = false;
  bool connected_ = false;
  bool tells_connected_ = false;  // events that `poll` has not handed out yet.
  bool tells_renewed_ = false;
  bool tells_ending_ = false;
  bool last_word_ = false;  // a datagram is to be sent although the connection is over.
  Ending ending_ = Ending::kNone;
  wire::Reason close_reason_ = wire::Reason::kEnded;
  std::size_t polled_ = 0;    // sessions whose news `poll` hands out next.
  std::uint8_t news_ = 0;     // what is left of them …
  std::uint8_t news_of_ = 0;  // … and the session.
};

}  // namespace craftnet
