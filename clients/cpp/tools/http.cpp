#include "http.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace tools {

namespace {

constexpr std::size_t kLongest = Stream::kMostInput;

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
  if (stream.pump() && stream.in.size() < kLongest) return false;  // the server closes after its response.
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
  frames_ = FrameReader();
  offered_ = protocols;
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
  if (state_ == State::kOpen) send_close(1000);
  state_ = State::kIdle;
  stream.close();
}

void WebSocket::send_frame(unsigned opcode, const std::string& payload) {
  unsigned char mask[4];
  RAND_bytes(mask, sizeof mask);
  stream.send(client_frame(opcode, payload, mask));
}

void WebSocket::send_close(std::uint16_t with) {
  const char octets[2] = {static_cast<char>(with >> 8), static_cast<char>(with & 255U)};
  send_frame(8, std::string(octets, sizeof octets));
  stream.pump();
}

WebSocket::Event WebSocket::next(bool gone) {
  if (state_ == State::kHandshake) return read_handshake(gone);
  if (state_ != State::kOpen) return Event::kNone;
  const Event event = read_frame();
  return event == Event::kNone && gone ? fail(1006) : event;
}

WebSocket::Event WebSocket::read_handshake(bool gone) {
  if (!take_head(stream.in, answer)) {
    if (!gone && stream.in.size() < kLongest) return Event::kNone;
    answer = Answer{};
    state_ = State::kIdle;
    stream.close();
    return Event::kRefused;
  }
  const bool accepted = answer.status == 101 && answer.header("sec-websocket-accept") == accept_of(key_);
  const std::string selected = answer.header("sec-websocket-protocol");
  const bool offered = selected.empty() || std::find(offered_.begin(), offered_.end(), selected) != offered_.end();
  if (accepted && offered && answer.header("sec-websocket-extensions").empty()) {
    state_ = State::kOpen;
    return Event::kOpened;
  }
  if (answer.status == 101) answer.status = 0;  // not an answer to this request.
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
    switch (frames_.next(stream.in)) {
      case FrameReader::Event::kNone:
        return Event::kNone;
      case FrameReader::Event::kText:
        message.swap(frames_.payload);
        return Event::kText;
      case FrameReader::Event::kBinary:
        message.swap(frames_.payload);
        return Event::kBinary;
      case FrameReader::Event::kPing:
        send_frame(10, frames_.payload);
        stream.pump();
        break;
      case FrameReader::Event::kClosed:
        reason = frames_.payload;
        send_close(frames_.code == 1005 ? std::uint16_t{1000} : frames_.code);
        return fail(frames_.code);
      case FrameReader::Event::kFault:
        send_close(frames_.code);
        return fail(1006);  // the server has said nothing: the connection is lost.
    }
  }
}

}  // namespace tools
