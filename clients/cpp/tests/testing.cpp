#include "testing.h"

#include <cstdlib>
#include <cstring>

#include "craftnet/json.h"

namespace testing {

namespace {

int failures = 0;
const char* running = "";

int digit(char letter) { return letter <= '9' ? letter - '0' : letter - 'a' + 10; }

bool read(craftnet::JsonReader& reader, Json& value) {
  using Type = craftnet::JsonReader::Type;
  switch (reader.peek()) {
    case Type::kObject: {
      value.type = Json::Type::kObject;
      std::string_view name;
      if (!reader.enter_object()) return false;
      while (reader.next_member(name)) {
        value.members.emplace_back(std::string(name), Json());
        if (!read(reader, value.members.back().second)) return false;
      }
      return !reader.failed();
    }
    case Type::kArray:
      value.type = Json::Type::kArray;
      if (!reader.enter_array()) return false;
      while (reader.next_element()) {
        value.items.emplace_back();
        if (!read(reader, value.items.back())) return false;
      }
      return !reader.failed();
    case Type::kString:
      value.type = Json::Type::kString;
      return reader.read_string(value.text, SIZE_MAX);
    case Type::kNumber:
      value.type = Json::Type::kNumber;
      return reader.read_number(value.number);
    case Type::kBool:
      value.type = Json::Type::kBool;
      return reader.read_bool(value.truth);
    default:
      return reader.skip();
  }
}

}  // namespace

std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

void expect(bool holds, const char* condition, const char* file, int line, const std::string& more) {
  if (holds) return;
  ++failures;
  std::printf("%s: %s:%d: %s does not hold%s%s\n", running, file, line, condition, more.empty() ? "" : ": ",
              more.c_str());
}

bool Json::has(std::string_view name) const {
  for (const auto& member : members) {
    if (member.first == name) return true;
  }
  return false;
}

const Json& Json::operator[](std::string_view name) const {
  static const Json nothing;
  for (const auto& member : members) {
    if (member.first == name) return member.second;
  }
  return nothing;
}

std::string read_file(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) {
    std::printf("cannot read %s\n", path.c_str());
    std::exit(2);
  }
  std::string text;
  char buffer[65536];
  for (std::size_t size = 0; (size = std::fread(buffer, 1, sizeof buffer, file)) > 0;) text.append(buffer, size);
  std::fclose(file);
  return text;
}

Json parse_json(std::string_view text) {
  craftnet::JsonReader reader(text);
  Json value;
  if (!read(reader, value) || !reader.at_end()) {
    std::printf("not JSON: %.60s\n", text.data());
    std::exit(2);
  }
  return value;
}

Json read_json(const std::string& path) { return parse_json(read_file(path)); }

std::vector<std::uint8_t> unhex(std::string_view digits) {
  std::vector<std::uint8_t> octets;
  for (std::size_t k = 0; k + 1 < digits.size(); k += 2) {
    octets.push_back(static_cast<std::uint8_t>(digit(digits[k]) * 16 + digit(digits[k + 1])));
  }
  return octets;
}

std::string hex(craftnet::Bytes octets) {
  std::string text;
  for (std::size_t k = 0; k < octets.size; ++k) {
    text.push_back("0123456789abcdef"[octets.data[k] >> 4]);
    text.push_back("0123456789abcdef"[octets.data[k] & 15]);
  }
  return text;
}

}  // namespace testing

int main(int argc, char** argv) {
  int ran = 0;
  for (const testing::Test& test : testing::tests()) {
    if (argc > 1 && std::strstr(test.name, argv[1]) == nullptr) continue;
    testing::running = test.name;
    test.run();
    ++ran;
  }
  std::printf("%d tests, %d failures\n", ran, testing::failures);
  return testing::failures == 0 && ran > 0 ? 0 : 1;
}
