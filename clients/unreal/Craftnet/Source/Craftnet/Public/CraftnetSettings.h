#pragma once

#include "CoreMinimal.h"
#include "Engine/DeveloperSettings.h"
#include "CraftnetSettings.generated.h"

/** Project Settings, Game, Craftnet; in DefaultGame.ini as [/Script/Craftnet.CraftnetSettings]. */
UCLASS(Config = Game, DefaultConfig, meta = (DisplayName = "Craftnet"))
class CRAFTNET_API UCraftnetSettings : public UDeveloperSettings
{
	GENERATED_BODY()

public:
	/** The service's URL without a slash at the end: https://game.example, or http://127.0.0.1:8080. */
	UPROPERTY(Config, EditAnywhere, Category = "Craftnet")
	FString BaseUrl = TEXT("http://127.0.0.1:8080");

	/** Use UDP where the platform has OpenSSL, and WebSocket while UDP does not work. Otherwise only WebSocket. */
	UPROPERTY(Config, EditAnywhere, Category = "Craftnet")
	bool bUseUdp = true;

	/** Seconds in which a bar covers two thirds of a jump ahead; 0: it jumps at once. */
	UPROPERTY(Config, EditAnywhere, Category = "Craftnet", meta = (ClampMin = "0", ClampMax = "2"))
	float Smoothing = 0.15f;

	/** Seconds without contact to the service after which a watch gives up. */
	UPROPERTY(Config, EditAnywhere, Category = "Craftnet", meta = (ClampMin = "5"))
	float Timeout = 60.0f;
};
