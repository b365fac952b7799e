"""The command: writes the test vectors to the standard output."""

from __future__ import annotations

import json

from craftnet.protocols.udp.vectors.document import document

if __name__ == "__main__":
    print(json.dumps(document(), indent=1, ensure_ascii=False))
