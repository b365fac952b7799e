"""The text form of the contract's ids: RFC 9562 section 4, only in the 8-4-4-4-12 hexadecimal form."""

from __future__ import annotations

import re
from uuid import UUID

from craftnet.errors import BadRequest

_LONGEST_PATH = 200
_ID = re.compile(r"(?<=/)[0-9A-Fa-f]{8}-[0-9A-Fa-f-]{27}(?=/|$)")


def without_ids(path: str) -> str:
    """A path, cut to 200 characters, with "*" instead of its ids."""
    return _ID.sub("*", path)[:_LONGEST_PATH]


def uuid_or_none(text: str) -> UUID | None:
    """The UUID in `text`, in either case of letters; None when it is invalid."""
    try:
        found = UUID(text)
    except ValueError:
        return None
    # uuid.UUID also accepts braces, a urn: prefix, missing hyphens and digits of other scripts.
    return found if str(found) == text.lower() else None


def parse_uuid(text: str, name: str) -> UUID:
    """The UUID in a request's parameter.

    Arguments:
        text: the value.
        name: the name of the parameter, for the refusal.

    Raises:
        BadRequest: it is no UUID.
    """
    found = uuid_or_none(text)
    if found is None:
        raise BadRequest(f"{name} is not a UUID.", details={"parameter": name})
    return found
