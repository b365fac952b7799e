"""Conditional requests and content coding: what two header fields of a request mean (RFC 9110). Pure."""

from __future__ import annotations


def matches(if_none_match: str | None, etags: frozenset[str]) -> bool:
    """Whether the client has one of these already (RFC 9110 section 13.1.2, weak comparison).

    Arguments:
        if_none_match: the header field's value, or None without one.
        etags: entity tags with their quotes.
    """
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    return any(tag.strip().removeprefix("W/") in etags for tag in if_none_match.split(","))


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether a gzip-coded body is welcome (RFC 9110 section 12.5.3)."""
    weights: dict[str, float] = {}
    for member in (accept_encoding or "").split(","):
        coding, _, parameter = member.partition(";")
        weights[coding.strip().lower()] = _weight(parameter)
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0
