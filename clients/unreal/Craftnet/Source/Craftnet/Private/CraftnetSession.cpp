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
		Result = ECraftnetResult::Stopped;
		Leaving->Stop();
	}
}

void UCraftnetSession::BeginDestroy()
{
	Stop();
	Super::BeginDestroy();
}

void UCraftnetSession::TellProgress(const FCraftnetProgress& Told)
{
	Progress = Told;
	NativeProgress.Broadcast(Told);
	OnProgress.Broadcast(Told);
}

void UCraftnetSession::TellMaterials(const TArray<FCraftnetMaterial>& Told)
{
	NativeMaterials.Broadcast(Told);
	OnMaterials.Broadcast(Told);
}

void UCraftnetSession::TellQueue(const FCraftnetQueueEntry& Told)
{
	NativeQueue.Broadcast(Told);
	OnQueue.Broadcast(Told);
}

void UCraftnetSession::TellConnection(ECraftnetConnection State, ECraftnetTransport Over)
{
	Transport = Over;
	NativeConnectionChanged.Broadcast(State, Over);
	OnConnectionChanged.Broadcast(State, Over);
}

void UCraftnetSession::TellEnd(ECraftnetResult How, const FString& Why)
{
	Result = How;
	if (How == ECraftnetResult::Completed)
	{
		NativeCompleted.Broadcast();
		OnCompleted.Broadcast();
	}
	else if (How != ECraftnetResult::Stopped && How != ECraftnetResult::Over)
	{
		NativeFailed.Broadcast(Why);
		OnFailed.Broadcast(Why);
	}
	TellConnection(ECraftnetConnection::Ended, Transport);
}
