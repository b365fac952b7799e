// Made by `python -m craftnet.protocols.wire.generate` from the layouts of craftnet.protocols. Do not edit.
#include "craftnet/wire.h"

#include <cstring>

namespace craftnet::wire {

namespace {

bool zeros(const std::uint8_t* octets, std::size_t size) noexcept {
  std::uint8_t sum = 0;
  for (std::size_t k = 0; k < size; ++k) sum = static_cast<std::uint8_t>(sum | octets[k]);
  return sum == 0;
}

}  // namespace

Outcome decode(Bytes octets, Header& record) noexcept {
  if (octets.size < Header::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u8(at + 0);
  record.packet_type = static_cast<std::uint8_t>(slot0);
  const std::uint32_t slot1 = load_u8(at + 1);
  if ((slot1 & 0xfU) != 0U) return Outcome::kReserved;
  record.version = static_cast<std::uint8_t>((slot1 >> 4));
  const std::uint32_t slot2 = load_u16(at + 2);
  record.length = static_cast<std::uint16_t>(slot2);
  const std::uint32_t slot4 = load_u32(at + 4);
  record.sequence = slot4;
  const std::uint64_t slot8 = load_u64(at + 8);
  if (slot8 > 253402300799999ULL) return Outcome::kOutOfRange;
  record.timestamp_ms = slot8;
  std::memcpy(record.session_id.data(), at + 16, 16);
  return Outcome::kAccepted;
}

void encode(const Header& record, std::uint8_t* octets) noexcept {
  store_u8(octets + 0, record.packet_type);
  store_u8(octets + 1, static_cast<std::uint8_t>((static_cast<std::uint32_t>(record.version) << 4)));
  store_u16(octets + 2, record.length);
  store_u32(octets + 4, record.sequence);
  store_u64(octets + 8, record.timestamp_ms);
  std::memcpy(octets + 16, record.session_id.data(), 16);
}

Outcome decode(Bytes octets, ProgressBody& record) noexcept {
  if (octets.size < ProgressBody::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u16(at + 0);
  if (slot0 > 10000U) return Outcome::kOutOfRange;
  record.percent = static_cast<std::uint16_t>(slot0);
  const std::uint32_t slot2 = load_u8(at + 2);
  if (slot2 > 100U) return Outcome::kOutOfRange;
  record.quality = static_cast<std::uint8_t>(slot2);
  const std::uint32_t slot3 = load_u8(at + 3);
  if (slot3 > 100U) return Outcome::kOutOfRange;
  record.target_quality = static_cast<std::uint8_t>(slot3);
  const std::uint32_t slot4 = load_u32(at + 4);
  record.remaining_ms = slot4;
  const std::uint32_t slot8 = load_u8(at + 8);
  record.flags = static_cast<std::uint8_t>(slot8);
  if (!zeros(at + 9, 7)) return Outcome::kReserved;
  return Outcome::kAccepted;
}

void encode(const ProgressBody& record, std::uint8_t* octets) noexcept {
  store_u16(octets + 0, record.percent);
  store_u8(octets + 2, record.quality);
  store_u8(octets + 3, record.target_quality);
  store_u32(octets + 4, record.remaining_ms);
  store_u8(octets + 8, record.flags);
  std::memset(octets + 9, 0, 7);
}

Outcome decode(Bytes octets, ChangeRow& record) noexcept {
  if (octets.size < ChangeRow::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  std::memcpy(record.material_id.data(), at + 0, 16);
  const std::uint32_t slot16 = load_u32(at + 16);
  record.quantity = slot16;
  const std::uint32_t slot20 = load_u8(at + 20);
  if (slot20 > 3U) return Outcome::kOutOfRange;
  record.change_type = static_cast<ChangeType>(slot20);
  const std::uint32_t slot21 = load_u8(at + 21);
  if (slot21 > 100U) return Outcome::kOutOfRange;
  record.quality = static_cast<std::uint8_t>(slot21);
  if (!zeros(at + 22, 2)) return Outcome::kReserved;
  return Outcome::kAccepted;
}

void encode(const ChangeRow& record, std::uint8_t* octets) noexcept {
  std::memcpy(octets + 0, record.material_id.data(), 16);
  store_u32(octets + 16, record.quantity);
  store_u8(octets + 20, static_cast<std::uint8_t>(static_cast<std::uint32_t>(record.change_type)));
  store_u8(octets + 21, record.quality);
  std::memset(octets + 22, 0, 2);
}

Outcome decode(Bytes octets, Hello& record) noexcept {
  if (octets.size < Hello::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u8(at + 0);
  if ((slot0 >> 6) != 1U) return Outcome::kReserved;
  if (((slot0 >> 5) & 0x1U) != 0U) return Outcome::kReserved;
  if ((slot0 & 0x1fU) != 1U) return Outcome::kReserved;
  const std::uint32_t slot1 = load_u32(at + 1);
  record.connection_id = slot1;
  std::memcpy(record.client_nonce.data(), at + 5, 16);
  if (!zeros(at + 21, 475)) return Outcome::kReserved;
  return Outcome::kAccepted;
}

void encode(const Hello& record, std::uint8_t* octets) noexcept {
  store_u8(octets + 0, static_cast<std::uint8_t>(64U | 1U));
  store_u32(octets + 1, record.connection_id);
  std::memcpy(octets + 5, record.client_nonce.data(), 16);
  std::memset(octets + 21, 0, 475);
}

Outcome decode(Bytes octets, Challenge& record) noexcept {
  if (octets.size < Challenge::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u8(at + 0);
  if ((slot0 >> 6) != 1U) return Outcome::kReserved;
  if (((slot0 >> 5) & 0x1U) != 0U) return Outcome::kReserved;
  if ((slot0 & 0x1fU) != 2U) return Outcome::kReserved;
  const std::uint32_t slot1 = load_u32(at + 1);
  record.connection_id = slot1;
  std::memcpy(record.client_nonce.data(), at + 5, 16);
  const std::uint64_t slot21 = load_u64(at + 21);
  record.issued_us = slot21;
  std::memcpy(record.server_nonce.data(), at + 29, 16);
  std::memcpy(record.cookie.data(), at + 45, 16);
  return Outcome::kAccepted;
}

void encode(const Challenge& record, std::uint8_t* octets) noexcept {
  store_u8(octets + 0, static_cast<std::uint8_t>(64U | 2U));
  store_u32(octets + 1, record.connection_id);
  std::memcpy(octets + 5, record.client_nonce.data(), 16);
  store_u64(octets + 21, record.issued_us);
  std::memcpy(octets + 29, record.server_nonce.data(), 16);
  std::memcpy(octets + 45, record.cookie.data(), 16);
}

Outcome decode(Bytes octets, Response& record) noexcept {
  if (octets.size < Response::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u8(at + 0);
  if ((slot0 >> 6) != 1U) return Outcome::kReserved;
  if (((slot0 >> 5) & 0x1U) != 0U) return Outcome::kReserved;
  if ((slot0 & 0x1fU) != 3U) return Outcome::kReserved;
  const std::uint32_t slot1 = load_u32(at + 1);
  record.connection_id = slot1;
  std::memcpy(record.client_nonce.data(), at + 5, 16);
  const std::uint64_t slot21 = load_u64(at + 21);
  record.issued_us = slot21;
  std::memcpy(record.server_nonce.data(), at + 29, 16);
  std::memcpy(record.cookie.data(), at + 45, 16);
  if (!zeros(at + 61, 435)) return Outcome::kReserved;
  return Outcome::kAccepted;
}

void encode(const Response& record, std::uint8_t* octets) noexcept {
  store_u8(octets + 0, static_cast<std::uint8_t>(64U | 3U));
  store_u32(octets + 1, record.connection_id);
  std::memcpy(octets + 5, record.client_nonce.data(), 16);
  store_u64(octets + 21, record.issued_us);
  std::memcpy(octets + 29, record.server_nonce.data(), 16);
  std::memcpy(octets + 45, record.cookie.data(), 16);
  std::memset(octets + 61, 0, 435);
}

Outcome decode(Bytes octets, SealedHeader& record) noexcept {
  if (octets.size < SealedHeader::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u8(at + 0);
  if ((slot0 >> 6) != 1U) return Outcome::kReserved;
  record.key_phase = static_cast<std::uint8_t>(((slot0 >> 5) & 0x1U));
  if ((slot0 & 0x1fU) < 4U || (slot0 & 0x1fU) > 12U) return Outcome::kType;
  record.kind = static_cast<Kind>((slot0 & 0x1fU));
  const std::uint32_t slot1 = load_u32(at + 1);
  record.connection_id = slot1;
  const std::uint32_t slot5 = load_u16(at + 5);
  record.sequence = static_cast<std::uint16_t>(slot5);
  return Outcome::kAccepted;
}

void encode(const SealedHeader& record, std::uint8_t* octets) noexcept {
  store_u8(octets + 0, static_cast<std::uint8_t>((static_cast<std::uint32_t>(record.key_phase) << 5) | static_cast<std::uint32_t>(record.kind) | 64U));
  store_u32(octets + 1, record.connection_id);
  store_u16(octets + 5, record.sequence);
}

Outcome decode(Bytes octets, Acknowledgement& record) noexcept {
  if (octets.size < Acknowledgement::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u32(at + 0);
  record.newest = slot0;
  const std::uint32_t slot4 = load_u32(at + 4);
  record.earlier = slot4;
  return Outcome::kAccepted;
}

void encode(const Acknowledgement& record, std::uint8_t* octets) noexcept {
  store_u32(octets + 0, record.newest);
  store_u32(octets + 4, record.earlier);
}

Outcome decode(Bytes octets, Heartbeat& record) noexcept {
  if (octets.size < Heartbeat::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint64_t slot0 = load_u64(at + 0);
  record.sent_us = slot0;
  const std::uint64_t slot8 = load_u64(at + 8);
  record.echoed_us = slot8;
  const std::uint64_t slot16 = load_u64(at + 16);
  record.received_us = slot16;
  return Outcome::kAccepted;
}

void encode(const Heartbeat& record, std::uint8_t* octets) noexcept {
  store_u64(octets + 0, record.sent_us);
  store_u64(octets + 8, record.echoed_us);
  store_u64(octets + 16, record.received_us);
}

Outcome decode(Bytes octets, Close& record) noexcept {
  if (octets.size < Close::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u8(at + 0);
  if (slot0 < 1U || slot0 > 7U) return Outcome::kOutOfRange;
  record.reason = static_cast<Reason>(slot0);
  return Outcome::kAccepted;
}

void encode(const Close& record, std::uint8_t* octets) noexcept {
  store_u8(octets + 0, static_cast<std::uint8_t>(static_cast<std::uint32_t>(record.reason)));
}

Outcome decode(Bytes octets, Held& record) noexcept {
  if (octets.size < Held::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u32(at + 0);
  record.version = slot0;
  return Outcome::kAccepted;
}

void encode(const Held& record, std::uint8_t* octets) noexcept {
  store_u32(octets + 0, record.version);
}

Outcome decode(Bytes octets, HeldToo& record) noexcept {
  if (octets.size < HeldToo::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u8(at + 0);
  record.session = static_cast<std::uint8_t>(slot0);
  const std::uint32_t slot1 = load_u32(at + 1);
  record.version = slot1;
  return Outcome::kAccepted;
}

void encode(const HeldToo& record, std::uint8_t* octets) noexcept {
  store_u8(octets + 0, record.session);
  store_u32(octets + 1, record.version);
}

Outcome decode(Bytes octets, Left& record) noexcept {
  if (octets.size < Left::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u8(at + 0);
  record.session = static_cast<std::uint8_t>(slot0);
  return Outcome::kAccepted;
}

void encode(const Left& record, std::uint8_t* octets) noexcept {
  store_u8(octets + 0, record.session);
}

Outcome decode(Bytes octets, Probe& record) noexcept {
  if (octets.size < Probe::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  std::memcpy(record.data.data(), at + 0, 8);
  return Outcome::kAccepted;
}

void encode(const Probe& record, std::uint8_t* octets) noexcept {
  std::memcpy(octets + 0, record.data.data(), 8);
}

Outcome decode(Bytes octets, Fragment& record) noexcept {
  if (octets.size < Fragment::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u8(at + 0);
  if ((slot0 & 0xfU) != 0U) return Outcome::kReserved;
  record.part = static_cast<std::uint8_t>((slot0 >> 6));
  record.last = static_cast<std::uint8_t>(((slot0 >> 4) & 0x3U));
  const std::uint32_t slot1 = load_u16(at + 1);
  record.most = static_cast<std::uint16_t>(slot1);
  return Outcome::kAccepted;
}

void encode(const Fragment& record, std::uint8_t* octets) noexcept {
  store_u8(octets + 0, static_cast<std::uint8_t>((static_cast<std::uint32_t>(record.part) << 6) | (static_cast<std::uint32_t>(record.last) << 4)));
  store_u16(octets + 1, record.most);
}

Outcome decode(Bytes octets, ProgressState& record) noexcept {
  if (octets.size < ProgressState::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u8(at + 0);
  if (slot0 != 1U) return Outcome::kReserved;
  const std::uint32_t slot1 = load_u32(at + 1);
  record.version = slot1;
  const std::uint64_t slot5 = load_u64(at + 5);
  if (slot5 > 253402300799999ULL) return Outcome::kOutOfRange;
  record.anchor_ms = slot5;
  const std::uint32_t slot13 = load_u32(at + 13);
  if ((slot13 & 0x1U) != 0U) return Outcome::kReserved;
  if ((slot13 >> 18) > 10000U) return Outcome::kOutOfRange;
  record.percent = static_cast<std::uint16_t>((slot13 >> 18));
  if (((slot13 >> 15) & 0x7U) > 4U) return Outcome::kOutOfRange;
  record.status = static_cast<Status>(((slot13 >> 15) & 0x7U));
  if (((slot13 >> 8) & 0x7fU) > 100U) return Outcome::kOutOfRange;
  record.quality = static_cast<std::uint8_t>(((slot13 >> 8) & 0x7fU));
  if (((slot13 >> 1) & 0x7fU) > 100U) return Outcome::kOutOfRange;
  record.target_quality = static_cast<std::uint8_t>(((slot13 >> 1) & 0x7fU));
  const std::uint32_t slot17 = load_u32(at + 17);
  record.remaining_ms = slot17;
  return Outcome::kAccepted;
}

void encode(const ProgressState& record, std::uint8_t* octets) noexcept {
  store_u8(octets + 0, static_cast<std::uint8_t>(1U));
  store_u32(octets + 1, record.version);
  store_u64(octets + 5, record.anchor_ms);
  store_u32(octets + 13, (static_cast<std::uint32_t>(record.percent) << 18) | (static_cast<std::uint32_t>(record.status) << 15) | (static_cast<std::uint32_t>(record.quality) << 8) | (static_cast<std::uint32_t>(record.target_quality) << 1));
  store_u32(octets + 17, record.remaining_ms);
}

Outcome decode(Bytes octets, ReasonPart& record) noexcept {
  if (octets.size < ReasonPart::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u8(at + 0);
  if (slot0 != 2U) return Outcome::kReserved;
  const std::uint32_t slot1 = load_u32(at + 1);
  record.version = slot1;
  const std::uint32_t slot5 = load_u16(at + 5);
  record.total = static_cast<std::uint16_t>(slot5);
  const std::uint32_t slot7 = load_u16(at + 7);
  record.offset = static_cast<std::uint16_t>(slot7);
  const std::uint32_t slot9 = load_u8(at + 9);
  record.length = static_cast<std::uint8_t>(slot9);
  return Outcome::kAccepted;
}

void encode(const ReasonPart& record, std::uint8_t* octets) noexcept {
  store_u8(octets + 0, static_cast<std::uint8_t>(2U));
  store_u32(octets + 1, record.version);
  store_u16(octets + 5, record.total);
  store_u16(octets + 7, record.offset);
  store_u8(octets + 9, record.length);
}

Outcome decode(Bytes octets, MaterialsPart& record) noexcept {
  if (octets.size < MaterialsPart::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u8(at + 0);
  if (slot0 != 3U) return Outcome::kReserved;
  const std::uint32_t slot1 = load_u32(at + 1);
  record.version = slot1;
  const std::uint32_t slot5 = load_u16(at + 5);
  record.rows = static_cast<std::uint16_t>(slot5);
  const std::uint32_t slot7 = load_u16(at + 7);
  record.problems = static_cast<std::uint16_t>(slot7);
  const std::uint32_t slot9 = load_u16(at + 9);
  record.first = static_cast<std::uint16_t>(slot9);
  const std::uint32_t slot11 = load_u8(at + 11);
  record.count = static_cast<std::uint8_t>(slot11);
  return Outcome::kAccepted;
}

void encode(const MaterialsPart& record, std::uint8_t* octets) noexcept {
  store_u8(octets + 0, static_cast<std::uint8_t>(3U));
  store_u32(octets + 1, record.version);
  store_u16(octets + 5, record.rows);
  store_u16(octets + 7, record.problems);
  store_u16(octets + 9, record.first);
  store_u8(octets + 11, record.count);
}

Outcome decode(Bytes octets, MaterialRow& record) noexcept {
  if (octets.size < MaterialRow::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  std::memcpy(record.material_id.data(), at + 0, 16);
  const std::uint32_t slot16 = load_u32(at + 16);
  if (slot16 > 4294967294U) return Outcome::kOutOfRange;
  record.quantity = slot16;
  const std::uint32_t slot20 = load_u8(at + 20);
  if (slot20 > 100U) return Outcome::kOutOfRange;
  record.quality = static_cast<std::uint8_t>(slot20);
  return Outcome::kAccepted;
}

void encode(const MaterialRow& record, std::uint8_t* octets) noexcept {
  std::memcpy(octets + 0, record.material_id.data(), 16);
  store_u32(octets + 16, record.quantity);
  store_u8(octets + 20, record.quality);
}

Outcome decode(Bytes octets, ProblemsPart& record) noexcept {
  if (octets.size < ProblemsPart::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u8(at + 0);
  if (slot0 != 4U) return Outcome::kReserved;
  const std::uint32_t slot1 = load_u32(at + 1);
  record.version = slot1;
  const std::uint32_t slot5 = load_u16(at + 5);
  record.first = static_cast<std::uint16_t>(slot5);
  const std::uint32_t slot7 = load_u8(at + 7);
  record.count = static_cast<std::uint8_t>(slot7);
  return Outcome::kAccepted;
}

void encode(const ProblemsPart& record, std::uint8_t* octets) noexcept {
  store_u8(octets + 0, static_cast<std::uint8_t>(4U));
  store_u32(octets + 1, record.version);
  store_u16(octets + 5, record.first);
  store_u8(octets + 7, record.count);
}

Outcome decode(Bytes octets, ProblemRow& record) noexcept {
  if (octets.size < ProblemRow::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u16(at + 0);
  record.row = static_cast<std::uint16_t>(slot0);
  const std::uint32_t slot2 = load_u8(at + 2);
  if (slot2 > 3U) return Outcome::kOutOfRange;
  record.problem = static_cast<Problem>(slot2);
  const std::uint32_t slot3 = load_u32(at + 3);
  if (slot3 < 1U) return Outcome::kOutOfRange;
  record.required_quantity = slot3;
  const std::uint32_t slot7 = load_u32(at + 7);
  record.available_quantity = slot7;
  const std::uint32_t slot11 = load_u8(at + 11);
  if (slot11 > 100U) return Outcome::kOutOfRange;
  record.required_quality = static_cast<std::uint8_t>(slot11);
  const std::uint32_t slot12 = load_u8(at + 12);
  if (slot12 > 100U) return Outcome::kOutOfRange;
  record.available_quality = static_cast<std::uint8_t>(slot12);
  return Outcome::kAccepted;
}

void encode(const ProblemRow& record, std::uint8_t* octets) noexcept {
  store_u16(octets + 0, record.row);
  store_u8(octets + 2, static_cast<std::uint8_t>(static_cast<std::uint32_t>(record.problem)));
  store_u32(octets + 3, record.required_quantity);
  store_u32(octets + 7, record.available_quantity);
  store_u8(octets + 11, record.required_quality);
  store_u8(octets + 12, record.available_quality);
}

Outcome decode(Bytes octets, MaterialsDelta& record) noexcept {
  if (octets.size < MaterialsDelta::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u8(at + 0);
  if (slot0 != 5U) return Outcome::kReserved;
  const std::uint32_t slot1 = load_u32(at + 1);
  record.version = slot1;
  const std::uint32_t slot5 = load_u8(at + 5);
  record.back = static_cast<std::uint8_t>(slot5);
  const std::uint32_t slot6 = load_u16(at + 6);
  record.rows = static_cast<std::uint16_t>(slot6);
  const std::uint32_t slot8 = load_u8(at + 8);
  record.count = static_cast<std::uint8_t>(slot8);
  return Outcome::kAccepted;
}

void encode(const MaterialsDelta& record, std::uint8_t* octets) noexcept {
  store_u8(octets + 0, static_cast<std::uint8_t>(5U));
  store_u32(octets + 1, record.version);
  store_u8(octets + 5, record.back);
  store_u16(octets + 6, record.rows);
  store_u8(octets + 8, record.count);
}

Outcome decode(Bytes octets, FreshSecret& record) noexcept {
  if (octets.size < FreshSecret::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u8(at + 0);
  if (slot0 != 6U) return Outcome::kReserved;
  std::memcpy(record.secret.data(), at + 1, 32);
  return Outcome::kAccepted;
}

void encode(const FreshSecret& record, std::uint8_t* octets) noexcept {
  store_u8(octets + 0, static_cast<std::uint8_t>(6U));
  std::memcpy(octets + 1, record.secret.data(), 32);
}

Outcome decode(Bytes octets, Selector& record) noexcept {
  if (octets.size < Selector::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u8(at + 0);
  if (slot0 != 7U) return Outcome::kReserved;
  const std::uint32_t slot1 = load_u8(at + 1);
  record.session = static_cast<std::uint8_t>(slot1);
  return Outcome::kAccepted;
}

void encode(const Selector& record, std::uint8_t* octets) noexcept {
  store_u8(octets + 0, static_cast<std::uint8_t>(7U));
  store_u8(octets + 1, record.session);
}

Outcome decode(Bytes octets, SessionOver& record) noexcept {
  if (octets.size < SessionOver::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u8(at + 0);
  if (slot0 != 8U) return Outcome::kReserved;
  const std::uint32_t slot1 = load_u8(at + 1);
  if (slot1 < 1U || slot1 > 7U) return Outcome::kOutOfRange;
  record.reason = static_cast<Reason>(slot1);
  return Outcome::kAccepted;
}

void encode(const SessionOver& record, std::uint8_t* octets) noexcept {
  store_u8(octets + 0, static_cast<std::uint8_t>(8U));
  store_u8(octets + 1, static_cast<std::uint8_t>(static_cast<std::uint32_t>(record.reason)));
}

Outcome decode(Bytes octets, FeedPosition& record) noexcept {
  if (octets.size < FeedPosition::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u8(at + 0);
  if (slot0 != 9U) return Outcome::kReserved;
  const std::uint64_t slot1 = load_u64(at + 1);
  if (slot1 > 9007199254740991ULL) return Outcome::kOutOfRange;
  record.version = slot1;
  const std::uint32_t slot9 = load_u8(at + 9);
  record.length = static_cast<std::uint8_t>(slot9);
  return Outcome::kAccepted;
}

void encode(const FeedPosition& record, std::uint8_t* octets) noexcept {
  store_u8(octets + 0, static_cast<std::uint8_t>(9U));
  store_u64(octets + 1, record.version);
  store_u8(octets + 9, record.length);
}

Outcome decode(Bytes octets, SessionName& record) noexcept {
  if (octets.size < SessionName::kSize) return Outcome::kTruncated;
  const std::uint8_t* at = octets.data;
  const std::uint32_t slot0 = load_u8(at + 0);
  if (slot0 != 10U) return Outcome::kReserved;
  std::memcpy(record.session_id.data(), at + 1, 16);
  return Outcome::kAccepted;
}

void encode(const SessionName& record, std::uint8_t* octets) noexcept {
  store_u8(octets + 0, static_cast<std::uint8_t>(10U));
  std::memcpy(octets + 1, record.session_id.data(), 16);
}

Outcome decode(BitReader& bits, RowProblem& record) noexcept {
  record = RowProblem{};
  const std::uint32_t problem = bits.take(2);
  if (bits.truncated()) return Outcome::kTruncated;
  record.problem = static_cast<Problem>(problem);
  if (!bits.number(true, record.required_quantity)) return bits.refusal();
  if (record.required_quantity < 1U) return Outcome::kOutOfRange;
  if (!bits.number(true, record.available_quantity)) return bits.refusal();
  const std::uint32_t required_quality = bits.take(7);
  if (bits.truncated()) return Outcome::kTruncated;
  if (required_quality > 100U) return Outcome::kOutOfRange;
  record.required_quality = static_cast<std::uint8_t>(required_quality);
  const std::uint32_t available_quality = bits.take(7);
  if (bits.truncated()) return Outcome::kTruncated;
  if (available_quality > 100U) return Outcome::kOutOfRange;
  record.available_quality = static_cast<std::uint8_t>(available_quality);
  return bits.truncated() ? Outcome::kTruncated : Outcome::kAccepted;
}

Outcome decode(BitReader& bits, unsigned row_bits, RowChange& record) noexcept {
  record = RowChange{};
  const std::uint32_t row = bits.take(row_bits);
  if (bits.truncated()) return Outcome::kTruncated;
  record.row = static_cast<std::uint16_t>(row);
  record.has_quantity = bits.take(1) == 1U;
  record.has_quality = bits.take(1) == 1U;
  record.has_problem = bits.take(1) == 1U;
  if (record.has_quantity) {
    if (!bits.number(false, record.quantity)) return bits.refusal();
  }
  if (record.has_quality) {
    const std::uint32_t quality = bits.take(7);
    if (bits.truncated()) return Outcome::kTruncated;
    if (quality > 100U) return Outcome::kOutOfRange;
    record.quality = static_cast<std::uint8_t>(quality);
  }
  record.stands = record.has_problem && bits.take(1) == 1U;
  if (record.stands) {
    const Outcome outcome = decode(bits, record.problem);
    if (outcome != Outcome::kAccepted) return outcome;
  }
  return bits.truncated() ? Outcome::kTruncated : Outcome::kAccepted;
}

}  // namespace craftnet::wire
