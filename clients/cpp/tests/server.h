// The part of a UDP server that tests need: it answers a handshake, opens what a client sends, and seals bodies.
#pragma once

#include <vector>

#include "craftnet/udp_client.h"

namespace testing {

class Server {
 public:
  explicit Server(craftnet::Crypto& crypto);

  [[nodiscard]] craftnet::Agreement agreement() const;

  /// Processes a client's datagram. Answers a HELLO with a CHALLENGE, in `answer`.
  void take(const std::uint8_t* datagram, std::size_t size, craftnet::Time now);

  /// Seals a datagram that acknowledges what the client has sent.
  std::vector<std::uint8_t> seal(craftnet::wire::Kind kind, const std::vector<std::uint8_t>& body);

  /// The same with this sequence.
  std::vector<std::uint8_t> seal_as(std::uint64_t sequence, craftnet::wire::Kind kind,
                                    const std::vector<std::uint8_t>& body);

  struct Received {
    craftnet::wire::Kind kind;
    std::vector<std::uint8_t> body;
  };

  std::vector<std::uint8_t> answer;  // a CHALLENGE to send.
  std::vector<Received> received;    // the client's sealed datagrams, opened.
  bool responded = false;            // whether a RESPONSE has arrived.

 private:
  craftnet::Crypto& crypto_;
  craftnet::SessionToken token_;
  craftnet::Octets<32> key_{};
  craftnet::Octets<16> client_nonce_{};
  craftnet::Octets<16> server_nonce_{};
  craftnet::Generation seals_;
  craftnet::Generation opens_;
  std::uint64_t sequence_ = 0;
  std::uint64_t newest_ = 0;
};

/// Delivers the client's datagrams to the server, and the server's CHALLENGE to the client.
void exchange(craftnet::UdpClient& client, Server& server, craftnet::Time now);

/// A STATE with a progress; `percent` in hundredths.
std::vector<std::uint8_t> progress_state(std::uint32_t version, craftnet::wire::Status status, std::uint16_t percent,
                                         std::uint32_t remaining_ms, std::uint64_t anchor_ms);

/// A STATE with a table of `rows` rows, all with this quantity.
std::vector<std::uint8_t> table_state(std::uint32_t version, std::uint16_t rows, std::uint32_t quantity);

/// A STATE with a difference of the quantity of row 0 of a table of 10 rows.
std::vector<std::uint8_t> delta_state(std::uint32_t version, std::uint8_t back, std::uint32_t quantity);

}  // namespace testing
