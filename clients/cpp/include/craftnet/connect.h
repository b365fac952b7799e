// POST …/connect, which opens a UDP connection or adds a session to one (PROTOCOL.md, 2).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "craftnet/bytes.h"
#include "craftnet/keys.h"
#include "craftnet/udp_client.h"

namespace craftnet {

/// The path of the request.
[[nodiscard]] std::string connect_target(const Uuid& session);

/// The body of the request. `lz4`: offers compression. `connection`: the token of the connection to add the session to,
/// or to prolong it on; null: a new connection. `region`: of the UDP endpoint; empty, or no name of a region: anywhere.
/// `expected`: asks for the progress that the server expects, where it has learned how long crafts take.
[[nodiscard]] std::string connect_body(const Uuid& player, bool lz4, const SessionToken* connection,
                                       std::string_view region = {}, bool expected = false);

/// The answer.
struct ConnectAnswer {
  Agreement agreement;  ///< but for the number of the server's addresses.
  std::string host;     ///< a name or an address, for datagrams to `port`.
  std::uint16_t port = 0;
  std::uint8_t session_index = 0;  ///< for `UdpClient::join`, when the answer has the connection's own session_token.
};

/// Parses the body of an answer with status 200. False when it is malformed.
[[nodiscard]] bool parse_connect_answer(std::string_view body, ConnectAnswer& answer);

}  // namespace craftnet
