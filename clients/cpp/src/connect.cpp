#include "craftnet/connect.h"

#include "craftnet/json.h"
#include "craftnet/text.h"

namespace craftnet {

namespace {

constexpr std::uint64_t kLargestPacket = 65536;
constexpr std::uint64_t kShortestHeartbeat = 100;  // milliseconds, as the next.
constexpr std::uint64_t kLongestHeartbeat = 3600000;
constexpr std::uint64_t kLargestIndex = 255;

/// The members of the answer, as they are written.
struct Members {
  std::string session_token;
  std::string endpoint;
  std::string compression;
  std::uint64_t packet_size = 4096;
  std::uint64_t heartbeat_ms = 5000;
  double tolerance = 0.5;
  std::uint64_t session_index = 0;

  [[nodiscard]] bool read(std::string_view member, JsonReader& json) {
    if (json.peek() == JsonReader::Type::kNull) return json.skip();  // as if it were absent.
    if (member == "session_token") return json.read_string(session_token, 64);
    if (member == "server_endpoint") return json.read_string(endpoint, 300);
    if (member == "compression") return json.read_string(compression, 16);
    if (member == "negotiated_packet_size") return json.read_count(packet_size);
    if (member == "heartbeat_interval") return json.read_count(heartbeat_ms);
    if (member == "progress_tolerance") return json.read_number(tolerance);
    if (member == "session_index") return json.read_count(session_index);
    return json.skip();
  }

  [[nodiscard]] bool in_range() const noexcept {
    return packet_size >= 1 && packet_size <= kLargestPacket && heartbeat_ms >= kShortestHeartbeat &&
           heartbeat_ms <= kLongestHeartbeat && tolerance >= 0 && session_index <= kLargestIndex;
  }
};

/// Splits `host:port` or `[address]:port`.
[[nodiscard]] bool split_endpoint(const std::string& endpoint, std::string& host, std::uint16_t& port) {
  const std::size_t colon = endpoint.rfind(':');
  if (colon == std::string::npos || colon == 0 || endpoint.size() - colon > 6) return false;
  std::uint32_t number = 0;
  for (std::size_t at = colon + 1; at < endpoint.size(); ++at) {
    if (endpoint[at] < '0' || endpoint[at] > '9') return false;
    number = number * 10 + static_cast<std::uint32_t>(endpoint[at] - '0');
  }
  if (number == 0 || number > 65535) return false;
  port = static_cast<std::uint16_t>(number);
  host = endpoint.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return true;
}

/// Whether a region can have this name: 1 to 64 lower-case letters, digits and hyphens.
[[nodiscard]] bool is_region(std::string_view name) noexcept {
  return !name.empty() && name.size() <= 64 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

}  // namespace

std::string connect_target(const Uuid& session) {
  return "/udp/sessions/" + std::string(to_text(session).data()) + "/connect";
}

std::string connect_body(const Uuid& player, bool lz4, const SessionToken* connection, std::string_view region,
                         bool expected) {
  std::string body = "{\"player_id\":\"" + std::string(to_text(player).data()) +
                     R"(","client_version":"1.0.0","supported_compression":[)" + (lz4 ? "\"lz4\"" : "\"none\"") + "]";
  if (connection != nullptr) body += std::string(",\"session_token\":\"") + to_text(*connection).data() + "\"";
  if (is_region(region)) body.append(",\"preferred_region\":\"").append(region).append("\"");
  if (expected) body += R"(,"expected":true)";
  return body + "}";
}

bool parse_connect_answer(std::string_view body, ConnectAnswer& answer) {
  JsonReader json(body);
  Members members;
  std::string_view member;
  if (!json.enter_object()) return false;
  while (json.next_member(member)) {
    if (!members.read(member, json)) return false;
  }
  if (!json.at_end() || !members.in_range()) return false;
  answer.agreement = Agreement{};
  answer.agreement.heartbeat_interval = static_cast<Time>(members.heartbeat_ms) * kMillisecond;
  answer.agreement.packet_size = static_cast<std::size_t>(members.packet_size);
  answer.agreement.lz4 = members.compression == "lz4";
  answer.agreement.progress_tolerance = members.tolerance;
  answer.session_index = static_cast<std::uint8_t>(members.session_index);
  return parse_session_token(members.session_token, answer.agreement.token) &&
         split_endpoint(members.endpoint, answer.host, answer.port);
}

}  // namespace craftnet
