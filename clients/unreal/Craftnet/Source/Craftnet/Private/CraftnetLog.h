#pragma once

#include "CoreMinimal.h"
#include "Stats/Stats.h"

DECLARE_LOG_CATEGORY_EXTERN(LogCraftnet, Log, All);
DECLARE_STATS_GROUP(TEXT("Craftnet"), STATGROUP_Craftnet, STATCAT_Advanced);
