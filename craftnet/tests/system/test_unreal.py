"""The Unreal Engine plugin, as far as it can be looked at without the engine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

import craftnet

DIRECTORY = Path(craftnet.__file__).parent.parent / "clients" / "unreal"
sys.path.insert(0, str(DIRECTORY))

from check import unexported  # type: ignore[import-not-found]  # noqa: E402  # no package.
from lint import lint, lint_callbacks, lint_delegates, lint_header  # type: ignore[import-not-found]  # noqa: E402  # too.
from package import package  # type: ignore[import-not-found]  # noqa: E402  # beside it.

GOOD = """#pragma once

#include "CoreMinimal.h"
#include "Thing.generated.h"

UCLASS()
class CRAFTNET_API UThing : public UObject
{
	GENERATED_BODY()

	UPROPERTY()
	TObjectPtr<UObject> Held;

	UFUNCTION()
	void HandleEvent();
};
"""


class CheckTests(TestCase):
    timeout = 300

    async def test_compiles_and_passes_the_lint(self) -> None:
        """Every source file against the stubs, with and without OpenSSL."""
        if not any(map(shutil.which, ("clang++-14", "clang++"))):
            raise SkipTest("clang++ is not installed")
        output, errors, status = await getProcessOutputAndValue(
            sys.executable, [str(DIRECTORY / "check.py")], os.environ
        )
        self.assertEqual(status, 0, (output + errors).decode())


class LintTests(SynchronousTestCase):
    """What the engine's tools would refuse is found."""

    def test_plugin(self) -> None:
        self.assertEqual(lint(package(Path(self.mktemp()))), [])

    def test_header(self) -> None:
        self.assertEqual(lint_header("Thing", GOOD, "Craftnet"), [])
        for before, after in (
            ('#include "Thing.generated.h"', '#include "Other.generated.h"'),
            (
                '#include "CoreMinimal.h"\n#include "Thing.generated.h"',
                '#include "Thing.generated.h"\n#include "CoreMinimal.h"',
            ),
            ("\tGENERATED_BODY()\n", ""),
            ("CRAFTNET_API ", ""),
            ("UThing", "FThing"),
            ("\tUPROPERTY()\n", ""),
            ("\tUFUNCTION()\n", ""),
            ("#pragma once\n", ""),
            ("class CRAFTNET_API", "struct CRAFTNET_API"),
        ):
            self.assertIn(before, GOOD)
            self.assertNotEqual(lint_header("Thing", GOOD.replace(before, after), "Craftnet"), [], before)

    def test_mistakes_in_the_plugin(self) -> None:
        """Each mistake in a header of the plugin is found, and named once."""
        public = DIRECTORY / "Craftnet" / "Source" / "Craftnet" / "Public"
        for stem, before, after, wanted in (
            ("CraftnetTypes", "\tFString Epoch;", "\tstd::string Epoch;", "no such type"),
            ("CraftnetTypes", "\tint64 Version = 0;", "\tuint64 Version = 0;", "no such type"),
            ("CraftnetTypes", "enum class ECraftnetStatus : uint8", "enum class ECraftnetStatus", "type uint8"),
            ("CraftnetSession", "FCraftnetQueueEvent OnQueue;", "FCraftnetQueueNative OnQueue;", "assignable"),
            (
                "CraftnetSession",
                "\tUPROPERTY()\n\tFCraftnetProgress",
                '\tUPROPERTY(BlueprintReadOnly, Category = "C")\n\tFCraftnetProgress',
                "a private member",
            ),
            (
                "CraftnetSession",
                "\tUPROPERTY()\n\tFCraftnetPosition Position;",
                "\tUPROPERTY()\n\tFCraftnetPosition Progress;",
                "declared twice",
            ),
            ("CraftnetSession", ', Category = "Craftnet")\n\tbool GetShown', ")\n\tbool GetShown", "a Category"),
            (
                "CraftnetSession",
                "bool GetShown(FCraftnetShown& Shown)",
                "bool GetShown(FCraftnetShown& OnQueue)",
                "hides",
            ),
            ("CraftnetSession", "_TwoParams(FCraftnetConnectionEvent", "_OneParam(FCraftnetConnectionEvent", "wants 2"),
            ("CraftnetSubsystem", "FGuid PlayerId);", "std::array<int, 4> PlayerId);", "Blueprints know no"),
            (
                "CraftnetSubsystem",
                "private:\n",
                "private:\n#if WITH_EDITOR\n\tUPROPERTY()\n\tFString Text;\n#endif\n",
                "#if",
            ),
            ("CraftnetWatchSession", "UObject* WorldContext,", "UObject* World,", "names no parameter"),
            (
                "CraftnetWatchSession",
                "void Cancel();",
                "void Cancel();\n\n\tUFUNCTION()\n\tvoid Cancel(bool bNow);",
                "overloaded",
            ),
            ("CraftnetWatchSession", "\tUFUNCTION()\n\tvoid HandleQueue", "\tvoid HandleQueue", "AddDynamic"),
            ("CraftnetWatchSession", "\tUPROPERTY()\n\tTObjectPtr", "\tTObjectPtr", "may be collected"),
        ):
            text = (public / f"{stem}.h").read_text("utf-8")
            self.assertEqual(text.count(before), 1, before)
            faults = lint_header(stem, text.replace(before, after), "Craftnet")
            self.assertEqual([wanted for fault in faults if wanted in fault], [wanted], (before, faults))

    def test_callbacks(self) -> None:
        """Weak pointers and values, nothing that may be gone."""
        sources = DIRECTORY / "Craftnet" / "Source" / "Craftnet" / "Private"
        link = (sources / "CraftnetLink.cpp").read_text("utf-8")
        subsystem = (sources / "CraftnetSubsystem.cpp").read_text("utf-8")
        for text, captured in (
            (link, "[WeakLink, bConnect, Target](FHttp"),
            (link, "AddLambda([Find]()"),
            (link, "AsyncTask(ENamedThreads::GameThread, [WeakLink, Token]"),
            (link, "GetAddressInfoAsync([WeakLink, Port]"),
            (link, "GetToken.Execute(bFresh, [WeakLink]"),
            (subsystem, "CreateLambda([WeakThis]"),
            (subsystem, "GetToken.BindLambda([WeakThis]"),
        ):
            self.assertEqual(text.count(captured), 1, captured)
            self.assertEqual(lint_callbacks(text), [])
            for wrong in ("this", "&"):
                mutant = re.sub(r"\[\w+", f"[{wrong}", captured)
                self.assertEqual(len(lint_callbacks(text.replace(captured, mutant))), 1, mutant)

    def test_delegates(self) -> None:
        for good in (
            "DECLARE_DYNAMIC_MULTICAST_DELEGATE(FEvent);",
            "DECLARE_DYNAMIC_MULTICAST_DELEGATE_OneParam(FEvent, int32, Number);",
            "DECLARE_MULTICAST_DELEGATE_TwoParams(FEvent, const TMap<int32, bool>&, int32);",
            "DECLARE_DYNAMIC_DELEGATE_RetVal_OneParam(FString, FEvent, bool, bFresh);",
        ):
            self.assertEqual(lint_delegates(good), [], good)
        for wrong in (
            "DECLARE_DYNAMIC_MULTICAST_DELEGATE_OneParam(FEvent, int32);",
            "DECLARE_MULTICAST_DELEGATE_TwoParams(FEvent, int32);",
            "DECLARE_DYNAMIC_DELEGATE_RetVal_OneParam(FString, FEvent, bool);",
            "DECLARE_DYNAMIC_MULTICAST_DELEGATE_TenParams(FEvent, int32, A);",
            "DECLARE_MULTICAST_DELEGATE_OneParam(OnEvent, int32);",
        ):
            self.assertNotEqual(lint_delegates(wrong), [], wrong)

    def test_key_log(self) -> None:
        """A build for players cannot write keys: the core defines it for no Shipping build, and nowhere else."""
        condition = r"if \(Target\.Configuration != UnrealTargetConfiguration\.Shipping\)\s*\{([^}]*)\}"
        found = []
        for build in (DIRECTORY / "Craftnet" / "Source").glob("*/*.Build.cs"):
            text = build.read_text("utf-8")
            guarded = "".join(re.findall(condition, text))
            self.assertEqual(text.count("CRAFTNET_KEYLOG"), guarded.count("CRAFTNET_KEYLOG"), build.name)
            found += re.findall("CRAFTNET_KEYLOG", guarded)
        self.assertEqual(len(found), 1)

    def test_module(self) -> None:
        """A module whose Build.cs has another class, or none."""
        plugin = package(Path(self.mktemp()))
        (plugin / "Source" / "Craftnet" / "Craftnet.Build.cs").unlink()
        self.assertNotEqual(lint(plugin), [])

    def test_unexported(self) -> None:
        """In the editor each module is a library of its own, and the linker finds only what the core exports."""
        plugin = package(Path(self.mktemp()))
        folder = plugin / "Source" / "CraftnetCore" / "Public" / "craftnet"
        source, made = Path(self.mktemp()), Path(self.mktemp())
        call = '#include "craftnet/text.h"\nbool made(craftnet::Uuid& id) { return craftnet::parse_uuid("", id); }\n'
        source.write_text(call)
        compile_it = ["c++", "-std=c++20", "-c", "-x", "c++", f"-I{folder.parent}", "-o", str(made), str(source)]
        if shutil.which("c++") is None or shutil.which("nm") is None:
            raise SkipTest("c++ or nm is not installed")
        subprocess.run(compile_it, check=True)
        self.assertEqual(unexported(made, plugin), [])
        header = folder / "text.h"
        header.write_text(header.read_text("utf-8").replace("CRAFTNETCORE_API bool parse_uuid", "bool parse_uuid"))
        self.assertEqual(len(unexported(made, plugin)), 1)


