// One watched session, for a component or an async action.
#pragma once

#include "CoreMinimal.h"
#include "UObject/Object.h"
#include "CraftnetTypes.h"
#include "CraftnetSession.generated.h"

DECLARE_DYNAMIC_MULTICAST_DELEGATE_OneParam(FCraftnetProgressEvent, const FCraftnetProgress&, Progress);
DECLARE_DYNAMIC_MULTICAST_DELEGATE_OneParam(FCraftnetMaterialsEvent, const TArray<FCraftnetMaterial>&, Materials);
DECLARE_DYNAMIC_MULTICAST_DELEGATE_OneParam(FCraftnetQueueEvent, const FCraftnetQueueEntry&, Entry);
DECLARE_DYNAMIC_MULTICAST_DELEGATE_OneParam(FCraftnetFailedEvent, const FString&, Reason);
DECLARE_DYNAMIC_MULTICAST_DELEGATE(FCraftnetCompletedEvent);
DECLARE_DYNAMIC_MULTICAST_DELEGATE_TwoParams(FCraftnetConnectionEvent, ECraftnetConnection, State, ECraftnetTransport, Transport);

DECLARE_MULTICAST_DELEGATE_OneParam(FCraftnetProgressNative, const FCraftnetProgress&);
DECLARE_MULTICAST_DELEGATE_OneParam(FCraftnetMaterialsNative, const TArray<FCraftnetMaterial>&);
DECLARE_MULTICAST_DELEGATE_OneParam(FCraftnetQueueNative, const FCraftnetQueueEntry&);
DECLARE_MULTICAST_DELEGATE_OneParam(FCraftnetFailedNative, const FString&);
DECLARE_MULTICAST_DELEGATE(FCraftnetCompletedNative);
DECLARE_MULTICAST_DELEGATE_TwoParams(FCraftnetConnectionNative, ECraftnetConnection, ECraftnetTransport);

class FCraftnetLink;

/** A session, watched until it is over, or until Stop. Each event exists for Blueprints and, as Native…, for C++. */
UCLASS(BlueprintType)
class CRAFTNET_API UCraftnetSession : public UObject
{
	GENERATED_BODY()

public:
	UPROPERTY(BlueprintAssignable, Category = "Craftnet")
	FCraftnetProgressEvent OnProgress;

	/** Over UDP the whole table; over WebSocket the materials that changed or have a problem. */
	UPROPERTY(BlueprintAssignable, Category = "Craftnet")
	FCraftnetMaterialsEvent OnMaterials;

	UPROPERTY(BlueprintAssignable, Category = "Craftnet")
	FCraftnetQueueEvent OnQueue;

	UPROPERTY(BlueprintAssignable, Category = "Craftnet")
	FCraftnetCompletedEvent OnCompleted;

	/** The craft failed, or the session cannot be watched any more. */
	UPROPERTY(BlueprintAssignable, Category = "Craftnet")
	FCraftnetFailedEvent OnFailed;

	UPROPERTY(BlueprintAssignable, Category = "Craftnet")
	FCraftnetConnectionEvent OnConnectionChanged;

	FCraftnetProgressNative NativeProgress;
	FCraftnetMaterialsNative NativeMaterials;
	FCraftnetQueueNative NativeQueue;
	FCraftnetCompletedNative NativeCompleted;
	FCraftnetFailedNative NativeFailed;
	FCraftnetConnectionNative NativeConnectionChanged;

	/** The present value of a bar, to be read in every frame. False until a progress has arrived. */
	UFUNCTION(BlueprintCallable, Category = "Craftnet")
	bool GetShown(FCraftnetShown& Shown);

	UFUNCTION(BlueprintPure, Category = "Craftnet")
	FCraftnetProgress GetProgress() const { return Progress; }

	UFUNCTION(BlueprintPure, Category = "Craftnet")
	FCraftnetPosition GetPosition() const { return Position; }

	UFUNCTION(BlueprintPure, Category = "Craftnet")
	FGuid GetSessionId() const { return SessionId; }

	UFUNCTION(BlueprintPure, Category = "Craftnet")
	ECraftnetResult GetResult() const { return Result; }

	UFUNCTION(BlueprintPure, Category = "Craftnet")
	ECraftnetTransport GetTransport() const { return Transport; }

	/** Stops watching. No event follows. */
	UFUNCTION(BlueprintCallable, Category = "Craftnet")
	void Stop();

	virtual void BeginDestroy() override;

private:
	friend class UCraftnetSubsystem;
	friend class FCraftnetLink;

	void NotifyProgress(const FCraftnetProgress& NewProgress);
	void NotifyMaterials(const TArray<FCraftnetMaterial>& Materials);
	void NotifyQueue(const FCraftnetQueueEntry& Entry);
	void NotifyConnection(ECraftnetConnection State, ECraftnetTransport NewTransport);
	void NotifyEnded(ECraftnetResult NewResult, const FString& Reason);

	TSharedPtr<FCraftnetLink> Link;

	UPROPERTY()
	FCraftnetProgress Progress;

	UPROPERTY()
	FCraftnetPosition Position;

	FGuid SessionId;
	ECraftnetResult Result = ECraftnetResult::None;
	ECraftnetTransport Transport = ECraftnetTransport::Udp;
};
