// The UDP socket of a watch, which is polled, and the simulation of a bad network path.
#pragma once

#include "CoreMinimal.h"
#include "IPAddress.h"

class FSocket;

class FCraftnetDatagrams
{
public:
	~FCraftnetDatagrams();

	/** Opens a socket for datagrams to these addresses, which must be of one family. */
	bool Open(const TArray<TSharedRef<FInternetAddr>>& Addresses);
	void Close();

	void Send(const uint8* Datagram, int32 Size, int32 Server, double Now);

	/** Delivers received datagrams, and those that the simulation has delayed until now. */
	void Receive(double Now, TFunctionRef<void(uint8* Datagram, int32 Size)> Take);

	void Simulate(float InLoss, float InDelay);

private:
	struct FHeld
	{
		double Due = 0.0;
		int32 Server = -1;  // -1: a received datagram.
		TArray<uint8> Octets;
	};

	bool IsLost() const;
	void Transmit(const uint8* Datagram, int32 Size, int32 Server);

	FSocket* Socket = nullptr;
	TArray<TSharedRef<FInternetAddr>> Servers;
	TArray<FHeld> Held;
	TArray<uint8> Buffer;
	float Loss = 0.0f;
	float Delay = 0.0f;
};
