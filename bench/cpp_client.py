"""Costs of the C++ client core: bytes per connection, time per datagram, size of the library.

    python bench/cpp_client.py

Builds clients/cpp (CMake, a compiler, OpenSSL and liblz4). A connection holds one session with ten
materials and 32 earlier tables; its OpenSSL context is included. The datagram is a STATE with a
progress and a change of one material: opened, decoded and applied, in processor time, beside AES-GCM
alone on as many bytes. The core is a shared library, built with -Os and stripped, without OpenSSL and
LZ4.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "cpp"


def main() -> None:
    """Build, run, print."""
    for command in (
        ["cmake", "-S", str(ROOT / "clients" / "cpp"), "-B", str(BUILD)],
        ["cmake", "--build", str(BUILD), "--parallel", "2"],
    ):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    run = subprocess.run([str(BUILD / "craftnet-bench")], check=True, capture_output=True, text=True)
    measured = json.loads(run.stdout)
    cipher, datagram = measured["nanoseconds_of_cipher"], measured["nanoseconds_per_datagram"]
    size = (BUILD / "libcraftnet-size.so").stat().st_size
    print(f"a connection      {measured['bytes_per_connection']:8.0f} bytes")
    print(f"a datagram        {datagram:8.0f} ns   {datagram / cipher:.1f} times the cipher")
    print(f"the cipher alone  {cipher:8.0f} ns")
    print(f"the core          {size / 1024:8.1f} KiB")


if __name__ == "__main__":
    main()
