using UnrealBuildTool;

public class CraftnetTests : ModuleRules
{
	public CraftnetTests(ReadOnlyTargetRules Target) : base(Target)
	{
		PCHUsage = PCHUsageMode.NoPCHs;
		CppStandard = CppStandardVersion.Cpp20;

		PrivateDependencyModuleNames.AddRange(new string[] { "Core", "CoreUObject", "Engine", "Craftnet", "CraftnetCore", "Json", "Projects" });
	}
}
