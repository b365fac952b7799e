// A watch: choice of transports, requests, reconnects, end.
#include <string>

#include "craftnet/connect.h"
#include "owner.h"
#include "testing.h"

using namespace craftnet;
using testing::kStart;
using testing::Owner;
using testing::watch_settings;
using Kind = WatchRequest::Kind;
using Event = WatchEvent::Kind;

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
  owner.until(kStart + 19 * kSecond);  // a timeout, and another attempt.
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
  Owner owner(watch_settings(false));
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
  for (; owner.now < kStart + 76 * kSecond; owner.until(owner.now + 4 * kSecond)) {
    owner.deliver(wire::Kind::kState, testing::progress_state(1, wire::Status::kActive, 2000, 40000, 1800000000000));
  }
  EXPECT(owner.last_request(Kind::kToken) != nullptr && owner.last_request(Kind::kToken)->fresh);
  WatchRequest* connect =
      owner.last_request(Kind::kConnect);  // with the session_token: the session then lasts as long as the new token.
  EXPECT(connect != nullptr && connect->body.find("session_token") != std::string::npos);
  EXPECT(owner.count(Event::kConnected) == 1);
}

TEST(watch_prefers_a_region) {
  WatchSettings settings = watch_settings(true);
  settings.region = "us-east";
  Owner owner(settings);
  WatchRequest* connect = owner.last_request(Kind::kConnect);
  EXPECT(connect != nullptr && connect->body.find(R"("preferred_region":"us-east")") != std::string::npos);
}

TEST(watch_asks_for_the_expected_progress) {
  for (const bool expected : {false, true}) {
    WatchSettings settings = watch_settings(true);
    settings.expected = expected;
    Owner owner(settings);
    WatchRequest* connect = owner.last_request(Kind::kConnect);
    EXPECT(connect != nullptr && (connect->body.find(R"("expected":true)") != std::string::npos) == expected);
  }
}

TEST(connect_body_has_no_invalid_region) {
  for (const std::string_view region : {"", "US-EAST", "a\"b", "a\\"}) {
    EXPECT(connect_body(Uuid{}, true, nullptr, region).find("preferred_region") == std::string::npos);
  }
}

TEST(watch_sends_a_fresh_token_over_the_websocket) {
  Owner owner(watch_settings(false));
  owner.watch.websocket_opened("", owner.now);
  owner.watch.token("d.e.f", owner.now);
  owner.step();
  EXPECT(owner.last_request(Kind::kSendText)->body == R"({"type":"token","token":"d.e.f"})");
}

TEST(watch_obeys_the_server) {
  Owner owner(watch_settings(false));
  owner.watch.websocket_opened("", owner.now);
  owner.watch.websocket_closed(1001, "retry in 7.0 s", owner.now);
  owner.requests.clear();
  owner.until(kStart + 7 * kSecond - 10 * kMillisecond);  // the random wait after the 7 s may be very short.
  EXPECT(owner.last_request(Kind::kOpenWebSocket) == nullptr);
  owner.until(kStart + 8 * kSecond);
  EXPECT(owner.last_request(Kind::kOpenWebSocket) != nullptr);
  owner.watch.websocket_opened("", owner.now);
  owner.watch.websocket_closed(4003, "", owner.now);
  owner.step();
  EXPECT(owner.watch.result() == Watch::Result::kRefused);
}

TEST(watch_notices_a_silent_websocket) {
  Owner owner(watch_settings(false));
  owner.watch.websocket_opened("", owner.now);
  owner.step();
  owner.until(kStart + 29 * kSecond);
  EXPECT(owner.count(Event::kLost) == 0);
  owner.until(kStart + 31 * kSecond);
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

TEST(watch_does_not_wait_for_a_server_that_never_answers) {
  Owner owner;
  owner.until(kStart + 9 * kSecond);
  EXPECT(owner.last_request(Kind::kOpenWebSocket) == nullptr);
  owner.until(kStart + 10 * kSecond);
  EXPECT(owner.last_request(Kind::kOpenWebSocket) != nullptr);  // instead of …/connect.
  owner.requests.clear();
  owner.until(kStart + 21 * kSecond);
  EXPECT(owner.last_request(Kind::kCloseWebSocket) != nullptr && owner.last_request(Kind::kOpenWebSocket) != nullptr);
  owner.until(kStart + 120 * kSecond);
  EXPECT(owner.watch.result() == Watch::Result::kUnreachable);
}

TEST(watch_keeps_old_messages_when_nobody_polls) {
  Owner owner(watch_settings(false));
  owner.watch.websocket_opened("", owner.now);
  for (int quantity = 1; quantity < 2000; ++quantity) {
    owner.watch.websocket_text(R"({"session_id":"aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa","type":"material_notification",)"
                               R"("material_data":{"available_quantity":)" +
                                   std::to_string(quantity) + "}}",
                               owner.now);
  }
  owner.step();
  EXPECT(owner.count(Event::kMessage) > 1000);
  std::uint32_t before = 0;
  for (const WatchEvent& event : owner.events) {
    if (event.kind != Event::kMessage) continue;
    EXPECT(event.message.material.available_quantity == before + 1);
    before = event.message.material.available_quantity;
  }
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

TEST(watch_keeps_its_token_out_of_urls) {
  for (const bool udp : {true, false}) {
    Owner owner(watch_settings(udp));
    EXPECT(owner.watch.bearer() == "a.b.c" && owner.requests.size() == 2);
    for (const WatchRequest& request : owner.requests) {
      EXPECT(request.target.find("a.b.c") == std::string::npos);
      for (const std::string& protocol : request.protocols) EXPECT(protocol.find("a.b.c") == std::string::npos);
    }
  }
}
