// A connection with a scripted server in the same process. package.py copies the core's server.h and server.cpp here.
#include "CoreMinimal.h"
#include "Misc/AutomationTest.h"

#if CRAFTNET_WITH_OPENSSL

#include "craftnet/openssl.h"
#include "craftnet/udp_client.h"
#include "server.h"

namespace
{
	/** The script has no compressed messages. */
	class FNoLz4 final : public craftnet::Lz4
	{
	public:
		virtual bool decompress(craftnet::Bytes, craftnet::Bytes, std::uint8_t*, std::size_t) noexcept override { return false; }
	};
}

IMPLEMENT_SIMPLE_AUTOMATION_TEST(FCraftnetTransportTest, "Craftnet.Core.ScriptedTransport", EAutomationTestFlags::EditorContext | EAutomationTestFlags::EngineFilter)

bool FCraftnetTransportTest::RunTest(const FString& Parameters)
{
	constexpr craftnet::Time Now = 1800000000 * craftnet::kSecond;
	craftnet::OpenSslCrypto Crypto;
	FNoLz4 Lz4;
	testing::Server Server(Crypto);
	craftnet::UdpClient Client(Crypto, Lz4, Server.agreement(), Now);
	testing::exchange(Client, Server, Now);
	TestTrue(TEXT("the client answers the challenge"), Server.responded);
	std::vector<std::uint8_t> Datagram = Server.seal(craftnet::wire::Kind::kState,
		testing::progress_state(1, craftnet::wire::Status::kActive, 2000, 40000, 1800000000000));
	TestTrue(TEXT("a state opens"), Client.receive(Datagram.data(), Datagram.size(), Now) == craftnet::Outcome::kAccepted);
	craftnet::Bar::Shown Shown;
	TestTrue(TEXT("the bar has a value"), Client.shown(0, Now + 10 * craftnet::kSecond, Shown));
	TestTrue(TEXT("which is 40"), Shown.percent > 39.9 && Shown.percent < 40.1);
	Client.close();
	testing::exchange(Client, Server, Now);
	TestTrue(TEXT("the server hears of the end"), Server.received.back().kind == craftnet::wire::Kind::kClose);
	return true;
}

#endif
