// A TCP connection that never blocks.
#pragma once

#include <string>

namespace tools {

class Stream {
 public:
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { close(); }

  /// Begins to connect to the first address of the host. False when it has none.
  bool connect(const std::string& host, const std::string& port);

  void send(const std::string& octets) { out_ += octets; }

  /// Writes and reads as far as that goes. False when the connection is gone; what was read before is in `in`.
  bool pump();

  [[nodiscard]] bool wants_to_write() const { return !out_.empty(); }
  [[nodiscard]] int descriptor() const { return descriptor_; }
  void close();

  std::string in;  // what was read, to be taken from its front.

 private:
  int descriptor_ = -1;
  std::string out_;
};

}  // namespace tools
