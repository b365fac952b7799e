// Frames of a WebSocket: read at once and byte by byte, they must say the same.
#include <vector>

#include "frames.h"

namespace {

using Event = tools::FrameReader::Event;

struct Seen {
  Event event;
  std::string payload;
  std::uint16_t code;
};

std::vector<Seen> read(const std::string& octets, std::size_t piece) {
  tools::FrameReader reader;
  std::vector<Seen> seen;
  std::string in;
  for (std::size_t at = 0; at < octets.size(); at += piece) {
    in.append(octets, at, piece);
    for (Event event = Event::kNone; (event = reader.next(in)) != Event::kNone;) {
      seen.push_back(
          {event, reader.payload, event == Event::kClosed || event == Event::kFault ? reader.code : std::uint16_t{0}});
      if (event == Event::kClosed || event == Event::kFault) return seen;
    }
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string octets(reinterpret_cast<const char*>(data), size);
  const std::vector<Seen> whole = read(octets, size + 1);
  const std::vector<Seen> pieces = read(octets, 1);
  if (whole.size() != pieces.size()) __builtin_trap();
  for (std::size_t k = 0; k < whole.size(); ++k) {
    if (whole[k].event != pieces[k].event || whole[k].payload != pieces[k].payload || whole[k].code != pieces[k].code)
      __builtin_trap();
  }
  return 0;
}
