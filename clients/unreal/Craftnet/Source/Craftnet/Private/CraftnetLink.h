// Runs one watch of the core on the engine's sockets, HTTP and WebSockets.
#pragma once

#include "CoreMinimal.h"
#include "CraftnetDatagrams.h"
#include "CraftnetSeams.h"
#include "CraftnetTypes.h"
#include "UObject/WeakObjectPtr.h"
#include "craftnet/watch.h"

class IWebSocket;
class UCraftnetSession;
class UCraftnetSettings;
class UCraftnetSubsystem;

class FCraftnetLink : public TSharedFromThis<FCraftnetLink>
{
public:
	static TSharedPtr<FCraftnetLink> Create(UCraftnetSubsystem& Subsystem, UCraftnetSession& Session, const FGuid& PlayerId, const UCraftnetSettings& Settings);

	FCraftnetLink(UCraftnetSubsystem& InSubsystem, UCraftnetSession& InSession, const craftnet::WatchSettings& Wanted, const FString& InBaseUrl);
	~FCraftnetLink();

	/** Receives, acts on timeouts, sends, and delivers events. */
	void Tick();

	/** Leaves the session, which gets no further event. The next ticks send the last datagrams. */
	void Stop();

	/** Closes everything at once. */
	void Close();

	/** Whether it has ended and has nothing left to send. */
	bool IsDone() const;

	bool GetShown(FCraftnetShown& Shown);
	FString Describe();
	void Simulate(float Loss, float Delay) { Datagrams.Simulate(Loss, Delay); }

private:
	void Perform(const craftnet::WatchRequest& Request);
	void RequestToken(bool bFresh);
	static void TakeToken(const TWeakPtr<FCraftnetLink>& WeakLink, const FString& Token);
	void RequestHttp(const craftnet::WatchRequest& Request);
	void Resolve(const FString& Host, int32 Port);
	void OpenWebSocket(const craftnet::WatchRequest& Request);
	void CloseWebSocket();
	void TakeFragment(const void* Data, SIZE_T Size, bool bLast);
	void DeliverEvent(craftnet::WatchEvent& Event);
	void NotifyMessage(UCraftnetSession& Session, const craftnet::FeedMessage& Message);

	TWeakObjectPtr<UCraftnetSubsystem> Subsystem;
	TWeakObjectPtr<UCraftnetSession> Session;
	FString BaseUrl;
	FCraftnetLz4 Lz4;
	craftnet::Watch Watch;
	FCraftnetDatagrams Datagrams;
	TSharedPtr<IWebSocket> WebSocket;
	TArray<uint8> Fragments;  // of an incomplete binary message.
	TArray<TSharedRef<TArray<uint8>>> Dictionaries;
	std::string Offered;  // the preferred subprotocol: IWebSocket does not return the selected one.
	bool bClosed = false;
};
