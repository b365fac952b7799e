#include "vectors.h"

#include <cstdlib>

using namespace craftnet;

namespace vectors {

const Json& all() {
  static const Json parsed = testing::read_json(std::getenv("CRAFTNET_VECTORS"));
  return parsed;
}

Crypto& crypto() {
  static Fixed fixed;
  return fixed;
}

Lz4& lz4() {
  static LibLz4 lz4;
  return lz4;
}

SessionToken token() {
  SessionToken parsed;
  EXPECT(parse_session_token(all()["session_token"].text, parsed));
  return parsed;
}

Generation generation(Sender sender, std::size_t number) {
  Generation found;
  EXPECT(derive_first(crypto(), token().secret, octets<16>(all()["client_nonce"]), octets<16>(all()["server_nonce"]),
                      sender, found));
  while (found.number < number) {
    Generation next;
    EXPECT(derive_following(crypto(), found, sender, next));
    found = next;
  }
  return found;
}

bool same_progress(const Progress& found, std::string_view reason, const Json& wanted) {
  const bool remaining = found.remaining < 0
                             ? wanted["remaining"].null()
                             : !wanted["remaining"].null() && near(found.remaining, wanted["remaining"]);
  const bool why = reason.empty() ? wanted["failure_reason"].null() : wanted["failure_reason"].text == reason;
  return wanted["status"].text == kStatuses[static_cast<int>(found.status)] && near(found.percent, wanted["percent"]) &&
         near(static_cast<double>(found.anchor) / 1e6, wanted["anchor"]) && remaining && why &&
         same_quality(found.quality, wanted["quality"]) && same_quality(found.target_quality, wanted["target_quality"]);
}

}  // namespace vectors
