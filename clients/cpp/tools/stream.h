// A TCP connection that never blocks, with or without TLS.
#pragma once

#include <sys/socket.h>

#include <string>
#include <vector>

struct ssl_ctx_st;
struct ssl_st;

namespace tools {

/// The certificates of the authorities that TLS trusts.
class Authorities {
 public:
  Authorities() = default;
  Authorities(const Authorities&) = delete;
  Authorities& operator=(const Authorities&) = delete;
  ~Authorities();

  /// Loads the certificates in a file in PEM; those of the system for an empty path. False when that fails.
  bool load(const std::string& path);

  [[nodiscard]] ssl_ctx_st* context() const { return context_; }

 private:
  ssl_ctx_st* context_ = nullptr;
};

class Stream {
 public:
  /// Bytes of `in` above which nothing more is read.
  static constexpr std::size_t kMostInput = 2U << 20;

  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { close(); }

  /// Connects to the addresses of the host, one after the other. `tls`: whom TLS trusts, and the server's certificate
  /// must be for the host; null: no TLS. False when the host has no address.
  bool connect(const std::string& host, const std::string& port, const Authorities* tls);

  void send(const std::string& octets) { out_ += octets; }

  /// Writes and reads as much as possible. False when the connection is lost; `in` has what was read before.
  bool pump();

  [[nodiscard]] bool wants_to_write() const;
  [[nodiscard]] int descriptor() const { return descriptor_; }

  /// Why the connection could not be opened; empty: it could.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  void close();

  std::string in;  // received; to be taken from its front.

 private:
  struct Address {
    sockaddr_storage address;
    socklen_t size;
  };

  bool connect_next();
  bool start_tls();
  bool pump_plain();
  bool pump_tls();
  bool retries(int result);
  void close_descriptor();

  std::string host_;
  std::vector<Address> addresses_;  // not tried yet, the next one last.
  const Authorities* tls_ = nullptr;
  ssl_st* ssl_ = nullptr;
  int descriptor_ = -1;
  bool connected_ = false;
  bool handshaken_ = false;
  bool tls_writes_ = false;  // TLS waits until the socket is writable.
  std::string failure_;
  std::string out_;
};

}  // namespace tools
