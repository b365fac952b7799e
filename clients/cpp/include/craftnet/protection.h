// Packet protection: sequences, replay, sealing, opening, key rotation, acknowledgements (PROTOCOL.md, "Sealed
// datagrams").
#pragma once

#include <memory>

#include "craftnet/bytes.h"
#include "craftnet/crypto.h"
#include "craftnet/keys.h"
#include "craftnet/time.h"
#include "craftnet/wire.h"

namespace craftnet {

/// Bytes of a sealed datagram beside its body: header, acknowledgement, tag.
constexpr std::size_t kSealedOverhead = wire::SealedHeader::kSize + wire::Acknowledgement::kSize + kTagSize;

/// Which sequences were received: none twice, none 256 or more behind the newest.
class ReplayWindow {
 public:
  /// `newest`: the newest sequence received; 0: nothing yet.
  explicit ReplayWindow(std::uint64_t newest = 0) noexcept : newest_(newest) {}

  /// The sequence that these low 16 bits belong to: the closest to newest + 1 (RFC 9000, appendix A.3).
  [[nodiscard]] std::uint64_t complete(std::uint16_t low) const noexcept;

  /// kStale or kReplayed for what is not to be opened.
  [[nodiscard]] Outcome examine(std::uint64_t sequence) const noexcept;

  /// What was authentic counts as received.
  void remember(std::uint64_t sequence) noexcept;

  [[nodiscard]] wire::Acknowledgement acknowledgement() const noexcept;
  [[nodiscard]] std::uint64_t newest() const noexcept { return newest_; }

 private:
  static constexpr std::uint64_t kBehind = 256;

  std::uint64_t newest_;
  std::uint64_t received_[kBehind / 64] = {};  // bit i of all: newest − i.
};

/// The client's direction: counts what it seals, and goes on to the next keys.
class Sealer {
 public:
  /// `sequence`: of the datagram sealed last.
  Sealer(Crypto& crypto, std::uint32_t connection_id, const Generation& generation,
         std::uint64_t sequence = 0) noexcept;

  /// Seals a datagram whose content, acknowledgement and body, already lies behind the header in `datagram`, which has
  /// room for a tag behind it. Returns the size of the whole; 0 when the library fails.
  [[nodiscard]] std::size_t seal(wire::Kind kind, std::uint8_t* datagram, std::size_t content) noexcept;

  /// Before a HEARTBEAT is sealed: goes on to the next keys when they are due and a datagram of these has been
  /// acknowledged. `acknowledged`: the newest sequence of ours that arrived.
  void before_heartbeat(Time now, std::uint64_t acknowledged) noexcept;

  [[nodiscard]] std::uint64_t sequence() const noexcept { return sequence_; }
  [[nodiscard]] const Generation& generation() const noexcept { return generation_; }
  [[nodiscard]] bool usable() const noexcept { return aead_ != nullptr; }

  /// For tests: goes on counting behind this sequence.
  void skip_to(std::uint64_t sequence) noexcept { sequence_ = sequence; }

 private:
  Crypto& crypto_;
  std::uint32_t connection_id_;
  Generation generation_;
  std::unique_ptr<Aead> aead_;
  std::uint64_t sequence_;
  std::uint64_t rotated_at_;
  Time since_ = kNever;
};

/// The server's direction: opens each datagram once, and follows the server's rotations.
class Opener {
 public:
  struct Opened {
    wire::Kind kind = wire::Kind::kState;
    std::uint64_t sequence = 0;
    Bytes content;  ///< acknowledgement and body; a view of the datagram.
  };

  Opener(Crypto& crypto, std::uint32_t connection_id, const Generation& generation) noexcept;

  /// Opens a datagram in place. Unless the outcome is kAccepted, nothing but the datagram has changed.
  [[nodiscard]] Outcome open(std::uint8_t* datagram, std::size_t size, Opened& opened) noexcept;

  [[nodiscard]] const ReplayWindow& window() const noexcept { return window_; }
  [[nodiscard]] bool usable() const noexcept { return current_.aead != nullptr; }

 private:
  struct Keys {
    Generation generation;
    std::unique_ptr<Aead> aead;
  };

  [[nodiscard]] Keys* keys_for(std::uint8_t phase, std::uint64_t sequence) noexcept;
  void opened_with(const Keys* keys, std::uint64_t sequence) noexcept;

  Crypto& crypto_;
  std::uint32_t connection_id_;
  Keys current_;
  std::unique_ptr<Keys> before_;
  std::unique_ptr<Keys> following_;    // derived when a datagram first asks for it.
  std::uint64_t lowest_ = UINT64_MAX;  // the lowest sequence opened with the current keys.
  ReplayWindow window_;
};

/// What of the client's datagrams the server has received.
class Acknowledgements {
 public:
  /// `sent`: the newest sequence sealed. kOutOfRange for an acknowledgement of what was never sent.
  [[nodiscard]] Outcome take(const wire::Acknowledgement& acknowledgement, std::uint64_t sent) noexcept;

  /// The newest sequence of ours that arrived; 0: none is known.
  [[nodiscard]] std::uint64_t newest() const noexcept { return newest_; }

 private:
  std::uint64_t newest_ = 0;
};

/// The kind of a datagram that a server sends, from its first byte; kReserved or kType for others. `challenge` is
/// set for a kChallenge.
[[nodiscard]] Outcome kind_from_server(Bytes datagram, bool& challenge) noexcept;

}  // namespace craftnet
