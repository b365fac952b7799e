#include "CraftnetDatagrams.h"

#include "SocketSubsystem.h"
#include "Sockets.h"

FCraftnetDatagrams::~FCraftnetDatagrams()
{
	Close();
}

bool FCraftnetDatagrams::Open(const TArray<TSharedRef<FInternetAddr>>& Addresses)
{
	Close();
	ISocketSubsystem* Subsystem = ISocketSubsystem::Get(PLATFORM_SOCKETSUBSYSTEM);
	if (Subsystem == nullptr || Addresses.Num() == 0)
	{
		return false;
	}
	Socket = Subsystem->CreateSocket(NAME_DGram, TEXT("Craftnet"), Addresses[0]->GetProtocolType());
	if (Socket == nullptr)
	{
		return false;
	}
	Socket->SetNonBlocking(true);
	Servers = Addresses;
	Buffer.SetNumUninitialized(65536);
	return true;
}

void FCraftnetDatagrams::Close()
{
	if (Socket != nullptr)
	{
		Socket->Close();
		ISocketSubsystem::Get(PLATFORM_SOCKETSUBSYSTEM)->DestroySocket(Socket);
	}
	Socket = nullptr;
	Servers.Reset();
	Held.Reset();
}

void FCraftnetDatagrams::Send(const uint8* Datagram, int32 Size, int32 Server, double Now)
{
	if (IsLost())
	{
		return;
	}
	if (Delay > 0.0f)
	{
		Held.Add(FHeld{Now + Delay, Server, TArray<uint8>(Datagram, Size)});
		return;
	}
	Transmit(Datagram, Size, Server);
}

void FCraftnetDatagrams::Receive(double Now, TFunctionRef<void(uint8* Datagram, int32 Size)> Take)
{
	uint32 Pending = 0;
	while (Socket != nullptr && Socket->HasPendingData(Pending))
	{
		int32 Size = 0;
		if (!Socket->Recv(Buffer.GetData(), Buffer.Num(), Size) || Size <= 0)
		{
			break;
		}
		if (IsLost())
		{
			continue;
		}
		if (Delay > 0.0f)
		{
			Held.Add(FHeld{Now + Delay, -1, TArray<uint8>(Buffer.GetData(), Size)});
			continue;
		}
		Take(Buffer.GetData(), Size);
	}
	while (Held.Num() > 0 && Held[0].Due <= Now)
	{
		FHeld First = MoveTemp(Held[0]);
		Held.RemoveAt(0);
		if (First.Server < 0)
		{
			Take(First.Octets.GetData(), First.Octets.Num());
		}
		else
		{
			Transmit(First.Octets.GetData(), First.Octets.Num(), First.Server);
		}
	}
}

void FCraftnetDatagrams::Simulate(float InLoss, float InDelay)
{
	Loss = InLoss;
	Delay = InDelay;
}

bool FCraftnetDatagrams::IsLost() const
{
	return Loss > 0.0f && FMath::FRand() < Loss;
}

void FCraftnetDatagrams::Transmit(const uint8* Datagram, int32 Size, int32 Server)
{
	int32 Sent = 0;
	if (Socket != nullptr && Servers.IsValidIndex(Server))
	{
		Socket->SendTo(Datagram, Size, Sent, *Servers[Server]);  // a failure counts as a lost datagram.
	}
}
