#include "CraftnetSession.h"

#include "CraftnetLink.h"

bool UCraftnetSession::GetShown(FCraftnetShown& Shown)
{
	return Link.IsValid() && Link->GetShown(Shown);
}

void UCraftnetSession::Stop()
{
	const TSharedPtr<FCraftnetLink> Leaving = MoveTemp(Link);
	Link.Reset();
	if (Leaving.IsValid())
	{
		if (Result == ECraftnetResult::None)
		{
			Result = ECraftnetResult::Stopped;
		}
		Leaving->Stop();
	}
}

void UCraftnetSession::BeginDestroy()
{
	Stop();
	Super::BeginDestroy();
}

void UCraftnetSession::NotifyProgress(const FCraftnetProgress& NewProgress)
{
	Progress = NewProgress;
	NativeProgress.Broadcast(NewProgress);
	OnProgress.Broadcast(NewProgress);
}

void UCraftnetSession::NotifyMaterials(const TArray<FCraftnetMaterial>& Materials)
{
	NativeMaterials.Broadcast(Materials);
	OnMaterials.Broadcast(Materials);
}

void UCraftnetSession::NotifyQueue(const FCraftnetQueueEntry& Entry)
{
	NativeQueue.Broadcast(Entry);
	OnQueue.Broadcast(Entry);
}

void UCraftnetSession::NotifyConnection(ECraftnetConnection State, ECraftnetTransport NewTransport)
{
	Transport = NewTransport;
	NativeConnectionChanged.Broadcast(State, NewTransport);
	OnConnectionChanged.Broadcast(State, NewTransport);
}

void UCraftnetSession::NotifyEnded(ECraftnetResult NewResult, const FString& Reason)
{
	Result = NewResult;
	if (NewResult == ECraftnetResult::Completed)
	{
		NativeCompleted.Broadcast();
		OnCompleted.Broadcast();
	}
	else if (NewResult != ECraftnetResult::Stopped && NewResult != ECraftnetResult::Over)
	{
		NativeFailed.Broadcast(Reason);
		OnFailed.Broadcast(Reason);
	}
	if (Link.IsValid())  // a handler may have called Stop, and no event follows it.
	{
		NotifyConnection(ECraftnetConnection::Ended, Transport);
	}
}
