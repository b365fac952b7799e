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
	/** Where the service is, without a slash at the end: https://game.example, or http://127.0.0.1:8080. */
	UPROPERTY(Config, EditAnywhere, Category = "Craftnet")
	FString BaseUrl = TEXT("http://127.0.0.1:8080");

	/** UDP first, where the platform has OpenSSL; WebSocket where no datagram comes through. */
	UPROPERTY(Config, EditAnywhere, Category = "Craftnet")
	bool bUseUdp = true;

	/** Seconds within which a bar covers two thirds of a jump ahead. */
	UPROPERTY(Config, EditAnywhere, Category = "Craftnet", meta = (ClampMin = "0", ClampMax = "2"))
	float Smoothing = 0.15f;

	/** Seconds without any contact, after which a watch gives up. */
	UPROPERTY(Config, EditAnywhere, Category = "Craftnet", meta = (ClampMin = "5"))
	float Patience = 60.0f;
};
