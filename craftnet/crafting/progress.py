"""The progress model: a craft is a function of time, so that a watcher can extrapolate without updates.

A running craft at *percent* p0, with *anchor* t0 and *remaining* r0 seconds, is at
p(t) = p0 + (100 − p0) · (t − t0) / r0. Everything else stands still. Completion is never extrapolated.

Pure: `now` is an argument, in seconds of the steady clock, as anchors are (`craftnet.clocks`).
"""

from __future__ import annotations

from msgspec import Struct

from craftnet.contract.messages import Status

_ACTIVE, _COMPLETED = Status.ACTIVE, Status.COMPLETED
"""Looking up a member of an enumeration takes longer than an extrapolation."""

MAX_RUNNING_PERCENT = 99.99
"""The highest percentage that extrapolation reaches."""


class Progress(Struct, frozen=True, gc=False):
    """What is known of a craft's progress.

    Attributes:
        status: the state of the craft.
        percent: 0 to 100, at `anchor`.
        anchor: when `percent` and `remaining` were true, on the steady clock, seconds.
        remaining: seconds remaining at `anchor`; None when unknown.
        quality, target_quality: 1 to 100, or None.
        failure_reason: the reason, when `status` is failed.
    """

    status: Status
    percent: float
    anchor: float
    remaining: float | None = None
    quality: int | None = None
    target_quality: int | None = None
    failure_reason: str | None = None

    @property
    def moving(self) -> bool:
        """Whether the percentage changes with time."""
        return self.status is Status.ACTIVE and self.remaining is not None


class Expectation(Struct, frozen=True, gc=False):
    """How long a craft is expected to take still: learned from crafts that have ended, beside what the authority says.

    Attributes:
        p50, p90: seconds from the anchor of its progress; half of all crafts like it, and nine in ten, take no longer.
    """

    p50: float
    p90: float


class Tolerance(Struct, frozen=True):
    """How wrong a watcher's copy may be before it receives an update.

    Attributes:
        percent: points of progress.
        seconds: of remaining time …
        fraction: … or this share of the remaining time, whichever is more.
    """

    percent: float = 0.5
    seconds: float = 0.25
    fraction: float = 0.01


def extrapolate(progress: Progress, now: float) -> tuple[float, float | None]:
    """The percentage at `now`, 0 to 100, and the seconds remaining then; None when they are unknown."""
    status, percent, remaining = progress.status, progress.percent, progress.remaining
    if status is _ACTIVE:
        elapsed = now - progress.anchor
        if remaining is not None and elapsed > 0.0:
            if elapsed >= remaining:
                return MAX_RUNNING_PERCENT, 0.0
            percent, remaining = percent + (100.0 - percent) * elapsed / remaining, remaining - elapsed
    elif status is _COMPLETED:
        return 100.0, 0.0
    elif status.terminal:
        remaining = 0.0
    return percent if percent < MAX_RUNNING_PERCENT else MAX_RUNNING_PERCENT, remaining


def expected_model(progress: Progress, expectation: Expectation | None) -> Progress:
    """The model from which a watcher extrapolates that goes by the expectation: the same craft, at another speed."""
    if expectation is None or not progress.moving:
        return progress
    return Progress(
        progress.status,
        progress.percent,
        progress.anchor,
        expectation.p50,
        progress.quality,
        progress.target_quality,
        progress.failure_reason,
    )


def percent_at(progress: Progress, now: float) -> float:
    """The percentage at `now`, 0 to 100."""
    return extrapolate(progress, now)[0]


def remaining_at(progress: Progress, now: float) -> float | None:
    """Seconds remaining at `now`; None when unknown."""
    return extrapolate(progress, now)[1]


def rebase(progress: Progress, now: float) -> Progress:
    """The same function of time, anchored at `now`; unchanged when it starts later."""
    if now < progress.anchor:
        return progress
    percent, remaining = extrapolate(progress, now)
    return Progress(
        progress.status,
        percent,
        now,
        remaining,
        progress.quality,
        progress.target_quality,
        progress.failure_reason,
    )


def same_discrete(held: Progress, truth: Progress) -> bool:
    """Whether the two differ only in what extrapolation computes."""
    return (
        held.status is truth.status
        and held.quality == truth.quality
        and held.target_quality == truth.target_quality
        and held.failure_reason == truth.failure_reason
        and (held.remaining is None) == (truth.remaining is None)
    )


def diverges(held: Progress, truth: Progress, now: float, tolerance: Tolerance) -> bool:
    """Whether a watcher that extrapolates from `held` needs an update to `truth`."""
    return not same_discrete(held, truth) or _differ(*extrapolate(held, now), *extrapolate(truth, now), tolerance)


def misleads(held: Progress, truth: Progress, now: float, until: float, tolerance: Tolerance) -> bool:
    """Whether they diverge between `now` and `until`: both are linear there, so the worst case is one of the ends."""
    return misled_by(held, truth, now, until, tolerance) is not None


def confirms(held: Progress, truth: Progress, now: float, tolerance: Tolerance) -> bool:
    """Whether a copy that was sent as `held` stays within the tolerance of `truth` until either craft is due."""
    if truth.remaining is None or not held.moving:
        return False
    until = min(each.anchor + (each.remaining or 0.0) for each in (held, truth))
    return not misleads(held, truth, now, max(now, until), tolerance)


def confirms_forecast(
    held: Progress,
    held_expectation: Expectation | None,
    truth: Progress,
    expectation: Expectation | None,
    now: float,
    tolerance: Tolerance,
) -> bool:
    """Whether the expectation that was sent with `held` still holds for `truth`, whose progress `held` confirms."""
    if held_expectation is None or expectation is None:
        return held_expectation is expectation
    models = expected_model(held, held_expectation), expected_model(truth, expectation)
    p90 = held_expectation.p90 - (truth.anchor - held.anchor)
    return confirms(*models, now, tolerance) and not _seconds_differ(p90, expectation.p90, tolerance)


def misled_by(held: Progress, truth: Progress, now: float, until: float, tolerance: Tolerance) -> float | None:
    """The points of progress by which a watcher's copy is wrong at `now` if it `misleads`; None if it does not."""
    shown, shown_remaining = extrapolate(held, now)
    percent, remaining = extrapolate(truth, now)
    off = abs(shown - percent)
    if (
        off > tolerance.percent  # also the first that `_differ` looks at: nearly always, and then nothing else counts.
        or not same_discrete(held, truth)
        or _differ(shown, shown_remaining, percent, remaining, tolerance)
        or _differ(*extrapolate(held, until), *extrapolate(truth, until), tolerance)
    ):
        return off
    return None


def _differ(
    shown: float, shown_remaining: float | None, percent: float, remaining: float | None, tolerance: Tolerance
) -> bool:
    """Whether what a watcher shows differs from the truth by more than the tolerance."""
    if abs(shown - percent) > tolerance.percent:
        return True
    if remaining is None or shown_remaining is None:
        return False
    return _seconds_differ(shown_remaining, remaining, tolerance)


def _seconds_differ(shown: float, remaining: float, tolerance: Tolerance) -> bool:
    off = abs(remaining - shown)
    return off > tolerance.seconds and off > tolerance.fraction * remaining
