// Datagrams: the input chooses kinds and bodies, which a server in the same process seals, and raw datagrams.
#include "craftnet/liblz4.h"
#include "craftnet/openssl.h"
#include "craftnet/udp_client.h"
#include "server.h"

using namespace craftnet;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static OpenSslCrypto crypto;
  static LibLz4 lz4;
  constexpr Time kNow = 1800000000 * kSecond;
  testing::Server server(crypto);
  UdpClient client(crypto, lz4, server.agreement(), kNow);
  exchange(client, server, kNow);
  Time now = kNow;
  UdpEvent event;
  constexpr wire::Kind kKinds[] = {wire::Kind::kState, wire::Kind::kMessage,       wire::Kind::kHeartbeat,
                                   wire::Kind::kClose, wire::Kind::kPathChallenge, wire::Kind::kState,
                                   wire::Kind::kState, wire::Kind::kMessage};
  for (std::size_t at = 0; at + 3 < size && client.ending() == Ending::kNone;) {
    const std::size_t length = load_u16(data + at + 1) % (size - at - 3) + 1;
    std::vector<std::uint8_t> body(data + at + 3, data + at + 3 + length);
    std::vector<std::uint8_t> datagram = data[at] >= 0xF0 ? body : server.seal(kKinds[data[at] & 7U], body);
    (void)client.receive(datagram.data(), datagram.size(), now);
    exchange(client, server, now);
    while (client.poll(event)) {
    }
    now += static_cast<Time>(data[at] & 0xF0U) * 10 * kMillisecond;
    at += 3 + length;
  }
  return 0;
}
