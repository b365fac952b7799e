#include "CraftnetSessionComponent.h"

#include "CraftnetSubsystem.h"
#include "Engine/GameInstance.h"
#include "Engine/World.h"

UCraftnetSession* UCraftnetSessionComponent::Watch()
{
	StopWatching();
	const UWorld* World = GetWorld();
	const UGameInstance* Instance = World != nullptr ? World->GetGameInstance() : nullptr;
	UCraftnetSubsystem* Subsystem = Instance != nullptr ? Instance->GetSubsystem<UCraftnetSubsystem>() : nullptr;
	Session = Subsystem != nullptr ? Subsystem->WatchSession(SessionId, PlayerId) : nullptr;
	return Session;
}

void UCraftnetSessionComponent::StopWatching()
{
	if (Session != nullptr)
	{
		Session->Stop();
	}
	Session = nullptr;
}

void UCraftnetSessionComponent::BeginPlay()
{
	Super::BeginPlay();
	if (bAutoStart)
	{
		Watch();
	}
}

void UCraftnetSessionComponent::EndPlay(const EEndPlayReason::Type Reason)
{
	StopWatching();
	Super::EndPlay(Reason);
}
