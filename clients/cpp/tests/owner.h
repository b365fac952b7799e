// A watch and its owner, for tests of what a watch does over time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "craftnet/liblz4.h"
#include "craftnet/openssl.h"
#include "craftnet/watch.h"
#include "server.h"

namespace testing {

constexpr craftnet::Time kStart = 1800000000 * craftnet::kSecond;

/// Settings for the session aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa, over UDP and WebSocket or over WebSocket alone.
craftnet::WatchSettings watch_settings(bool udp = true);

/// A watch and its owner, with a clock that the test sets.
struct Owner {
  explicit Owner(const craftnet::WatchSettings& wanted = watch_settings());

  /// Acts on what is due at `now`, and collects requests and events.
  void step();

  /// Advances the clock to this time, deadline by deadline.
  void until(craftnet::Time time);

  /// The newest request of this kind; null when there is none in `requests`.
  craftnet::WatchRequest* last_request(craftnet::WatchRequest::Kind kind);
  int count(craftnet::WatchEvent::Kind kind) const;

  /// Answers …/connect with the server's agreement.
  void answer_connect();
  void connect_udp();

  /// Delivers a sealed datagram to the watch.
  void deliver(craftnet::wire::Kind kind, const std::vector<std::uint8_t>& body);

  /// Delivers a WebSocket message of the session with these further members.
  void receive_text(const std::string& members);

  craftnet::OpenSslCrypto crypto;
  craftnet::LibLz4 lz4;
  Server server;
  std::string token = "a.b.c";
  bool blocked = false;  // datagrams of the watch are lost.
  craftnet::Time now = kStart;
  std::vector<craftnet::WatchRequest> requests;
  std::vector<craftnet::WatchEvent> events;
  craftnet::Watch watch;
};

}  // namespace testing
