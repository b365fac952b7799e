// The core has no threads and shares nothing: each thread has its own client and seams. ThreadSanitizer verifies it.
#include <atomic>
#include <thread>

#include "craftnet/liblz4.h"
#include "craftnet/openssl.h"
#include "craftnet/udp_client.h"
#include "server.h"
#include "testing.h"

using namespace craftnet;

namespace {

constexpr Time kNow = 1800000000 * kSecond;

/// Runs a whole connection: handshake, a table, 100 differences, CLOSE. True when every step succeeds.
bool connection_works() {
  OpenSslCrypto crypto;
  LibLz4 lz4;
  testing::Server server(crypto);
  UdpClient client(crypto, lz4, server.agreement(), kNow);
  exchange(client, server, kNow);
  const auto deliver_state = [&](const std::vector<std::uint8_t>& body) {
    std::vector<std::uint8_t> datagram = server.seal(wire::Kind::kState, body);
    const Outcome outcome = client.receive(datagram.data(), datagram.size(), kNow);
    exchange(client, server, kNow);
    return outcome == Outcome::kAccepted;
  };
  bool good = deliver_state(testing::table_state(1, 10, 5));
  for (std::uint32_t version = 2; version < 100; ++version)
    good = deliver_state(testing::delta_state(version, 1, version)) && good;
  client.close();
  exchange(client, server, kNow);
  return good && server.received.back().kind == wire::Kind::kClose;
}

}  // namespace

TEST(threads) {
  std::atomic<int> good{0};
  std::thread one([&good] { good += connection_works() ? 1 : 0; });
  std::thread other([&good] { good += connection_works() ? 1 : 0; });
  one.join();
  other.join();
  EXPECT(good == 2);
}
