// Frames of a WebSocket, as servers send them and as they must not.
#include <string>

#include "frames.h"
#include "testing.h"

using Event = tools::FrameReader::Event;

namespace {

/// An unmasked frame; `first`: its first byte.
std::string frame(unsigned first, const std::string& payload) {
  std::string octets(1, static_cast<char>(first));
  if (payload.size() < 126) {
    octets += static_cast<char>(payload.size());
  } else if (payload.size() < 65536) {
    octets += static_cast<char>(126);
    octets += static_cast<char>(payload.size() >> 8);
    octets += static_cast<char>(payload.size() & 255U);
  } else {
    octets += static_cast<char>(127);
    for (unsigned shift = 64; shift > 0; shift -= 8)
      octets += static_cast<char>((payload.size() >> (shift - 8)) & 255U);
  }
  return octets + payload;
}

/// The code to close with after these octets; 0: there is no fault.
int fault(std::string octets) {
  tools::FrameReader reader;
  for (Event event = Event::kText; event != Event::kNone;) {
    event = reader.next(octets);
    if (event == Event::kFault) return reader.code;
    if (event == Event::kClosed) return 0;
  }
  return 0;
}

}  // namespace

TEST(frames_are_put_together) {
  const std::string octets = frame(0x01, "a") + frame(0x89, "ping") + frame(0x00, "") + frame(0x8A, "pong") +
                             frame(0x80, "\xC3\xBC") + frame(0x82, std::string(70000, 'b')) +
                             frame(0x81, std::string(300, 'c')) + frame(0x88, "\x0F\xA1why");
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, octets.size()}) {
    tools::FrameReader reader;
    std::string in;
    std::vector<std::pair<Event, std::string>> found;
    for (std::size_t at = 0; at < octets.size(); at += piece) {
      in += octets.substr(at, piece);
      for (Event event = Event::kNone; (event = reader.next(in)) != Event::kNone;) {
        found.emplace_back(event, reader.payload);
        if (event == Event::kClosed) break;
      }
    }
    EXPECT(found.size() == 5 && reader.code == 4001);
    EXPECT(found[0] == std::make_pair(Event::kPing, std::string("ping")));
    EXPECT(found[1] == std::make_pair(Event::kText, std::string("a\xC3\xBC")));
    EXPECT(found[2] == std::make_pair(Event::kBinary, std::string(70000, 'b')));
    EXPECT(found[3] == std::make_pair(Event::kText, std::string(300, 'c')));
    EXPECT(found[4] == std::make_pair(Event::kClosed, std::string("why")));
  }
}

TEST(frames_that_violate_the_protocol) {
  const std::string masked = std::string("\x81\x81", 2) + "mask" + "x";
  const std::string huge = std::string("\x82\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 10);
  const std::string large = std::string("\x82\x7F\x00\x00\x00\x00\x00\x10\x00\x01", 10);
  EXPECT(fault(masked) == 1002);
  EXPECT(fault(huge) == 1009 && fault(large) == 1009);
  for (const unsigned first : {0xC1U, 0xA1U, 0x91U, 0x83U, 0x87U, 0x8BU, 0x8FU}) {  // reserved bits and opcodes.
    EXPECT_SAYING(fault(frame(first, "")) == 1002, std::to_string(first));
  }
  EXPECT(fault(frame(0x80, "x")) == 1002);                     // continues nothing.
  EXPECT(fault(frame(0x01, "x") + frame(0x81, "y")) == 1002);  // begins inside of another message.
  EXPECT(fault(frame(0x09, "x")) == 1002);                     // a fragment of a ping.
  EXPECT(fault(frame(0x89, std::string(125, 'x'))) == 0 && fault(frame(0x89, std::string(126, 'x'))) == 1002);
  EXPECT(fault(frame(0x88, "\x03\xE8" + std::string(123, 'x'))) == 0 &&
         fault(frame(0x88, std::string(126, 'x'))) == 1002);
  EXPECT(fault(frame(0x88, "x")) == 1002);
  for (const unsigned code : {0U, 999U, 1004U, 1005U, 1006U, 1015U, 2999U, 5000U, 65535U}) {
    const std::string octets{static_cast<char>(code >> 8), static_cast<char>(code & 255U)};
    EXPECT_SAYING(fault(frame(0x88, octets)) == 1002, std::to_string(code));
  }
  EXPECT(fault(frame(0x88, "\x03\xE8\xFF")) == 1007);
  for (const char* text : {"\xC3", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xFF", "a\x80"}) {
    EXPECT_SAYING(fault(frame(0x81, text)) == 1007, testing::hex(testing::view({text, text + 1})));
    EXPECT(fault(frame(0x82, text)) == 0);
  }
  EXPECT(fault(frame(0x01, "\xC3") + frame(0x80, "\xBC")) == 0);  // a character may be cut between fragments.
}

TEST(fragments_are_bounded) {
  std::string in;
  tools::FrameReader reader;
  in = frame(0x02, std::string(65535, 'x'));
  std::size_t taken = 0;
  while (reader.next(in) == Event::kNone && taken < 100) {
    in += frame(0x00, std::string(65535, 'x'));
    ++taken;
  }
  EXPECT(taken == 16 && reader.code == 1009);
  EXPECT(reader.next(in) == Event::kFault);  // nothing follows.
}

TEST(client_frames_are_masked) {
  const unsigned char mask[4] = {1, 2, 3, 4};
  EXPECT(tools::client_frame(1, "abcde", mask) == std::string("\x81\x85\x01\x02\x03\x04") + "````d");
  const std::string longer = tools::client_frame(1, std::string(300, 'x'), mask);
  EXPECT(longer.size() == 308 && longer.compare(0, 4, std::string("\x81\xFE\x01\x2C", 4)) == 0);
}
