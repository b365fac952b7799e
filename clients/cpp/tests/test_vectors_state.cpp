// Holds the state of sessions to protocol/vectors.json: messages, tables, progress, positions.
#include <cmath>
#include <cstdlib>

#include "craftnet/message.h"
#include "craftnet/text.h"
#include "craftnet/udp_client.h"
#include "vectors.h"

using namespace craftnet;
using namespace vectors;
using testing::hex;
using testing::unhex;
using testing::view;

namespace {

bool same_table(const Materials& found, const Json& wanted) {
  if (!found.has_table()) return wanted.null();
  bool same = !wanted.null() && found.table().size() == wanted.items.size();
  for (std::size_t row = 0; same && row < found.table().size(); ++row) {
    const Material& material = found.table()[row];
    const Json& said = wanted.items[row];
    same = said["material_id"].text == to_text(material.id).data() && said["quantity"].number == material.quantity &&
           same_quality(material.quality, said["quality"]) &&
           (material.has_problem() ? same_problem(material, said["problem"]) : said["problem"].null());
  }
  return same;
}

bool same_session(const Session& found, const Json& wanted) {
  const bool progress = found.has_progress()
                            ? same_progress(found.progress(), found.failure_reason(), wanted["progress"])
                            : wanted["progress"].null();
  const bool over =
      found.over() ? wanted["over"].number == static_cast<int>(found.over_reason()) : wanted["over"].null();
  return progress && over && wanted["progress_version"].number == found.progress_version() &&
         same_table(found.materials(), wanted["materials"]);
}

}  // namespace

TEST(messages) {
  int zstd = 0;
  for (const char* group : {"messages", "malformed_messages"}) {
    for (const Json& vector : all()[group].items) {
      if (vector["compression"].text == "zstd") {
        ++zstd;
        continue;
      }
      Reassembly reassembly(lz4(), vector["negotiated_packet_size"].count());
      Outcome outcome = Outcome::kAccepted;
      Bytes content;
      std::uint64_t counts_as = 0;
      for (const Json& part : vector["parts"].items) {
        const std::vector<std::uint8_t> body = unhex(part["body"].text);
        outcome = reassembly.take(view(body), part["sequence"].count(), content, counts_as);
      }
      if (vector.has("outcome")) {
        EXPECT_SAYING(vector["outcome"].text == name(outcome), vector["name"].text + ": " + name(outcome));
      } else {
        EXPECT_SAYING(hex(content) == vector["content"].text && counts_as == vector["counts_as"].count(),
                      vector["name"].text);
      }
    }
  }
  EXPECT(zstd > 0);  // skipped: this client offers only LZ4.
}

TEST(progress_at) {
  for (const Json& vector : all()["progress_at"].items) {
    const Json& said = vector["progress"];
    Progress progress;
    for (int k = 0; k < 5; ++k) {
      if (said["status"].text == kStatuses[k]) progress.status = static_cast<wire::Status>(k);
    }
    progress.percent = said["percent"].number;
    progress.anchor = static_cast<Time>(std::llround(said["anchor"].number * 1e6));
    progress.remaining = said["remaining"].null() ? -1.0 : said["remaining"].number;
    const Time at = static_cast<Time>(std::llround(vector["at"].number * 1e6));
    EXPECT_SAYING(near(percent_at(progress, at), vector["percent"]), vector["name"].text);
  }
}

TEST(receptions) {
  for (const Json& vector : all()["receptions"].items) {
    Sessions sessions;
    for (const Json& step : vector["steps"].items) {
      const std::vector<std::uint8_t> body = unhex(step["body"].text);
      const std::string where = vector["name"].text + ", " + std::to_string(step["sequence"].count());
      Faults faults;
      EXPECT_SAYING(examine_state(view(body), false) == Outcome::kAccepted, where);
      sessions.apply(view(body), step["sequence"].count(), 0, faults);
      EXPECT_SAYING(faults.count == step["faults"].items.size(), where);
      for (std::size_t k = 0; k < faults.count; ++k)
        EXPECT_SAYING(step["faults"].items[k].text == name(faults.outcomes[k]), where);
      for (const auto& [index, wanted] : step["held"].members) {
        const Session* session = sessions.find(static_cast<std::uint8_t>(std::atoi(index.c_str())));
        EXPECT_SAYING(session != nullptr && same_session(*session, wanted), where + " of session " + index);
      }
      std::uint8_t ack[UdpClient::kRoom];
      const std::size_t size = sessions.write_ack(ack, sizeof ack);
      EXPECT_SAYING(hex({ack, size}) == step["ack"].text, where + ": " + hex({ack, size}));
    }
  }
}

TEST(positions) {
  for (const Json& vector : all()["positions"].items) {
    const auto held = static_cast<std::uint32_t>(vector["materials_version"].count());
    EXPECT(has_reached(vector["version"].count(), held) == vector["there"].truth);
  }
}
