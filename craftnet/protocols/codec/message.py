"""The body of a MESSAGE."""

from __future__ import annotations

from craftnet.errors import BadDatagram
from craftnet.protocols import layouts
from craftnet.protocols.derivation import derive
from craftnet.protocols.records import Fragment

_fragment = derive(layouts.Fragment)

FRAGMENT_SIZE = _fragment.size


def encode_fragment(fragment: Fragment) -> bytes:
    """The body of a MESSAGE."""
    return _fragment.pack(fragment.part, fragment.last, fragment.size - 1) + fragment.octets


def decode_fragment(body: bytes) -> Fragment:
    """Decodes the body of a MESSAGE."""
    part, last, most = _fragment.unpack(body)
    if part > last:
        raise BadDatagram("out_of_range", "a part after the last")
    octets = body[_fragment.size :]
    if not octets:
        raise BadDatagram("truncated", "an empty part")
    return Fragment(part, last, most + 1, octets)
