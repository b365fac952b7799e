#include "stream.h"

#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tools {

Authorities::~Authorities() { SSL_CTX_free(context_); }

bool Authorities::load(const std::string& path) {
  context_ = SSL_CTX_new(TLS_client_method());
  if (context_ == nullptr) return false;
  SSL_CTX_set_min_proto_version(context_, TLS1_2_VERSION);
  SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(context_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (path.empty()) return SSL_CTX_set_default_verify_paths(context_) == 1;
  return SSL_CTX_load_verify_locations(context_, path.c_str(), nullptr) == 1;
}

bool Stream::connect(const std::string& host, const std::string& port, const Authorities* tls) {
  close();
  host_ = host;
  tls_ = tls;
  failure_.clear();
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int status = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (status != 0) {
    failure_ = gai_strerror(status);
    return false;
  }
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    Address address{{}, each->ai_addrlen};
    std::memcpy(&address.address, each->ai_addr, each->ai_addrlen);
    addresses_.insert(addresses_.begin(), address);
  }
  freeaddrinfo(found);
  return connect_next();
}

bool Stream::connect_next() {
  while (!addresses_.empty()) {
    close_descriptor();
    const Address next = addresses_.back();
    addresses_.pop_back();
    descriptor_ = socket(next.address.ss_family, SOCK_STREAM, 0);
    if (descriptor_ < 0 || fcntl(descriptor_, F_SETFL, O_NONBLOCK) != 0) continue;
    if (::connect(descriptor_, reinterpret_cast<const sockaddr*>(&next.address), next.size) == 0) return true;
    if (errno == EINPROGRESS) return true;
    failure_ = std::strerror(errno);
  }
  close_descriptor();
  return false;
}

bool Stream::pump() {
  if (descriptor_ < 0) return false;
  if (!connected_) {
    pollfd writable{descriptor_, POLLOUT, 0};
    if (::poll(&writable, 1, 0) <= 0) return true;
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
      failure_ = std::strerror(error);
      return connect_next();
    }
    connected_ = true;
    failure_.clear();
    if (tls_ != nullptr && !start_tls()) return false;
  }
  return ssl_ != nullptr ? pump_tls() : pump_plain();
}

bool Stream::pump_plain() {
  while (!out_.empty()) {
    const ssize_t written = ::send(descriptor_, out_.data(), out_.size(), MSG_NOSIGNAL);
    if (written < 0 && errno == EAGAIN) break;
    if (written <= 0) return false;
    out_.erase(0, static_cast<std::size_t>(written));
  }
  char buffer[65536];
  while (in.size() < kMostInput) {
    const ssize_t size = recv(descriptor_, buffer, sizeof buffer, 0);
    if (size < 0) return errno == EAGAIN;
    if (size == 0) return false;
    in.append(buffer, static_cast<std::size_t>(size));
  }
  return true;
}

/// Verifies the certificate for the host, which may be an IP address (RFC 6125).
bool Stream::start_tls() {
  ssl_ = SSL_new(tls_->context());
  if (ssl_ == nullptr || SSL_set_fd(ssl_, descriptor_) != 1) return false;
  if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), host_.c_str()) == 1) return true;
  return SSL_set1_host(ssl_, host_.c_str()) == 1 && SSL_set_tlsext_host_name(ssl_, host_.c_str()) == 1;
}

bool Stream::pump_tls() {
  tls_writes_ = false;
  if (!handshaken_) {
    const int result = SSL_connect(ssl_);
    if (result != 1) return retries(result);
    handshaken_ = true;
  }
  while (!out_.empty()) {
    const int written = SSL_write(ssl_, out_.data(), static_cast<int>(out_.size()));
    if (written <= 0) {
      if (!retries(written)) return false;
      break;
    }
    out_.erase(0, static_cast<std::size_t>(written));
  }
  char buffer[16384];
  while (in.size() < kMostInput) {
    const int size = SSL_read(ssl_, buffer, sizeof buffer);
    if (size <= 0) return retries(size);
    in.append(buffer, static_cast<std::size_t>(size));
  }
  return true;
}

/// Whether TLS has to wait for the socket, and nothing has failed.
bool Stream::retries(int result) {
  const int error = SSL_get_error(ssl_, result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
    tls_writes_ = error == SSL_ERROR_WANT_WRITE;
    return true;
  }
  if (!handshaken_) {
    const long verified = SSL_get_verify_result(ssl_);
    const char* reason = ERR_reason_error_string(ERR_peek_last_error());
    failure_ = verified != X509_V_OK ? X509_verify_cert_error_string(verified)
               : reason != nullptr   ? reason
                                     : "the server closed the connection";
    failure_ = "TLS: " + failure_;
  }
  ERR_clear_error();
  return false;
}

bool Stream::wants_to_write() const {
  if (!connected_) return descriptor_ >= 0;
  return ssl_ == nullptr ? !out_.empty() : tls_writes_ || (handshaken_ && !out_.empty());
}

void Stream::close_descriptor() {
  SSL_free(ssl_);
  ssl_ = nullptr;
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  connected_ = handshaken_ = tls_writes_ = false;
}

void Stream::close() {
  if (ssl_ != nullptr && handshaken_) SSL_shutdown(ssl_);
  close_descriptor();
  addresses_.clear();
  in.clear();
  out_.clear();
}

}  // namespace tools
