#pragma once

#include "CoreMinimal.h"
#include "Components/ActorComponent.h"
#include "CraftnetSession.h"
#include "CraftnetSessionComponent.generated.h"

/** Watches the session of a workbench from Watch, or from BeginPlay with bAutoStart, to EndPlay. */
UCLASS(ClassGroup = (Craftnet), meta = (BlueprintSpawnableComponent))
class CRAFTNET_API UCraftnetSessionComponent : public UActorComponent
{
	GENERATED_BODY()

public:
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Craftnet")
	FGuid SessionId;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Craftnet")
	FGuid PlayerId;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "Craftnet")
	bool bAutoStart = false;

	/** The watched session, with the events to bind to; null while none is watched. */
	UPROPERTY(BlueprintReadOnly, Transient, Category = "Craftnet")
	TObjectPtr<UCraftnetSession> Session;

	/** Watches SessionId of PlayerId, and stops watching any other session. */
	UFUNCTION(BlueprintCallable, Category = "Craftnet")
	UCraftnetSession* Watch();

	UFUNCTION(BlueprintCallable, Category = "Craftnet")
	void StopWatching();

	virtual void BeginPlay() override;
	virtual void EndPlay(const EEndPlayReason::Type Reason) override;
};
