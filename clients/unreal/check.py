"""Looks at the plugin without the engine: `python clients/unreal/check.py` (clang++ in CXX, clang++-14 or clang++).

1. A lint of what Unreal Header Tool and UnrealBuildTool would refuse.
2. `clang++ -fsyntax-only -std=c++20` of every source file, against the stubs beside this file.

It proves no more than that: the plugin has never been built in the engine.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from package import package

HERE = Path(__file__).parent
STUBS = HERE / "stubs"

ENGINE_HEADERS = {
    # the engine's header: the stub that declares what the plugin uses of it.
    **dict.fromkeys(
        [
            "CoreMinimal.h",
            "Containers/Ticker.h",
            "HAL/PlatformTime.h",
            "Misc/DateTime.h",
            "Misc/Parse.h",
            "Stats/Stats.h",
            "Modules/ModuleManager.h",
            "Async/Async.h",
        ],
        "engine.h",
    ),
    **dict.fromkeys(
        [
            "UObject/Object.h",
            "UObject/WeakObjectPtr.h",
            "Engine/DeveloperSettings.h",
            "Engine/Engine.h",
            "Engine/GameInstance.h",
            "Engine/World.h",
            "Subsystems/GameInstanceSubsystem.h",
            "Components/ActorComponent.h",
            "Kismet/BlueprintAsyncActionBase.h",
            "Blueprint/UserWidget.h",
            "Components/ProgressBar.h",
            "HAL/IConsoleManager.h",
        ],
        "uobject.h",
    ),
    **dict.fromkeys(
        [
            "Compression/lz4.h",
            "IPAddress.h",
            "SocketSubsystem.h",
            "Sockets.h",
            "HttpModule.h",
            "IWebSocket.h",
            "Interfaces/IHttpRequest.h",
            "Interfaces/IHttpResponse.h",
            "WebSocketsModule.h",
            "Dom/JsonObject.h",
            "Interfaces/IPluginManager.h",
            "Misc/AutomationTest.h",
            "Misc/FileHelper.h",
            "Misc/Paths.h",
            "Serialization/JsonReader.h",
            "Serialization/JsonSerializer.h",
        ],
        "network.h",
    ),
}

PARAMETERS = {"": 0, "OneParam": 1, "TwoParams": 2, "ThreeParams": 3, "FourParams": 4}


def lint(plugin: Path) -> list[str]:
    """What the engine's tools would refuse."""
    faults = []
    for module in sorted((plugin / "Source").iterdir()):
        build = module / f"{module.name}.Build.cs"
        if not build.exists():
            faults.append(f"{module.name}: {build.name} is missing")
        elif not re.search(rf"public class {module.name} : ModuleRules", build.read_text("utf-8")):
            faults.append(f"{build.name}: the class is not called {module.name}")
        if f'"Name": "{module.name}"' not in (plugin / "Craftnet.uplugin").read_text("utf-8"):
            faults.append(f"Craftnet.uplugin: no module {module.name}")
        sources = "".join(path.read_text("utf-8") for path in module.rglob("*.cpp"))
        if sources.count("IMPLEMENT_MODULE(") != 1 or f", {module.name});" not in sources:
            faults.append(f"{module.name}: IMPLEMENT_MODULE must stand once, with the module's name")
        for header in sorted(module.rglob("*.h")):
            if "craftnet" not in header.parent.parts:
                faults += [
                    f"{header.name}: {fault}"
                    for fault in lint_header(header.stem, header.read_text("utf-8"), module.name)
                ]
    return faults


def lint_header(stem: str, text: str, module: str) -> list[str]:
    """What is wrong in one header."""
    faults = []
    reflected = re.search(r"^(UCLASS|USTRUCT|UENUM|UINTERFACE)\(", text, re.M) is not None
    includes = re.findall(r'^#include "(.+)"', text, re.M)
    generated = [name for name in includes if name.endswith(".generated.h")]
    if generated != ([f"{stem}.generated.h"] if reflected else []):
        faults.append(f"expected {stem}.generated.h, found {generated}" if reflected else "a .generated.h without need")
    if reflected and includes and includes[-1] != f"{stem}.generated.h":
        faults.append("the .generated.h must be the last include")
    for kind, declared in re.findall(r"^(?:UCLASS|USTRUCT)\(.*\)\n(class|struct) (.+?)(?: :|$)", text, re.M):
        name = declared.split()[-1]
        if f"{module.upper()}_API" not in declared:
            faults.append(f"{name} lacks {module.upper()}_API")
        if (name[0] not in ("U", "A") and kind == "class") or (name[0] != "F" and kind == "struct"):
            faults.append(f"{name} has the wrong prefix")
    bodies, classes = text.count("GENERATED_BODY()"), len(re.findall(r"^(?:UCLASS|USTRUCT)\(", text, re.M))
    if bodies != classes:
        faults.append(f"{classes} classes and structs, {bodies} GENERATED_BODY()")
    return faults + lint_members(text) + lint_delegates(text)


