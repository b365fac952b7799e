#include "server.h"

#include <cstring>

namespace testing {

using namespace craftnet;

Server::Server(Crypto& crypto) : crypto_(crypto) {
  token_.connection_id = 0xCAFE;
  token_.secret.fill(7);
  server_nonce_.fill(9);
  (void)derive_handshake_key(crypto_, token_.secret, key_);
}

Agreement Server::agreement() const {
  Agreement agreement;
  agreement.token = token_;
  agreement.lz4 = true;
  return agreement;
}

void Server::take(const std::uint8_t* datagram, std::size_t size, Time now) {
  if (datagram[0] == 0x41) {
    std::memcpy(client_nonce_.data(), datagram + 5, 16);
    wire::Challenge challenge;
    challenge.connection_id = token_.connection_id;
    challenge.client_nonce = client_nonce_;
    challenge.issued_us = static_cast<std::uint64_t>(now);
    challenge.server_nonce = server_nonce_;
    answer.resize(wire::Challenge::kSize + kTagSize);
    wire::encode(challenge, answer.data());
    Octets<16> mac{};
    (void)handshake_mac(crypto_, key_, {answer.data(), wire::Challenge::kSize}, mac);
    std::memcpy(answer.data() + wire::Challenge::kSize, mac.data(), mac.size());
    return;
  }
  if (datagram[0] == 0x43) {
    responded = true;
    (void)derive_first(crypto_, token_.secret, client_nonce_, server_nonce_, Sender::kServer, seals_);
    (void)derive_first(crypto_, token_.secret, client_nonce_, server_nonce_, Sender::kClient, opens_);
    return;
  }
  std::vector<std::uint8_t> copy(datagram, datagram + size);
  ++newest_;
  const std::size_t content = size - 7 - kTagSize;
  std::unique_ptr<Aead> aead = crypto_.aes_128_gcm(opens_.key, Direction::kOpen);
  if (!aead->open(opens_.nonce(newest_), {copy.data(), 7}, copy.data() + 7, content)) return;
  received.push_back({static_cast<wire::Kind>(copy[0] & 31U), {copy.begin() + 15, copy.end() - 16}});
}

std::vector<std::uint8_t> Server::seal(wire::Kind kind, const std::vector<std::uint8_t>& body) {
  return seal_as(sequence_ + 1, kind, body);
}

std::vector<std::uint8_t> Server::seal_as(std::uint64_t sequence, wire::Kind kind,
                                          const std::vector<std::uint8_t>& body) {
  std::vector<std::uint8_t> datagram(kSealedOverhead + body.size());
  store_u32(datagram.data() + 7, static_cast<std::uint32_t>(newest_));
  if (!body.empty()) std::memcpy(datagram.data() + 15, body.data(), body.size());
  Sealer sealer(crypto_, token_.connection_id, seals_, sequence - 1);
  (void)sealer.seal(kind, datagram.data(), 8 + body.size());
  if (sequence > sequence_) sequence_ = sequence;
  return datagram;
}

void exchange(UdpClient& client, Server& server, Time now) {
  std::uint8_t datagram[UdpClient::kRoom];
  for (std::size_t size = 0; (size = client.transmit(now, datagram)) > 0;) {
    server.take(datagram, size, now);
    if (server.answer.empty()) continue;
    (void)client.receive(server.answer.data(), server.answer.size(), now);
    server.answer.clear();
  }
}

std::vector<std::uint8_t> progress_state(std::uint32_t version, wire::Status status, std::uint16_t percent,
                                         std::uint32_t remaining_ms, std::uint64_t anchor_ms) {
  wire::ProgressState state;
  state.version = version;
  state.status = status;
  state.percent = percent;
  state.remaining_ms = remaining_ms;
  state.anchor_ms = anchor_ms;
  std::vector<std::uint8_t> body(wire::ProgressState::kSize);
  wire::encode(state, body.data());
  return body;
}

std::vector<std::uint8_t> table_state(std::uint32_t version, std::uint16_t rows, std::uint32_t quantity) {
  wire::MaterialsPart part;
  part.version = version;
  part.rows = rows;
  part.count = static_cast<std::uint8_t>(rows);
  std::vector<std::uint8_t> body(wire::MaterialsPart::kSize + rows * wire::MaterialRow::kSize);
  wire::encode(part, body.data());
  for (std::size_t row = 0; row < rows; ++row) {
    wire::MaterialRow material;
    material.material_id[15] = static_cast<std::uint8_t>(row);
    material.quantity = quantity;
    wire::encode(material, body.data() + wire::MaterialsPart::kSize + row * wire::MaterialRow::kSize);
  }
  return body;
}

std::vector<std::uint8_t> delta_state(std::uint32_t version, std::uint8_t back, std::uint32_t quantity) {
  wire::MaterialsDelta delta;
  delta.version = version;
  delta.back = back;
  delta.rows = 10;
  delta.count = 1;
  std::vector<std::uint8_t> body(wire::MaterialsDelta::kSize + 6);
  wire::encode(delta, body.data());
  std::uint64_t bits = 0b0000'100;  // row 0 in four bits; then only a quantity.
  unsigned length = 0;
  while (length < 32 && (quantity >> length) != 0) ++length;
  bits = (bits << 6) | length;
  bits = (bits << length) | quantity;
  const unsigned total = 7 + 6 + length;
  const unsigned size = (total + 7) / 8;
  bits <<= size * 8 - total;
  body.resize(wire::MaterialsDelta::kSize + size);
  for (unsigned k = 0; k < size; ++k) {
    body[wire::MaterialsDelta::kSize + k] = static_cast<std::uint8_t>((bits >> (8 * (size - 1 - k))) & 255U);
  }
  return body;
}

}  // namespace testing
