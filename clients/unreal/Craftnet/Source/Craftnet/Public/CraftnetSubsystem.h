#pragma once

#include "CoreMinimal.h"
#include "Containers/Ticker.h"
#include "Subsystems/GameInstanceSubsystem.h"
#include "CraftnetSession.h"
#include "CraftnetSubsystem.generated.h"

/** Has to be called once with a bearer token, or with an empty string when there is none. */
using FCraftnetTokenResult = TFunction<void(const FString& Token)>;

/** Gets a bearer token from the game's login. bFresh: the one before has expired, is about to, or was refused. */
DECLARE_DELEGATE_TwoParams(FCraftnetGetToken, bool /* bFresh */, FCraftnetTokenResult /* Result */);

DECLARE_DYNAMIC_DELEGATE_RetVal_OneParam(FString, FCraftnetGetTokenDynamic, bool, bFresh);

/** The connections of a game instance to the service. */
UCLASS()
class CRAFTNET_API UCraftnetSubsystem : public UGameInstanceSubsystem
{
	GENERATED_BODY()

public:
	virtual void Initialize(FSubsystemCollectionBase& Collection) override;
	virtual void Deinitialize() override;

	/** Where tokens come from. It travels in a header, never in a URL. */
	FCraftnetGetToken GetToken;

	/** The same for Blueprints: returns the token at once. */
	UFUNCTION(BlueprintCallable, Category = "Craftnet")
	void SetTokenProvider(FCraftnetGetTokenDynamic Provider);

	/** Watches a session of a player. The caller keeps the object and binds to its events. */
	UFUNCTION(BlueprintCallable, Category = "Craftnet")
	UCraftnetSession* WatchSession(FGuid SessionId, FGuid PlayerId);

	/** One line for each session that is watched. */
	FString GetStatus() const;

	/** For tests of bad lines: share of datagrams lost, 0 to 1, and seconds by which each is late. */
	void Simulate(float Loss, float Delay);

private:
	bool Tick(float DeltaSeconds);

	UPROPERTY()
	TArray<TWeakObjectPtr<UCraftnetSession>> Sessions;

	UPROPERTY()
	FCraftnetGetTokenDynamic DynamicProvider;

	TArray<TSharedPtr<FCraftnetLink>> Links;  // those that say good-bye are in no session any more.
	FTSTicker::FDelegateHandle Ticker;
	float SimulatedLoss = 0.0f;
	float SimulatedDelay = 0.0f;
};
