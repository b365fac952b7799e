// Decrypted bodies of STATEs: those that are accepted are applied to the sessions of a connection.
#include "craftnet/bodies.h"
#include "craftnet/crypto.h"
#include "craftnet/session.h"
#include "craftnet/update.h"

using namespace craftnet;

/// The input is read twice: as one body, and as bodies that each follow their length in two bytes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Sessions sessions;
  std::uint64_t sequence = 0;
  const auto take = [&](Bytes body, std::uint64_t as) {
    if (examine_state(body, false) != Outcome::kAccepted) return;
    Faults faults;
    sessions.apply(body, as, 0, faults);
    std::uint8_t ack[1200];
    const std::size_t written = sessions.write_ack(ack, sizeof ack);
    if (examine_ack({ack, written}) != Outcome::kAccepted) __builtin_trap();
    for (std::size_t place = 0; place < sessions.size(); ++place) (void)sessions.at(place).take_changes();
  };
  take({data, size}, ++sequence);
  for (std::size_t at = 0; at + 2 < size;) {
    const std::size_t length = load_u16(data + at) % (size - at - 2) + 1;
    // One datagram in four arrives late.
    take({data + at + 2, length}, data[at] % 4 == 0 && sequence > 3 ? sequence - 2 : ++sequence);
    at += 2 + length;
  }
  Update update;
  if (decode_update({data, size}, update) == Outcome::kAccepted && update.type == UpdateType::kProgress) {
    std::uint8_t made[kProgressUpdateSize];
    encode_progress_update(update.header, update.progress, made);
    if (!same_bytes({made, sizeof made}, {data, size})) __builtin_trap();
  }
  return 0;
}
