#include "craftnet/feed_message.h"

#include <array>

#include "craftnet/json.h"
#include "craftnet/text.h"
#include "craftnet/update.h"

namespace craftnet {

namespace {

constexpr std::size_t kMessageTypes = 14;
constexpr std::array<std::string_view, kMessageTypes> kTypes = {
    "progress_update", "material_notification", "queue_status",   "crafting_complete", "crafting_failed",
    "queue_position",  "station_available",     "priority_boost", "queue_timeout",     "health_update",
    "health_alert",    "service_down",          "token_accepted", "token_refused",
};
constexpr std::array<std::string_view, 5> kStatuses = {"active", "paused", "interrupted", "completed", "failed"};
constexpr std::array<std::string_view, 4> kProblems = {"insufficient_quantity", "quality_too_low",
                                                       "material_unavailable", "material_restored"};
constexpr std::array<std::string_view, 5> kStations = {"basic_workbench", "advanced_workbench", "cyberware_station",
                                                       "vehicle_bay", "laboratory"};
constexpr std::size_t kLongestName = 64;
constexpr std::uint64_t kLargestVersion = (std::uint64_t{1} << 53) - 1;

/// The index of a word in a list; the size of the list when it is not in it.
template <std::size_t N>
[[nodiscard]] std::size_t place(const std::array<std::string_view, N>& words, std::string_view word) noexcept {
  std::size_t at = 0;
  while (at < N && words[at] != word) ++at;
  return at;
}

/// Reads the members of a message. Each function reads one value.
class MessageReader {
 public:
  MessageReader(JsonReader& json, FeedMessage& message) noexcept : json_(json), message_(message) {}

  [[nodiscard]] bool read() {
    std::string_view member;
    if (!json_.enter_object()) return false;
    while (json_.next_member(member)) {
      if (!top(member)) return false;
    }
    return json_.at_end();
  }

 private:
  [[nodiscard]] bool top(std::string_view member) {
    if (absent()) return true;
    if (member == "type") return word(kTypes, message_.type);
    if (member == "session_id") return uuid(message_.session_id);
    if (member == "player_id") return uuid(message_.queue.player_id);
    if (member == "timestamp") return time(message_.timestamp);
    if (member == "epoch") return epoch();
    if (member == "version")
      return json_.read_count(message_.position.version) && message_.position.version <= kLargestVersion;
    if (member == "recovered") return message_.answers_resume = json_.read_bool(message_.recovered);
    if (member == "progress_data")
      return message_.has_progress = object([this](std::string_view name) { return progress(name); });
    if (member == "material_data")
      return message_.has_material = object([this](std::string_view name) { return material(name); });
    if (member == "queue_data")
      return message_.has_queue = object([this](std::string_view name) { return queue(name); });
    if (member == "queue_position" || member == "estimated_wait_time" || member == "station_type") {
      message_.has_queue = true;
      return queue(member == "estimated_wait_time" ? "estimated_wait_seconds" : member);
    }
    if (member == "expires_in") return json_.read_count(message_.expires_in);
    if (member == "code") return json_.read_count(message_.code);
    if (member == "message") return json_.read_string(message_.text);
    return json_.skip();
  }

  [[nodiscard]] bool progress(std::string_view member) {
    Progress& progress = message_.progress;
    if (member == "progress_percentage") return percentage(progress.percent);
    if (member == "status") return word(kStatuses, progress.status);
    if (member == "remaining_time_seconds") return json_.read_number(progress.remaining) && progress.remaining >= 0;
    if (member == "current_quality") return quality(progress.quality);
    if (member == "target_quality") return quality(progress.target_quality);
    if (member == "failure_reason") return json_.read_string(message_.failure_reason);
    return json_.skip();
  }

  [[nodiscard]] bool material(std::string_view member) {
    MaterialNotification& material = message_.material;
    if (member == "material_id") return uuid(material.material_id);
    if (member == "notification_type") return word(kProblems, material.problem);
    if (member == "required_quantity") return quantity(material.required_quantity);
    if (member == "available_quantity") return quantity(material.available_quantity);
    if (member == "required_quality") return quality(material.required_quality);
    if (member == "available_quality") return quality(material.available_quality);
    return json_.skip();
  }

