"""The Unreal Engine plugin, as far as it can be looked at without the engine."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase

import craftnet

DIRECTORY = Path(craftnet.__file__).parent.parent / "clients" / "unreal"
sys.path.insert(0, str(DIRECTORY))

from check import lint, lint_delegates, lint_header  # type: ignore[import-not-found]  # noqa: E402  # no package.
from package import package  # type: ignore[import-not-found]  # noqa: E402  # beside it.

GOOD = """
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
        ):
            self.assertNotEqual(lint_header("Thing", GOOD.replace(before, after), "Craftnet"), [], before)

    def test_delegates(self) -> None:
        for good in (
            "DECLARE_DYNAMIC_MULTICAST_DELEGATE(FEvent);",
            "DECLARE_DYNAMIC_MULTICAST_DELEGATE_OneParam(FEvent, int32, Number);",
            "DECLARE_MULTICAST_DELEGATE_TwoParams(FEvent, const TMap<int32, bool>&, int32);",
        ):
            self.assertEqual(lint_delegates(good), [], good)
        for wrong in (
            "DECLARE_DYNAMIC_MULTICAST_DELEGATE_OneParam(FEvent, int32);",
            "DECLARE_MULTICAST_DELEGATE_TwoParams(FEvent, int32);",
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
