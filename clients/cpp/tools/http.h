// The part of HTTP/1.1 and of RFC 6455 that craftnet-watch needs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "frames.h"
#include "stream.h"

namespace tools {

/// http://host:port/prefix or https://host:port/prefix, parsed.
struct Url {
  std::string host;
  std::string port;
  std::string prefix;
  bool tls = false;

  /// False when the text is not such a URL.
  bool parse(const std::string& text);
  [[nodiscard]] std::string authority() const {
    return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + port;
  }
};

/// The response to a request.
struct Answer {
  int status = 0;
  std::string head;
  std::string body;

  /// The value of a header, with its name in lower case; empty when there is none.
  [[nodiscard]] std::string header(const std::string& name) const;
};

/// One request on its own connection.
class Exchange {
 public:
  void begin(const Url& url, const Authorities* tls, const std::string& method, const std::string& target,
             const std::string& token, const std::string& body);

  [[nodiscard]] bool under_way() const { return under_way_; }

  /// Continues; true once it is complete. An answer with status 0: there was no response.
  bool pump(Answer& answer);

  Stream stream;

 private:
  bool under_way_ = false;
};

/// One WebSocket.
class WebSocket {
 public:
  enum class Event { kNone, kOpened, kRefused, kText, kBinary, kClosed };

  void open(const Url& url, const Authorities* tls, const std::string& target, const std::string& token,
            const std::vector<std::string>& protocols);
  void send_text(const std::string& text) { send_frame(1, text); }
  void close();

  /// Reads and writes. False when the connection is lost.
  bool pump() { return stream.pump(); }

  /// The next event. kClosed ends it.
  Event next(bool gone);

  Stream stream;
  Answer answer;              // of kOpened and kRefused.
  std::string message;        // of kText and kBinary.
  std::uint16_t code = 1006;  // of kClosed.
  std::string reason;

 private:
  enum class State { kIdle, kHandshake, kOpen };

  void send_frame(unsigned opcode, const std::string& payload);
  void send_close(std::uint16_t with);
  Event read_handshake(bool gone);
  Event read_frame();
  Event fail(std::uint16_t with);

  State state_ = State::kIdle;
  std::string key_;
  std::vector<std::string> offered_;
  FrameReader frames_;
};

}  // namespace tools
