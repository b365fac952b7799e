#include "stream.h"

#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace tools {

bool Stream::connect(const std::string& host, const std::string& port) {
  close();
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return false;
  descriptor_ = socket(found->ai_family, SOCK_STREAM, 0);
  bool begun = false;
  if (descriptor_ >= 0 && fcntl(descriptor_, F_SETFL, O_NONBLOCK) == 0) {
    begun = ::connect(descriptor_, found->ai_addr, found->ai_addrlen) == 0 || errno == EINPROGRESS;
  }
  freeaddrinfo(found);
  if (!begun) close();
  return begun;
}

bool Stream::pump() {
  if (descriptor_ < 0) return false;
  while (!out_.empty()) {
    const ssize_t written = ::send(descriptor_, out_.data(), out_.size(), MSG_NOSIGNAL);
    if (written < 0 && (errno == EAGAIN || errno == EINPROGRESS || errno == ENOTCONN)) break;
    if (written <= 0) return false;
    out_.erase(0, static_cast<std::size_t>(written));
  }
  char buffer[65536];
  for (;;) {
    const ssize_t size = recv(descriptor_, buffer, sizeof buffer, 0);
    if (size < 0) return errno == EAGAIN || errno == ENOTCONN || errno == EINPROGRESS;
    if (size == 0) return false;
    in.append(buffer, static_cast<std::size_t>(size));
  }
}

void Stream::close() {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  in.clear();
  out_.clear();
}

}  // namespace tools
