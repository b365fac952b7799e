#include "CraftnetSeams.h"

#include "Compression/lz4.h"

#if CRAFTNET_WITH_OPENSSL
#include "craftnet/openssl.h"
#endif

bool FCraftnetLz4::decompress(craftnet::Bytes block, craftnet::Bytes dictionary, std::uint8_t* out, std::size_t size) noexcept
{
	constexpr std::size_t Longest = 1u << 24;
	if (block.size > Longest || dictionary.size > Longest || size > Longest)
	{
		return false;
	}
	const char* Packed = reinterpret_cast<const char*>(block.data);
	char* Into = reinterpret_cast<char*>(out);
	const int32 From = static_cast<int32>(block.size);
	const int32 Room = static_cast<int32>(size);
	const int32 Written = dictionary.size == 0
		? LZ4_decompress_safe(Packed, Into, From, Room)
		: LZ4_decompress_safe_usingDict(Packed, Into, From, Room, reinterpret_cast<const char*>(dictionary.data), static_cast<int32>(dictionary.size));
	return Written == Room;
}

std::unique_ptr<craftnet::Aead> FCraftnetNoCrypto::aes_128_gcm(const craftnet::Octets<16>&, craftnet::Direction) noexcept
{
	return nullptr;
}

bool FCraftnetNoCrypto::hmac_sha256(craftnet::Bytes, craftnet::Bytes, craftnet::Octets<32>&) noexcept
{
	return false;
}

bool FCraftnetNoCrypto::random(std::uint8_t* octets, std::size_t size) noexcept
{
	for (std::size_t Place = 0; Place < size; ++Place)
	{
		octets[Place] = static_cast<std::uint8_t>(FMath::RandRange(0, 255));
	}
	return true;
}

craftnet::Crypto& CraftnetCrypto()
{
#if CRAFTNET_WITH_OPENSSL
	static craftnet::OpenSslCrypto Crypto;
#else
	static FCraftnetNoCrypto Crypto;
#endif
	return Crypto;
}
