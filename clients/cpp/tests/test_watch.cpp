// A watch: choice of transports, requests, reconnects, end.
#include <cstring>
#include <string>

#include "craftnet/liblz4.h"
#include "craftnet/openssl.h"
#include "craftnet/text.h"
#include "craftnet/watch.h"
#include "server.h"
#include "testing.h"

using namespace craftnet;
using testing::Server;

namespace {

OpenSslCrypto crypto;
LibLz4 lz4;
constexpr Time kNow = 1800000000 * kSecond;
using Kind = WatchRequest::Kind;
using Event = WatchEvent::Kind;

WatchSettings settings() {
  WatchSettings made;
  made.session.fill(0xAA);
  made.player.fill(0x11);
  return made;
}

/// A watch and its owner, with a clock that the test sets.
struct Owner {
  explicit Owner(const WatchSettings& wanted = settings()) : server(crypto), watch(crypto, lz4, wanted, kNow) {
    step();
  }

  /// Acts on what is due at `now`, and collects requests and events.
  void step() {
    watch.tick(now);
    WatchRequest request;
    while (watch.next_request(request)) {
      requests.push_back(request);
      if (request.kind == Kind::kToken && !token.empty()) watch.token(token, now);
    }
    std::uint8_t datagram[UdpClient::kRoom];
    for (std::size_t size = 0; (size = watch.transmit(now, datagram)) > 0;) {
      if (blocked) continue;
      server.take(datagram, size, now);
      if (server.answer.empty()) continue;
      watch.datagram(server.answer.data(), server.answer.size(), now);
      server.answer.clear();
    }
    WatchEvent event;
    while (watch.poll(event)) events.push_back(event);
  }

  /// Advances the clock to this time, deadline by deadline.
  void until(Time time) {
    while (now < time) {
      now = later(now + kMillisecond, earlier(time, watch.deadline()));
      step();
    }
  }

  /// The newest request of this kind; null when there is none in `requests`.
  WatchRequest* last_request(Kind kind) {
    WatchRequest* found = nullptr;
    for (WatchRequest& request : requests) {
      if (request.kind == kind) found = &request;
    }
    return found;
  }

  int count(Event kind) {
    int count = 0;
    for (const WatchEvent& event : events) count += event.kind == kind ? 1 : 0;
    return count;
  }

  void answer_connect() {
    const std::string text = to_text(server.agreement().token).data();
    watch.connect_answered(200,
                           "{\"session_token\":\"" + text +
                               R"(","server_endpoint":"[::1]:8082","compression_enabled":true,)"
                               R"("negotiated_packet_size":4096,"heartbeat_interval":5000,"compression":"lz4"})",
                           0, now);
    step();
  }

  void connect_udp() {
    answer_connect();
    watch.resolved(1, now);
    step();
    deliver(wire::Kind::kHeartbeat, std::vector<std::uint8_t>(24));
  }

  void deliver(wire::Kind kind, const std::vector<std::uint8_t>& body) {
    std::vector<std::uint8_t> datagram = server.seal(kind, body);
    watch.datagram(datagram.data(), datagram.size(), now);
    step();
  }

  void receive_text(const std::string& data) {
    watch.websocket_text(
        R"({"session_id":"aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa","timestamp":"2027-01-15T08:00:00Z",)" + data + "}",
        now);
    step();
  }

  Server server;
  std::string token = "a.b.c";
  bool blocked = false;
  Time now = kNow;
  std::vector<WatchRequest> requests;
  std::vector<WatchEvent> events;
  Watch watch;
};

}  // namespace

