#include "CraftnetConversions.h"

#include "HAL/PlatformTime.h"
#include "Misc/DateTime.h"
#include "craftnet/text.h"

namespace
{
	int64 Quantity(std::uint32_t Number)
	{
		return Number == craftnet::wire::kUnknown ? -1 : static_cast<int64>(Number);
	}

	int32 Count(std::uint32_t Number)
	{
		return Number > static_cast<std::uint32_t>(MAX_int32) ? -1 : static_cast<int32>(Number);
	}

	ECraftnetProblem Problem(craftnet::wire::Problem Number)
	{
		return static_cast<ECraftnetProblem>(static_cast<uint8>(Number) + 1);
	}
}

craftnet::Time CraftnetNow()
{
	static const double Start = FPlatformTime::Seconds();
	static const double Began = static_cast<double>(FDateTime::UtcNow().ToUnixTimestamp());
	return static_cast<craftnet::Time>((Began + FPlatformTime::Seconds() - Start) * 1000000.0);
}

craftnet::Uuid CraftnetUuid(const FGuid& Guid)
{
	craftnet::Uuid Uuid{};
	const std::string Text = CraftnetText(Guid.ToString(EGuidFormats::DigitsWithHyphensLower));
	return craftnet::parse_uuid(Text, Uuid) ? Uuid : craftnet::Uuid{};
}

FGuid CraftnetGuid(const craftnet::Uuid& Uuid)
{
	FGuid Guid;
	FGuid::Parse(FString(UTF8_TO_TCHAR(craftnet::to_text(Uuid).data())), Guid);
	return Guid;
}

std::string CraftnetText(const FString& String)
{
	return std::string(TCHAR_TO_UTF8(*String));
}

FString CraftnetString(const std::string& Text)
{
	return FString(UTF8_TO_TCHAR(Text.c_str()));
}

FCraftnetProgress CraftnetProgress(const craftnet::Progress& Progress, const std::string& Reason)
{
	FCraftnetProgress Converted;
	Converted.Status = static_cast<ECraftnetStatus>(Progress.status);
	Converted.Percent = static_cast<float>(Progress.percent);
	Converted.RemainingSeconds = static_cast<float>(Progress.remaining);
	Converted.Quality = Progress.quality;
	Converted.TargetQuality = Progress.target_quality;
	Converted.FailureReason = CraftnetString(Reason);
	return Converted;
}

FCraftnetPosition CraftnetPosition(const craftnet::Position& Position)
{
	FCraftnetPosition Converted;
	Converted.Epoch = CraftnetString(Position.epoch);
	Converted.Version = static_cast<int64>(Position.version);
	return Converted;
}

FCraftnetQueueEntry CraftnetQueueEntry(const craftnet::QueueEntry& Entry)
{
	FCraftnetQueueEntry Converted;
	Converted.Position = Count(Entry.position);
	Converted.Total = Count(Entry.total);
	Converted.EstimatedWaitSeconds = Count(Entry.estimated_wait_seconds);
	Converted.bCanJumpQueue = Entry.can_jump_queue;
	return Converted;
}

TArray<FCraftnetMaterial> CraftnetMaterials(const craftnet::Table& Table)
{
	TArray<FCraftnetMaterial> Materials;
	for (const craftnet::Material& Row : Table)
	{
		FCraftnetMaterial Converted;
		Converted.MaterialId = CraftnetGuid(Row.id);
		Converted.Quantity = Quantity(Row.quantity);
		Converted.Quality = Row.quality;
		if (Row.has_problem())
		{
			Converted.Problem = Problem(Row.problem());
			Converted.RequiredQuantity = Quantity(Row.required_quantity);
			Converted.RequiredQuality = Row.required_quality;
		}
		Materials.Add(Converted);
	}
	return Materials;
}

TArray<FCraftnetMaterial> CraftnetMaterials(const craftnet::FeedMessage& Message)
{
	TArray<FCraftnetMaterial> Materials;
	if (Message.has_material)
	{
		FCraftnetMaterial Converted;
		Converted.MaterialId = CraftnetGuid(Message.material.material_id);
		Converted.Quantity = Quantity(Message.material.available_quantity);
		Converted.Quality = Message.material.available_quality;
		Converted.Problem = Problem(Message.material.problem);
		Converted.RequiredQuantity = Quantity(Message.material.required_quantity);
		Converted.RequiredQuality = Message.material.required_quality;
		Materials.Add(Converted);
	}
	for (const craftnet::wire::ChangeRow& Change : Message.changes)
	{
		FCraftnetMaterial Converted;
		Converted.MaterialId = CraftnetGuid(Change.material_id);
		Converted.Quantity = Change.change_type == craftnet::wire::ChangeType::kRemoved ? 0 : Quantity(Change.quantity);
		Converted.Quality = Change.quality;
		Materials.Add(Converted);
	}
	return Materials;
}
