"""Shows a watch line by line: as JSON for programs, or in words for logs. Notes about connections go to stderr."""

from __future__ import annotations

from typing import TextIO

import msgspec
from zope.interface import implementer

from craftnet.client import wording
from craftnet.client.endings import Ending
from craftnet.client.feed import Feed
from craftnet.client.figures import FigureLines
from craftnet.client.interfaces import IObserver
from craftnet.client.line import Line
from craftnet.messages import WebSocketCraftingMessage
from craftnet.updates import Update


def json_line(transport: str, message: WebSocketCraftingMessage) -> str:
    """The contract's message as one line of JSON, with the additional field `transport`."""
    return msgspec.json.encode({**msgspec.to_builtins(message), "transport": transport}).decode()


def plain_line(message: WebSocketCraftingMessage, label: str = "") -> str:
    """The message in words, after the server's time of day in UTC and, if there is one, a label."""
    return " ".join(filter(None, (message.timestamp[11:19], label, wording.message(message))))


def labelled(name: str, label: str) -> str:
    """A name followed by the label, if there is one."""
    return f"{name} {label}" if label else name


def note(delay: float, ending: Ending) -> str:
    """Why there is no connection now, and when the next attempt follows."""
    then = f"trying again in {delay:.1f} s" if delay else "trying another transport"
    return f"{wording.printable(ending.reason)}; {then}"


@implementer(IObserver)
class Lines:
    """Writes every message as a line, at once.

    Arguments:
        out: for the messages.
        err: for notes about connections.
        as_json: whether the lines are for programs.
        label: distinguishes the lines of several watches. JSON lines name their session anyway.
        figures: decides which measurements to print; None: none.
    """

    def __init__(
        self, out: TextIO, err: TextIO, *, as_json: bool, label: str = "", figures: FigureLines | None = None
    ) -> None:
        self._out = out
        self._err = err
        self._as_json = as_json
        self._label = label
        self._figures = figures

    def connecting(self, transport: str) -> None:
        """See `IObserver`. Prints nothing."""

    def told(self, transport: str, update: Update, feed: Feed) -> None:
        """See `IObserver`."""
        for message in update.messages:
            if isinstance(message, WebSocketCraftingMessage):
                line = json_line(transport, message) if self._as_json else plain_line(message, self._label)
                print(line, file=self._out, flush=True)

    def measured(self, transport: str, line: Line) -> None:
        """See `IObserver`."""
        figures = None if self._figures is None else self._figures.due(transport, line)
        if figures is not None:
            words = " ".join(filter(None, (self._label, f"over {transport}, {line.words}")))
            print(figures.json if self._as_json else words, file=self._out, flush=True)

    def waiting(self, delay: float, ending: Ending) -> None:
        """See `IObserver`."""
        print(f"{labelled('craftnet', self._label)}: {note(delay, ending)}", file=self._err, flush=True)
