"""The command: writes every generated file, or with `--check` says which differ from what it would write."""

from __future__ import annotations

import argparse
from pathlib import Path

import craftnet
from craftnet.protocols.wire.generate import cplusplus
from craftnet.protocols.wire.generate.description import bit_records, records
from craftnet.protocols.wire.generate.typescript import typescript
from craftnet.protocols.wire.generate.wireshark import wireshark

ROOT = Path(craftnet.__file__).parent.parent

NOTICE = "Made by `python -m craftnet.protocols.wire.generate` from the layouts of craftnet.protocols. Do not edit."


def generated() -> dict[Path, str]:
    """What each generated file has to contain."""
    described = records(), bit_records(), NOTICE
    core = ROOT / "clients" / "cpp"
    return {
        core / "include" / "craftnet" / "wire.h": cplusplus.header(*described),
        core / "src" / "wire.cpp": cplusplus.source(*described),
        ROOT / "clients" / "js" / "src" / "wire.ts": typescript(*described),
        ROOT / "clients" / "wireshark" / "craftnet.lua": wireshark(*described),
    }


def main(arguments: list[str] | None = None) -> int:
    """Write the files; with `--check`, write nothing. The exit status is 1 when one of them differs."""
    parser = argparse.ArgumentParser(prog="python -m craftnet.protocols.wire.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a file is out of date")
    options = parser.parse_args(arguments)
    different = [path for path, text in generated().items() if not path.exists() or path.read_text("utf-8") != text]
    for path in different:
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(generated()[path], "utf-8")
        print(f"{path.relative_to(ROOT)} {'is out of date' if options.check else 'written'}")
    return 1 if options.check and different else 0


if __name__ == "__main__":
    raise SystemExit(main())
