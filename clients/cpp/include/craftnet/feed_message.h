// The messages of a WebSocket feed (docs/reference/websocket.md), in each subprotocol.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "craftnet/bytes.h"
#include "craftnet/compression.h"
#include "craftnet/progress.h"
#include "craftnet/session.h"
#include "craftnet/time.h"
#include "craftnet/wire.h"

namespace craftnet {

enum class MessageType : std::uint8_t {
  kProgressUpdate,
  kMaterialNotification,
  kQueueStatus,
  kCraftingComplete,
  kCraftingFailed,
  kQueuePosition,
  kStationAvailable,
  kPriorityBoost,
  kQueueTimeout,
  kHealthUpdate,
  kHealthAlert,
  kServiceDown,
  kTokenAccepted,
  kTokenRefused,
  kUnknown,  ///< a type that this client does not know.
};

enum class Station : std::uint8_t {
  kBasicWorkbench,
  kAdvancedWorkbench,
  kCyberwareStation,
  kVehicleBay,
  kLaboratory,
  kUnknown,
};

/// A problem of a material, or its end. A quantity of wire::kUnknown and a quality of 0 are unknown.
struct MaterialNotification {
  Uuid material_id{};
  wire::Problem problem = wire::Problem::kInsufficientQuantity;
  std::uint32_t required_quantity = wire::kUnknown;
  std::uint32_t available_quantity = wire::kUnknown;
  std::uint8_t required_quality = 0;
  std::uint8_t available_quality = 0;
};

/// A place in a queue. Numbers of wire::kUnknown are unknown.
struct QueueEntry {
  Uuid player_id{};
  std::uint32_t position = wire::kUnknown;
  std::uint32_t total = wire::kUnknown;
  std::uint32_t estimated_wait_seconds = wire::kUnknown;
  Station station = Station::kUnknown;
  bool can_jump_queue = false;
  std::uint32_t jump_queue_cost = wire::kUnknown;
};

struct FeedMessage {
  MessageType type = MessageType::kUnknown;
  Uuid session_id{};
  Time timestamp = 0;                 ///< on the server's clock.
  Position position;                  ///< epoch and version; unknown in a record of craftnet.bin.v1.
  std::uint32_t changes_counted = 0;  ///< a record of craftnet.bin.v1: the feed's changes until then; 0: not known.
  bool answers_resume = false;        ///< the first message after `resume`; see `recovered`.
  bool recovered = false;             ///< what was missed follows; otherwise the whole state does.

  bool has_progress = false;
  Progress progress;
  double progress_rounding = 0.0;  ///< points by which the percentage may be rounded down.
  std::string failure_reason;

  bool has_material = false;
  MaterialNotification material;

  bool has_queue = false;
  QueueEntry queue;

  std::vector<wire::ChangeRow> changes;  ///< of materials; only craftnet.bin.v1 sends them.

  std::uint64_t expires_in = 0;  ///< kTokenAccepted: seconds.
  std::uint64_t code = 0;        ///< kTokenRefused: an HTTP status.
  std::string text;              ///< kTokenRefused: the reason.
};

/// Parses an RFC 3339 time in UTC. False when the text is anything else.
[[nodiscard]] bool parse_time(std::string_view text, Time& time) noexcept;

enum class Subprotocol : std::uint8_t { kJson, kLz4, kBinary };

/// The subprotocol's name in a WebSocket handshake.
[[nodiscard]] const char* name(Subprotocol subprotocol) noexcept;

/// Parses the name that a server selected; an empty one is JSON. False for an unknown name.
[[nodiscard]] bool parse_subprotocol(std::string_view text, Subprotocol& subprotocol) noexcept;

/// Decodes the messages of a WebSocket.
class CRAFTNETCORE_API FeedDecoder {
 public:
  /// Maximum size of a message in bytes, compressed or not; longer ones are refused.
  static constexpr std::size_t kLongest = 65536;

  explicit FeedDecoder(Lz4& lz4) noexcept : lz4_(lz4) {}

  void use(Subprotocol subprotocol) noexcept { subprotocol_ = subprotocol; }

  /// Adds a dictionary, shipped with the client or downloaded (GET /ws/dictionaries/{id}), which must outlive the
  /// decoder.
  void add_dictionary(std::uint8_t id, Bytes dictionary);

  /// kGarbled: the text is not UTF-8, or not the JSON of a message.
  [[nodiscard]] Outcome decode_text(std::string_view text, FeedMessage& message);

  /// kNoBaseline: the dictionary `missing` is needed; kType: the subprotocol has no binary messages.
  [[nodiscard]] Outcome decode_binary(Bytes octets, FeedMessage& message, std::uint8_t& missing);

 private:
  struct Dictionary {
    std::uint8_t id;
    Bytes octets;
  };

  Lz4& lz4_;
  Subprotocol subprotocol_ = Subprotocol::kJson;
  std::vector<Dictionary> dictionaries_;
  std::vector<std::uint8_t> text_;
};

}  // namespace craftnet