  [[nodiscard]] bool queue(std::string_view member) {
    QueueEntry& queue = message_.queue;
    if (member == "player_id") return uuid(queue.player_id);
    if (member == "queue_position") return quantity(queue.position);
    if (member == "total_in_queue") return quantity(queue.total);
    if (member == "estimated_wait_seconds") return quantity(queue.estimated_wait_seconds);
    if (member == "station_type") return word(kStations, queue.station);
    if (member == "can_jump_queue") return json_.read_bool(queue.can_jump_queue);
    if (member == "jump_queue_cost") return quantity(queue.jump_queue_cost);
    return json_.skip();
  }

  template <typename Read>
  [[nodiscard]] bool object(Read read) {
    std::string_view member;
    if (!json_.enter_object()) return false;
    while (json_.next_member(member)) {
      if (!absent() && !read(member)) return false;
    }
    return !json_.failed();
  }

  /// Skips null, which stands for an absent member.
  [[nodiscard]] bool absent() noexcept { return json_.peek() == JsonReader::Type::kNull && json_.skip(); }

  /// One of the words of a list; an unknown word is the enumeration's kUnknown, where it has one.
  template <std::size_t N, typename Enumeration>
  [[nodiscard]] bool word(const std::array<std::string_view, N>& words, Enumeration& value) {
    if (!json_.read_string(scratch_, kLongestName)) return false;
    const std::size_t at = place(words, scratch_);
    value = static_cast<Enumeration>(at);
    constexpr bool kHasUnknown = N == kMessageTypes || std::is_same_v<Enumeration, Station>;
    return at < N || kHasUnknown;
  }

  [[nodiscard]] bool uuid(Uuid& value) {
    return json_.read_string(scratch_, kLongestName) && parse_uuid(scratch_, value);
  }
  [[nodiscard]] bool time(Time& value) {
    return json_.read_string(scratch_, kLongestName) && parse_time(scratch_, value);
  }

  [[nodiscard]] bool epoch() {
    if (!json_.read_string(scratch_, kLongestName + 1)) return false;
    if (scratch_.empty() || scratch_.size() > kLongestName) return false;
    std::size_t at = 0;
    for (const char letter : scratch_) message_.position.epoch[at++] = letter;
    return true;
  }

  [[nodiscard]] bool percentage(double& value) noexcept {
    return json_.read_number(value) && value >= 0 && value <= 100;
  }

  [[nodiscard]] bool quality(std::uint8_t& value) noexcept {
    std::uint64_t number = 0;
    if (!json_.read_count(number) || number > 100) return false;
    value = static_cast<std::uint8_t>(number);
    return true;
  }

  [[nodiscard]] bool quantity(std::uint32_t& value) noexcept {
    std::uint64_t number = 0;
    if (!json_.read_count(number)) return false;
    value = number < wire::kUnknown ? static_cast<std::uint32_t>(number) : wire::kUnknown - 1;
    return true;
  }

