// Bodies of sealed datagrams that are not records of a STATE.
#pragma once

#include <cstddef>

#include "craftnet/bytes.h"
#include "craftnet/wire.h"

namespace craftnet {

/// Decodes a record from exactly its bytes.
template <typename Record>
[[nodiscard]] Outcome decode_exactly(Bytes body, Record& record) noexcept {
  const Outcome outcome = wire::decode(body, record);
  return outcome == Outcome::kAccepted && body.size > Record::kSize ? Outcome::kTrailing : outcome;
}

/// Decodes the body of a HEARTBEAT.
[[nodiscard]] inline Outcome decode_heartbeat(Bytes body, wire::Heartbeat& heartbeat) noexcept {
  const Outcome outcome = decode_exactly(body, heartbeat);
  const bool contradicts = (heartbeat.echoed_us == 0) != (heartbeat.received_us == 0);
  return outcome == Outcome::kAccepted && contradicts ? Outcome::kContradictory : outcome;
}

/// Decodes the body of a MESSAGE; `packed` is what follows the fragment's record: compressed bytes.
[[nodiscard]] inline Outcome decode_fragment(Bytes body, wire::Fragment& fragment, Bytes& packed) noexcept {
  const Outcome outcome = wire::decode(body, fragment);
  if (outcome != Outcome::kAccepted) return outcome;
  packed = body.behind(wire::Fragment::kSize);
  if (packed.size == 0) return Outcome::kTruncated;
  return fragment.part > fragment.last ? Outcome::kOutOfRange : Outcome::kAccepted;
}

/// Checks the body of an ACK, which a client writes and a server reads.
[[nodiscard]] inline Outcome examine_ack(Bytes body) noexcept {
  if (body.size < wire::Held::kSize) return Outcome::kTruncated;
  const Bytes others = body.behind(wire::Held::kSize);
  if (others.size % wire::HeldToo::kSize != 0) return Outcome::kTrailing;
  for (std::size_t at = 0, before = 0; at < others.size; at += wire::HeldToo::kSize) {
    if (others.data[at] <= before) return Outcome::kOutOfRange;
    before = others.data[at];
  }
  return Outcome::kAccepted;
}

/// Checks the body of a LEAVE, which a client writes and a server reads.
[[nodiscard]] inline Outcome examine_leave(Bytes body) noexcept {
  if (body.size == 0) return Outcome::kTruncated;
  for (std::size_t k = 1; k < body.size; ++k) {
    if (body.data[k] <= body.data[k - 1]) return Outcome::kOutOfRange;
  }
  return Outcome::kAccepted;
}

}  // namespace craftnet
