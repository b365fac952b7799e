#include "datagrams.h"

#include <fcntl.h>
#include <netdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "craftnet/handshake.h"

namespace tools {

craftnet::Time now() {
  using std::chrono::duration_cast;
  using std::chrono::microseconds;
  static const auto start = std::chrono::steady_clock::now();
  static const craftnet::Time began =
      duration_cast<microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  return began + duration_cast<microseconds>(std::chrono::steady_clock::now() - start).count();
}

std::size_t Datagrams::open(const std::string& host, std::uint16_t port) {
  close();
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return 0;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    if (each->ai_family != found->ai_family || addresses_.size() == craftnet::Handshake::kMaxServers) continue;
    sockaddr_storage address{};
    std::memcpy(&address, each->ai_addr, each->ai_addrlen);
    addresses_.push_back(address);
    size_ = each->ai_addrlen;
  }
  descriptor_ = socket(found->ai_family, SOCK_DGRAM, 0);
  freeaddrinfo(found);
  if (descriptor_ < 0 || fcntl(descriptor_, F_SETFL, O_NONBLOCK) != 0) return 0;
  return addresses_.size();
}

void Datagrams::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  addresses_.clear();
}

void Datagrams::send(const std::uint8_t* datagram, std::size_t size, std::size_t server) {
  if (descriptor_ < 0 || server >= addresses_.size()) return;
  (void)sendto(descriptor_, datagram, size, 0, reinterpret_cast<const sockaddr*>(&addresses_[server]), size_);
}

std::size_t Datagrams::receive(std::uint8_t* datagram, std::size_t room) {
  const ssize_t size = descriptor_ < 0 ? -1 : recv(descriptor_, datagram, room, 0);
  return size > 0 ? static_cast<std::size_t>(size) : 0;
}

#ifdef CRAFTNET_KEYLOG

namespace {

void append_hex(std::string& line, const std::uint8_t* octets, std::size_t size) {
  for (std::size_t k = 0; k < size; ++k) {
    line += "0123456789abcdef"[octets[k] >> 4];
    line += "0123456789abcdef"[octets[k] & 15U];
  }
}

}  // namespace

LoggedCrypto::LoggedCrypto() {
  const char* path = std::getenv("CRAFTNET_KEYLOG");
  if (path == nullptr) return;
  file_ = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file_ >= 0 && fchmod(file_, 0600) != 0) {  // the file of someone else.
    close(file_);
    file_ = -1;
  }
  std::fprintf(stderr,
               file_ < 0 ? "CRAFTNET_KEYLOG: cannot write %s\n"
                         : "CRAFTNET_KEYLOG: anyone who reads %s can read these connections\n",
               path);
}

LoggedCrypto::~LoggedCrypto() {
  if (file_ >= 0) close(file_);
}

void LoggedCrypto::key_made(std::uint32_t connection_id, craftnet::Sender sender,
                            const craftnet::Generation& generation) noexcept {
  if (file_ < 0) return;
  std::string line(64, '\0');
  const char* name = sender == craftnet::Sender::kClient ? "client" : "server";
  line.resize(static_cast<std::size_t>(
      std::snprintf(line.data(), line.size(), "CRAFTNET_UDP_1 %08x %s %u ", connection_id, name, generation.number)));
  append_hex(line, generation.key.data(), generation.key.size());
  line += ' ';
  append_hex(line, generation.iv.data(), generation.iv.size());
  line += '\n';
  (void)!write(file_, line.data(), line.size());
}

#endif

}  // namespace tools
