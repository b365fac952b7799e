#include "http.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <cctype>
#include <cstdlib>

namespace tools {

namespace {

constexpr std::size_t kLongest = 1U << 20;

std::string base64(const unsigned char* octets, int size) {
  std::string text(static_cast<std::size_t>((size + 2) / 3 * 4 + 1), '\0');
  const int written = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), octets, size);
  text.resize(static_cast<std::size_t>(written));
  return text;
}

std::string accept_of(const std::string& key) {
  const std::string input = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_Digest(input.data(), input.size(), digest, &size, EVP_sha1(), nullptr);
  return base64(digest, static_cast<int>(size));
}

/// Takes the head of a response from the front of `in`. False while it is incomplete.
bool take_head(std::string& in, Answer& answer) {
  const std::size_t end = in.find("\r\n\r\n");
  if (end == std::string::npos) return false;
  answer = Answer{};
  answer.head = in.substr(0, end + 2);
  in.erase(0, end + 4);
  if (answer.head.compare(0, 9, "HTTP/1.1 ") == 0) answer.status = std::atoi(answer.head.c_str() + 9);
  return true;
}

/// Joins the chunks of a body. False while it is incomplete.
bool dechunked(const std::string& in, std::string& body) {
  body.clear();
  for (std::size_t at = 0;;) {
    const std::size_t end = in.find("\r\n", at);
    if (end == std::string::npos) return false;
    const std::size_t size = std::strtoul(in.c_str() + at, nullptr, 16);
    if (size > kLongest || end + 2 + size + 2 > in.size()) return false;
    if (size == 0) return true;
    body.append(in, end + 2, size);
    at = end + 2 + size + 2;
  }
}

}  // namespace

bool Url::parse(const std::string& text) {
  std::string scheme = "http://";
  tls = text.compare(0, 8, "https://") == 0;
  if (tls) scheme = "https://";
  port = tls ? "443" : "80";
  if (text.compare(0, scheme.size(), scheme) != 0) return false;
  std::size_t slash = text.find('/', scheme.size());
  if (slash == std::string::npos) slash = text.size();
  std::string at = text.substr(scheme.size(), slash - scheme.size());
  prefix = text.substr(slash);
  while (!prefix.empty() && prefix.back() == '/') prefix.pop_back();
  const std::size_t colon = at.rfind(':');
  if (colon != std::string::npos && at.find(']', colon) == std::string::npos) {
    port = at.substr(colon + 1);
    at.resize(colon);
  }
  if (at.size() > 2 && at.front() == '[') at = at.substr(1, at.size() - 2);
  host = at;
  return !host.empty() && !port.empty();
}

std::string Answer::header(const std::string& name) const {
  for (std::size_t at = head.find("\r\n"); at != std::string::npos && at + 2 < head.size();
       at = head.find("\r\n", at + 2)) {
    const std::size_t start = at + 2;
    const std::size_t colon = head.find(':', start);
    if (colon == std::string::npos || colon - start != name.size()) continue;
    bool same = true;
    for (std::size_t k = 0; k < name.size(); ++k) same = same && std::tolower(head[start + k]) == name[k];
    if (!same) continue;
    const std::size_t value = head.find_first_not_of(" \t", colon + 1);
    return head.substr(value, head.find("\r\n", value) - value);
  }
  return "";
}

void Exchange::begin(const Url& url, const Authorities* tls, const std::string& method, const std::string& target,
                     const std::string& token, const std::string& body) {
  under_way_ = true;
  if (!stream.connect(url.host, url.port, tls)) return;
  std::string request =
      method + " " + url.prefix + target + " HTTP/1.1\r\nHost: " + url.authority() + "\r\nConnection: close\r\n";
  if (!token.empty()) request += "Authorization: Bearer " + token + "\r\n";
  if (!body.empty())
    request += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  stream.send(request + "\r\n" + body);
}

bool Exchange::pump(Answer& answer) {
  if (stream.pump()) return false;  // the server closes the connection after its response.
  std::string in = stream.in;
  stream.close();
  under_way_ = false;
  if (!take_head(in, answer)) {
    answer = Answer{};
    return true;
  }
  answer.body = in;
  if (answer.header("transfer-encoding") == "chunked" && !dechunked(in, answer.body)) answer.status = 0;
  return true;
}