class GuideTests(SynchronousTestCase):
    """docs/how-to/unreal.md names nothing that the plugin does not have."""

    ENGINE = frozenset({"Create Event", "Progress Bar"})

    def setUp(self) -> None:
        """Read it, and the plugin."""
        self.guide = (DIRECTORY.parent.parent / "docs" / "how-to" / "unreal.md").read_text("utf-8")
        source = DIRECTORY / "Craftnet" / "Source" / "Craftnet"
        self.headers = "".join(path.read_text("utf-8") for path in sorted(source.glob("Public/*.h")))
        self.sources = "".join(path.read_text("utf-8") for path in sorted(source.glob("Private/*.cpp")))

    def test_nodes(self) -> None:
        """What is bold is a function that Blueprints call, or a class; each as the editor writes it."""
        functions = re.findall(r"UFUNCTION\(Blueprint.*\)\n\t(?:static )?[\w<>*]+ (\w+)\(", self.headers)
        classes = [name.removesuffix("Component") for name in re.findall(r"class CRAFTNET_API U(\w+)", self.headers)]
        shown = {re.sub(r"(?<!^)(?=[A-Z])", " ", name) for name in functions} | {*classes}
        shown |= {"Get " + re.sub(r"(?<!^)(?=[A-Z])", " ", name) for name in classes if name.endswith("Subsystem")}
        shown |= {*re.findall(r'DisplayName = "(.+?)"', self.headers)}
        bold = {*re.findall(r"\*\*([A-Z][\w ]+)\*\*", self.guide)}
        self.assertLessEqual(bold, shown | self.ENGINE)
        self.assertGreaterEqual(len(bold - self.ENGINE), 7)

    def test_events_and_pins(self) -> None:
        """Each event is the session's and the node's; each input is a parameter; the node has a pin for itself."""
        said = {*re.findall(r"\*(On \w+(?:\s+\w+)?)\*", self.guide)}
        names = {re.sub(r"\s+", "", each) for each in said}
        self.assertEqual(names, {*re.findall(r"BlueprintAssignable.*\)\n\tF\w+ (On\w+);", self.headers)})
        for name in names:
            self.assertEqual(len(re.findall(rf"\tF\w+Event {name};", self.headers)), 2, name)
        for pin in ("Session Id", "Player Id", "Fresh", "Provider"):
            self.assertIn(f"*{pin}*", self.guide)
            self.assertRegex(self.headers, rf"[ >]b?{pin.replace(' ', '')}\b")
        self.assertIn("*Async Action* pin", self.guide)
        self.assertIn("meta = (ExposedAsyncProxy = AsyncAction)", self.headers)

    def test_settings(self) -> None:
        """The file has each setting, with its default."""
        declared = re.findall(r"UPROPERTY\(Config,.*\)\n\t\w+ (\w+) = (.+);", self.headers)
        wanted = {
            name: re.sub(r'^TEXT\("(.*)"\)$|\.0f$|f$', r"\1", value).replace("true", "True") for name, value in declared
        }
        section = self.guide.partition("[/Script/Craftnet.CraftnetSettings]\n")[2].partition("```")[0]
        self.assertEqual(dict(line.split("=", 1) for line in section.splitlines()), wanted)

    def test_commands(self) -> None:
        commands = {*re.findall(r"`(Craftnet\.\w+)", self.guide)}
        self.assertEqual(commands, {*re.findall(r'TEXT\("(Craftnet\.\w+)"\)', self.sources)})
        for parameter in {*re.findall(r"(\w+=)[\d.]+`?", self.guide.partition("## Try a bad line")[2])}:
            self.assertIn(f'FParse::Value(*Line, TEXT("{parameter}")', self.sources)

    def test_cpp(self) -> None:
        """Names in code are the plugin's, and lambdas hold no object that may be gone."""
        for name in re.findall(r"\b[UF]Craftnet\w+", self.guide):
            self.assertRegex(self.headers, rf"\b{name}\b")
        for name in re.findall(r"(?:Session->|UCraftnetSubsystem(?:::|>\(\)->))(\w+)", self.guide):
            self.assertRegex(self.headers, rf"\b{name}\b")
        self.assertNotRegex(self.guide, r"BindLambda\(\s*\[this")
