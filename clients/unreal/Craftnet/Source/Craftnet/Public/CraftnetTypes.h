// The values of a session for Blueprints.
#pragma once

#include "CoreMinimal.h"
#include "CraftnetTypes.generated.h"

UENUM(BlueprintType)
enum class ECraftnetStatus : uint8
{
	Active,
	Paused,
	Interrupted,
	Completed,
	Failed
};

UENUM(BlueprintType)
enum class ECraftnetProblem : uint8
{
	None,
	InsufficientQuantity,
	QualityTooLow,
	MaterialUnavailable,
	MaterialRestored
};

UENUM(BlueprintType)
enum class ECraftnetTransport : uint8
{
	Udp,
	WebSocket
};

UENUM(BlueprintType)
enum class ECraftnetConnection : uint8
{
	Connecting,
	Connected,
	Lost,
	Ended
};

UENUM(BlueprintType)
enum class ECraftnetResult : uint8
{
	None,
	Completed,
	Failed,
	Over,
	Refused,
	Unreachable,
	Stopped
};

USTRUCT(BlueprintType)
struct CRAFTNET_API FCraftnetProgress
{
	GENERATED_BODY()

	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	ECraftnetStatus Status = ECraftnetStatus::Active;

	/** 0 to 100, as the server sent it. For a bar, use FCraftnetShown. */
	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	float Percent = 0.0f;

	/** Seconds; negative when unknown. */
	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	float RemainingSeconds = -1.0f;

	/** 1 to 100; 0 when unknown. */
	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	int32 Quality = 0;

	/** 1 to 100; 0 when unknown. */
	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	int32 TargetQuality = 0;

	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	FString FailureReason;
};

USTRUCT(BlueprintType)
struct CRAFTNET_API FCraftnetMaterial
{
	GENERATED_BODY()

	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	FGuid MaterialId;

	/** -1 when unknown. */
	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	int64 Quantity = -1;

	/** 1 to 100; 0 when unknown. */
	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	int32 Quality = 0;

	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	ECraftnetProblem Problem = ECraftnetProblem::None;

	/** -1 when unknown. */
	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	int64 RequiredQuantity = -1;

	/** 1 to 100; 0 when unknown. */
	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	int32 RequiredQuality = 0;
};

USTRUCT(BlueprintType)
struct CRAFTNET_API FCraftnetQueueEntry
{
	GENERATED_BODY()

	/** From 1; -1 when unknown. */
	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	int32 Position = -1;

	/** -1 when unknown. */
	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	int32 Total = -1;

	/** -1 when unknown. */
	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	int32 EstimatedWaitSeconds = -1;

	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	bool bCanJumpQueue = false;
};

USTRUCT(BlueprintType)
struct CRAFTNET_API FCraftnetPosition
{
	GENERATED_BODY()

	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	FString Epoch;

	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	int64 Version = 0;
};

/** The present value of a bar. */
USTRUCT(BlueprintType)
struct CRAFTNET_API FCraftnetShown
{
	GENERATED_BODY()

	/** 0 to 100; it never goes backwards unless the craft itself does. */
	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	float Percent = 0.0f;

	/** Points by which Percent may differ from the truth. */
	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	float Error = 100.0f;
};