void WebSocket::open(const Url& url, const Authorities* tls, const std::string& target, const std::string& token,
                     const std::vector<std::string>& protocols) {
  state_ = State::kHandshake;
  code = 1006;
  reason.clear();
  fragments_.clear();
  fragmented_ = 0;
  unsigned char random[16];
  RAND_bytes(random, sizeof random);
  key_ = base64(random, sizeof random);
  if (!stream.connect(url.host, url.port, tls)) return;
  std::string offered;
  for (const std::string& protocol : protocols) offered += (offered.empty() ? "" : ", ") + protocol;
  stream.send("GET " + url.prefix + target + " HTTP/1.1\r\nHost: " + url.authority() +
              "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
              key_ + "\r\nSec-WebSocket-Protocol: " + offered + "\r\nAuthorization: Bearer " + token + "\r\n\r\n");
}

void WebSocket::close() {
  if (state_ == State::kOpen) {
    send_frame(8, std::string("\x03\xe8", 2));
    stream.pump();
  }
  state_ = State::kIdle;
  stream.close();
}

void WebSocket::send_frame(unsigned opcode, const std::string& payload) {
  std::string frame(1, static_cast<char>(0x80U | opcode));
  if (payload.size() < 126) {
    frame.push_back(static_cast<char>(0x80U | payload.size()));
  } else {
    frame.push_back(static_cast<char>(0x80U | 126U));
    frame.push_back(static_cast<char>((payload.size() >> 8) & 255U));
    frame.push_back(static_cast<char>(payload.size() & 255U));
  }
  unsigned char mask[4];
  RAND_bytes(mask, sizeof mask);
  frame.append(reinterpret_cast<const char*>(mask), sizeof mask);
  for (std::size_t k = 0; k < payload.size(); ++k) {
    frame.push_back(static_cast<char>(static_cast<unsigned char>(payload[k]) ^ mask[k % 4]));
  }
  stream.send(frame);
}

WebSocket::Event WebSocket::next(bool gone) {
  if (state_ == State::kHandshake) return read_handshake(gone);
  if (state_ != State::kOpen) return Event::kNone;
  const Event event = read_frame();
  return event == Event::kNone && gone ? fail(1006) : event;
}

WebSocket::Event WebSocket::read_handshake(bool gone) {
  if (!take_head(stream.in, answer)) {
    if (!gone) return Event::kNone;
    answer = Answer{};
    state_ = State::kIdle;
    return Event::kRefused;
  }
  if (answer.status == 101 && answer.header("sec-websocket-accept") == accept_of(key_)) {
    state_ = State::kOpen;
    return Event::kOpened;
  }
  state_ = State::kIdle;
  stream.close();
  return Event::kRefused;
}

WebSocket::Event WebSocket::fail(std::uint16_t with) {
  code = with;
  state_ = State::kIdle;
  stream.close();
  return Event::kClosed;
}

WebSocket::Event WebSocket::read_frame() {
  for (;;) {
    const std::string& in = stream.in;
    const auto octet = [&in](std::size_t at) { return static_cast<unsigned>(static_cast<unsigned char>(in[at])); };
    if (in.size() < 2) return Event::kNone;
    std::size_t head = 2;
    std::size_t size = octet(1) & 127U;
    if (size >= 126) {
      head = size == 126 ? 4 : 10;
      if (in.size() < head) return Event::kNone;
      size = 0;
      for (std::size_t at = 2; at < head; ++at) size = (size << 8) | octet(at);
    }
    if ((octet(1) & 128U) != 0 || size > kLongest) return fail(1002);
    if (in.size() < head + size) return Event::kNone;
    const bool last = (octet(0) & 128U) != 0;
    const unsigned opcode = octet(0) & 15U;
    const std::string payload = in.substr(head, size);
    stream.in.erase(0, head + size);
    if (opcode == 9) {
      send_frame(10, payload);
      stream.pump();
    } else if (opcode == 8) {
      const bool said = payload.size() >= 2;
      reason = said ? payload.substr(2) : "";
      return fail(said ? static_cast<std::uint16_t>((static_cast<unsigned char>(payload[0]) << 8) |
                                                    static_cast<unsigned char>(payload[1]))
                       : std::uint16_t{1005});
    } else if (opcode <= 2) {
      if (opcode != 0) {
        fragmented_ = opcode;
        fragments_.clear();
      }
      fragments_ += payload;
      if (fragments_.size() > kLongest) return fail(1009);
      if (!last) continue;
      message = fragments_;
      return fragmented_ == 1 ? Event::kText : Event::kBinary;
    }
  }
}

}  // namespace tools
