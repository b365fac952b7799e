// The WebSocket side: messages in each subprotocol, close codes, backoff, tokens, JSON.
#include <cmath>
#include <cstring>

#include "craftnet/feed_message.h"
#include "craftnet/json.h"
#include "craftnet/liblz4.h"
#include "craftnet/openssl.h"
#include "craftnet/reconnect.h"
#include "craftnet/text.h"
#include "craftnet/update.h"
#include "testing.h"

using namespace craftnet;

namespace {

LibLz4 lz4;

constexpr const char* kProgress =
    R"({"type":"progress_update","session_id":"aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa","timestamp":"2026-11-22T10:00:00.123Z",)"
    R"("epoch":"5f0d1c2b3a49","version":42,"progress_data":{"session_id":"aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",)"
    R"("progress_percentage":33,"status":"active","remaining_time_seconds":12,"current_quality":40,"new":{"a":[1,{}]}}})";

}  // namespace

TEST(json_message) {
  FeedDecoder decoder(lz4);
  FeedMessage message;
  EXPECT(decoder.decode_text(kProgress, message) == Outcome::kAccepted);
  EXPECT(message.type == MessageType::kProgressUpdate && message.has_progress && !message.has_queue);
  EXPECT(message.timestamp == 1795341600123 * kMillisecond);
  EXPECT(message.position.version == 42 && std::strcmp(message.position.epoch, "5f0d1c2b3a49") == 0);
  EXPECT(message.progress.status == wire::Status::kActive && message.progress.quality == 40);
  EXPECT(std::fabs(message.progress.percent - 33) < 1e-9 && std::fabs(message.progress.remaining - 12) < 1e-9);
  EXPECT(message.progress.target_quality == 0 && message.progress.anchor == message.timestamp);
}

TEST(json_message_of_each_kind) {
  FeedDecoder decoder(lz4);
  FeedMessage message;
  EXPECT(decoder.decode_text(
             R"({"type":"queue_status","recovered":true,"queue_data":{"queue_position":2,"total_in_queue":7,)"
             R"("station_type":"vehicle_bay","can_jump_queue":true,"jump_queue_cost":50}})",
             message) == Outcome::kAccepted);
  EXPECT(message.answers_resume && message.recovered && message.has_queue);
  EXPECT(message.queue.position == 2 && message.queue.total == 7 && message.queue.station == Station::kVehicleBay);
  EXPECT(message.queue.can_jump_queue && message.queue.jump_queue_cost == 50);
  EXPECT(decoder.decode_text(R"({"type":"material_notification","material_data":{"material_id":)"
                             R"("00000000-0000-0000-0000-000000000011","notification_type":"quality_too_low",)"
                             R"("required_quality":60,"available_quality":null}})",
                             message) == Outcome::kAccepted);
  EXPECT(message.has_material && message.material.problem == wire::Problem::kQualityTooLow);
  EXPECT(message.material.required_quality == 60 && message.material.available_quality == 0);
  EXPECT(message.material.required_quantity == wire::kUnknown);
  EXPECT(decoder.decode_text(R"({"type":"queue_position","queue_position":1,"estimated_wait_time":30})", message) ==
         Outcome::kAccepted);
  EXPECT(message.type == MessageType::kQueuePosition && message.queue.estimated_wait_seconds == 30);
  EXPECT(decoder.decode_text(R"({"type":"token_refused","code":401,"message":"no \u00fc \ud83d\ude00"})", message) ==
         Outcome::kAccepted);
  EXPECT(message.type == MessageType::kTokenRefused && message.code == 401 && message.text == "no ü 😀");
  EXPECT(decoder.decode_text(R"({"type":"of_tomorrow"})", message) == Outcome::kAccepted);
  EXPECT(message.type == MessageType::kUnknown);
}

TEST(json_message_that_is_none) {
  FeedDecoder decoder(lz4);
  FeedMessage message;
  for (const char* text :
       {"", "[]", "{", "{\"type\":1}", "{\"type\":\"queue_status\"}}", "{\"version\":9007199254740992}",
        "{\"epoch\":\"\"}", "{\"timestamp\":\"yesterday\"}", "{\"session_id\":\"1\"}",
        "{\"progress_data\":{\"progress_percentage\":101}}", "{\"progress_data\":{\"status\":\"gone\"}}"}) {
    EXPECT_SAYING(decoder.decode_text(text, message) == Outcome::kGarbled, text);
  }
  std::uint8_t missing = 0;
  EXPECT(decoder.decode_binary({}, message, missing) == Outcome::kType);
}

