// The cost of a datagram and of a connection: `craftnet-bench` prints one line of JSON. It times opening, decoding and
// applying together, and the cipher alone as the floor.
#include <malloc.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <new>
#include <vector>

#include "craftnet/liblz4.h"
#include "craftnet/openssl.h"
#include "craftnet/udp_client.h"
#include "server.h"

using namespace craftnet;

namespace {

long allocated = 0;  // bytes, as the allocator counts them.

void* allocate(std::size_t size) {
  void* memory = std::malloc(size);
  allocated += static_cast<long>(malloc_usable_size(memory));
  return memory;
}

void release(void* memory) {
  if (memory != nullptr) allocated -= static_cast<long>(malloc_usable_size(memory));
  std::free(memory);
}

constexpr Time kNow = 1800000000 * kSecond;
constexpr int kConnections = 500;
constexpr int kDatagrams = 200000;
constexpr int kBatch = 200;

/// Processor time of this thread, in seconds, which other processes do not influence.
double processor_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

double median(std::vector<double>& values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// Connects, and delivers the progress of a session, a table of 10 materials and 40 differences.
void fill(UdpClient& client, testing::Server& server) {
  exchange(client, server, kNow);
  const auto deliver = [&](wire::Kind kind, const std::vector<std::uint8_t>& body) {
    std::vector<std::uint8_t> datagram = server.seal(kind, body);
    (void)client.receive(datagram.data(), datagram.size(), kNow);
    exchange(client, server, kNow);
    UdpEvent event;
    while (client.poll(event)) {
    }
  };
  deliver(wire::Kind::kHeartbeat, std::vector<std::uint8_t>(24));
  deliver(wire::Kind::kState, testing::progress_state(1, wire::Status::kActive, 2000, 40000, 1800000000000));
  deliver(wire::Kind::kState, testing::table_state(1, 10, 5));
  for (std::uint32_t version = 2; version < 42; ++version)
    deliver(wire::Kind::kState, testing::delta_state(version, 1, 1000 + version));
}

double bytes_per_connection(Crypto& crypto, Lz4& lz4) {
  std::vector<std::unique_ptr<UdpClient>> clients;
  clients.reserve(kConnections);
  const long before = allocated;
  for (int k = 0; k < kConnections; ++k) {
    testing::Server other(crypto);
    clients.push_back(std::make_unique<UdpClient>(crypto, lz4, other.agreement(), kNow));
    fill(*clients.back(), other);
  }
  return static_cast<double>(allocated - before) / kConnections;
}

/// Nanoseconds to open, decode and apply one STATE with a difference and a progress record.
double nanoseconds_per_datagram(Crypto& crypto, Lz4& lz4) {
  testing::Server server(crypto);
  UdpClient client(crypto, lz4, server.agreement(), kNow);
  fill(client, server);
  std::vector<double> spent;
  std::uint32_t version = 42;
  std::uint8_t out[UdpClient::kRoom];
  UdpEvent event;
  for (int done = 0; done < kDatagrams; done += kBatch) {
    std::vector<std::vector<std::uint8_t>> datagrams;
    for (int k = 0; k < kBatch; ++k, ++version) {
      std::vector<std::uint8_t> body = testing::delta_state(version, 1, version);
      const std::vector<std::uint8_t> progress =
          testing::progress_state(version, wire::Status::kActive, 2000, 40000, 1800000000000 + version);
      body.insert(body.end(), progress.begin(), progress.end());
      datagrams.push_back(server.seal(wire::Kind::kState, body));
    }
    const double start = processor_time();
    for (std::vector<std::uint8_t>& datagram : datagrams) {
      if (client.receive(datagram.data(), datagram.size(), kNow) != Outcome::kAccepted) std::abort();
    }
    spent.push_back(processor_time() - start);
    while (client.transmit(kNow, out) > 0) {
    }
    while (client.poll(event)) {
    }
  }
  return median(spent) / kBatch * 1e9;
}

/// Nanoseconds for the cipher alone, on as many bytes.
double nanoseconds_of_cipher(Crypto& crypto) {
  std::unique_ptr<Aead> seals = crypto.aes_128_gcm({}, Direction::kSeal);
  std::unique_ptr<Aead> opens = crypto.aes_128_gcm({}, Direction::kOpen);
  constexpr std::size_t kContent = 8 + 12 + 21;
  std::vector<double> spent;
  for (int done = 0; done < kDatagrams; done += kBatch) {
    double batch = 0;
    std::vector<std::vector<std::uint8_t>> datagrams(kBatch, std::vector<std::uint8_t>(7 + kContent + kTagSize));
    for (std::vector<std::uint8_t>& datagram : datagrams) {
      if (!seals->seal({}, {datagram.data(), 7}, datagram.data() + 7, kContent)) std::abort();
    }
    batch = processor_time();
    for (std::vector<std::uint8_t>& datagram : datagrams) {
      if (!opens->open({}, {datagram.data(), 7}, datagram.data() + 7, kContent)) std::abort();
    }
    spent.push_back(processor_time() - batch);
  }
  return median(spent) / kBatch * 1e9;
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }

int main() {
  CRYPTO_set_mem_functions([](std::size_t size, const char*, int) { return allocate(size); },
                           [](void* memory, std::size_t size, const char*, int) {
                             if (memory != nullptr) allocated -= static_cast<long>(malloc_usable_size(memory));
                             memory = std::realloc(memory, size);
                             allocated += static_cast<long>(malloc_usable_size(memory));
                             return memory;
                           },
                           [](void* memory, const char*, int) { release(memory); });
  OpenSslCrypto crypto;
  LibLz4 lz4;
  (void)bytes_per_connection(crypto, lz4);  // what OpenSSL allocates once.
  const double bytes = bytes_per_connection(crypto, lz4);
  const double datagram = nanoseconds_per_datagram(crypto, lz4);
  const double cipher = nanoseconds_of_cipher(crypto);
  std::printf("{\"bytes_per_connection\":%.0f,\"nanoseconds_per_datagram\":%.0f,\"nanoseconds_of_cipher\":%.0f}\n",
              bytes, datagram, cipher);
  return 0;
}
