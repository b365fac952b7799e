"""The paths to UDP clients as metrics: one observation of each measurement at every heartbeat of a client."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Histogram

TIMES = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 5.0)
"""Seconds: from one machine room to a satellite."""

OFFSETS = (0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 600.0, 3600.0)
"""Seconds: from a synchronised clock to one in another time zone."""

SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 1.0)
"""Of datagrams."""

RATES = (4_000, 6_250, 12_500, 25_000, 37_500, 50_000)
"""Bytes per second: from the lowest, doubling, to the highest."""


class Lines:
    """Histograms over all paths."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            described = f"{text} Observed at every heartbeat."
            return Histogram(f"craftnet_udp_{name}", described, buckets=buckets, registry=registry)

        self._round_trip = histogram("round_trip_seconds", "Smoothed round-trip time of UDP connections.", TIMES)
        self._variation = histogram("round_trip_variation_seconds", "Variation of that round-trip time.", TIMES)
        self._jitter = histogram("jitter_seconds", "Jitter of heartbeats on UDP connections.", TIMES)
        self._offset = histogram(
            "clock_offset_seconds", "Distance of UDP clients' clocks from the server's, fast or slow.", OFFSETS
        )
        self._loss_out = histogram("loss_ratio", "Share of the last datagrams to UDP clients that were lost.", SHARES)
        self._loss_in = histogram(
            "loss_in_ratio", "Share of the last datagrams from UDP clients that were lost.", SHARES
        )
        self._reordered = histogram(
            "reordering_ratio", "Share of the last datagrams from UDP clients that came late.", SHARES
        )
        self._rate = histogram("rate_bytes_per_second", "Rate at which the server may send to a UDP client.", RATES)

    def measured(
        self,
        *,
        round_trip: float | None,
        variation: float,
        jitter: float,
        offset: float | None,
        loss_out: float,
        loss_in: float,
        reordered: float,
        rate: float,
    ) -> None:
        """Records a client's path: seconds, shares of 1, and bytes per second; None for what is not known yet."""
        if round_trip is not None:
            self._round_trip.observe(round_trip)
            self._variation.observe(variation)
        if offset is not None:
            self._offset.observe(abs(offset))
        self._jitter.observe(jitter)
        self._loss_out.observe(loss_out)
        self._loss_in.observe(loss_in)
        self._reordered.observe(reordered)
        self._rate.observe(rate)
