"""Every metric of the service."""

from __future__ import annotations

from craftnet.observe.metrics.family import Family, LabelValues, counter, gauge, histogram

TRANSPORT: LabelValues = {"transport": ("websocket", "sse", "udp")}
FEED: LabelValues = {"feed": ("crafting", "queue", "health")}

LATENCY_BUCKETS = (0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Seconds. They resolve the promises: 1 ms for UDP, 5 ms for WebSocket."""

TIMES = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 5.0)
"""Seconds: from one machine room to a satellite."""

OFFSETS = (0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 600.0, 3600.0)
"""Seconds: from a synchronised clock to one in another time zone."""

SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 1.0)
"""Of datagrams."""

RATES = (4_000.0, 6_250.0, 12_500.0, 25_000.0, 37_500.0, 50_000.0)
"""Bytes per second: from the lowest, doubling, to the highest."""

DELAYS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Buckets for pauses of the whole process, seconds."""

ANSWER_TIMES = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0)
"""Seconds; /health is answered in less than 1 ms."""

POINTS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0)
"""Points of progress; clients are corrected from half a point on."""

DEPTHS = (0.0, 1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0)
"""Records that wait or are in flight."""

# The service

BUILD_INFO = gauge(
    "craftnet_build_info", "1, with the versions that run.", {"version": (), "python": (), "openssl": ()}, "livemax"
)
RESIDENT = gauge("craftnet_resident_memory_bytes", "Physical memory that the process uses.")
RESIDENT_AT_START = gauge("craftnet_memory_at_start_bytes", "The same when the service started, before any session.")
MEMORY_PER_SESSION = gauge(
    "craftnet_memory_per_session_bytes",
    "Growth of the memory since the start, for each session that is kept or watched in the process.",
    combine="livemax",
)
LOOP_DELAY = histogram(
    "craftnet_event_loop_delay_seconds", "How late a call of the event loop is that is due twice a second.", DELAYS
)
GC_PAUSE = histogram(
    "craftnet_gc_pause_seconds", "Pauses of the collector of reference cycles.", DELAYS, {"generation": ("0", "1", "2")}
)
LIMIT = gauge("craftnet_limit", "Limits of the process; used / limit is its saturation.", {"limit": ()})
LIMIT_USED = gauge("craftnet_limit_used", "How much of each limit is used.", {"limit": ()})
KEYS_CURRENT = gauge(
    "craftnet_verification_keys_current",
    "Whether the keys of a JWKS can be read; only with --auth jwt:jwks=.",
    {"source": ("auth",)},
    "livemin",
)
CERTIFICATE_EXPIRY = gauge(
    "craftnet_certificate_expiry_timestamp_seconds",
    "When the TLS certificate of the HTTP port expires, Unix seconds; absent without TLS.",
    {"port": ("http",)},
    "livemin",
)

# HTTP

