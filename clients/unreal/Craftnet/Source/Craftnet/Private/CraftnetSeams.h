// The core's two interfaces to libraries, implemented with the engine's.
#pragma once

#include "CoreMinimal.h"
#include "craftnet/compression.h"
#include "craftnet/crypto.h"

/** LZ4 from Core. */
class FCraftnetLz4 final : public craftnet::Lz4
{
public:
	virtual bool decompress(craftnet::Bytes block, craftnet::Bytes dictionary, std::uint8_t* out, std::size_t size) noexcept override;
};

/** For platforms without OpenSSL: random numbers for the backoff of a watch over WebSocket, and nothing else. */
class FCraftnetNoCrypto final : public craftnet::Crypto
{
public:
	virtual std::unique_ptr<craftnet::Aead> aes_128_gcm(const craftnet::Octets<16>& key, craftnet::Direction direction) noexcept override;
	virtual bool hmac_sha256(craftnet::Bytes key, craftnet::Bytes data, craftnet::Octets<32>& digest) noexcept override;
	virtual bool random(std::uint8_t* octets, std::size_t size) noexcept override;
};

/** The cryptography of this platform, which lives as long as the module. */
craftnet::Crypto& CraftnetCrypto();
