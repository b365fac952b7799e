// Conversions between the core's values and the engine's.
#pragma once

#include "CoreMinimal.h"
#include "CraftnetTypes.h"
#include "craftnet/feed_message.h"
#include "craftnet/session.h"

#include <string>

/** The core's time: Unix time in microseconds on a steady clock. */
craftnet::Time CraftnetNow();

craftnet::Uuid CraftnetUuid(const FGuid& Guid);
FGuid CraftnetGuid(const craftnet::Uuid& Uuid);
std::string CraftnetText(const FString& String);
FString CraftnetString(const std::string& Text);

FCraftnetProgress CraftnetProgress(const craftnet::Progress& Progress, const std::string& Reason);
FCraftnetPosition CraftnetPosition(const craftnet::Position& Position);
FCraftnetQueueEntry CraftnetQueueEntry(const craftnet::QueueEntry& Entry);
TArray<FCraftnetMaterial> CraftnetMaterials(const craftnet::Table& Table);

/** The materials in a message of a WebSocket. */
TArray<FCraftnetMaterial> CraftnetMaterials(const craftnet::FeedMessage& Message);
