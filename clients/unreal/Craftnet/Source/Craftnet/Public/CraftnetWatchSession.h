#pragma once

#include "CoreMinimal.h"
#include "Kismet/BlueprintAsyncActionBase.h"
#include "CraftnetSession.h"
#include "CraftnetWatchSession.generated.h"

/** The node "Watch Crafting Session", with a pin for each event, and one for itself. It ends with the session, or with Cancel. */
UCLASS(BlueprintType, meta = (ExposedAsyncProxy = AsyncAction))
class CRAFTNET_API UCraftnetWatchSession : public UBlueprintAsyncActionBase
{
	GENERATED_BODY()

public:
	UPROPERTY(BlueprintAssignable)
	FCraftnetProgressEvent OnProgress;

	UPROPERTY(BlueprintAssignable)
	FCraftnetMaterialsEvent OnMaterials;

	UPROPERTY(BlueprintAssignable)
	FCraftnetQueueEvent OnQueue;

	UPROPERTY(BlueprintAssignable)
	FCraftnetCompletedEvent OnCompleted;

	UPROPERTY(BlueprintAssignable)
	FCraftnetFailedEvent OnFailed;

	UPROPERTY(BlueprintAssignable)
	FCraftnetConnectionEvent OnConnectionChanged;

	UFUNCTION(BlueprintCallable, Category = "Craftnet", meta = (BlueprintInternalUseOnly = "true", WorldContext = "WorldContext", DisplayName = "Watch Crafting Session"))
	static UCraftnetWatchSession* WatchCraftingSession(UObject* WorldContext, FGuid SessionId, FGuid PlayerId);

	UFUNCTION(BlueprintCallable, Category = "Craftnet")
	void Cancel();

	/** The session, for Show of a progress widget. */
	UFUNCTION(BlueprintPure, Category = "Craftnet")
	UCraftnetSession* GetSession() const { return Session; }

	virtual void Activate() override;

private:
	UFUNCTION()
	void HandleProgress(const FCraftnetProgress& Progress);

	UFUNCTION()
	void HandleMaterials(const TArray<FCraftnetMaterial>& Materials);

	UFUNCTION()
	void HandleQueue(const FCraftnetQueueEntry& Entry);

	UFUNCTION()
	void HandleCompleted();

	UFUNCTION()
	void HandleFailed(const FString& Reason);

	UFUNCTION()
	void HandleConnection(ECraftnetConnection State, ECraftnetTransport Transport);

	UPROPERTY()
	TObjectPtr<UCraftnetSession> Session;

	TWeakObjectPtr<UObject> Context;
	FGuid WatchedSession;
	FGuid WatchingPlayer;
};
