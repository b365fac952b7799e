#include "CraftnetWatchSession.h"

#include "CraftnetSubsystem.h"
#include "Engine/Engine.h"
#include "Engine/GameInstance.h"
#include "Engine/World.h"

UCraftnetWatchSession* UCraftnetWatchSession::WatchCraftingSession(UObject* WorldContext, FGuid SessionId, FGuid PlayerId)
{
	UCraftnetWatchSession* Action = NewObject<UCraftnetWatchSession>();
	Action->Context = WorldContext;
	Action->WatchedSession = SessionId;
	Action->WatchingPlayer = PlayerId;
	Action->RegisterWithGameInstance(WorldContext);
	return Action;
}

void UCraftnetWatchSession::Activate()
{
	const UWorld* World = GEngine != nullptr ? GEngine->GetWorldFromContextObject(Context.Get(), EGetWorldErrorMode::LogAndReturnNull) : nullptr;
	const UGameInstance* Instance = World != nullptr ? World->GetGameInstance() : nullptr;
	UCraftnetSubsystem* Subsystem = Instance != nullptr ? Instance->GetSubsystem<UCraftnetSubsystem>() : nullptr;
	if (Subsystem == nullptr)
	{
		OnFailed.Broadcast(TEXT("there is no game instance"));
		SetReadyToDestroy();
		return;
	}
	Session = Subsystem->WatchSession(WatchedSession, WatchingPlayer);
	Session->OnProgress.AddDynamic(this, &UCraftnetWatchSession::HandleProgress);
	Session->OnMaterials.AddDynamic(this, &UCraftnetWatchSession::HandleMaterials);
	Session->OnQueue.AddDynamic(this, &UCraftnetWatchSession::HandleQueue);
	Session->OnCompleted.AddDynamic(this, &UCraftnetWatchSession::HandleCompleted);
	Session->OnFailed.AddDynamic(this, &UCraftnetWatchSession::HandleFailed);
	Session->OnConnectionChanged.AddDynamic(this, &UCraftnetWatchSession::HandleConnection);
}

void UCraftnetWatchSession::Cancel()
{
	if (Session != nullptr)
	{
		Session->Stop();
	}
	SetReadyToDestroy();
}

void UCraftnetWatchSession::HandleProgress(const FCraftnetProgress& Progress)
{
	OnProgress.Broadcast(Progress);
}

void UCraftnetWatchSession::HandleMaterials(const TArray<FCraftnetMaterial>& Materials)
{
	OnMaterials.Broadcast(Materials);
}

void UCraftnetWatchSession::HandleQueue(const FCraftnetQueueEntry& Entry)
{
	OnQueue.Broadcast(Entry);
}

void UCraftnetWatchSession::HandleCompleted()
{
	OnCompleted.Broadcast();
}

void UCraftnetWatchSession::HandleFailed(const FString& Reason)
{
	OnFailed.Broadcast(Reason);
}

void UCraftnetWatchSession::HandleConnection(ECraftnetConnection State, ECraftnetTransport Transport)
{
	OnConnectionChanged.Broadcast(State, Transport);
	if (State == ECraftnetConnection::Ended)
	{
		SetReadyToDestroy();
	}
}
