// The frames of a WebSocket (RFC 6455), without a socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace tools {

/// A client's frame, masked with these four bytes. `payload` has at most 65535 bytes.
std::string client_frame(unsigned opcode, const std::string& payload, const unsigned char (&mask)[4]);

/// Reads what a server sends, and puts the fragments of messages together.
class FrameReader {
 public:
  /// Maximum size of a message in bytes, and of what may wait in the input.
  static constexpr std::size_t kLongest = 1U << 20;

  enum class Event {
    kNone,    ///< more bytes are needed.
    kText,    ///< a message, in `payload`.
    kBinary,  ///< a message, in `payload`.
    kPing,    ///< to be answered with a pong that repeats `payload`.
    kClosed,  ///< by the server, with `code` (1005: none) and its reason in `payload`.
    kFault,   ///< the server violated the protocol; `code` is the one to close with.
  };

  /// The next event in `in`, whose bytes are taken from its front. kClosed and kFault end the connection.
  Event next(std::string& in);

  std::string payload;
  std::uint16_t code = 0;

 private:
  struct Frame {
    unsigned opcode = 0;
    bool last = false;
    std::size_t size = 0;
  };

  /// Reads a header and takes it. False while it is incomplete, and on a fault, with `code`.
  bool read_header(const std::string& in, Frame& frame);
  Event take_control(const Frame& frame, std::string content);
  Event take_data(const Frame& frame, const std::string& content);
  Event fail(std::uint16_t with);

  std::size_t at_ = 0;  // the first byte of the input that was not taken.
  bool faulty_ = false;
  std::string message_;
  unsigned opcode_ = 0;  // of the incomplete message; 0: none.
};

}  // namespace tools
