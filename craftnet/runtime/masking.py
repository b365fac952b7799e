"""Hides secrets in texts for people: logs, options as they are shown, errors. Pure."""

from __future__ import annotations

import re

MASK = "***"
"""What is shown in place of a secret."""

_NAMES = r"password|passwd|passphrase|pwd|secret|token|api[_-]?key|credential"

_IN_TEXT = (
    (re.compile(r"\beyJ[\w-]{4,}\.[\w-]{4,}\.[\w-]*"), MASK),  # a JWT: its header is JSON.
    (re.compile(rf"(\b(?:bearer|{_NAMES})[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(\bbearer[ .])[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"([a-z][a-z0-9+.-]*://[^\s/?#:@]*:)[^\s/?#]+(?=@)", re.IGNORECASE), rf"\1{MASK}"),
)

_END = r"(?=:\w+=|$)"
"""Where the value of an argument ends: at the next one, or with the text."""

_IN_OPTION = (
    # user:password@ of a URL, or a token alone; a password may contain the characters that should be escaped in it.
    (re.compile(r"([a-z][a-z0-9+.-]*://[^\s/?#:@]*:)[^\s]*(?=@)", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"([a-z][a-z0-9+.-]*://)[^\s/?#:@]+(?=@)", re.IGNORECASE), rf"\1{MASK}"),
    (
        re.compile(rf"([?&][^=&\s#]*(?:{_NAMES}|key|auth|sig)[^=&\s#]*=)(?:(?!:\w+=)[^&#])+", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    (re.compile(rf"((?:^|(?<=[:\s]))\w*(?:{_NAMES})\w*=).*?{_END}", re.IGNORECASE | re.DOTALL), rf"\1{MASK}"),
    # The path of a webhook is often what protects it.
    (re.compile(rf"(webhook:url=\w+://[^/?#\s]*/).+?{_END}", re.IGNORECASE), rf"\1{MASK}"),
)


def without_secrets(text: str) -> str:
    """A text, such as a line of a log, without bearer tokens and passwords."""
    for pattern, replacement in _IN_TEXT:
        text = pattern.sub(replacement, text)
    return text


def masked_option(text: str) -> str:
    """The value of an option without secrets: in URLs, and in arguments such as `password=…`."""
    for pattern, replacement in _IN_OPTION:
        text = pattern.sub(replacement, text)
    return text


def masked_error(text: str) -> str:
    """The text of an error that may quote options, one on each line, without secrets."""
    return "\n".join(map(masked_option, text.split("\n")))
