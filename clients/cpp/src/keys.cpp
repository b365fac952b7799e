#include "craftnet/keys.h"

#include <cstring>

#include "craftnet/text.h"

namespace craftnet {

namespace {

constexpr std::size_t kTokenSize = 36;
constexpr std::size_t kDerived = 60;  // a key, an IV, and the secret of the next generation.

[[nodiscard]] Bytes label(const char* text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text), std::strlen(text)};
}

[[nodiscard]] Bytes label(Sender sender) noexcept {
  return label(sender == Sender::kClient ? "craftnet udp 1 client" : "craftnet udp 1 server");
}

[[nodiscard]] bool derive(Crypto& crypto, Bytes material, Bytes salt, Sender sender, Generation& generation) noexcept {
  Octets<kDerived> derived{};
  if (!hkdf_sha256(crypto, material, salt, label(sender), derived.data(), derived.size())) return false;
  std::memcpy(generation.key.data(), derived.data(), 16);
  std::memcpy(generation.iv.data(), derived.data() + 16, 12);
  std::memcpy(generation.next.data(), derived.data() + 28, 32);
  return true;
}

}  // namespace

bool parse_session_token(std::string_view text, SessionToken& token) noexcept {
  Octets<kTokenSize> octets{};
  if (!parse_base64url(text, octets.data(), octets.size())) return false;
  token.connection_id = load_u32(octets.data());
  std::memcpy(token.secret.data(), octets.data() + 4, 32);
  return true;
}

SessionTokenText to_text(const SessionToken& token) noexcept {
  Octets<kTokenSize> octets{};
  store_u32(octets.data(), token.connection_id);
  std::memcpy(octets.data() + 4, token.secret.data(), 32);
  SessionTokenText text{};
  write_base64url(octets, text.data());
  return text;
}

Octets<12> Generation::nonce(std::uint64_t sequence) const noexcept {
  Octets<12> nonce = iv;
  store_u64(nonce.data() + 4, load_u64(nonce.data() + 4) ^ sequence);
  return nonce;
}

bool derive_handshake_key(Crypto& crypto, const Octets<32>& secret, Octets<32>& key) noexcept {
  return hkdf_sha256(crypto, secret, {}, label("craftnet udp 1 handshake"), key.data(), key.size());
}

bool derive_first(Crypto& crypto, const Octets<32>& secret, const Octets<16>& client_nonce,
                  const Octets<16>& server_nonce, Sender sender, Generation& generation) noexcept {
  Octets<32> salt{};
  std::memcpy(salt.data(), client_nonce.data(), 16);
  std::memcpy(salt.data() + 16, server_nonce.data(), 16);
  generation.number = 0;
  return derive(crypto, secret, salt, sender, generation);
}

bool derive_following(Crypto& crypto, const Generation& before, Sender sender, Generation& generation) noexcept {
  generation.number = before.number + 1;
  return derive(crypto, before.next, {}, sender, generation);
}

bool handshake_mac(Crypto& crypto, const Octets<32>& key, Bytes covered, Octets<16>& mac) noexcept {
  Octets<32> digest{};
  if (!crypto.hmac_sha256(key, covered, digest)) return false;
  std::memcpy(mac.data(), digest.data(), mac.size());
  return true;
}

}  // namespace craftnet
