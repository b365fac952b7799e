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

/// Bytes of a sealed datagram besides its body: header, acknowledgement, tag.
constexpr std::size_t kSealedOverhead = wire::SealedHeader::kSize + wire::Acknowledgement::kSize + kTagSize;

/// The replay window: accepts each sequence once, and none that is 256 or more behind the newest.
class CRAFTNETCORE_API ReplayWindow {
 public:
  /// `newest`: the newest sequence received; 0: none.
  explicit ReplayWindow(std::uint64_t newest = 0) noexcept : newest_(newest) {}

  /// The sequence with these low 16 bits that is closest to newest + 1 (RFC 9000, appendix A.3).
  [[nodiscard]] std::uint64_t complete(std::uint16_t low) const noexcept;

  /// kStale or kReplayed for a datagram that must not be opened.
  [[nodiscard]] Outcome examine(std::uint64_t sequence) const noexcept;

  /// Marks the sequence of an authentic datagram as received.
  void remember(std::uint64_t sequence) noexcept;

  [[nodiscard]] wire::Acknowledgement acknowledgement() const noexcept;
  [[nodiscard]] std::uint64_t newest() const noexcept { return newest_; }

 private:
  static constexpr std::uint64_t kBehind = 256;

  std::uint64_t newest_;
  std::uint64_t received_[kBehind / 64] = {};  // bit i of all: newest − i.
};

/// Seals in the client's direction: counts sequences, and updates keys.
class CRAFTNETCORE_API Sealer {
 public:
  /// `sequence`: that of the last datagram sealed.
  Sealer(Crypto& crypto, std::uint32_t connection_id, const Generation& generation,
         std::uint64_t sequence = 0) noexcept;

  /// Seals a datagram. Its content (acknowledgement and body, `content` bytes) is in `datagram` after the header, with
  /// room for the tag after it. Returns the size of the datagram; 0 when the cryptography library fails.
  [[nodiscard]] std::size_t seal(wire::Kind kind, std::uint8_t* datagram, std::size_t content) noexcept;

  /// To be called before a HEARTBEAT is sealed: updates the keys when that is due and the server has acknowledged a
  /// datagram of the present ones. `acknowledged`: the client's newest sequence that the server received.
  void before_heartbeat(Time now, std::uint64_t acknowledged) noexcept;

  [[nodiscard]] std::uint64_t sequence() const noexcept { return sequence_; }
  [[nodiscard]] const Generation& generation() const noexcept { return generation_; }
  [[nodiscard]] bool usable() const noexcept { return aead_ != nullptr; }

  /// For tests: continues after this sequence.
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

/// Opens in the server's direction: each datagram once, following the server's key updates.
class Opener {
 public:
  struct Opened {
    wire::Kind kind = wire::Kind::kState;
    std::uint64_t sequence = 0;
    Bytes content;  ///< acknowledgement and body; a view of the datagram.
  };

  Opener(Crypto& crypto, std::uint32_t connection_id, const Generation& generation) noexcept;

  /// Opens a datagram in place. Unless the outcome is kAccepted, only the datagram has changed.
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
  std::unique_ptr<Keys> following_;    // derived when a datagram first needs it.
  std::uint64_t lowest_ = UINT64_MAX;  // the lowest sequence opened with the current keys.
  ReplayWindow window_;
};

/// The client's datagrams that the server has received.
class Acknowledgements {
 public:
  /// `sent`: the newest sequence sealed. kOutOfRange: the datagram acknowledges a sequence that was never sent.
  [[nodiscard]] Outcome take(const wire::Acknowledgement& acknowledgement, std::uint64_t sent) noexcept;

  /// The newest sequence that the server has received; 0: none is known.
  [[nodiscard]] std::uint64_t newest() const noexcept { return newest_; }

 private:
  std::uint64_t newest_ = 0;
};

/// Checks the first byte of a datagram from a server; kReserved or kType when it is no such datagram. `challenge`:
/// whether it is a CHALLENGE.
[[nodiscard]] Outcome kind_from_server(Bytes datagram, bool& challenge) noexcept;

}  // namespace craftnet
