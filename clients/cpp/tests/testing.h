// A small test runner, TEST(name) { EXPECT(…); }, and a JSON reader.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "craftnet/bytes.h"

namespace testing {

struct Test {
  const char* name;
  void (*run)();
};

std::vector<Test>& tests();
void expect(bool holds, const char* condition, const char* file, int line, const std::string& more = "");

struct Registration {
  Registration(const char* name, void (*run)()) { tests().push_back({name, run}); }
};

/// A value of a JSON file.
struct Json {
  enum class Type { kNull, kBool, kNumber, kString, kArray, kObject } type = Type::kNull;
  bool truth = false;
  double number = 0.0;
  std::string text;
  std::vector<Json> items;
  std::vector<std::pair<std::string, Json>> members;

  [[nodiscard]] bool null() const { return type == Type::kNull; }
  [[nodiscard]] bool has(std::string_view name) const;
  [[nodiscard]] const Json& operator[](std::string_view name) const;
  [[nodiscard]] std::uint64_t count() const { return static_cast<std::uint64_t>(number); }
};

/// Reads a file; ends the program when that fails.
Json read_json(const std::string& path);
Json parse_json(std::string_view text);
std::string read_file(const std::string& path);

std::vector<std::uint8_t> unhex(std::string_view digits);
std::string hex(craftnet::Bytes octets);
inline craftnet::Bytes view(const std::vector<std::uint8_t>& octets) { return {octets.data(), octets.size()}; }

}  // namespace testing

#define TEST(name)                                                          \
  static void test_##name();                                                \
  static const testing::Registration registered_##name(#name, test_##name); \
  static void test_##name()

#define EXPECT(condition) testing::expect((condition), #condition, __FILE__, __LINE__)
#define EXPECT_SAYING(condition, more) testing::expect((condition), #condition, __FILE__, __LINE__, more)
