using UnrealBuildTool;

public class Craftnet : ModuleRules
{
	public Craftnet(ReadOnlyTargetRules Target) : base(Target)
	{
		PCHUsage = PCHUsageMode.UseExplicitOrSharedPCHs;
		CppStandard = CppStandardVersion.Cpp20;

		PublicDependencyModuleNames.AddRange(new string[] { "Core", "CoreUObject", "Engine", "DeveloperSettings", "UMG" });
		PrivateDependencyModuleNames.AddRange(new string[] {
			"CraftnetCore", "HTTP", "WebSockets", "Json", "Sockets", "Networking", "Slate", "SlateCore"
		});
	}
}
