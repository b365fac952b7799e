// Holds a connection to protocol/vectors.json: keys, handshake, replay, key updates, heartbeats.
#include <cmath>

#include "craftnet/text.h"
#include "craftnet/udp_client.h"
#include "vectors.h"

using namespace craftnet;
using namespace vectors;
using testing::hex;
using testing::unhex;

namespace {

Agreement agreement() {
  Agreement agreement;
  agreement.token = token();
  agreement.packet_size = 1200;
  agreement.lz4 = true;
  return agreement;
}

/// A client that has sent the vectors' HELLO and RESPONSE.
std::unique_ptr<UdpClient> answered(Time now) {
  auto client = std::make_unique<UdpClient>(crypto(), lz4(), agreement(), now);
  std::uint8_t out[UdpClient::kRoom];
  EXPECT(client->transmit(now, out) == wire::kHandshakeSize);
  EXPECT(hex({out, wire::kHandshakeSize}) == all()["handshake"].items[0]["datagram"].text);
  std::vector<std::uint8_t> challenge = unhex(all()["handshake"].items[1]["datagram"].text);
  EXPECT(client->receive(challenge.data(), challenge.size(), now) == Outcome::kAccepted);
  EXPECT(client->transmit(now, out) == wire::kHandshakeSize);
  EXPECT(hex({out, wire::kHandshakeSize}) == all()["handshake"].items[2]["datagram"].text);
  return client;
}

constexpr Time kNow = 1800000000 * kSecond;

}  // namespace

TEST(keys) {
  EXPECT(token().connection_id == 0xDEADBEEFU);
  EXPECT(hex(token().secret) == all()["secret"].text);
  EXPECT(all()["session_token"].text == to_text(token()).data());
  Octets<32> key{};
  EXPECT(derive_handshake_key(crypto(), token().secret, key));
  EXPECT(hex(key) == all()["keys"]["handshake"].text);
  for (const char* name : {"client", "server"}) {
    const Json& wanted = all()["keys"][name];
    for (std::size_t number = 0; number < wanted.items.size(); ++number) {
      const Generation found = generation(std::string(name) == "client" ? Sender::kClient : Sender::kServer, number);
      EXPECT(hex(found.key) == wanted.items[number]["key"].text);
      EXPECT(hex(found.iv) == wanted.items[number]["iv"].text);
    }
  }
}

TEST(handshake) { (void)answered(kNow); }

TEST(malformed_datagrams) {
  std::vector<std::uint8_t> first;
  for (const Json& vector : all()["sealed"].items) {
    if (vector["from"].text == "server" && vector["sequence"].number == 1) first = unhex(vector["datagram"].text);
  }
  for (const Json& vector : all()["malformed_datagrams"].items) {
    const std::unique_ptr<UdpClient> client = answered(kNow);
    std::vector<std::uint8_t> opens = first;
    (void)client->receive(opens.data(), opens.size(), kNow);
    EXPECT(client->connected());
    std::uint8_t out[UdpClient::kRoom];
    EXPECT(client->transmit(kNow, out) > 0);
    std::vector<std::uint8_t> datagram = unhex(vector["datagram"].text);
    const Outcome outcome = client->receive(datagram.data(), datagram.size(), kNow);
    EXPECT_SAYING(vector["outcome"].text == name(outcome), vector["name"].text + ": " + name(outcome));
  }
}

TEST(arrivals) {
  const std::unique_ptr<UdpClient> client = answered(kNow);
  client->skip_to(1);  // the sequence that the vectors acknowledge.
  for (const Json& vector : all()["arrivals"].items) {
    std::vector<std::uint8_t> datagram = unhex(vector["datagram"].text);
    const Outcome outcome = client->receive(datagram.data(), datagram.size(), kNow);
    EXPECT_SAYING(vector["outcome"].text == name(outcome), vector["name"].text + ": " + name(outcome));
  }
}

TEST(challenges) {
  UdpClient client(crypto(), lz4(), agreement(), kNow);
  std::uint8_t out[UdpClient::kRoom];
  EXPECT(client.transmit(kNow, out) > 0);
  for (const Json& vector : all()["challenges"].items) {
    std::vector<std::uint8_t> datagram = unhex(vector["datagram"].text);
    const Outcome outcome = client.receive(datagram.data(), datagram.size(), kNow);
    EXPECT_SAYING(vector["outcome"].text == name(outcome), vector["name"].text + ": " + name(outcome));
    EXPECT((client.transmit(kNow, out) > 0) == (outcome == Outcome::kAccepted));
  }
}

TEST(heartbeats) {
  for (const Json& vector : all()["heartbeats"].items) {
    Timing timing;
    for (const Json& step : vector["steps"].items) {
      const Time now = static_cast<Time>(step["at_us"].number);
      if (step.has("sends")) {
        const wire::Heartbeat beat = timing.next_heartbeat(now);
        EXPECT_SAYING(beat.sent_us == step["sends"]["sent_us"].count(), vector["name"].text);
        EXPECT_SAYING(beat.echoed_us == step["sends"]["echoed_us"].count(), vector["name"].text);
        EXPECT_SAYING(beat.received_us == step["sends"]["received_us"].count(), vector["name"].text);
        continue;
      }
      const Json& said = step["receives"];
      timing.received_heartbeat({said["sent_us"].count(), said["echoed_us"].count(), said["received_us"].count()},
                                step["sequence"].count(), now);
      EXPECT_SAYING(timing.smoothed() < 0 ? step["smoothed"].null() : near(timing.smoothed(), step["smoothed"]),
                    vector["name"].text);
      EXPECT_SAYING(near(static_cast<double>(timing.timeout()) / 1e6, step["timeout"]), vector["name"].text);
      EXPECT_SAYING(timing.knows_offset() ? near(static_cast<double>(timing.offset()) / 1e6, step["offset"])
                                          : step["offset"].null(),
                    vector["name"].text);
    }
  }
}

TEST(rotations) {
  for (const Json& vector : all()["rotations"].items) {
    Sealer sealer(crypto(), 0xDEADBEEFU, generation(Sender::kClient, 0));
    for (const Json& step : vector["steps"].items) {
      sealer.skip_to(step["sequence"].count() - 1);
      sealer.before_heartbeat(static_cast<Time>(std::llround(step["seconds"].number * 1e6)),
                              step["acknowledged"].count());
      EXPECT_SAYING(sealer.generation().number == step["generation"].count(), vector["name"].text);
    }
  }
}

TEST(completions) {
  for (const Json& vector : all()["completions"].items) {
    const ReplayWindow window(vector["newest"].count());
    EXPECT(window.complete(static_cast<std::uint16_t>(vector["low"].count())) == vector["sequence"].count());
  }
}
