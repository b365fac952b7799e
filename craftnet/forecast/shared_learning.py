"""Learns together with other nodes: every node learns from the samples of all of them, in the same order.

The samples are in one stream. Nodes store the model beside it, with the position of its newest sample, and a node that
starts continues there. No sample counts twice, whichever node stores its model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from craftnet.errors import Unavailable
from craftnet.forecast.learner import Learner
from craftnet.forecast.model import CraftSample
from craftnet.forecast.state_file import decode_state, encode_state
from craftnet.providers.inspection import ISharedSamples

READ_INTERVAL = 2.0
"""Seconds between two reads of the stream."""

SAMPLES_PER_READ = 500
"""Samples that one read returns: about 20 ms of work."""

KEEP_INTERVAL = 60.0
"""Seconds between two attempts to store the model."""

BEGINNING = "0-0"
"""The position before the first sample."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(CraftSample).decode


class SharedLearning(Service):
    """One node's side.

    Arguments:
        samples: the samples of all nodes.

    Attributes:
        position: of the newest sample that was read; None until the stored model is loaded.
    """

    _log = Logger()

    def __init__(self, learner: Learner, samples: ISharedSamples, clock: Any) -> None:
        self._learner = learner
        self._samples = samples
        self.position: str | None = None
        self._kept = BEGINNING
        learner.take = self._publish
        self._reading = LoopingCall(self._guarded, self._read)
        self._keeping = LoopingCall(self._guarded, self._keep)
        for call in (self._reading, self._keeping):
            call.clock = clock

    def startService(self) -> None:
        """Begins to read."""
        super().startService()
        self._reading.start(READ_INTERVAL)
        self._keeping.start(KEEP_INTERVAL, now=False)

    def stopService(self) -> None:
        """Stops reading. Samples since the stored model are still in the stream."""
        super().stopService()
        for call in (self._reading, self._keeping):
            if call.running:
                call.stop()

    def _publish(self, samples: Sequence[CraftSample]) -> None:
        """Adds samples to the stream. A failed addition is not repeated: its samples might count twice."""
        adding: Deferred[None] = self._samples.add([_encode(sample) for sample in samples])
        adding.addErrback(self._failed)

    def _guarded(self, step: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(step()).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        """The next attempt follows; health checks show that Redis is away."""
        if not failure.check(Unavailable):
            self._log.failure("learning together with other nodes failed", failure)

    async def _read(self) -> None:
        """Learns from the samples that were added."""
        if self.position is None:
            await self._load()
        more = True
        while more and self.running and self.position is not None:
            self.position, found = await self._samples.read(self.position, SAMPLES_PER_READ)
            self._learner.learn(list(filter(None, map(self._sample, found))))
            more = len(found) == SAMPLES_PER_READ

    async def _load(self) -> None:
        """Loads the model that a node stored last."""
        position, kept = await self._samples.kept()
        if kept is not None:
            try:
                self._learner.model.restore(decode_state(kept))
            except ValueError as error:
                self._log.error(
                    "what was learned and kept in Redis cannot be used: {error}. This node learns from the samples "
                    "that Redis still has",
                    error=str(error),
                )
                position = BEGINNING
        self.position = self._kept = position

    async def _keep(self) -> None:
        """Stores the model, unless another node has stored one with more samples."""
        position = self.position
        if position is not None and position != self._kept:
            await self._samples.keep(position, encode_state(self._learner.model.summary()))
            self._kept = position

    def _sample(self, octets: bytes) -> CraftSample | None:
        try:
            return _decode(octets)
        except msgspec.DecodeError as error:
            self._log.warn("a sample in Redis is not craftnet's: {error}", error=str(error))
            return None
