#include "print.h"

#include <cstdio>

#include "craftnet/text.h"

namespace tools {

using namespace craftnet;

namespace {

const char* const kStatuses[] = {"active", "paused", "interrupted", "completed", "failed"};
const char* const kProblems[] = {"insufficient_quantity", "quality_too_low", "material_unavailable",
                                 "material_restored"};

std::string number(std::uint32_t value) { return value == wire::kUnknown ? "null" : std::to_string(value); }
std::string quality(unsigned value) { return value == 0 ? "null" : std::to_string(value); }

template <typename Problem>
std::string describe_problem(const Problem& problem, wire::Problem kind) {
  return std::string("{\"problem\":\"") + kProblems[static_cast<int>(kind)] +
         "\",\"required_quantity\":" + number(problem.required_quantity) +
         ",\"available_quantity\":" + number(problem.available_quantity) +
         ",\"required_quality\":" + quality(problem.required_quality) +
         ",\"available_quality\":" + quality(problem.available_quality) + "}";
}

}  // namespace

void print(const std::string& event, const std::string& members) {
  std::printf("{\"event\":\"%s\"%s}\n", event.c_str(), members.empty() ? "" : ("," + members).c_str());
  std::fflush(stdout);
}

std::string member(const char* name, const std::string& value) { return std::string("\"") + name + "\":" + value; }

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char letter : text) {
    if (letter == '"' || letter == '\\') out += '\\';
    if (static_cast<unsigned char>(letter) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(letter));
      out += escaped;
    } else {
      out += letter;
    }
  }
  return out + "\"";
}

std::string decimal(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", value);
  return text;
}

std::string describe(const Table& table) {
  std::string out;
  for (const Material& material : table) {
    out += std::string(out.empty() ? "" : ",") + "{\"material_id\":\"" + to_text(material.id).data() +
           "\",\"quantity\":" + std::to_string(material.quantity) + ",\"quality\":" + quality(material.quality) +
           ",\"problem\":" + (material.has_problem() ? describe_problem(material, material.problem()) : "null") + "}";
  }
  return "[" + out + "]";
}

std::string describe(const Progress& progress, const std::string& reason) {
  return std::string("{\"status\":\"") + kStatuses[static_cast<int>(progress.status)] +
         "\",\"percent\":" + decimal(progress.percent) +
         ",\"remaining\":" + (progress.remaining < 0 ? "null" : decimal(progress.remaining)) +
         ",\"quality\":" + quality(progress.quality) + ",\"target_quality\":" + quality(progress.target_quality) +
         ",\"failure_reason\":" + (reason.empty() ? "null" : quoted(reason)) + "}";
}

std::string describe(const Position& position) {
  return member("epoch", quoted(position.epoch)) + "," + member("version", std::to_string(position.version));
}

void print_message(const FeedMessage& message, const std::string& members) {
  if (message.has_material) {
    print("material", members + ",\"material_id\":\"" + to_text(message.material.material_id).data() +
                          "\",\"problem\":" + describe_problem(message.material, message.material.problem));
  }
  if (message.has_queue) {
    print("queue", members + ",\"position\":" + number(message.queue.position) +
                       ",\"total\":" + number(message.queue.total) +
                       ",\"estimated_wait_seconds\":" + number(message.queue.estimated_wait_seconds));
  }
  for (const wire::ChangeRow& change : message.changes) {
    print("change", members + ",\"material_id\":\"" + to_text(change.material_id).data() +
                        "\",\"quantity\":" + number(change.quantity) + ",\"quality\":" + quality(change.quality));
  }
}

}  // namespace tools