def lint_members(text: str) -> list[str]:
    """Members of a class that hold objects, and functions that are bound, must be seen by the engine."""
    faults = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        before = lines[number - 1].strip() if number else ""
        if re.match(r"\t(TObjectPtr<\w+>|U\w+\*) \w+( = nullptr)?;", line) and not before.startswith("UPROPERTY("):
            faults.append(f"line {number + 1}: an object without UPROPERTY may be collected")
        if re.match(r"\tvoid Handle\w+\(", line) and not before.startswith("UFUNCTION("):
            faults.append(f"line {number + 1}: AddDynamic needs a UFUNCTION")
        if re.match(r"\t(UPROPERTY|UFUNCTION)\(.*Blueprint(Callable|Pure|ReadOnly|ReadWrite|Assignable)", line):
            ours = "class CRAFTNET_API UCraftnetWatchSession" in text  # a node's pins need no category.
            if "Category" not in line and not ours:
                faults.append(f"line {number + 1}: Blueprint-visible members of a plugin need a Category")
    return faults


def lint_delegates(text: str) -> list[str]:
    """The number of parameters is in the macro's name, and a dynamic delegate names each."""
    faults = []
    for dynamic, suffix, inside in re.findall(
        r"^DECLARE_(DYNAMIC_)?\w*?DELEGATE(?:_RetVal)?(?:_(\w+))?\((.+)\);", text, re.M
    ):
        inside = re.sub(r"/\*.*?\*/|<[^<>]*>", "", inside)
        count = (
            len(inside.split(","))
            - 1
            - ("_RetVal" in text and "RetVal_" + suffix in text and inside.startswith("FString"))
        )
        wanted = PARAMETERS[suffix] * (2 if dynamic else 1)
        if count != wanted:
            faults.append(f"({inside}) has {count} arguments behind its name, and the macro wants {wanted}")
    return faults


def write_headers(directory: Path, plugin: Path) -> None:
    """The engine's headers, and what Unreal Header Tool would generate."""
    for name, stub in ENGINE_HEADERS.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#pragma once\n#include "{STUBS / stub}"\n', "utf-8")
    for header in plugin.rglob("*.h"):
        text = header.read_text("utf-8")
        if f'"{header.stem}.generated.h"' in text:
            (directory / f"{header.stem}.generated.h").write_text(generated(header.stem, text), "utf-8")


def generated(stem: str, text: str) -> str:
    """What GENERATED_BODY() stands for on each line."""
    lines = [f'#include "{STUBS / "uobject.h"}"', "#undef STUB_FILE", f"#define STUB_FILE Stub{stem}"]
    name = base = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if (declared := re.match(r"(?:class|struct) (?:\w+_API )?(\w+)(?: : public (\w+))?$", line)) is not None:
            name, base = declared[1], declared[2] or ""
        if "GENERATED_BODY()" in line:
            body = f"public: using ThisClass = {name}; using Super = {base}; private:" if base else ""
            lines.append(f"#define Stub{stem}_{number} {body}")
    return "\n".join([*lines, ""])


def compile_all(plugin: Path, openssl: bool) -> list[str]:
    """What clang++ says of each source file; without OpenSSL, of each that is another one then."""
    compiler = os.environ.get("CXX") or shutil.which("clang++-14") or shutil.which("clang++")
    if compiler is None:
        return ["no clang++ is installed"]
    faults = []
    with tempfile.TemporaryDirectory() as directory:
        write_headers(Path(directory), plugin)
        source = plugin / "Source"
        includes = [
            directory,
            *(str(path) for module in sorted(source.iterdir()) for path in (module / "Public", module / "Private")),
        ]
        flags = ["-fsyntax-only", "-std=c++20", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra", "-Werror"]
        flags += [
            "-Wno-unused-parameter",
            "-Wno-undefined-inline",
            "-Wno-undefined-internal",
            "-Wno-gnu-zero-variadic-macro-arguments",
        ]
        flags += [f"-DCRAFTNET_WITH_OPENSSL={int(openssl)}", "-DCRAFTNET_KEYLOG"]
        for path in sorted(source.rglob("*.cpp")):
            if not openssl and "CRAFTNET_WITH_OPENSSL" not in path.read_text("utf-8"):
                continue  # it is the same.
            run = subprocess.run(
                [compiler, *flags, *(f"-I{each}" for each in includes), str(path)],
                capture_output=True,
                text=True,
                check=False,
            )
            if run.returncode != 0:
                faults.append(f"{path.relative_to(plugin)} (OpenSSL: {openssl}):\n{run.stderr}")
    return faults


def main() -> int:
    """Check; the exit status is 1 when something is wrong."""
    with tempfile.TemporaryDirectory() as directory:
        plugin = package(Path(directory))
        faults = [*lint(plugin), *compile_all(plugin, True), *compile_all(plugin, False)]
    for fault in faults:
        print(fault)
    print(
        f"{len(faults)} faults; the plugin was not built in the engine"
        if faults
        else "no fault was found without the engine"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
