// A connection from HELLO to CLOSE, with a server in the same process.
#include <cmath>

#include "pair.h"
#include "testing.h"

using namespace craftnet;
using testing::kNow;
using testing::Pair;
using testing::progress_state;
using testing::Server;

namespace {

constexpr std::uint64_t kNowMs = 1800000000000;

using Kind = UdpEvent::Kind;

std::vector<int> kinds(std::initializer_list<Kind> wanted) {
  std::vector<int> numbers;
  for (const Kind kind : wanted) numbers.push_back(static_cast<int>(kind));
  return numbers;
}

}  // namespace

TEST(connection_reports_progress_and_materials) {
  Pair pair;
  EXPECT(pair.count(wire::Kind::kHeartbeat) >= 1);
  EXPECT(pair.deliver_state(progress_state(1, wire::Status::kActive, 2000, 40000, kNowMs), kNow) == Outcome::kAccepted);
  EXPECT(pair.deliver_state(testing::table_state(3, 10, 5), kNow) == Outcome::kAccepted);
  EXPECT(pair.events() == kinds({Kind::kConnected, Kind::kProgress, Kind::kMaterials}));
  EXPECT(pair.events().empty());
  Bar::Shown shown;
  EXPECT(pair.client.shown(0, kNow + 10 * kSecond, shown) && std::fabs(shown.percent - 40) < 0.01);
  EXPECT(shown.error > 0.5 && shown.error < 0.6);
  EXPECT(pair.deliver_state(testing::delta_state(4, 1, 900), kNow) == Outcome::kAccepted);
  EXPECT(pair.client.session(0)->materials().table()[0].quantity == 900);
}

TEST(ack_after_20_ms_or_16_states) {
  Pair pair;
  (void)pair.deliver_state(testing::table_state(3, 10, 5), kNow);
  EXPECT(pair.count(wire::Kind::kAck) == 0 && pair.client.deadline() == kNow + 20 * kMillisecond);
  exchange(pair.client, pair.server, kNow + 20 * kMillisecond);
  EXPECT(pair.count(wire::Kind::kAck) == 1);
  EXPECT(pair.server.received.back().body == std::vector<std::uint8_t>({0, 0, 0, 3}));
  for (std::uint32_t version = 4; version < 20; ++version) {
    EXPECT(pair.count(wire::Kind::kAck) == 1);
    (void)pair.deliver_state(testing::delta_state(version, 1, version), kNow + 21 * kMillisecond);
  }
  EXPECT(pair.count(wire::Kind::kAck) == 2);
}

TEST(resync_once_a_second) {
  Pair pair;
  EXPECT(pair.deliver_state(testing::delta_state(9, 1, 5), kNow) == Outcome::kAccepted);
  EXPECT(pair.client.count(Outcome::kNoBaseline) == 1 && pair.count(wire::Kind::kResync) == 1);
  (void)pair.deliver_state(testing::delta_state(9, 1, 5), kNow + kSecond / 2);
  EXPECT(pair.count(wire::Kind::kResync) == 1);
  exchange(pair.client, pair.server, kNow + kSecond);
  EXPECT(pair.count(wire::Kind::kResync) == 2);
}

TEST(tables_of_before) {
  Pair pair;
  (void)pair.deliver_state(testing::table_state(1, 10, 1), kNow);
  for (std::uint32_t version = 2; version <= 33; ++version) {
    EXPECT(pair.deliver_state(testing::delta_state(version, 1, version), kNow) == Outcome::kAccepted);
  }
  EXPECT(pair.client.count(Outcome::kNoBaseline) == 0);
  (void)pair.deliver_state(testing::delta_state(40, 38, 77), kNow);  // of version 2, the oldest of 32.
  EXPECT(pair.client.count(Outcome::kNoBaseline) == 0);
  EXPECT(pair.client.session(0)->materials().table()[0].quantity == 77);
  (void)pair.deliver_state(testing::delta_state(41, 40, 77), kNow);
  EXPECT(pair.client.count(Outcome::kNoBaseline) == 1);  // of version 1, the 33rd.
}

