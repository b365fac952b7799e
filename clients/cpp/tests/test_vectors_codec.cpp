// Holds the codecs to protocol/vectors.json: bodies, records and reports, valid and malformed.
#include "craftnet/bodies.h"
#include "craftnet/protection.h"
#include "craftnet/state.h"
#include "craftnet/text.h"
#include "craftnet/update.h"
#include "vectors.h"

using namespace craftnet;
using namespace vectors;
using testing::hex;
using testing::unhex;
using testing::view;

namespace {

Sender sender_of(const Json& name) { return name.text == "client" ? Sender::kClient : Sender::kServer; }

bool same_change(const wire::RowChange& found, const Json& wanted) {
  const bool quantity = found.has_quantity ? wanted["quantity"].number == found.quantity : wanted["quantity"].null();
  const bool quality = found.has_quality ? !wanted["quality"].null() && wanted["quality"].number == found.quality
                                         : wanted["quality"].null();
  const Json& problem = wanted["problem"];
  const bool stands = found.stands ? problem["row"].number == found.row && same_problem(found.problem, problem)
                                   : problem.null() && wanted.has("problem") == found.has_problem;
  return wanted["row"].number == found.row && quantity && quality && stands;
}

bool same_version(std::uint64_t found, const Json& wanted) {
  return static_cast<double>(found) == wanted["version"].number;
}

bool same_materials_part(const StateRecord& found, const Json& wanted) {
  const wire::MaterialsPart& part = found.materials;
  bool same = wanted["record"].text == "MaterialsPart" && same_version(part.version, wanted) &&
              wanted["rows"].number == part.rows && wanted["problems"].number == part.problems &&
              wanted["first"].number == part.first && wanted["materials"].items.size() == part.count;
  for (std::size_t k = 0; same && k < part.count; ++k) {
    wire::MaterialRow row;
    same = decode(found.rest.behind(k * wire::MaterialRow::kSize), row) == Outcome::kAccepted;
    const Json& said = wanted["materials"].items[k];
    same = same && said["material_id"].text == to_text(row.material_id).data() &&
           same_quality(row.quality, said["quality"]) && said["quantity"].number == row.quantity;
  }
  return same;
}

bool same_problems_part(const StateRecord& found, const Json& wanted) {
  const wire::ProblemsPart& part = found.problems;
  bool same = wanted["record"].text == "ProblemsPart" && same_version(part.version, wanted) &&
              wanted["first"].number == part.first && wanted["problems"].items.size() == part.count;
  for (std::size_t k = 0; same && k < part.count; ++k) {
    wire::ProblemRow row;
    same = decode(found.rest.behind(k * wire::ProblemRow::kSize), row) == Outcome::kAccepted;
    const Json& said = wanted["problems"].items[k];
    same = same && said["row"].number == row.row && same_problem(row, said);
  }
  return same;
}

bool same_delta(const StateRecord& found, const Json& wanted) {
  const wire::MaterialsDelta& delta = found.delta;
  bool same = wanted["record"].text == "MaterialsDelta" && same_version(delta.version, wanted) &&
              wanted["back"].number == delta.back && wanted["rows"].number == delta.rows &&
              wanted["changes"].items.size() == delta.count;
  ChangeReader changes(delta, found.rest);
  wire::RowChange change;
  Outcome outcome = Outcome::kAccepted;
  for (std::size_t k = 0; same && changes.next(change, outcome); ++k) {
    same = outcome == Outcome::kAccepted && same_change(change, wanted["changes"].items[k]);
  }
  return same;
}

bool same_record(const StateRecord& found, const Json& wanted) {
  const std::string& name = wanted["record"].text;
  switch (found.tag) {
    case 1:
      return name == "ProgressState" && same_version(found.progress.version, wanted) &&
             same_progress(progress_of(found.progress), "", wanted["progress"]);
    case 2:
      return name == "ReasonPart" && same_version(found.reason.version, wanted) &&
             wanted["total"].number == found.reason.total && wanted["offset"].number == found.reason.offset &&
             wanted["octets"].text == hex(found.rest);
    case 3:
      return same_materials_part(found, wanted);
    case 4:
      return same_problems_part(found, wanted);
    case 5:
      return same_delta(found, wanted);
    case 6:
      return name == "FreshSecret" && wanted["secret"].text == hex(found.secret.secret);
    case 7:
      return name == "Selector" && wanted["session"].number == found.selector.session;
    case 8:
      return name == "SessionOver" && wanted["reason"].number == static_cast<int>(found.over.reason);
    case 10:
      return name == "SessionName" && wanted["session_id"].text == to_text(found.name.session_id).data();
    default:
      return name == "Position" && same_version(found.position.version, wanted) &&
             wanted["epoch"].text == std::string(reinterpret_cast<const char*>(found.rest.data), found.rest.size);
  }
}

bool same_records(Bytes body, const Json& wanted) {
  if (examine_state(body, false) != Outcome::kAccepted) return false;
  StateReader reader(body);
  StateRecord record;
  std::size_t count = 0;
  while (!reader.at_end()) {
    if (reader.next(record) != Outcome::kAccepted || count >= wanted.items.size()) return false;
    if (!same_record(record, wanted.items[count++])) return false;
  }
  return count == wanted.items.size();
}

/// The outcome of a body of this kind.
Outcome examine_body(const std::string& kind, Bytes body) {
  if (kind == "STATE") return examine_state(body, false);
  if (kind == "ACK") return examine_ack(body);
  if (kind == "LEAVE") return examine_leave(body);
  if (kind == "RESYNC") return body.size == 0 ? Outcome::kAccepted : Outcome::kTrailing;
  wire::Heartbeat heartbeat;
  if (kind == "HEARTBEAT") return decode_heartbeat(body, heartbeat);
  wire::Close close;
  if (kind == "CLOSE") return decode_exactly(body, close);
  wire::Probe probe;
  if (kind == "PATH_CHALLENGE" || kind == "PATH_RESPONSE") return decode_exactly(body, probe);
  wire::Fragment fragment;
  Bytes packed;
  return decode_fragment(body, fragment, packed);
}

/// Whether a body decodes to the vector's values.
bool says(const std::string& kind, Bytes body, const Json& said) {
  if (examine_body(kind, body) != Outcome::kAccepted) return false;
  if (kind == "STATE") return same_records(body, said);
  if (kind == "RESYNC") return said.null();
  if (kind == "CLOSE") return said.number == body.data[0];
  if (kind == "PATH_CHALLENGE" || kind == "PATH_RESPONSE") return said.text == hex(body);
  if (kind == "LEAVE") {
    bool same = said.items.size() == body.size;
    for (std::size_t k = 0; same && k < body.size; ++k) same = said.items[k].number == body.data[k];
    return same;
  }
  if (kind == "ACK") {
    bool same = said["0"].number == load_u32(body.data) && said.members.size() == 1 + (body.size - 4) / 5;
    for (std::size_t at = 4; same && at < body.size; at += 5) {
      same = said[std::to_string(body.data[at])].number == load_u32(body.data + at + 1);
    }
    return same;
  }
  if (kind == "HEARTBEAT") {
    wire::Heartbeat heartbeat;
    return decode_heartbeat(body, heartbeat) == Outcome::kAccepted && said["sent_us"].count() == heartbeat.sent_us &&
           said["echoed_us"].count() == heartbeat.echoed_us && said["received_us"].count() == heartbeat.received_us;
  }
  wire::Fragment fragment;
  Bytes packed;
  return decode_fragment(body, fragment, packed) == Outcome::kAccepted && said["part"].number == fragment.part &&
         said["last"].number == fragment.last && said["size"].number == fragment.most + 1 &&
         said["octets"].text == hex(packed);
}

wire::Kind kind_of(const std::string& name) {
  constexpr const char* kKinds[] = {"STATE",          "ACK",           "HEARTBEAT", "RESYNC", "CLOSE",
                                    "PATH_CHALLENGE", "PATH_RESPONSE", "LEAVE",     "MESSAGE"};
  std::uint8_t number = 4;
  for (const char* each : kKinds) {
    if (name == each) return static_cast<wire::Kind>(number);
    ++number;
  }
  return wire::Kind::kState;
}

}  // namespace

