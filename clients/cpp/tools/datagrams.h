// The UDP socket, the clock, and the key log of craftnet-watch.
#pragma once

#include <sys/socket.h>

#include <string>
#include <vector>

#include "craftnet/openssl.h"
#include "craftnet/time.h"

namespace tools {

/// Unix time at the program's start, plus the time that a monotonic clock has counted since.
craftnet::Time now();

/// A UDP socket, and the addresses of a server.
class Datagrams {
 public:
  Datagrams() = default;
  Datagrams(const Datagrams&) = delete;
  Datagrams& operator=(const Datagrams&) = delete;
  ~Datagrams() { close(); }

  /// Looks up the host and opens a socket. Returns the number of its addresses, at most Handshake::kMaxServers.
  std::size_t open(const std::string& host, std::uint16_t port);
  void close();

  /// Sends to the address with this index. A failure counts as a lost datagram.
  void send(const std::uint8_t* datagram, std::size_t size, std::size_t server);

  /// The size of the next received datagram; 0 when there is none.
  std::size_t receive(std::uint8_t* datagram, std::size_t room);

  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  int descriptor_ = -1;
  socklen_t size_ = 0;
  std::vector<sockaddr_storage> addresses_;
};

/// OpenSSL, with a line in the file that CRAFTNET_KEYLOG names for each key: clients/wireshark reads it.
class LoggedCrypto final : public craftnet::OpenSslCrypto {
#ifdef CRAFTNET_KEYLOG
 public:
  LoggedCrypto();
  LoggedCrypto(const LoggedCrypto&) = delete;
  LoggedCrypto& operator=(const LoggedCrypto&) = delete;
  ~LoggedCrypto() override;

  void key_made(std::uint32_t connection_id, craftnet::Sender sender,
                const craftnet::Generation& generation) noexcept override;

 private:
  int file_ = -1;
#endif
};

}  // namespace tools