TEST(lz4_message) {
  FeedDecoder decoder(lz4);
  FeedMessage message;
  std::uint8_t missing = 0;
  decoder.use(Subprotocol::kLz4);
  const std::string text = kProgress;
  // One sequence of literals: a valid block that saves nothing.
  std::string block = std::string(1, '\xf0') + std::string((text.size() - 15) / 255, '\xff');
  block += static_cast<char>((text.size() - 15) % 255);
  std::string octets = std::string(1, '\0') + std::string(1, '\0');
  octets += static_cast<char>(text.size() >> 8);
  octets += static_cast<char>(text.size() & 255U);
  octets += block + text;
  const auto bytes = [](const std::string& from) {
    return Bytes{reinterpret_cast<const std::uint8_t*>(from.data()), from.size()};
  };
  EXPECT(decoder.decode_binary(bytes(octets), message, missing) == Outcome::kAccepted && message.has_progress);
  octets[0] = '\x01';
  EXPECT(decoder.decode_binary(bytes(octets), message, missing) == Outcome::kNoBaseline && missing == 1);
  decoder.add_dictionary(1, bytes(text));
  EXPECT(decoder.decode_binary(bytes(octets), message, missing) == Outcome::kAccepted);
  octets[1] = '\x02';
  EXPECT(decoder.decode_binary(bytes(octets), message, missing) == Outcome::kOverlong);
  EXPECT(decoder.decode_binary(bytes("abcd"), message, missing) == Outcome::kTruncated);
}

TEST(binary_message) {
  FeedDecoder decoder(lz4);
  FeedMessage message;
  std::uint8_t missing = 0;
  decoder.use(Subprotocol::kBinary);
  wire::Header header;
  header.sequence = 7;
  header.timestamp_ms = 1800000000123;
  header.session_id[0] = 1;
  wire::ProgressBody body;
  body.percent = 3333;
  body.remaining_ms = 12500;
  body.flags = kPaused;
  std::uint8_t record[kProgressUpdateSize];
  encode_progress_update(header, body, record);
  EXPECT(decoder.decode_binary({record, sizeof record}, message, missing) == Outcome::kAccepted);
  EXPECT(message.has_progress && message.progress.status == wire::Status::kPaused && !message.position.known());
  EXPECT(std::fabs(message.progress.percent - 33.33) < 1e-9 && message.progress_rounding == 0.0);
  record[47] = 1;
  EXPECT(decoder.decode_binary({record, sizeof record}, message, missing) == Outcome::kReserved);
}

TEST(text_that_is_not_utf8) {
  FeedDecoder decoder(lz4);
  FeedMessage message;
  const std::string before = R"({"type":"crafting_failed","progress_data":{"status":"failed","failure_reason":")";
  EXPECT(decoder.decode_text(before + "\xC3\xBC\"}}", message) == Outcome::kAccepted);
  EXPECT(message.failure_reason == "\xC3\xBC");
  for (const char* wrong : {"\xC3", "\xFF", "\xED\xA0\x80", "\xC0\xAF", "\xF5\x80\x80\x80"}) {
    EXPECT(decoder.decode_text(before + wrong + "\"}}", message) == Outcome::kGarbled);
  }
  EXPECT(decoder.decode_text(before + "\\ud800\"}}", message) == Outcome::kAccepted);
  EXPECT(message.failure_reason == "\xEF\xBF\xBD");
  EXPECT(decoder.decode_text(std::string(65537, ' '), message) == Outcome::kOverlong);
}

TEST(close_codes) {
  using Kind = Verdict::Kind;
  EXPECT(verdict_of_close(1000, "").kind == Kind::kOver);
  for (const std::uint16_t code :
       std::initializer_list<std::uint16_t>{1002, 1007, 1008, 1009, 4003, 4009, 4029, 4400, 4403, 4404}) {
    EXPECT(verdict_of_close(code, "").kind == Kind::kRefused);
  }
  EXPECT(verdict_of_close(4001, "").kind == Kind::kStale && verdict_of_close(4401, "").kind == Kind::kStale);
  for (const std::uint16_t code : std::initializer_list<std::uint16_t>{1001, 1006, 1011, 4008, 4429, 4453, 4999}) {
    EXPECT(verdict_of_close(code, "").kind == Kind::kLost);
  }
  EXPECT(verdict_of_close(1001, "retry in 7.3 s").after == 7300 * kMillisecond);
  EXPECT(verdict_of_close(1001, "retry in 1e300 s").after == 86400 * kSecond);
  EXPECT(verdict_of_status(503, 1e300).after == 86400 * kSecond && verdict_of_status(503, -1).after == 0);
  EXPECT(verdict_of_status(503, std::nan("")).after == 0);
  for (const char* reason : {"", "retry in  s", "retry in 7.3", "retry in seven s", "retry in -1 s", "come back"}) {
    EXPECT_SAYING(verdict_of_close(1001, reason).after == 0, reason);
  }
  EXPECT(verdict_of_status(401, 0).kind == Kind::kStale && verdict_of_status(404, 0).kind == Kind::kRefused);
  EXPECT(verdict_of_status(429, 3).kind == Kind::kLost && verdict_of_status(429, 3).after == 3 * kSecond);
  EXPECT(verdict_of_status(503, 0).kind == Kind::kLost && verdict_of_status(0, 0).kind == Kind::kLost);
  EXPECT(verdict_of_reason(wire::Reason::kGoingAway).kind == Kind::kLost);
}