  JsonReader& json_;
  FeedMessage& message_;
  std::string scratch_;
};

[[nodiscard]] bool number_at(std::string_view text, std::size_t at, std::size_t size, int& value) noexcept {
  value = 0;
  if (at + size > text.size()) return false;
  for (std::size_t k = at; k < at + size; ++k) {
    if (text[k] < '0' || text[k] > '9') return false;
    value = value * 10 + (text[k] - '0');
  }
  return true;
}

/// Days from 1970-01-01 to a day of the Gregorian calendar (Hinnant, days_from_civil).
[[nodiscard]] std::int64_t days(std::int64_t year, int month, int day) noexcept {
  year -= month <= 2 ? 1 : 0;
  const std::int64_t era = year / 400;
  const std::int64_t year_of_era = year - era * 400;
  const std::int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

/// Turns a record of craftnet.bin.v1 into the message that JSON would be.
void describe(const Update& update, FeedMessage& message) {
  message.type = MessageType::kProgressUpdate;
  message.session_id = update.header.session_id;
  message.changes_counted = update.header.sequence;
  message.timestamp = static_cast<Time>(update.header.timestamp_ms) * kMillisecond;
  if (update.type == UpdateType::kMaterials) {
    message.type = MessageType::kMaterialNotification;
    for (std::size_t k = 0; k < update.count; ++k) message.changes.push_back(update.change(k));
    return;
  }
  const wire::ProgressBody& body = update.progress;
  message.has_progress = true;
  Progress& progress = message.progress;
  progress.percent = body.percent / 100.0;
  progress.anchor = message.timestamp;
  progress.remaining = body.remaining_ms == wire::kUnknown ? -1.0 : body.remaining_ms / 1000.0;
  progress.quality = body.quality;
  progress.target_quality = body.target_quality;
  if ((body.flags & kPaused) != 0) {
    progress.status = wire::Status::kPaused;
  } else if ((body.flags & kInterrupted) != 0) {
    progress.status = wire::Status::kInterrupted;
  } else if ((body.flags & kCompleted) != 0) {
    progress.status = wire::Status::kCompleted;
  } else if ((body.flags & kFailed) != 0) {
    progress.status = wire::Status::kFailed;
  }
}

}  // namespace

bool parse_time(std::string_view text, Time& time) noexcept {
  int year = 0;
  int month = 0;
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  const bool form = text.size() >= 20 && text.size() <= 40 && text[4] == '-' && text[7] == '-' && text[10] == 'T' &&
                    text[13] == ':' && text[16] == ':' && text.back() == 'Z';
  if (!form || !number_at(text, 0, 4, year) || !number_at(text, 5, 2, month) || !number_at(text, 8, 2, day) ||
      !number_at(text, 11, 2, hour) || !number_at(text, 14, 2, minute) || !number_at(text, 17, 2, second)) {
    return false;
  }
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return false;
  Time fraction = 0;
  if (text.size() > 20) {
    if (text[19] != '.') return false;
    Time unit = kSecond / 10;
    for (std::size_t at = 20; at + 1 < text.size(); ++at, unit /= 10) {
      if (text[at] < '0' || text[at] > '9') return false;
      fraction += unit * (text[at] - '0');
    }
  }
  const std::int64_t seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
  time = seconds * kSecond + fraction;
  return true;
}

const char* name(Subprotocol subprotocol) noexcept {
  constexpr const char* kNames[] = {"craftnet.json.v1", "craftnet.json.lz4.v1", "craftnet.bin.v1"};
  return kNames[static_cast<std::size_t>(subprotocol)];
}

bool parse_subprotocol(std::string_view text, Subprotocol& subprotocol) noexcept {
  subprotocol = Subprotocol::kJson;
  if (text.empty()) return true;
  for (const Subprotocol each : {Subprotocol::kJson, Subprotocol::kLz4, Subprotocol::kBinary}) {
    if (text != name(each)) continue;
    subprotocol = each;
    return true;
  }
  return false;
}

void FeedDecoder::add_dictionary(std::uint8_t id, Bytes dictionary) {
  for (Dictionary& known : dictionaries_) {
    if (known.id != id) continue;
    known.octets = dictionary;
    return;
  }
  dictionaries_.push_back({id, dictionary});
}

Outcome FeedDecoder::decode_text(std::string_view text, FeedMessage& message) {
  if (text.size() > kLongest) return Outcome::kOverlong;
  message = FeedMessage{};
  if (!is_utf8(text)) return Outcome::kGarbled;
  JsonReader json(text);
  if (!MessageReader(json, message).read()) return Outcome::kGarbled;
  message.progress.anchor = message.timestamp;
  message.progress_rounding = 1.0;
  if (!message.position.known()) message.position = Position{};
  return Outcome::kAccepted;
}

Outcome FeedDecoder::decode_binary(Bytes octets, FeedMessage& message, std::uint8_t& missing) {
  if (subprotocol_ == Subprotocol::kJson) return Outcome::kType;
  if (octets.size > kLongest) return Outcome::kOverlong;
  if (subprotocol_ == Subprotocol::kBinary) {
    Update update;
    const Outcome outcome = decode_update(octets, update);
    if (outcome != Outcome::kAccepted) return outcome;
    message = FeedMessage{};
    describe(update, message);
    return Outcome::kAccepted;
  }
  constexpr std::size_t kHead = 4;  // the dictionary's id, and the size of the JSON in three bytes.
  if (octets.size <= kHead) return Outcome::kTruncated;
  const std::size_t size = load_u32(octets.data) & 0xFFFFFFU;
  if (size > kLongest) return Outcome::kOverlong;
  if (size == 0) return Outcome::kGarbled;
  missing = octets.data[0];
  Bytes dictionary;
  if (missing != 0) {
    for (const Dictionary& known : dictionaries_) {
      if (known.id == missing) dictionary = known.octets;
    }
    if (dictionary.size == 0) return Outcome::kNoBaseline;
  }
  text_.resize(size);
  if (!lz4_.decompress(octets.behind(kHead), dictionary, text_.data(), size)) return Outcome::kGarbled;
  return decode_text({reinterpret_cast<const char*>(text_.data()), size}, message);
}

}  // namespace craftnet
