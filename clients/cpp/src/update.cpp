#include "craftnet/update.h"

namespace craftnet {

namespace {

constexpr std::uint8_t kAllFlags = kPaused | kInterrupted | kCompleted | kFailed;
constexpr std::uint8_t kTerminal = kCompleted | kFailed;

[[nodiscard]] Outcome decode_progress(Bytes body, wire::ProgressBody& progress) noexcept {
  const Outcome outcome = wire::decode(body, progress);
  if (outcome != Outcome::kAccepted) return outcome;
  const unsigned flags = progress.flags;
  if ((flags & ~unsigned{kAllFlags}) != 0) return Outcome::kReserved;
  if ((flags & kTerminal) != 0 && (flags & (flags - 1U)) != 0) return Outcome::kContradictory;
  return body.size > wire::ProgressBody::kSize ? Outcome::kTrailing : Outcome::kAccepted;
}

[[nodiscard]] Outcome decode_materials(Bytes body, Update& update) noexcept {
  update.rows = body;
  update.count = body.size / wire::ChangeRow::kSize;
  if (body.size % wire::ChangeRow::kSize != 0 || update.count > kMaxChanges) return Outcome::kOutOfRange;
  wire::ChangeRow row;
  for (std::size_t k = 0; k < update.count; ++k) {
    const Outcome outcome = wire::decode(body.behind(k * wire::ChangeRow::kSize), row);
    if (outcome != Outcome::kAccepted) return outcome;
  }
  return Outcome::kAccepted;
}

}  // namespace

wire::ChangeRow Update::change(std::size_t number) const noexcept {
  wire::ChangeRow row;
  (void)wire::decode(rows.behind(number * wire::ChangeRow::kSize), row);  // checked by decode_update.
  return row;
}

Outcome decode_update(Bytes octets, Update& update) noexcept {
  const Outcome outcome = wire::decode(octets, update.header);
  if (outcome != Outcome::kAccepted) return outcome;
  if (update.header.version != wire::kRecordVersion) return Outcome::kReserved;
  if (update.header.length < octets.size) return Outcome::kTrailing;
  if (update.header.length > octets.size) return Outcome::kTruncated;
  if (update.header.session_id == Uuid{}) return Outcome::kOutOfRange;
  const Bytes body = octets.behind(wire::Header::kSize);
  update.type = static_cast<UpdateType>(update.header.packet_type);
  switch (update.type) {
    case UpdateType::kProgress:
      return decode_progress(body, update.progress);
    case UpdateType::kMaterials:
      return decode_materials(body, update);
    default:
      return Outcome::kType;
  }
}

void encode_progress_update(wire::Header header, const wire::ProgressBody& body, std::uint8_t* out) noexcept {
  header.packet_type = static_cast<std::uint8_t>(UpdateType::kProgress);
  header.version = wire::kRecordVersion;
  header.length = static_cast<std::uint16_t>(kProgressUpdateSize);
  wire::encode(header, out);
  wire::encode(body, out + wire::Header::kSize);
}

std::size_t encode_materials_update(wire::Header header, const wire::ChangeRow* changes, std::size_t count,
                                    std::uint8_t* out) noexcept {
  if (count > kMaxChanges) count = kMaxChanges;
  const std::size_t size = wire::Header::kSize + count * wire::ChangeRow::kSize;
  header.packet_type = static_cast<std::uint8_t>(UpdateType::kMaterials);
  header.version = wire::kRecordVersion;
  header.length = static_cast<std::uint16_t>(size);
  wire::encode(header, out);
  for (std::size_t k = 0; k < count; ++k) {
    wire::encode(changes[k], out + wire::Header::kSize + k * wire::ChangeRow::kSize);
  }
  return size;
}

}  // namespace craftnet
