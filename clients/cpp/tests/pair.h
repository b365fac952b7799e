// A client and a server that are connected, without a network.
#pragma once

#include "craftnet/liblz4.h"
#include "craftnet/openssl.h"
#include "craftnet/udp_client.h"
#include "server.h"
#include "testing.h"

namespace testing {

constexpr craftnet::Time kNow = 1800000000 * craftnet::kSecond;

struct Pair {
  Pair() : server(crypto), client(crypto, lz4, server.agreement(), kNow) {
    exchange(client, server, kNow);
    EXPECT(server.responded);
    deliver(server.seal(craftnet::wire::Kind::kHeartbeat, std::vector<std::uint8_t>(24)), kNow);
    EXPECT(client.connected());
    exchange(client, server, kNow);
  }

  craftnet::Outcome deliver(std::vector<std::uint8_t> datagram, craftnet::Time now) {
    const craftnet::Outcome outcome = client.receive(datagram.data(), datagram.size(), now);
    exchange(client, server, now);
    return outcome;
  }

  craftnet::Outcome deliver_state(const std::vector<std::uint8_t>& body, craftnet::Time now) {
    return deliver(server.seal(craftnet::wire::Kind::kState, body), now);
  }

  /// The number of datagrams of this kind that the server has received.
  int count(craftnet::wire::Kind kind) const {
    int found = 0;
    for (const Server::Received& each : server.received) found += each.kind == kind ? 1 : 0;
    return found;
  }

  /// The kinds of the events since the last call.
  std::vector<int> events() {
    std::vector<int> found;
    craftnet::UdpEvent event;
    while (client.poll(event)) found.push_back(static_cast<int>(event.kind));
    return found;
  }

  craftnet::OpenSslCrypto crypto;
  craftnet::LibLz4 lz4;
  Server server;
  craftnet::UdpClient client;
};

}  // namespace testing
