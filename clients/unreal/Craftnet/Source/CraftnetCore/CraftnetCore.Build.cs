using UnrealBuildTool;

// The engine-free core, compiled from its sources: package.py puts them into Public/craftnet and Private.
public class CraftnetCore : ModuleRules
{
	public CraftnetCore(ReadOnlyTargetRules Target) : base(Target)
	{
		// OpenSSL's headers and the engine's cannot be in one translation unit: no precompiled header, no unity files.
		PCHUsage = PCHUsageMode.NoPCHs;
		bUseUnity = false;
		CppStandard = CppStandardVersion.Cpp20;

		PublicDependencyModuleNames.Add("Core");

		// Where the engine has no OpenSSL, the plugin watches over WebSocket only.
		bool bHasOpenSsl = Target.Platform == UnrealTargetPlatform.Win64 || Target.Platform == UnrealTargetPlatform.Mac
			|| Target.Platform == UnrealTargetPlatform.Linux || Target.Platform == UnrealTargetPlatform.LinuxArm64
			|| Target.Platform == UnrealTargetPlatform.Android || Target.Platform == UnrealTargetPlatform.IOS;
		PublicDefinitions.Add("CRAFTNET_WITH_OPENSSL=" + (bHasOpenSsl ? "1" : "0"));
		if (bHasOpenSsl)
		{
			AddEngineThirdPartyPrivateStaticDependencies(Target, "OpenSSL");
		}

		// The key log is never in what players get.
		if (Target.Configuration != UnrealTargetConfiguration.Shipping)
		{
			PublicDefinitions.Add("CRAFTNET_KEYLOG");
		}
	}
}
