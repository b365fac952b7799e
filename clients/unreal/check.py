"""Looks at the plugin without the engine: `python clients/unreal/check.py` (clang++ in CXX, clang++-14 or clang++).

1. A lint of what Unreal Header Tool and UnrealBuildTool would refuse.
2. `clang++ -std=c++20` of every source file, against the stubs beside this file.
3. In the editor each module is a library of its own: what one calls in the core must be exported there.

It proves no more than that: the plugin has never been built in the engine.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from lint import lint
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
        flags = ["-std=c++20", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra", "-Werror"]
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
            made = Path(directory) / "made.o"
            calls = "CraftnetCore" not in path.parts
            output = ["-c", "-O0", "-o", str(made)] if calls else ["-fsyntax-only"]
            run = subprocess.run(
                [compiler, *flags, *output, *(f"-I{each}" for each in includes), str(path)],
                capture_output=True,
                text=True,
                check=False,
            )
            if run.returncode != 0:
                faults.append(f"{path.relative_to(plugin)} (OpenSSL: {openssl}):\n{run.stderr}")
            elif calls:
                faults += [f"{path.name}: {fault}" for fault in unexported(made, plugin)]
    return faults


def unexported(made: Path, plugin: Path) -> list[str]:
    """The functions of the core that an object file calls, and that its headers do not export."""
    headers = (plugin / "Source" / "CraftnetCore" / "Public" / "craftnet").glob("*.h")
    text = "".join(header.read_text("utf-8") for header in headers)
    exported = set(re.findall(r"(?:class|struct) CRAFTNETCORE_API (\w+)", text))
    exported |= set(re.findall(r"CRAFTNETCORE_API [^;{]*?\b(\w+)\(", text))
    undefined = subprocess.run(["nm", "-uC", str(made)], capture_output=True, text=True, check=True).stdout
    called = re.findall(r"^ +U (?:vtable for )?craftnet::(?:wire::)?(\w+)", undefined, re.M)
    return [f"{name} is not exported by CraftnetCore (CRAFTNETCORE_API)" for name in sorted({*called} - exported)]


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
