// Messages of a WebSocket in each subprotocol, answers of …/connect, close reasons, tokens, JSON.
#include <cstring>

#include "craftnet/connect.h"
#include "craftnet/feed_message.h"
#include "craftnet/json.h"
#include "craftnet/keys.h"
#include "craftnet/liblz4.h"
#include "craftnet/reconnect.h"

using namespace craftnet;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static LibLz4 lz4;
  if (size == 0) return 0;
  const Bytes octets{data + 1, size - 1};
  const std::string_view text{reinterpret_cast<const char*>(octets.data), octets.size};
  FeedDecoder decoder(lz4);
  FeedMessage message;
  std::uint8_t missing = 0;
  decoder.add_dictionary(1, {data, size});
  decoder.use(static_cast<Subprotocol>(data[0] % 3));
  (void)decoder.decode_text(text, message);
  (void)decoder.decode_binary(octets, message, missing);
  (void)verdict_of_close(1001, text);
  (void)token_expiry(text);
  ConnectAnswer answer;
  (void)parse_connect_answer(text, answer);
  SessionToken token;
  if (parse_session_token(text, token) && std::memcmp(to_text(token).data(), text.data(), text.size()) != 0)
    __builtin_trap();
  JsonReader reader(text);
  (void)reader.skip();
  return 0;
}