TEST(watch_goes_over_udp) {
  Owner owner;
  WatchRequest* connect = owner.last_request(Kind::kConnect);
  EXPECT(connect != nullptr && connect->target == "/udp/sessions/aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa/connect");
  EXPECT(connect->body.find("\"supported_compression\":[\"lz4\"]") != std::string::npos);
  owner.answer_connect();
  WatchRequest* resolve = owner.last_request(Kind::kResolve);
  EXPECT(resolve != nullptr && resolve->target == "::1" && resolve->port == 8082);
  owner.watch.resolved(1, owner.now);
  owner.step();
  owner.deliver(wire::Kind::kHeartbeat, std::vector<std::uint8_t>(24));
  EXPECT(owner.count(Event::kConnected) == 1 && owner.watch.transport() == Transport::kUdp);
  owner.deliver(wire::Kind::kState, testing::table_state(3, 10, 5));
  EXPECT(owner.count(Event::kMaterials) == 1 && owner.watch.materials()->size() == 10);
  owner.deliver(wire::Kind::kState, testing::progress_state(1, wire::Status::kCompleted, 10000, 0, 1800000000000));
  EXPECT(owner.watch.result() == Watch::Result::kCompleted && owner.count(Event::kEnded) == 1);
  EXPECT(owner.server.received.back().kind == wire::Kind::kClose);
}

TEST(watch_falls_back_and_returns) {
  Owner owner;
  owner.connect_udp();
  owner.deliver(wire::Kind::kState, {9, 0, 0, 0, 0, 0, 0, 0, 42, 4, 'e', 'p', 'o', 'c'});
  EXPECT(owner.watch.position().version == 42);
  owner.blocked = true;
  owner.until(kNow + 60 * kSecond);  // a timeout, another attempt, and its 3 s.
  EXPECT(owner.last_request(Kind::kConnect) != nullptr && owner.last_request(Kind::kOpenWebSocket) == nullptr);
  owner.answer_connect();
  owner.watch.resolved(1, owner.now);
  owner.until(owner.now + 3 * kSecond);
  WatchRequest* open = owner.last_request(Kind::kOpenWebSocket);
  EXPECT(open != nullptr && open->target.find("resume=epoc:42:udp") != std::string::npos);
  EXPECT(open->protocols.size() == 2 && open->protocols[0] == "craftnet.bin.v1" &&
         open->protocols[1] == "craftnet.json.v1");
  owner.watch.websocket_opened("craftnet.bin.v1", owner.now);
  owner.receive_text(R"("type":"queue_status","epoch":"epoc","version":50,"recovered":true)");
  EXPECT(owner.watch.transport() == Transport::kWebSocket && owner.count(Event::kReset) == 0);
  EXPECT(owner.watch.position().version == 50);
  owner.requests.clear();
  owner.blocked = false;
  const Time from = owner.now;
  while (owner.last_request(Kind::kConnect) == nullptr && owner.now < from + 31 * kSecond) {
    owner.until(owner.now + 10 * kSecond);
    owner.receive_text(R"("type":"progress_update")");  // a heartbeat
  }
  EXPECT(owner.last_request(Kind::kConnect) != nullptr);  // UDP is tried while the WebSocket stays open.
  EXPECT(owner.last_request(Kind::kCloseWebSocket) == nullptr);
  owner.connect_udp();
  EXPECT(owner.watch.transport() == Transport::kUdp && owner.last_request(Kind::kCloseWebSocket) != nullptr);
}

TEST(watch_without_udp) {
  WatchSettings wanted = settings();
  wanted.udp = false;
  Owner owner(wanted);
  EXPECT(owner.last_request(Kind::kConnect) == nullptr);
  EXPECT(owner.last_request(Kind::kOpenWebSocket)->target.find("resume=0:0") != std::string::npos);
  owner.watch.websocket_opened("craftnet.json.v1", owner.now);
  owner.receive_text(R"("type":"queue_status","epoch":"epoc","version":50,"recovered":false)");
  EXPECT(owner.count(Event::kReset) == 1);
  owner.receive_text(
      R"("type":"crafting_failed","progress_data":{"progress_percentage":3,"status":"failed","failure_reason":"gone"})");
  EXPECT(owner.watch.result() == Watch::Result::kFailed && owner.watch.failure_reason() == "gone");
}

