// The UDP socket of a watch, which is polled; and a bad line, when one is simulated.
#pragma once

#include "CoreMinimal.h"
#include "IPAddress.h"

class FSocket;

class FCraftnetDatagrams
{
public:
	~FCraftnetDatagrams();

	/** Opens a socket for datagrams to one of these addresses, which are of one family. */
	bool Open(const TArray<TSharedRef<FInternetAddr>>& Addresses);
	void Close();

	void Send(const uint8* Datagram, int32 Size, int32 Server, double Now);

	/** Hands over what has come in by now, and what a simulated line has held back. */
	void Receive(double Now, TFunctionRef<void(uint8* Datagram, int32 Size)> Take);

	void Simulate(float InLoss, float InDelay);

private:
	struct FHeld
	{
		double Due = 0.0;
		int32 Server = -1;  // -1: it came in.
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