TEST(tables_with_other_materials_are_kept) {
  Pair pair;
  (void)pair.deliver_state(testing::table_state(1, 10, 1), kNow);
  (void)pair.deliver_state(testing::table_state(2, 3, 2), kNow);
  (void)pair.deliver_state(testing::delta_state(3, 2, 9), kNow);
  const Table& table = pair.client.session(0)->materials().table();
  EXPECT(pair.client.count(Outcome::kNoBaseline) == 0 && table.size() == 10 && table[0].quantity == 9 &&
         table[1].quantity == 1);
}

TEST(path_challenge_is_answered_at_once) {
  Pair pair;
  const std::vector<std::uint8_t> data = {1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT(pair.deliver(pair.server.seal(wire::Kind::kPathChallenge, data), kNow) == Outcome::kAccepted);
  EXPECT(pair.server.received.back().kind == wire::Kind::kPathResponse && pair.server.received.back().body == data);
}

/// The number of heartbeats in the second before each of these, while the server is heard.
std::vector<int> heartbeats(Pair& pair, Time until) {
  std::vector<int> found;
  for (Time now = kNow + kSecond; now <= kNow + until; now = now + kSecond) {
    const int before = pair.count(wire::Kind::kHeartbeat);
    exchange(pair.client, pair.server, now);
    (void)pair.deliver_state(testing::table_state(1, 1, 1), now);
    found.push_back(pair.count(wire::Kind::kHeartbeat) - before);
  }
  return found;
}

TEST(a_changed_address_is_shown_every_second_for_a_minute) {
  for (const bool noticed : {true, false}) {
    Pair pair;
    if (noticed) {
      pair.client.moved(kNow);
    } else {
      (void)pair.deliver(pair.server.seal(wire::Kind::kPathChallenge, std::vector<std::uint8_t>(8)), kNow);
    }
    const std::vector<int> found = heartbeats(pair, 64 * kSecond);
    EXPECT(std::vector<int>(found.begin(), found.begin() + 60) == std::vector<int>(60, 1));
    EXPECT(std::vector<int>(found.begin() + 60, found.end()) == std::vector<int>(4, 0));
  }
}

TEST(close_is_acknowledged_and_ends) {
  Pair pair;
  EXPECT(pair.deliver(pair.server.seal(wire::Kind::kClose, {2}), kNow) == Outcome::kAccepted);
  EXPECT(pair.server.received.back().kind == wire::Kind::kAck);
  EXPECT(pair.client.ending() == Ending::kClosed && pair.client.close_reason() == wire::Reason::kGoingAway);
  EXPECT(pair.events() == kinds({Kind::kConnected, Kind::kEnded}));
  EXPECT(pair.client.deadline() == kNever);
}

TEST(silence_ends) {
  Pair pair;
  std::uint8_t datagram[UdpClient::kRoom];
  Time now = kNow;
  int heartbeats = 0;
  while (pair.client.ending() == Ending::kNone && now < kNow + 20 * kSecond) {
    while (pair.client.transmit(now, datagram) > 0) ++heartbeats;
    now = later(now + kMillisecond, earlier(pair.client.deadline(), now + kSecond));
  }
  EXPECT(pair.client.ending() == Ending::kSilent && now >= kNow + 15 * kSecond);
  EXPECT(heartbeats >= 10);  // every second, while the server is silent.
}

TEST(nobody_answers) {
  OpenSslCrypto crypto;
  LibLz4 lz4;
  Server server(crypto);
  Agreement agreement = server.agreement();
  agreement.servers = 2;
  UdpClient client(crypto, lz4, agreement, kNow);
  std::uint8_t datagram[UdpClient::kRoom];
  std::vector<std::size_t> servers;
  Time now = kNow;
  while (client.ending() == Ending::kNone) {
    while (client.transmit(now, datagram) > 0) servers.push_back(client.server());
    now = client.deadline();
    if (now == kNever) break;
  }
  EXPECT(client.ending() == Ending::kUnreachable && now == kNever);
  EXPECT(servers.size() > 6 && servers[0] == 0 && servers[1] == 1 && servers[2] == 0);
}

TEST(leaving) {
  Pair pair;
  pair.client.join(1);
  pair.client.leave(1, kNow);
  exchange(pair.client, pair.server, kNow);
  EXPECT(pair.server.received.back().kind == wire::Kind::kLeave);
  EXPECT(pair.server.received.back().body == std::vector<std::uint8_t>({1}));
  const int before = pair.count(wire::Kind::kLeave);
  exchange(pair.client, pair.server, kNow + 5 * kSecond);
  EXPECT(pair.count(wire::Kind::kLeave) == before + 1);
  (void)pair.deliver_state({7, 1, 8, 6}, kNow + 5 * kSecond);
  EXPECT(pair.client.session(1)->over());
  pair.client.leave(0, kNow + 6 * kSecond);
  exchange(pair.client, pair.server, kNow + 6 * kSecond);
  EXPECT(pair.server.received.back().kind == wire::Kind::kClose && pair.client.ending() == Ending::kLeft);
}

TEST(sessions_that_nobody_claims_are_left) {
  Pair pair;
  std::vector<std::uint8_t> body = {7, 5};
  const std::vector<std::uint8_t> progress = progress_state(1, wire::Status::kActive, 2000, 40000, kNowMs);
  body.insert(body.end(), progress.begin(), progress.end());
  (void)pair.deliver_state(body, kNow);
  for (Time now = kNow; now < kNow + 20 * kSecond; now += kSecond) {
    (void)pair.deliver_state(progress, now);
    EXPECT(pair.count(wire::Kind::kLeave) == 0);
  }
  exchange(pair.client, pair.server, kNow + 20 * kSecond);
  EXPECT(pair.count(wire::Kind::kLeave) == 1);
}

TEST(fresh_secret) {
  Pair pair;
  std::vector<std::uint8_t> body(33, 0x55);
  body[0] = 6;
  (void)pair.deliver_state(body, kNow);
  EXPECT(pair.client.session_token().secret[0] == 0x55 && pair.client.session_token().connection_id == 0xCAFE);
  EXPECT(pair.events() == kinds({Kind::kConnected, Kind::kRenewed}));
}

TEST(position_of_an_older_datagram_is_dropped) {
  Pair pair;
  const auto position = [](std::uint8_t version) {
    return std::vector<std::uint8_t>{9, 0, 0, 0, 0, 0, 0, 0, version, 1, 'e'};
  };
  EXPECT(pair.deliver(pair.server.seal_as(5, wire::Kind::kState, position(7)), kNow) == Outcome::kAccepted);
  EXPECT(pair.deliver(pair.server.seal_as(4, wire::Kind::kState, position(6)), kNow) == Outcome::kAccepted);
  (void)pair.events();
  EXPECT(pair.client.session(0)->position().version == 7);
}

TEST(bar_never_goes_back_but_with_the_craft) {
  Bar bar;
  Progress progress;
  progress.percent = 20;
  progress.anchor = 0;
  progress.remaining = 40;
  EXPECT(std::fabs(bar.at(progress, 10 * kSecond, 0.5).percent - 40) < 1e-9);
  progress.percent = 39;
  progress.anchor = 10 * kSecond;
  bar.updated();
  const Bar::Shown waits = bar.at(progress, 10 * kSecond, 0.5);
  EXPECT(std::fabs(waits.percent - 40) < 1e-9 && std::fabs(waits.error - 1.5) < 1e-9);
  progress.percent = 30;
  bar.updated();
  EXPECT(std::fabs(bar.at(progress, 10 * kSecond, 0.5).percent - 30) < 1e-9);
}

TEST(bar_glides_over_a_jump) {
  Bar bar(0.15);
  Progress progress;
  progress.percent = 20;
  progress.status = wire::Status::kPaused;
  (void)bar.at(progress, 0, 0.5);
  progress.percent = 30;
  bar.updated();
  double before = 20;
  for (Time now = 16 * kMillisecond; now < kSecond; now += 16 * kMillisecond) {
    const Bar::Shown shown = bar.at(progress, now, 0.5);
    EXPECT(shown.percent > before && shown.percent < 30 && shown.percent - before < 1.1);
    EXPECT(std::fabs(shown.error - (0.5 + 30 - shown.percent)) < 1e-9);
    before = shown.percent;
  }
  EXPECT(before > 29.9);
  progress.status = wire::Status::kCompleted;
  bar.updated();
  EXPECT(bar.at(progress, kSecond, 0.5).percent == 100.0);
}
