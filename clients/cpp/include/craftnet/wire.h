// Made by `python -m craftnet.protocols.wire.generate` from the layouts of craftnet.protocols. Do not edit.
#pragma once

#include <cstddef>
#include <cstdint>

#include "craftnet/bytes.h"
#include "craftnet/outcome.h"

namespace craftnet::wire {

/// A quantity or a duration that is unknown. A quality that is unknown is 0.
constexpr std::uint32_t kUnknown = 0xFFFFFFFFU;

/// The version in the header of a record of the HTTP interface.
constexpr std::uint8_t kRecordVersion = 1;

/// The version in the first byte of a datagram.
constexpr std::uint8_t kDatagramVersion = 1;

/// Bytes of a HELLO and of a RESPONSE.
constexpr std::size_t kHandshakeSize = 512;

// A decoder looks at the first bytes only, and takes more than it needs. Where the outcome is not kAccepted, the record
// is undefined. An encoder writes kSize bytes and trusts that each number is in its range.

enum class ChangeType : std::uint8_t {
  kAdded = 0,
  kRemoved = 1,
  kQuantityChanged = 2,
  kQualityChanged = 3,
};

enum class Kind : std::uint8_t {
  kState = 4,
  kAck = 5,
  kHeartbeat = 6,
  kResync = 7,
  kClose = 8,
  kPathChallenge = 9,
  kPathResponse = 10,
  kLeave = 11,
  kMessage = 12,
};

enum class Reason : std::uint8_t {
  kEnded = 1,
  kGoingAway = 2,
  kInternalError = 3,
  kExpired = 4,
  kNotFound = 5,
  kLeft = 6,
  kRevoked = 7,
};

enum class Status : std::uint8_t {
  kActive = 0,
  kPaused = 1,
  kInterrupted = 2,
  kCompleted = 3,
  kFailed = 4,
};

enum class Problem : std::uint8_t {
  kInsufficientQuantity = 0,
  kQualityTooLow = 1,
  kMaterialUnavailable = 2,
  kMaterialRestored = 3,
};

struct Header {
  static constexpr std::size_t kSize = 32;
  std::uint8_t packet_type = 0;
  std::uint8_t version = 0;
  std::uint16_t length = 0;
  std::uint32_t sequence = 0;
  std::uint64_t timestamp_ms = 0;  ///< 0 to 253402300799999
  Uuid session_id{};
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, Header& record) noexcept;
CRAFTNETCORE_API void encode(const Header& record, std::uint8_t* octets) noexcept;

struct ProgressBody {
  static constexpr std::size_t kSize = 16;
  std::uint16_t percent = 0;  ///< 100 are one unit, 0 to 10000
  std::uint8_t quality = 0;  ///< 0 to 100, 0: unknown
  std::uint8_t target_quality = 0;  ///< 0 to 100, 0: unknown
  std::uint32_t remaining_ms = 0;  ///< 1000 are one unit, kUnknown: unknown
  std::uint8_t flags = 0;
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, ProgressBody& record) noexcept;
CRAFTNETCORE_API void encode(const ProgressBody& record, std::uint8_t* octets) noexcept;

struct ChangeRow {
  static constexpr std::size_t kSize = 24;
  Uuid material_id{};
  std::uint32_t quantity = 0;  ///< kUnknown: unknown
  ChangeType change_type = ChangeType::kAdded;
  std::uint8_t quality = 0;  ///< 0 to 100, 0: unknown
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, ChangeRow& record) noexcept;
CRAFTNETCORE_API void encode(const ChangeRow& record, std::uint8_t* octets) noexcept;

struct Hello {
  static constexpr std::size_t kSize = 496;
  std::uint32_t connection_id = 0;
  Octets<16> client_nonce{};
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, Hello& record) noexcept;
CRAFTNETCORE_API void encode(const Hello& record, std::uint8_t* octets) noexcept;

struct Challenge {
  static constexpr std::size_t kSize = 61;
  std::uint32_t connection_id = 0;
  Octets<16> client_nonce{};
  std::uint64_t issued_us = 0;
  Octets<16> server_nonce{};
  Octets<16> cookie{};
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, Challenge& record) noexcept;
CRAFTNETCORE_API void encode(const Challenge& record, std::uint8_t* octets) noexcept;

struct Response {
  static constexpr std::size_t kSize = 496;
  std::uint32_t connection_id = 0;
  Octets<16> client_nonce{};
  std::uint64_t issued_us = 0;
  Octets<16> server_nonce{};
  Octets<16> cookie{};
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, Response& record) noexcept;
CRAFTNETCORE_API void encode(const Response& record, std::uint8_t* octets) noexcept;

struct SealedHeader {
  static constexpr std::size_t kSize = 7;
  std::uint8_t key_phase = 0;
  Kind kind = Kind::kState;
  std::uint32_t connection_id = 0;
  std::uint16_t sequence = 0;
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, SealedHeader& record) noexcept;
CRAFTNETCORE_API void encode(const SealedHeader& record, std::uint8_t* octets) noexcept;

struct Acknowledgement {
  static constexpr std::size_t kSize = 8;
  std::uint32_t newest = 0;
  std::uint32_t earlier = 0;
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, Acknowledgement& record) noexcept;
CRAFTNETCORE_API void encode(const Acknowledgement& record, std::uint8_t* octets) noexcept;

struct Heartbeat {
  static constexpr std::size_t kSize = 24;
  std::uint64_t sent_us = 0;
  std::uint64_t echoed_us = 0;
  std::uint64_t received_us = 0;
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, Heartbeat& record) noexcept;
CRAFTNETCORE_API void encode(const Heartbeat& record, std::uint8_t* octets) noexcept;

struct Close {
  static constexpr std::size_t kSize = 1;
  Reason reason = Reason::kEnded;
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, Close& record) noexcept;
CRAFTNETCORE_API void encode(const Close& record, std::uint8_t* octets) noexcept;

struct Held {
  static constexpr std::size_t kSize = 4;
  std::uint32_t version = 0;
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, Held& record) noexcept;
CRAFTNETCORE_API void encode(const Held& record, std::uint8_t* octets) noexcept;

struct HeldToo {
  static constexpr std::size_t kSize = 5;
  std::uint8_t session = 0;
  std::uint32_t version = 0;
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, HeldToo& record) noexcept;
CRAFTNETCORE_API void encode(const HeldToo& record, std::uint8_t* octets) noexcept;

struct Left {
  static constexpr std::size_t kSize = 1;
  std::uint8_t session = 0;
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, Left& record) noexcept;
CRAFTNETCORE_API void encode(const Left& record, std::uint8_t* octets) noexcept;

struct Probe {
  static constexpr std::size_t kSize = 8;
  Octets<8> data{};
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, Probe& record) noexcept;
CRAFTNETCORE_API void encode(const Probe& record, std::uint8_t* octets) noexcept;

struct Fragment {
  static constexpr std::size_t kSize = 3;
  std::uint8_t part = 0;
  std::uint8_t last = 0;
  std::uint16_t most = 0;
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, Fragment& record) noexcept;
CRAFTNETCORE_API void encode(const Fragment& record, std::uint8_t* octets) noexcept;

struct ProgressState {
  static constexpr std::size_t kSize = 21;
  static constexpr std::uint8_t kTag = 1;
  std::uint32_t version = 0;
  std::uint64_t anchor_ms = 0;  ///< 1000 are one unit, 0 to 253402300799999
  std::uint16_t percent = 0;  ///< 100 are one unit, 0 to 10000
  Status status = Status::kActive;
  std::uint8_t quality = 0;  ///< 0 to 100, 0: unknown
  std::uint8_t target_quality = 0;  ///< 0 to 100, 0: unknown
  std::uint32_t remaining_ms = 0;  ///< 1000 are one unit, kUnknown: unknown
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, ProgressState& record) noexcept;
CRAFTNETCORE_API void encode(const ProgressState& record, std::uint8_t* octets) noexcept;

struct ReasonPart {
  static constexpr std::size_t kSize = 10;
  static constexpr std::uint8_t kTag = 2;
  std::uint32_t version = 0;
  std::uint16_t total = 0;
  std::uint16_t offset = 0;
  std::uint8_t length = 0;
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, ReasonPart& record) noexcept;
CRAFTNETCORE_API void encode(const ReasonPart& record, std::uint8_t* octets) noexcept;

struct MaterialsPart {
  static constexpr std::size_t kSize = 12;
  static constexpr std::uint8_t kTag = 3;
  std::uint32_t version = 0;
  std::uint16_t rows = 0;
  std::uint16_t problems = 0;
  std::uint16_t first = 0;
  std::uint8_t count = 0;
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, MaterialsPart& record) noexcept;
CRAFTNETCORE_API void encode(const MaterialsPart& record, std::uint8_t* octets) noexcept;

struct MaterialRow {
  static constexpr std::size_t kSize = 21;
  Uuid material_id{};
  std::uint32_t quantity = 0;  ///< 0 to 4294967294
  std::uint8_t quality = 0;  ///< 0 to 100, 0: unknown
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, MaterialRow& record) noexcept;
CRAFTNETCORE_API void encode(const MaterialRow& record, std::uint8_t* octets) noexcept;

struct ProblemsPart {
  static constexpr std::size_t kSize = 8;
  static constexpr std::uint8_t kTag = 4;
  std::uint32_t version = 0;
  std::uint16_t first = 0;
  std::uint8_t count = 0;
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, ProblemsPart& record) noexcept;
CRAFTNETCORE_API void encode(const ProblemsPart& record, std::uint8_t* octets) noexcept;

struct ProblemRow {
  static constexpr std::size_t kSize = 13;
  std::uint16_t row = 0;
  Problem problem = Problem::kInsufficientQuantity;
  std::uint32_t required_quantity = 0;  ///< 1 to 4294967295, kUnknown: unknown
  std::uint32_t available_quantity = 0;  ///< kUnknown: unknown
  std::uint8_t required_quality = 0;  ///< 0 to 100, 0: unknown
  std::uint8_t available_quality = 0;  ///< 0 to 100, 0: unknown
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, ProblemRow& record) noexcept;
CRAFTNETCORE_API void encode(const ProblemRow& record, std::uint8_t* octets) noexcept;

struct MaterialsDelta {
  static constexpr std::size_t kSize = 9;
  static constexpr std::uint8_t kTag = 5;
  std::uint32_t version = 0;
  std::uint8_t back = 0;
  std::uint16_t rows = 0;
  std::uint8_t count = 0;
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, MaterialsDelta& record) noexcept;
CRAFTNETCORE_API void encode(const MaterialsDelta& record, std::uint8_t* octets) noexcept;

struct FreshSecret {
  static constexpr std::size_t kSize = 33;
  static constexpr std::uint8_t kTag = 6;
  Octets<32> secret{};
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, FreshSecret& record) noexcept;
CRAFTNETCORE_API void encode(const FreshSecret& record, std::uint8_t* octets) noexcept;

struct Selector {
  static constexpr std::size_t kSize = 2;
  static constexpr std::uint8_t kTag = 7;
  std::uint8_t session = 0;
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, Selector& record) noexcept;
CRAFTNETCORE_API void encode(const Selector& record, std::uint8_t* octets) noexcept;

struct SessionOver {
  static constexpr std::size_t kSize = 2;
  static constexpr std::uint8_t kTag = 8;
  Reason reason = Reason::kEnded;
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, SessionOver& record) noexcept;
CRAFTNETCORE_API void encode(const SessionOver& record, std::uint8_t* octets) noexcept;

struct FeedPosition {
  static constexpr std::size_t kSize = 10;
  static constexpr std::uint8_t kTag = 9;
  std::uint64_t version = 0;  ///< 0 to 9007199254740991
  std::uint8_t length = 0;
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, FeedPosition& record) noexcept;
CRAFTNETCORE_API void encode(const FeedPosition& record, std::uint8_t* octets) noexcept;

struct SessionName {
  static constexpr std::size_t kSize = 17;
  static constexpr std::uint8_t kTag = 10;
  Uuid session_id{};
};
[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, SessionName& record) noexcept;
CRAFTNETCORE_API void encode(const SessionName& record, std::uint8_t* octets) noexcept;

struct RowProblem {
  Problem problem = Problem::kInsufficientQuantity;
  std::uint32_t required_quantity = 0;  ///< 1 to 4294967295, kUnknown: unknown
  std::uint32_t available_quantity = 0;  ///< kUnknown: unknown
  std::uint8_t required_quality = 0;  ///< 0 to 100, 0: unknown
  std::uint8_t available_quality = 0;  ///< 0 to 100, 0: unknown
};
[[nodiscard]] Outcome decode(BitReader& bits, RowProblem& record) noexcept;

struct RowChange {
  std::uint16_t row = 0;
  bool has_quantity = false;
  bool has_quality = false;
  bool has_problem = false;
  std::uint32_t quantity = 0;  ///< 0 to 4294967294
  std::uint8_t quality = 0;  ///< 0 to 100, 0: unknown
  bool stands = false;
  RowProblem problem;
};
[[nodiscard]] Outcome decode(BitReader& bits, unsigned row_bits, RowChange& record) noexcept;

}  // namespace craftnet::wire