TEST(sealed) {
  for (const Json& vector : all()["sealed"].items) {
    const Generation keys = generation(sender_of(vector["from"]), vector["generation"].count());
    const std::vector<std::uint8_t> content = unhex(vector["content"].text);
    std::vector<std::uint8_t> datagram(7 + content.size() + 16);
    std::memcpy(datagram.data() + 7, content.data(), content.size());
    const std::string& kind = vector["kind"].text;
    Sealer sealer(crypto(), 0xDEADBEEFU, keys, vector["sequence"].count() - 1);
    EXPECT_SAYING(sealer.seal(kind_of(kind), datagram.data(), content.size()) == datagram.size(), vector["name"].text);
    EXPECT_SAYING(hex(view(datagram)) == vector["datagram"].text, vector["name"].text);
    EXPECT_SAYING(says(kind, view(content).behind(8), vector["decoded"]), vector["name"].text);
  }
}

TEST(states) {
  for (const Json& vector : all()["states"].items) {
    EXPECT_SAYING(same_records(view(unhex(vector["body"].text)), vector["records"]), vector["name"].text);
  }
}

TEST(posted) {
  for (const Json& vector : all()["posted"].items) {
    const std::vector<std::uint8_t> octets = unhex(vector["octets"].text);
    Update update;
    EXPECT(decode_update(view(octets), update) == Outcome::kAccepted);
    EXPECT(vector["sequence"].count() == update.header.sequence);
    EXPECT(vector["timestamp_ms"].count() == update.header.timestamp_ms);
    EXPECT(vector["session_id"].text == to_text(update.header.session_id).data());
    std::vector<std::uint8_t> made(octets.size());
    if (vector["record"].text == "ProgressRecord") {
      EXPECT(near(update.progress.percent / 100.0, vector["percent"]));
      EXPECT(same_quality(update.progress.quality, vector["quality"]));
      EXPECT(same_quality(update.progress.target_quality, vector["target_quality"]));
      EXPECT(update.progress.remaining_ms == wire::kUnknown
                 ? vector["remaining"].null()
                 : near(update.progress.remaining_ms / 1000.0, vector["remaining"]));
      EXPECT(vector["flags"].number == update.progress.flags);
      encode_progress_update(update.header, update.progress, made.data());
    } else {
      constexpr const char* kChanges[] = {"added", "removed", "quantity_changed", "quality_changed"};
      std::vector<wire::ChangeRow> changes;
      EXPECT(vector["changes"].items.size() == update.count);
      for (std::size_t k = 0; k < update.count; ++k) {
        changes.push_back(update.change(k));
        const Json& said = vector["changes"].items[k];
        EXPECT(said["material_id"].text == to_text(changes[k].material_id).data());
        EXPECT(said["change_type"].text == kChanges[static_cast<int>(changes[k].change_type)]);
        EXPECT(same_quantity(changes[k].quantity, said["new_quantity"]));
        EXPECT(same_quality(changes[k].quality, said["new_quality"]));
      }
      EXPECT(encode_materials_update(update.header, changes.data(), changes.size(), made.data()) == made.size());
    }
    EXPECT(made == octets);
  }
}

TEST(malformed) {
  for (const Json& vector : all()["malformed_states"].items) {
    const Outcome outcome = examine_state(view(unhex(vector["body"].text)), false);
    EXPECT_SAYING(vector["outcome"].text == name(outcome), vector["name"].text + ": " + name(outcome));
  }
  for (const Json& vector : all()["malformed_bodies"].items) {
    const Outcome outcome = examine_body(vector["kind"].text, view(unhex(vector["body"].text)));
    EXPECT_SAYING(vector["outcome"].text == name(outcome), vector["name"].text + ": " + name(outcome));
  }
  for (const Json& vector : all()["malformed_posted"].items) {
    Update update;
    const Outcome outcome = decode_update(view(unhex(vector["octets"].text)), update);
    EXPECT_SAYING(vector["outcome"].text == name(outcome), vector["name"].text + ": " + name(outcome));
  }
}
