#include "owner.h"

#include "craftnet/text.h"

namespace testing {

using namespace craftnet;

WatchSettings watch_settings(bool udp) {
  WatchSettings made;
  made.udp = udp;
  made.session.fill(0xAA);
  made.player.fill(0x11);
  return made;
}

Owner::Owner(const WatchSettings& wanted) : server(crypto), watch(crypto, lz4, wanted, kStart) { step(); }

void Owner::step() {
  watch.tick(now);
  WatchRequest request;
  while (watch.next_request(request)) {
    requests.push_back(request);
    if (request.kind == WatchRequest::Kind::kToken && !token.empty()) watch.token(token, now);
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

void Owner::until(Time time) {
  while (now < time) {
    now = later(now + kMillisecond, earlier(time, watch.deadline()));
    step();
  }
}

WatchRequest* Owner::last_request(WatchRequest::Kind kind) {
  WatchRequest* found = nullptr;
  for (WatchRequest& request : requests) {
    if (request.kind == kind) found = &request;
  }
  return found;
}

int Owner::count(WatchEvent::Kind kind) const {
  int count = 0;
  for (const WatchEvent& event : events) count += event.kind == kind ? 1 : 0;
  return count;
}

void Owner::answer_connect() {
  const std::string text = to_text(server.agreement().token).data();
  watch.connect_answered(200,
                         "{\"session_token\":\"" + text +
                             R"(","server_endpoint":"[::1]:8082","compression_enabled":true,)"
                             R"("negotiated_packet_size":4096,"heartbeat_interval":5000,"compression":"lz4"})",
                         0, now);
  step();
}

void Owner::connect_udp() {
  answer_connect();
  watch.resolved(1, now);
  step();
  deliver(wire::Kind::kHeartbeat, std::vector<std::uint8_t>(24));
}

void Owner::deliver(wire::Kind kind, const std::vector<std::uint8_t>& body) {
  std::vector<std::uint8_t> datagram = server.seal(kind, body);
  watch.datagram(datagram.data(), datagram.size(), now);
  step();
}

void Owner::receive_text(const std::string& members) {
  watch.websocket_text(
      R"({"session_id":"aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa","timestamp":"2027-01-15T08:00:00Z",)" + members + "}",
      now);
  step();
}

}  // namespace testing
