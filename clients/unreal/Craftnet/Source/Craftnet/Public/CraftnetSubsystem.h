#pragma once

#include "CoreMinimal.h"
#include "Containers/Ticker.h"
#include "Subsystems/GameInstanceSubsystem.h"
#include "CraftnetSession.h"
#include "CraftnetSubsystem.generated.h"

/** To be called once, on any thread, with a bearer token, or with an empty string when there is none. */
using FCraftnetTokenResult = TFunction<void(const FString& Token)>;

/** Gets a bearer token from the game's login. bFresh: the last one has expired, will soon, or was refused. */
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

	/** The source of bearer tokens, which travel in a header, never in a URL. */
	FCraftnetGetToken GetToken;

	/** The same for Blueprints: a function that returns the token at once. */
	UFUNCTION(BlueprintCallable, Category = "Craftnet")
	void SetTokenProvider(FCraftnetGetTokenDynamic Provider);

	/** Watches a session of a player. The caller must keep the object, and binds to its events. */
	UFUNCTION(BlueprintCallable, Category = "Craftnet")
	UCraftnetSession* WatchSession(FGuid SessionId, FGuid PlayerId);

	/** One line for each watched session. */
	FString GetStatus() const;

	/** Simulates a bad network path: the share of datagrams lost, 0 to 1, and the delay of each in seconds. */
	void Simulate(float Loss, float Delay);

private:
	bool Tick(float DeltaSeconds);

	UPROPERTY()
	TArray<TWeakObjectPtr<UCraftnetSession>> Sessions;

	UPROPERTY()
	FCraftnetGetTokenDynamic DynamicProvider;

	TArray<TSharedPtr<FCraftnetLink>> Links;  // includes those that have left their session and still close.
	FTSTicker::FDelegateHandle Ticker;
	float SimulatedLoss = 0.0f;
	float SimulatedDelay = 0.0f;
};
