// The messages of a WebSocket feed (docs/websocket.md), in each of the subprotocols.
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
  kUnknown,  ///< of a type that this client does not know.
};

enum class Station : std::uint8_t {
  kBasicWorkbench,
  kAdvancedWorkbench,
  kCyberwareStation,
  kVehicleBay,
  kLaboratory,
  kUnknown,
};

/// A material's problem, or that it has none any more. A quantity of wire::kUnknown, a quality of 0: not said.
struct MaterialNotification {
  Uuid material_id{};
  wire::Problem problem = wire::Problem::kInsufficientQuantity;
  std::uint32_t required_quantity = wire::kUnknown;
  std::uint32_t available_quantity = wire::kUnknown;
  std::uint8_t required_quality = 0;
  std::uint8_t available_quality = 0;
};

/// A place in a queue. Numbers of wire::kUnknown are not said.
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
  Time timestamp = 0;  ///< on the server's clock.
  Position position;   ///< epoch and version; none in a record of craftnet.bin.v1.
  bool answers_resume = false;
  bool recovered = false;

  bool has_progress = false;
  Progress progress;
  double progress_rounding = 0.0;  ///< points that the percentage was rounded down by, at most.
  std::string failure_reason;

  bool has_material = false;
  MaterialNotification material;

  bool has_queue = false;
  QueueEntry queue;

  std::vector<wire::ChangeRow> changes;  ///< of materials: craftnet.bin.v1 alone tells them.

  std::uint64_t expires_in = 0;  ///< seconds: of kTokenAccepted.
  std::uint64_t code = 0;        ///< of kTokenRefused.
  std::string text;              ///< of kTokenRefused: why.
};

/// Reads an RFC 3339 time in UTC. False when it is something else.
[[nodiscard]] bool parse_time(std::string_view text, Time& time) noexcept;

enum class Subprotocol : std::uint8_t { kJson, kLz4, kBinary };

/// The name that a WebSocket handshake offers.
[[nodiscard]] const char* name(Subprotocol subprotocol) noexcept;

/// What a server has selected; an empty name is JSON. False for one that was not offered.
[[nodiscard]] bool parse_subprotocol(std::string_view text, Subprotocol& subprotocol) noexcept;

/// Makes messages of what a WebSocket brings.
class FeedDecoder {
 public:
  /// Bytes of a message, packed or not, beyond which it is refused.
  static constexpr std::size_t kLongest = 65536;

  explicit FeedDecoder(Lz4& lz4) noexcept : lz4_(lz4) {}

  void use(Subprotocol subprotocol) noexcept { subprotocol_ = subprotocol; }

  /// A dictionary that a client ships with, or has downloaded: GET /ws/dictionaries/{id}. It outlives the decoder.
  void add_dictionary(std::uint8_t id, Bytes dictionary);

  /// kGarbled: no JSON of a message.
  [[nodiscard]] Outcome decode_text(std::string_view text, FeedMessage& message);

  /// kNoBaseline: it was packed with the dictionary `missing`; kType: no binary message was agreed on.
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