TEST(backoff) {
  OpenSslCrypto crypto;
  Backoff backoff(crypto);
  Time longest = 0;
  for (int k = 0; k < 200; ++k) {
    const Time wait = backoff.next();
    const Time bound = k < 6 ? (kSecond / 2) << k : 30 * kSecond;
    EXPECT(wait >= 0 && wait <= bound);
    longest = later(longest, wait);
  }
  EXPECT(longest > 20 * kSecond);  // the probability that none of 194 draws up to 30 s exceeds 20 s is 10⁻³⁴.
  backoff.opened(0);
  backoff.ended(10 * kSecond);
  EXPECT(backoff.next() <= kSecond / 2);
}

TEST(token_expiry) {
  // {"alg":"HS256"} . {"sub":"1","exp":1800000000} . x
  EXPECT(token_expiry("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIiwiZXhwIjoxODAwMDAwMDAwfQ.x") == 1800000000 * kSecond);
  for (const char* token : {"", "abc", "a.b", "a..c", "a.e30.c", "eyJhbGciOiJIUzI1NiJ9.!!!!.x"}) {
    EXPECT_SAYING(token_expiry(token) == kNever, token);
  }
}

TEST(times) {
  Time time = 0;
  EXPECT(parse_time("1970-01-01T00:00:00Z", time) && time == 0);
  EXPECT(parse_time("2024-02-29T23:59:59.999999Z", time) && time == 1709251199 * kSecond + 999999);
  for (const char* text :
       {"", "2024-02-29", "2024-13-01T00:00:00Z", "2024-02-29T23:59:59+01:00", "2024-02-29T23:59:59.Xz"}) {
    EXPECT_SAYING(!parse_time(text, time), text);
  }
}

TEST(json_reader) {
  for (const char* text :
       {"1", "-0.5e-3", "\"\\u00e9\"", "[]", "{}", "[1,[2,{\"a\":null}],true]", " { \"a\" : [ ] } "}) {
    JsonReader reader(text);
    EXPECT_SAYING(reader.skip() && reader.at_end(), text);
  }
  for (const char* text : {"", "01", "1.", "+1", "\"", "\"\\x\"", "\"\\u12\"", "[1,]", "{\"a\"}", "{a:1}", "nul", "1 2",
                           "[1", "{\"a\":1"}) {
    JsonReader reader(text);
    EXPECT_SAYING(!(reader.skip() && reader.at_end()), text);
  }
  const std::string brackets(100, '[');
  JsonReader deep(brackets);
  EXPECT(!deep.skip());
  JsonReader number("-12.5e1");
  double value = 0;
  EXPECT(number.read_number(value) && std::fabs(value + 125) < 1e-9);
  JsonReader large("1e999");
  EXPECT(!large.read_number(value));
  JsonReader zero("-0.0e999");
  EXPECT(zero.read_number(value) && value == 0);
}

TEST(text) {
  Uuid uuid{};
  EXPECT(parse_uuid("AAAAAAAA-aaaa-4aaa-8aaa-aaaaaaaaaaaa", uuid));
  EXPECT(std::strcmp(to_text(uuid).data(), "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa") == 0);
  EXPECT(!parse_uuid("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaa", uuid));
  EXPECT(!parse_uuid("aaaaaaaaaaaaa-4aaa-8aaa-aaaaaaaaaaaa", uuid));
  std::uint8_t octets[2];
  EXPECT(parse_base64url("_-8", octets, 2) && octets[0] == 0xFF && octets[1] == 0xEF);
  EXPECT(!parse_base64url("_-9", octets, 2));  // bits beyond the last byte.
}
