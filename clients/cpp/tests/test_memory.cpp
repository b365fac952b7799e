// Memory: none is allocated per datagram, and a hostile server cannot make a client hold much.
#include <cstdlib>
#include <new>
#include <string>

#include "pair.h"
#include "testing.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CRAFTNET_OWN_ALLOCATOR 0  // ThreadSanitizer has its own.
#endif
#endif
#ifndef CRAFTNET_OWN_ALLOCATOR
#define CRAFTNET_OWN_ALLOCATOR 1
#endif

#if CRAFTNET_OWN_ALLOCATOR

#include <malloc.h>

using namespace craftnet;
using testing::kNow;
using testing::Pair;
using testing::progress_state;

namespace {

long allocations = 0;
long allocated = 0;  // bytes.
long most = 0;       // of `allocated` since a test cleared it.

void* allocate(std::size_t size) {
  ++allocations;
  void* memory = std::malloc(size);
  allocated += static_cast<long>(malloc_usable_size(memory));
  most = allocated > most ? allocated : most;
  return memory;
}

void release(void* memory) {
  if (memory != nullptr) allocated -= static_cast<long>(malloc_usable_size(memory));
  std::free(memory);
}

constexpr std::uint64_t kNowMs = 1800000000000;

/// Records 7 and 3: the first row of a table that announces `rows` rows.
std::vector<std::uint8_t> first_row(std::uint8_t session, std::uint16_t rows, std::uint16_t first = 0) {
  std::vector<std::uint8_t> body = {7, session, 3, 0, 0, 0, 1};
  for (const std::uint16_t number : {rows, std::uint16_t{0}, first}) {
    body.push_back(static_cast<std::uint8_t>(number >> 8));
    body.push_back(static_cast<std::uint8_t>(number & 255U));
  }
  body.push_back(1);
  body.resize(body.size() + wire::MaterialRow::kSize);
  return body;
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }

TEST(no_allocation_per_datagram) {
  Pair pair;
  std::uint8_t out[UdpClient::kRoom];
  UdpEvent event;
  std::uint32_t version = 1;
  (void)pair.deliver_state(testing::table_state(version, 10, 5), kNow);
  long during = 0;
  for (int k = 0; k < 400; ++k) {
    const Time now = kNow + k * kMillisecond;
    ++version;
    std::vector<std::uint8_t> state = testing::delta_state(version, 1, 1000 + version);
    const std::vector<std::uint8_t> progress =
        progress_state(version, wire::Status::kActive, 2000, 40000, kNowMs + version);
    state.insert(state.end(), progress.begin(), progress.end());
    std::vector<std::uint8_t> datagram = pair.server.seal(wire::Kind::kState, state);
    const long before = allocations;
    EXPECT(pair.client.receive(datagram.data(), datagram.size(), now) == Outcome::kAccepted);
    while (pair.client.transmit(now, out) > 0) {
    }
    while (pair.client.poll(event)) {
    }
    if (k >= 100) during += allocations - before;
  }
  EXPECT_SAYING(during == 0, std::to_string(during));
}

TEST(announced_rows_take_no_memory) {
  Pair pair;
  most = allocated;
  const long before = allocated;
  for (unsigned session = 0; session < 256; ++session) {
    (void)pair.deliver_state(first_row(static_cast<std::uint8_t>(session), 65535), kNow);
    (void)pair.deliver_state(first_row(static_cast<std::uint8_t>(session), 1024, 1023), kNow);
    // Record 2: one byte of a reason of 65,535.
    (void)pair.deliver_state({7, static_cast<std::uint8_t>(session), 2, 0, 0, 0, 1, 255, 255, 0, 0, 1, 'x'}, kNow);
  }
  EXPECT(pair.client.count(Outcome::kOutOfRange) == 32);
  EXPECT_SAYING(most - before < (8L << 20), std::to_string(most - before));
}

TEST(endless_sessions_take_no_memory) {
  Pair pair;
  most = allocated;
  const long before = allocated;
  const std::vector<std::uint8_t> table = testing::table_state(1, 50, 5);
  for (unsigned round = 0; round < 8; ++round) {
    for (unsigned session = 0; session < 256; ++session) {
      std::vector<std::uint8_t> body = {7, static_cast<std::uint8_t>(session)};
      body.insert(body.end(), table.begin(), table.end());
      if (round % 2 != 0) body = {7, static_cast<std::uint8_t>(session), 8, 1};
      (void)pair.deliver_state(body, kNow + round * kSecond);
    }
  }
  EXPECT_SAYING(most - before < (2L << 20), std::to_string(most - before));
  EXPECT(pair.client.ending() == Ending::kNone);
}

TEST(endless_messages_take_no_memory) {
  Pair pair;
  most = allocated;
  const long before = allocated;
  std::vector<std::uint8_t> part(60000, 0x11);
  for (unsigned k = 0; k < 200; ++k) {
    part[0] = static_cast<std::uint8_t>((k % 4) << 6 | 3U << 4);
    part[1] = part[2] = 255;
    (void)pair.deliver(pair.server.seal(wire::Kind::kMessage, part), kNow);
  }
  EXPECT_SAYING(most - before < (1L << 20), std::to_string(most - before));
}

#endif
