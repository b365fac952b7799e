"""Makes the plugin as an engine takes it: `python clients/unreal/package.py DIRECTORY` writes DIRECTORY/Craftnet.

The core is compiled from source as a module of the plugin, so its sources are copied into it.
"""

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
CORE = HERE.parent / "cpp"
VECTORS = HERE.parents[1] / "protocol" / "vectors.json"

LEFT_OUT = {"liblz4.h", "liblz4.cpp"}
"""The engine's Core has LZ4."""


def package(directory: Path) -> Path:
    """Write the plugin into a folder `Craftnet` there, which is replaced. Returns it."""
    plugin = directory / "Craftnet"
    shutil.rmtree(plugin, ignore_errors=True)
    shutil.copytree(HERE / "Craftnet", plugin)
    core, tests = plugin / "Source" / "CraftnetCore", plugin / "Source" / "CraftnetTests" / "Private"
    headers = core / "Public" / "craftnet"
    headers.mkdir(parents=True)
    for header in sorted((CORE / "include" / "craftnet").glob("*.h")):
        if header.name not in LEFT_OUT:
            shutil.copy(header, headers)
    for source in sorted((CORE / "src").glob("*.cpp")):
        if source.name == "openssl.cpp":
            text = "#if CRAFTNET_WITH_OPENSSL\n" + source.read_text("utf-8") + "#endif\n"
            (core / "Private" / source.name).write_text(text, "utf-8")
        elif source.name not in LEFT_OUT:
            shutil.copy(source, core / "Private")
    for name in ("server.h", "server.cpp"):
        shutil.copy(CORE / "tests" / name, tests)
    (plugin / "Resources").mkdir(exist_ok=True)
    shutil.copy(VECTORS, plugin / "Resources")
    return plugin


if __name__ == "__main__":
    print(package(Path(sys.argv[1])))
