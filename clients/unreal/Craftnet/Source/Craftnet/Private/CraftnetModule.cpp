#include "CraftnetLog.h"
#include "CraftnetSubsystem.h"
#include "Engine/GameInstance.h"
#include "Engine/World.h"
#include "HAL/IConsoleManager.h"
#include "Misc/Parse.h"
#include "Modules/ModuleManager.h"

DEFINE_LOG_CATEGORY(LogCraftnet);
IMPLEMENT_MODULE(FDefaultModuleImpl, Craftnet);

namespace
{
	UCraftnetSubsystem* FindSubsystem(const UWorld* World)
	{
		const UGameInstance* Instance = World != nullptr ? World->GetGameInstance() : nullptr;
		return Instance != nullptr ? Instance->GetSubsystem<UCraftnetSubsystem>() : nullptr;
	}

	FAutoConsoleCommandWithWorldAndArgs StatusCommand(
		TEXT("Craftnet.Status"),
		TEXT("One line for each session that is watched: transport, round trip, progress and its error."),
		FConsoleCommandWithWorldAndArgsDelegate::CreateLambda([](const TArray<FString>& Arguments, UWorld* World)
		{
			const UCraftnetSubsystem* Subsystem = FindSubsystem(World);
			UE_LOG(LogCraftnet, Display, TEXT("%s"), Subsystem != nullptr ? *Subsystem->GetStatus() : TEXT("no game is running"));
		}));

	FAutoConsoleCommandWithWorldAndArgs SimulateCommand(
		TEXT("Craftnet.Simulate"),
		TEXT("Craftnet.Simulate loss=0.1 delay=0.2: loses that share of datagrams each way, and delays the others by seconds."),
		FConsoleCommandWithWorldAndArgsDelegate::CreateLambda([](const TArray<FString>& Arguments, UWorld* World)
		{
			UCraftnetSubsystem* Subsystem = FindSubsystem(World);
			if (Subsystem == nullptr)
			{
				UE_LOG(LogCraftnet, Warning, TEXT("no game is running"));
				return;
			}
			const FString Line = FString::Join(Arguments, TEXT(" "));
			float Loss = 0.0f;
			float Delay = 0.0f;
			FParse::Value(*Line, TEXT("loss="), Loss);
			FParse::Value(*Line, TEXT("delay="), Delay);
			Subsystem->Simulate(Loss, Delay);
		}));
}
