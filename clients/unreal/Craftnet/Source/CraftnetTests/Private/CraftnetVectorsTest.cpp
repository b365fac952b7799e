// The core, as this platform's compiler builds it, against protocol/vectors.json, which package.py copies into Resources.
#include "CoreMinimal.h"
#include "Dom/JsonObject.h"
#include "Interfaces/IPluginManager.h"
#include "Misc/AutomationTest.h"
#include "Misc/FileHelper.h"
#include "Misc/Paths.h"
#include "Serialization/JsonReader.h"
#include "Serialization/JsonSerializer.h"

#include "craftnet/protection.h"
#include "craftnet/state.h"

namespace
{
	TArray<uint8> Unhex(const FString& Digits)
	{
		TArray<uint8> Octets;
		for (int32 Place = 0; Place + 1 < Digits.Len(); Place += 2)
		{
			Octets.Add(static_cast<uint8>(FParse::HexNumber(*Digits.Mid(Place, 2))));
		}
		return Octets;
	}

	TSharedPtr<FJsonObject> LoadVectors()
	{
		const TSharedPtr<IPlugin> Plugin = IPluginManager::Get().FindPlugin(TEXT("Craftnet"));
		FString Text;
		TSharedPtr<FJsonObject> Vectors;
		if (Plugin.IsValid() && FFileHelper::LoadFileToString(Text, *FPaths::Combine(Plugin->GetBaseDir(), TEXT("Resources/vectors.json"))))
		{
			const TSharedRef<TJsonReader<>> Reader = TJsonReaderFactory<>::Create(Text);
			FJsonSerializer::Deserialize(Reader, Vectors);
		}
		return Vectors;
	}
}

IMPLEMENT_SIMPLE_AUTOMATION_TEST(FCraftnetStateVectorsTest, "Craftnet.Core.StateVectors", EAutomationTestFlags::EditorContext | EAutomationTestFlags::EngineFilter)

bool FCraftnetStateVectorsTest::RunTest(const FString& Parameters)
{
	const TSharedPtr<FJsonObject> Vectors = LoadVectors();
	if (!TestTrue(TEXT("Resources/vectors.json is there"), Vectors.IsValid()))
	{
		return false;
	}
	for (const TSharedPtr<FJsonValue>& Value : Vectors->GetArrayField(TEXT("states")))
	{
		const TArray<uint8> Body = Unhex(Value->AsObject()->GetStringField(TEXT("body")));
		const craftnet::Outcome Outcome = craftnet::examine_state({Body.GetData(), static_cast<std::size_t>(Body.Num())}, false);
		TestTrue(Value->AsObject()->GetStringField(TEXT("name")), Outcome == craftnet::Outcome::kAccepted);
	}
	for (const TSharedPtr<FJsonValue>& Value : Vectors->GetArrayField(TEXT("malformed_states")))
	{
		const TArray<uint8> Body = Unhex(Value->AsObject()->GetStringField(TEXT("body")));
		const craftnet::Outcome Outcome = craftnet::examine_state({Body.GetData(), static_cast<std::size_t>(Body.Num())}, false);
		TestEqual(Value->AsObject()->GetStringField(TEXT("name")), FString(UTF8_TO_TCHAR(craftnet::name(Outcome))), Value->AsObject()->GetStringField(TEXT("outcome")));
	}
	return true;
}

IMPLEMENT_SIMPLE_AUTOMATION_TEST(FCraftnetCompletionVectorsTest, "Craftnet.Core.CompletionVectors", EAutomationTestFlags::EditorContext | EAutomationTestFlags::EngineFilter)

bool FCraftnetCompletionVectorsTest::RunTest(const FString& Parameters)
{
	const TSharedPtr<FJsonObject> Vectors = LoadVectors();
	if (!TestTrue(TEXT("Resources/vectors.json is there"), Vectors.IsValid()))
	{
		return false;
	}
	for (const TSharedPtr<FJsonValue>& Value : Vectors->GetArrayField(TEXT("completions")))
	{
		const craftnet::ReplayWindow Window(static_cast<std::uint64_t>(Value->AsObject()->GetNumberField(TEXT("newest"))));
		const auto Low = static_cast<std::uint16_t>(Value->AsObject()->GetNumberField(TEXT("low")));
		const auto Wanted = static_cast<std::uint64_t>(Value->AsObject()->GetNumberField(TEXT("sequence")));
		TestTrue(TEXT("sequence"), Window.complete(Low) == Wanted);
	}
	return true;
}
