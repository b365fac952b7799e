using UnrealBuildTool;

// The engine-free core, compiled from source: package.py copies it into Public/craftnet and Private.
public class CraftnetCore : ModuleRules
{
	public CraftnetCore(ReadOnlyTargetRules Target) : base(Target)
	{
		// OpenSSL's headers clash with the engine's in one translation unit: no precompiled header, no unity files.
		PCHUsage = PCHUsageMode.NoPCHs;
		bUseUnity = false;
		CppStandard = CppStandardVersion.Cpp20;

		PublicDependencyModuleNames.Add("Core");

		// Without OpenSSL, the plugin uses WebSocket only.
		bool bHasOpenSsl = Target.Platform == UnrealTargetPlatform.Win64 || Target.Platform == UnrealTargetPlatform.Mac
			|| Target.Platform == UnrealTargetPlatform.Linux || Target.Platform == UnrealTargetPlatform.LinuxArm64
			|| Target.Platform == UnrealTargetPlatform.Android || Target.Platform == UnrealTargetPlatform.IOS;
		PublicDefinitions.Add("CRAFTNET_WITH_OPENSSL=" + (bHasOpenSsl ? "1" : "0"));
		if (bHasOpenSsl)
		{
			AddEngineThirdPartyPrivateStaticDependencies(Target, "OpenSSL");
		}

		// Builds for players cannot write a key log.
		if (Target.Configuration != UnrealTargetConfiguration.Shipping)
		{
			PublicDefinitions.Add("CRAFTNET_KEYLOG");
		}
	}
}