HTTP_REQUESTS = counter(
    "craftnet_http_requests_total",
    "HTTP requests that were answered, handshakes of WebSockets and event streams included.",
    {"route": (), "method": ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"), "status": ()},
)
HTTP_SECONDS = histogram(
    "craftnet_http_request_seconds", "Seconds from a complete request to its answer.", ANSWER_TIMES, {"route": ()}
)

# Connections and subscriptions

CLOSED = counter(
    "craftnet_closed_total",
    "Connections that were closed, by close code; 1006: the client was lost; of UDP the reason.",
    {**TRANSPORT, "code": ()},
)
SENT_BYTES = counter(
    "craftnet_sent_bytes_total",
    "Bytes of updates, datagrams and answers, before TLS.",
    {"transport": ("websocket", "sse", "udp", "http"), "encoding": ()},
)
RECEIVED_BYTES = counter(
    "craftnet_received_bytes_total",
    "Bytes of frames, datagrams and requests, after TLS.",
    {"transport": ("websocket", "udp", "http"), "encoding": ()},
)
CONFLATED = counter(
    "craftnet_conflated_updates_total", "Updates that a newer one replaced before they were sent.", TRANSPORT
)
DROPPED = counter(
    "craftnet_dropped_updates_total", "Updates that were dropped with clients that do not read.", TRANSPORT
)
QUEUE_DEPTH = gauge(
    "craftnet_queue_depth",
    "Waiting items: updates for clients that do not read, by transport; events that are being applied.",
    {"queue": ("websocket", "sse", "events")},
)

CONNECTIONS = gauge("craftnet_connections", "Open connections.", TRANSPORT)
WATCHERS = gauge("craftnet_watchers", "Open subscriptions, by feed.", FEED)
RETURNS = counter(
    "craftnet_returns_total",
    "Clients that resumed, by whether everything they had missed was known.",
    {**FEED, "recovered": ("true", "false")},
)
REFUSALS = counter("craftnet_refusals_total", "Requests and connections that were refused or cut off.", {"reason": ()})

TLS_HANDSHAKES = counter(
    "craftnet_tls_handshakes_total",
    "TLS handshakes that were completed, by version and key exchange; X25519MLKEM768 is safe from quantum computers.",
    {
        "version": ("TLSv1.2", "TLSv1.3"),
        "group": ("X25519MLKEM768", "SecP256r1MLKEM768", "x25519", "secp256r1", "secp384r1", "secp521r1", "x448"),
    },
)

# Events and deliveries

SESSIONS = gauge("craftnet_sessions", "Sessions that are kept, finished ones included.")
EVENTS = counter(
    "craftnet_events_total", "Authority events, by verdict.", {"verdict": ("accepted", "duplicate", "rejected")}
)
PLAYER_REPORTS = counter(
    "craftnet_claims_total",
    "Players' reports, by whether they agreed with the authority.",
    {"verdict": ("agreed", "deviating")},
)
REGION_REQUESTS = counter(
    "craftnet_region_requests_total",
    "Requests for UDP connections that prefer a region, by the node that prepared the connection: this one (here), one "
    "in the region (other), this one since no node of the region is known (unknown), or since none of them could "
    "(unavailable).",
    {"outcome": ("here", "other", "unknown", "unavailable")},
)
DEVICES = gauge(
    "craftnet_devices",
    "Devices of players that are connected, or were within the last 10 seconds; only with --devices.",
)
DEVICE_REPORTS = counter(
    "craftnet_device_reports_total",
    "Reports of devices of what was seen or dismissed: those that moved a cursor, those that were known, and refused "
    "ones, refused registrations included; only with --devices.",
    {"verdict": ("moved", "unchanged", "refused")},
)
DELIVERIES = counter("craftnet_deliveries_total", "Messages handed to a transport.", TRANSPORT)
LATENCIES = histogram(
    "craftnet_event_to_delivery_seconds",
    "Seconds from an event's acceptance to its hand-over to the transport.",
    LATENCY_BUCKETS,
    TRANSPORT,
)

CORRECTIONS = histogram(
    "craftnet_correction_points",
    "Points of progress by which the clients' model was off when it was corrected.",
    POINTS,
)

# UDP

DATAGRAMS = counter("craftnet_datagrams_total", "Received datagrams, by outcome.", {"outcome": ()})


def _path(name: str, text: str, bounds: tuple[float, ...]) -> Family:
    return histogram(f"craftnet_udp_{name}", f"{text} Observed at every heartbeat.", bounds)


ROUND_TRIP = _path("round_trip_seconds", "Smoothed round-trip time of UDP connections.", TIMES)
VARIATION = _path("round_trip_variation_seconds", "Variation of that round-trip time.", TIMES)
JITTER = _path("jitter_seconds", "Jitter of heartbeats on UDP connections.", TIMES)
CLOCK_OFFSET = _path(
    "clock_offset_seconds", "Distance of UDP clients' clocks from the server's, fast or slow.", OFFSETS
)
LOSS_OUT = _path("loss_ratio", "Share of the last datagrams to UDP clients that were lost.", SHARES)
LOSS_IN = _path("loss_in_ratio", "Share of the last datagrams from UDP clients that were lost.", SHARES)
REORDERED = _path("reordering_ratio", "Share of the last datagrams from UDP clients that came late.", SHARES)
SEND_RATE = _path("rate_bytes_per_second", "Rate at which the server may send to a UDP client.", RATES)

UDP_QUEUE = _path("send_queue_records", "Records that wait for a UDP client, or for its acknowledgement.", DEPTHS)
MIGRATIONS = counter("craftnet_udp_migrations_total", "UDP clients that continued from another address.")
KEY_UPDATES = counter(
    "craftnet_udp_key_updates_total",
    "Replacements of the keys of one direction of a UDP connection.",
    {"direction": ("sent", "received")},
)
RESYNCS = counter("craftnet_udp_resyncs_total", "Full states that UDP clients requested, or got after a migration.")
FULL_SYNCS = counter("craftnet_udp_full_syncs_total", "Full states that UDP clients got by the clock.")

# Redis

REDIS_ROUND_TRIP = histogram(
    "craftnet_redis_round_trip_seconds", "Seconds from a command to Redis to its answer; without blocking reads.", TIMES
)
REDIS_RECONNECTS = counter("craftnet_redis_reconnects_total", "Connections to Redis that replaced a lost one.")
REDIS_LAG = gauge(
    "craftnet_redis_lag_seconds",
    "Time that this node took, or has taken so far, to read the changes of other nodes; absent without Redis.",
    {"stream": ("changes",)},
    "livemax",
)

# An edge

UPSTREAM_SUBJECTS = ("session", "queue", "player")
"""What an edge follows in its core."""

UPSTREAM_CONNECTED = gauge(
    "craftnet_upstream_connected",
    "1 while the edge follows its core, 0 otherwise; absent without --backend upstream.",
    combine="livemin",
)
UPSTREAM_FEEDS = gauge(
    "craftnet_upstream_feeds",
    "What the edge follows in its core, whatever the number of watchers.",
    {"subject": UPSTREAM_SUBJECTS},
)
UPSTREAM_BYTES = counter(
    "craftnet_upstream_bytes_total",
    "Bytes from and to the core, after TLS.",
    {"direction": ("received", "sent")},
)
UPSTREAM_RECONNECTS = counter("craftnet_upstream_reconnects_total", "Connections to the core that replaced a lost one.")
UPSTREAM_ROUND_TRIP = histogram(
    "craftnet_upstream_round_trip_seconds", "Seconds from a question to the core's clock to its answer.", TIMES
)
UPSTREAM_LAG = gauge(
    "craftnet_upstream_lag_seconds",
    "Seconds for which the core has not answered a question; absent without --backend upstream.",
    combine="livemax",
)

# The message bus

INGEST_LAG = gauge(
    "craftnet_ingest_lag_messages",
    "Messages on the bus that are not finished, of the partitions that this node reads; only with --ingest.",
    {"topic": ()},
)
INGEST_DELAY = gauge(
    "craftnet_ingest_delay_seconds",
    "How old the newest finished message of the bus was, while there are others; only with --ingest.",
    combine="livemax",
)
INGEST_WAITING = gauge(
    "craftnet_ingest_waiting_events",
    "Events from the bus that wait for the start of their session; only with --ingest.",
)
INGEST_DEAD_LETTERS = counter(
    "craftnet_ingest_dead_letters_total",
    "Messages of the bus that were given up, by reason; only with --ingest.",
    {"reason": ("undecodable", "unknown_type", "too_large", "not_started", "failed")},
)
INGEST_PAUSES = counter(
    "craftnet_ingest_pauses_total",
    "Times that reading paused because events were applied too slowly; only with --ingest.",
)

# Learned progress, only with --learn-progress

LEARNED_SAMPLES = counter(
    "craftnet_learned_samples_total",
    "Estimates of completed crafts that were learned from, or are not credible; only with --learn-progress.",
    {"outcome": ("learned", "refused")},
)
LEARNED_KEYS = gauge("craftnet_learned_keys", "Recipes, workstations and others learned; only with --learn-progress.")
LEARNED_RECIPES = gauge(
    "craftnet_learned_recipes",
    "Recipes with enough samples, in each phase, by whose error is less; only with --learn-progress.",
    {"better": ("learned", "stated")},
)
LEARNED_ERROR = gauge(
    "craftnet_learned_error",
    "Rolling error of forecasts and of the authority's estimates, as a logarithm; only with --learn-progress.",
    {"of": ("learned", "stated"), "phase": ("start", "half")},
    "livemax",
)

# Nodes

COMPLETE = gauge(
    "craftnet_cluster_complete",
    "1 while this node has all data that nodes share, 0 while data may be missing; absent without other nodes.",
    {"what": ("revocations", "places")},
    "livemin",
)
RESTARTS = counter(
    "craftnet_worker_restarts_total",
    "Workers that died and were started again; only with --workers.",
    {"worker": ()},
)

# Audit

NOTIFICATIONS = counter(
    "craftnet_notifications_total",
    "Notifications of players without a connection, by outcome; only with --notify.",
    {"outcome": ("delivered", "refused", "dropped")},
)
AUDIT_ENTRIES = counter("craftnet_audit_entries_total", "Entries written to the audit log; only with --audit.")
AUDIT_FAILURES = counter(
    "craftnet_audit_failures_total",
    "Failed attempts to write, sync or rotate the audit log, and lost events; only with --audit.",
    {"kind": ("write", "sync", "rotate", "lost")},
)
AUDIT_WAITING = gauge(
    "craftnet_audit_waiting_events", "Security events that wait to be written to the audit log; only with --audit."
)

# Recording

RECORDING_OBSERVATIONS = counter(
    "craftnet_recording_observations_total",
    "Events and samples of network paths for the recording, by outcome: written to a file that has appeared; dropped "
    "because too many waited; lost with the open batch of a writer that ended; only with --record.",
    {"outcome": ("written", "dropped", "lost")},
)
RECORDING_WAITING = gauge(
    "craftnet_recording_waiting_observations", "Observations that wait for the recording's writer; only with --record."
)
RECORDING_BYTES = counter("craftnet_recording_bytes_total", "Bytes of the recording's files; only with --record.")
RECORDING_RESTARTS = counter(
    "craftnet_recording_writer_restarts_total",
    "How often the recording's writer ended and was started again; only with --record.",
)

# Traces

TRACE_SPANS = counter(
    "craftnet_trace_spans_total",
    "Finished spans, by outcome; dropped spans found the queue full; only with --otlp.",
    {"outcome": ("exported", "failed", "dropped")},
)

FAMILIES = (
    *(BUILD_INFO, RESIDENT, RESIDENT_AT_START, MEMORY_PER_SESSION, LOOP_DELAY, GC_PAUSE, LIMIT, LIMIT_USED),
    *(KEYS_CURRENT, CERTIFICATE_EXPIRY, HTTP_REQUESTS, HTTP_SECONDS),
    *(CONNECTIONS, CLOSED, WATCHERS, RETURNS, REFUSALS, TLS_HANDSHAKES),
    *(SENT_BYTES, RECEIVED_BYTES, CONFLATED, DROPPED, QUEUE_DEPTH),
    *(SESSIONS, EVENTS, PLAYER_REPORTS, REGION_REQUESTS, DEVICES, DEVICE_REPORTS, DELIVERIES, LATENCIES, CORRECTIONS),
    *(UDP_QUEUE, MIGRATIONS, KEY_UPDATES, RESYNCS, FULL_SYNCS, REDIS_ROUND_TRIP, REDIS_RECONNECTS, REDIS_LAG),
    *(DATAGRAMS, ROUND_TRIP, VARIATION, JITTER, CLOCK_OFFSET, LOSS_OUT, LOSS_IN, REORDERED, SEND_RATE),
    *(UPSTREAM_CONNECTED, UPSTREAM_FEEDS, UPSTREAM_BYTES, UPSTREAM_RECONNECTS, UPSTREAM_ROUND_TRIP, UPSTREAM_LAG),
    *(INGEST_LAG, INGEST_DELAY, INGEST_WAITING, INGEST_DEAD_LETTERS, INGEST_PAUSES),
    *(LEARNED_SAMPLES, LEARNED_KEYS, LEARNED_RECIPES, LEARNED_ERROR),
    *(COMPLETE, RESTARTS, NOTIFICATIONS),
    *(AUDIT_ENTRIES, AUDIT_FAILURES, AUDIT_WAITING, TRACE_SPANS),
    *(RECORDING_OBSERVATIONS, RECORDING_WAITING, RECORDING_BYTES, RECORDING_RESTARTS),
)
"""All metrics."""
