#include "frames.h"

#include <string_view>

#include "craftnet/text.h"

namespace tools {

namespace {

constexpr unsigned kContinuation = 0;
constexpr unsigned kText = 1;
constexpr unsigned kBinary = 2;
constexpr unsigned kClose = 8;
constexpr unsigned kPing = 9;
constexpr unsigned kPong = 10;
constexpr std::size_t kLongestControl = 125;

constexpr std::uint16_t kProtocolError = 1002;
constexpr std::uint16_t kNoCode = 1005;
constexpr std::uint16_t kNotUtf8 = 1007;
constexpr std::uint16_t kTooBig = 1009;

/// Whether a CLOSE may have this code (RFC 6455, 7.4).
bool may_be_sent(unsigned code) {
  const bool defined = code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
  return defined || (code >= 3000 && code <= 4999);
}

}  // namespace

std::string client_frame(unsigned opcode, const std::string& payload, const unsigned char (&mask)[4]) {
  std::string frame(1, static_cast<char>(0x80U | opcode));
  if (payload.size() <= kLongestControl) {
    frame.push_back(static_cast<char>(0x80U | payload.size()));
  } else {
    frame.push_back(static_cast<char>(0x80U | 126U));
    frame.push_back(static_cast<char>((payload.size() >> 8) & 255U));
    frame.push_back(static_cast<char>(payload.size() & 255U));
  }
  frame.append(reinterpret_cast<const char*>(mask), sizeof mask);
  for (std::size_t k = 0; k < payload.size(); ++k) {
    frame.push_back(static_cast<char>(static_cast<unsigned char>(payload[k]) ^ mask[k % 4]));
  }
  return frame;
}

FrameReader::Event FrameReader::next(std::string& in) {
  for (;;) {
    const std::size_t before = at_;
    Frame frame;
    if (!read_header(in, frame) || in.size() - at_ < frame.size) {
      if (faulty_) return Event::kFault;
      in.erase(0, before);
      at_ = 0;
      return Event::kNone;
    }
    std::string content = in.substr(at_, frame.size);
    at_ += frame.size;
    const Event event = frame.opcode >= kClose ? take_control(frame, std::move(content)) : take_data(frame, content);
    if (event != Event::kNone) return event;
  }
}

bool FrameReader::read_header(const std::string& in, Frame& frame) {
  const auto octet = [&in](std::size_t at) { return static_cast<unsigned>(static_cast<unsigned char>(in[at])); };
  if (faulty_ || in.size() - at_ < 2) return false;
  const unsigned first = octet(at_);
  const unsigned second = octet(at_ + 1);
  frame.opcode = first & 15U;
  frame.last = (first & 128U) != 0;
  const bool control = frame.opcode >= kClose;
  const bool known = frame.opcode <= kBinary || (control && frame.opcode <= kPong);
  const bool masked = (second & 128U) != 0;  // only a client masks.
  std::size_t size = second & 127U;
  const bool fits = !control || (frame.last && size <= kLongestControl);
  const bool continues = frame.opcode == kContinuation;
  if ((first & 0x70U) != 0 || !known || masked || !fits || (!control && continues != (opcode_ != 0))) {
    (void)fail(kProtocolError);
    return false;
  }
  std::size_t head = 2;
  if (size > kLongestControl) {
    head = size == 126 ? 4 : 10;
    if (in.size() - at_ < head) return false;
    size = 0;
    for (std::size_t k = 2; k < head; ++k) size = (size << 8) | octet(at_ + k);
  }
  if (size > kLongest || message_.size() + size > kLongest) {
    (void)fail(kTooBig);
    return false;
  }
  frame.size = size;
  at_ += head;
  return true;
}

FrameReader::Event FrameReader::take_control(const Frame& frame, std::string content) {
  if (frame.opcode == kPong) return Event::kNone;
  payload = std::move(content);
  if (frame.opcode == kPing) return Event::kPing;
  code = kNoCode;
  if (payload.empty()) return Event::kClosed;
  if (payload.size() == 1) return fail(kProtocolError);
  const unsigned said =
      static_cast<unsigned>(static_cast<unsigned char>(payload[0])) << 8 | static_cast<unsigned char>(payload[1]);
  payload.erase(0, 2);
  if (!may_be_sent(said)) return fail(kProtocolError);
  if (!craftnet::is_utf8(payload)) return fail(kNotUtf8);
  code = static_cast<std::uint16_t>(said);
  return Event::kClosed;
}

FrameReader::Event FrameReader::take_data(const Frame& frame, const std::string& content) {
  if (frame.opcode != kContinuation) opcode_ = frame.opcode;
  message_ += content;
  if (!frame.last) return Event::kNone;
  payload.swap(message_);
  message_.clear();
  const bool text = opcode_ == kText;
  opcode_ = 0;
  if (text && !craftnet::is_utf8(payload)) return fail(kNotUtf8);
  return text ? Event::kText : Event::kBinary;
}

FrameReader::Event FrameReader::fail(std::uint16_t with) {
  faulty_ = true;
  code = with;
  payload.clear();
  return Event::kFault;
}

}  // namespace tools