TEST(watch_asks_for_a_fresh_token_once) {
  Owner owner;
  owner.requests.clear();
  owner.watch.connect_answered(401, "{}", 0, owner.now);
  owner.until(owner.now + kSecond);
  EXPECT(owner.last_request(Kind::kToken) != nullptr && owner.last_request(Kind::kToken)->fresh &&
         owner.last_request(Kind::kConnect) != nullptr);
  owner.watch.connect_answered(401, "{}", 0, owner.now);
  owner.step();
  EXPECT(owner.watch.result() == Watch::Result::kRefused);
}

TEST(watch_renews_its_token) {
  // {"exp":1800000100}: 100 s from now; a quarter of that is less than 30 s.
  Owner owner;
  owner.token = "x.eyJleHAiOjE4MDAwMDAxMDB9.y";
  owner.watch.token(owner.token, owner.now);
  owner.connect_udp();
  owner.requests.clear();
  owner.token = "x.eyJleHAiOjE4MDAwMDkwMDB9.y";
  for (; owner.now < kNow + 76 * kSecond; owner.until(owner.now + 4 * kSecond)) {
    owner.deliver(wire::Kind::kState, testing::progress_state(1, wire::Status::kActive, 2000, 40000, 1800000000000));
  }
  EXPECT(owner.last_request(Kind::kToken) != nullptr && owner.last_request(Kind::kToken)->fresh);
  WatchRequest* connect =
      owner.last_request(Kind::kConnect);  // with the session_token: the session then lasts as long as the new token.
  EXPECT(connect != nullptr && connect->body.find("session_token") != std::string::npos);
  EXPECT(owner.count(Event::kConnected) == 1);
}

TEST(watch_sends_a_fresh_token_over_the_websocket) {
  WatchSettings wanted = settings();
  wanted.udp = false;
  Owner owner(wanted);
  owner.watch.websocket_opened("", owner.now);
  owner.watch.token("d.e.f", owner.now);
  owner.step();
  EXPECT(owner.last_request(Kind::kSendText)->body == R"({"type":"token","token":"d.e.f"})");
}

TEST(watch_obeys_the_server) {
  WatchSettings wanted = settings();
  wanted.udp = false;
  Owner owner(wanted);
  owner.watch.websocket_opened("", owner.now);
  owner.watch.websocket_closed(1001, "retry in 7.0 s", owner.now);
  owner.requests.clear();
  owner.until(kNow + 7 * kSecond);
  EXPECT(owner.last_request(Kind::kOpenWebSocket) == nullptr);
  owner.until(kNow + 8 * kSecond);
  EXPECT(owner.last_request(Kind::kOpenWebSocket) != nullptr);
  owner.watch.websocket_opened("", owner.now);
  owner.watch.websocket_closed(4003, "", owner.now);
  owner.step();
  EXPECT(owner.watch.result() == Watch::Result::kRefused);
}

TEST(watch_notices_a_silent_websocket) {
  WatchSettings wanted = settings();
  wanted.udp = false;
  Owner owner(wanted);
  owner.watch.websocket_opened("", owner.now);
  owner.step();
  owner.until(kNow + 29 * kSecond);
  EXPECT(owner.count(Event::kLost) == 0);
  owner.until(kNow + 31 * kSecond);
  EXPECT(owner.count(Event::kLost) == 1);
}

TEST(watch_gives_up) {
  Owner owner;
  for (int attempts = 0; owner.watch.result() == Watch::Result::kNone && attempts < 100; ++attempts) {
    owner.watch.connect_answered(0, "", 0, owner.now);
    owner.until(owner.now + kSecond);
  }
  EXPECT(owner.watch.result() == Watch::Result::kUnreachable);
}

TEST(watch_stops) {
  Owner owner;
  owner.connect_udp();
  owner.watch.stop(owner.now);
  owner.step();
  EXPECT(owner.watch.result() == Watch::Result::kStopped && owner.server.received.back().kind == wire::Kind::kClose);
  owner.events.clear();
  owner.deliver(wire::Kind::kState, testing::progress_state(1, wire::Status::kActive, 2000, 40000, 1800000000000));
  EXPECT(owner.events.empty() && owner.watch.deadline() == kNever);
}
