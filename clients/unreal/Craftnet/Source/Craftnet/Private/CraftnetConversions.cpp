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
	FCraftnetProgress Told;
	Told.Status = static_cast<ECraftnetStatus>(Progress.status);
	Told.Percent = static_cast<float>(Progress.percent);
	Told.RemainingSeconds = static_cast<float>(Progress.remaining);
	Told.Quality = Progress.quality;
	Told.TargetQuality = Progress.target_quality;
	Told.FailureReason = CraftnetString(Reason);
	return Told;
}

FCraftnetPosition CraftnetPosition(const craftnet::Position& Position)
{
	FCraftnetPosition Told;
	Told.Epoch = CraftnetString(Position.epoch);
	Told.Version = static_cast<int64>(Position.version);
	return Told;
}

FCraftnetQueueEntry CraftnetQueueEntry(const craftnet::QueueEntry& Entry)
{
	FCraftnetQueueEntry Told;
	Told.Position = Count(Entry.position);
	Told.Total = Count(Entry.total);
	Told.EstimatedWaitSeconds = Count(Entry.estimated_wait_seconds);
	Told.bCanJumpQueue = Entry.can_jump_queue;
	return Told;
}

TArray<FCraftnetMaterial> CraftnetMaterials(const craftnet::Table& Table)
{
	TArray<FCraftnetMaterial> Materials;
	for (const craftnet::Material& Row : Table)
	{
		FCraftnetMaterial Told;
		Told.MaterialId = CraftnetGuid(Row.id);
		Told.Quantity = Quantity(Row.quantity);
		Told.Quality = Row.quality;
		if (Row.has_problem())
		{
			Told.Problem = Problem(Row.problem());
			Told.RequiredQuantity = Quantity(Row.required_quantity);
			Told.RequiredQuality = Row.required_quality;
		}
		Materials.Add(Told);
	}
	return Materials;
}

TArray<FCraftnetMaterial> CraftnetMaterials(const craftnet::FeedMessage& Message)
{
	TArray<FCraftnetMaterial> Materials;
	if (Message.has_material)
	{
		FCraftnetMaterial Told;
		Told.MaterialId = CraftnetGuid(Message.material.material_id);
		Told.Quantity = Quantity(Message.material.available_quantity);
		Told.Quality = Message.material.available_quality;
		Told.Problem = Problem(Message.material.problem);
		Told.RequiredQuantity = Quantity(Message.material.required_quantity);
		Told.RequiredQuality = Message.material.required_quality;
		Materials.Add(Told);
	}
	for (const craftnet::wire::ChangeRow& Change : Message.changes)
	{
		FCraftnetMaterial Told;
		Told.MaterialId = CraftnetGuid(Change.material_id);
		Told.Quantity = Change.change_type == craftnet::wire::ChangeType::kRemoved ? 0 : Quantity(Change.quantity);
		Told.Quality = Change.quality;
		Materials.Add(Told);
	}
	return Materials;
}
