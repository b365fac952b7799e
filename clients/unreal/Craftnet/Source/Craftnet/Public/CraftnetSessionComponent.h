#pragma once

#include "CoreMinimal.h"
#include "Components/ActorComponent.h"
#include "CraftnetSession.h"
#include "CraftnetSessionComponent.generated.h"

/** The session of a workbench: watched from BeginPlay (with bAutoStart), or Watch, to EndPlay. */
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

	/** The session that is watched, whose events are bound to; null while there is none. */
	UPROPERTY(BlueprintReadOnly, Transient, Category = "Craftnet")
	TObjectPtr<UCraftnetSession> Session;

	/** Watches SessionId of PlayerId; what was watched before is left. */
	UFUNCTION(BlueprintCallable, Category = "Craftnet")
	UCraftnetSession* Watch();

	UFUNCTION(BlueprintCallable, Category = "Craftnet")
	void StopWatching();

	virtual void BeginPlay() override;
	virtual void EndPlay(const EEndPlayReason::Type Reason) override;
};
