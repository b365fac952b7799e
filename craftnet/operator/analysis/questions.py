"""The questions of an analysis: each queries a recording and explains the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from craftnet.operator.analysis.figures import (
    Bars,
    Ranges,
    ReportSection,
    Table,
    TableColumn,
    Unit,
    counted,
    duration,
    few,
    named,
    share,
)

if TYPE_CHECKING:  # for annotations only: the command names its figures without DuckDB, which is an extra.
    from craftnet.operator.analysis.history import RecordedHistory

Names = Callable[[str], str]
"""Returns the name of an id of the game; the id itself if it has none."""

MOST = 15
"""Rows of a table with one row for each recipe or material."""

LATE = 1.1
"""A craft is late when it takes more than this many times the estimated time."""

OUTCOMES = {"complete": "completed", "fail": "failed", "cancel": "cancelled"}

_RECIPE = TableColumn("recipe", "Recipe", Unit.TEXT)
_CRAFTS = TableColumn("crafts", "Crafts", Unit.COUNT)


def completion(history: RecordedHistory, names: Names) -> ReportSection:
    """How crafts end, in all and by recipe."""
    ends = history.all(
        "SELECT outcome, coalesce(reason, ''), count(*), count(*) / sum(count(*)) OVER () FROM crafts "
        "WHERE outcome IS NOT NULL GROUP BY ALL ORDER BY 3 DESC, 1, 2"
    )
    (open_,) = history.one("SELECT count(*) FROM crafts WHERE outcome IS NULL")
    total = sum(number for *_, number, _ in ends)
    sentences, tables = [], []
    if total:
        done = sum(number for outcome, _, number, _ in ends if outcome == "complete")
        sentences.append(f"Of {counted(total, 'craft')} that ended, {share(done / total)} were completed.")
        other = next(((outcome, reason, part) for outcome, reason, _, part in ends if outcome != "complete"), None)
        if other is not None:
            outcome, reason, part = other
            why = f" ({_words(reason)})" if reason else ""
            sentences.append(f"The most frequent other end is {OUTCOMES[outcome]}{why}: {share(part)} of all.")
        rows = tuple(
            (f"{OUTCOMES[outcome]}{f': {_words(reason)}' if reason else ''}", number, part)
            for outcome, reason, number, part in ends
        )
        columns = (TableColumn("end", "End", Unit.TEXT), _CRAFTS, TableColumn("share", "Share of crafts", Unit.SHARE))
        tables.append(Table("completion", "How crafts end", columns, rows, Bars("end", "share")))
        tables.append(_by_recipe(history, names))
    else:
        sentences.append("No craft ended in this period.")
    if open_:
        verb = "has" if open_ == 1 else "have"
        sentences.append(f"{counted(open_, 'craft')} that began in this period {verb} no end in the recording.")
    method = (
        "A craft counts in the period in which it ended. A craft without an end is still under way, or its end was "
        "recorded under another pseudonym because a new period of pseudonyms had begun."
    )
    return ReportSection("completion", "Completion", (*sentences, *few(total)), tuple(tables), method)


def _by_recipe(history: RecordedHistory, names: Names) -> Table:
    rows = history.all(
        "SELECT recipe, count(*), count(*) FILTER (outcome = 'complete') / count(*) FROM crafts "
        f"WHERE outcome IS NOT NULL AND recipe IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MOST}"
    )
    columns = (_RECIPE, _CRAFTS, TableColumn("completed_share", "Completed", Unit.SHARE))
    title = f"Completion by recipe: the {MOST} that are crafted most"
    return Table("completion_by_recipe", title, columns, named(names, rows), Bars("recipe", "completed_share"))


_TIMED = """
WITH stopped AS (SELECT session, sum(seconds) AS seconds FROM stops GROUP BY 1),
timed AS (
    SELECT recipe, estimated, epoch(ended) - epoch(begun) - coalesce(seconds, 0) AS took, took / estimated AS ratio
    FROM crafts LEFT JOIN stopped USING (session)
    WHERE outcome = 'complete' AND begun IS NOT NULL AND estimated > 0 AND ended >= begun
)
"""


def estimates(history: RecordedHistory, names: Names) -> ReportSection:
    """How long crafts take, compared with the authority's estimate."""
    number, low, median, high, late = history.one(
        f"{_TIMED} SELECT count(*), quantile_cont(ratio, 0.1), median(ratio), quantile_cont(ratio, 0.9), "
        f"count(*) FILTER (ratio > {LATE}) FROM timed"
    )
    method = (
        "Completed crafts whose start and estimate are recorded. The time that a craft stood still is subtracted. A "
        f"craft is late when it takes more than {LATE:g} times the estimated time."
    )
    if not number:
        return ReportSection("estimates", "Time against estimate", ("No completed craft has an estimate.",), (), method)
    sentences = (
        f"Half of {counted(number, 'completed craft')} took at most {median:.2f} times the estimated time; eight of "
        f"ten took between {low:.2f} and {high:.2f} times.",
        f"{share(late / number)} were late.",
        *few(number),
    )
    buckets = history.all(
        f"{_TIMED} SELECT least(greatest(floor(ratio * 10 + 1e-9), 4), 20)::INTEGER AS bucket, count(*), "
        "count(*) / sum(count(*)) OVER () FROM timed GROUP BY 1 ORDER BY 1"
    )
    found = {bucket: (count, part) for bucket, count, part in buckets}
    spread = tuple((_bucket(each), *found.get(each, (0, 0.0))) for each in range(min(found), max(found) + 1))
    recipes = history.all(
        f"{_TIMED} SELECT recipe, count(*), median(estimated), median(took), median(ratio), "
        f"count(*) FILTER (ratio > {LATE}) / count(*) FROM timed GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MOST}"
    )
    tables = (
        Table(
            "estimates",
            "Time taken as a multiple of the estimate",
            (
                TableColumn("ratio", "Times the estimate", Unit.TEXT),
                _CRAFTS,
                TableColumn("share", "Share of crafts", Unit.SHARE),
            ),
            spread,
            Bars("ratio", "share"),
        ),
        Table(
            "estimates_by_recipe",
            f"By recipe: the {MOST} that are crafted most",
            (
                _RECIPE,
                _CRAFTS,
                TableColumn("estimated_seconds", "Estimated, median", Unit.SECONDS),
                TableColumn("taken_seconds", "Taken, median", Unit.SECONDS),
                TableColumn("ratio", "Taken / estimated, median", Unit.RATIO),
                TableColumn("late_share", "Late", Unit.SHARE),
            ),
            named(names, recipes),
            Bars("recipe", "ratio", (1.0, "as estimated")),
        ),
    )
    return ReportSection("estimates", "Time against estimate", sentences, tables, method)


def _bucket(tenths: int) -> str:
    """The name of a tenth of a ratio."""
    if tenths <= 4:
        return "below 0.5"
    return "2.0 and more" if tenths >= 20 else f"{tenths / 10:.1f} to {(tenths + 1) / 10:.1f}"


def interruptions(history: RecordedHistory, names: Names) -> ReportSection:
    """The reasons of interruptions, and how often crafts are completed afterwards."""
    rows = history.all(
        "SELECT stops.reason, count(*), count(DISTINCT session), median(seconds), quantile_cont(seconds, 0.9), "
        "count(DISTINCT session) FILTER (outcome = 'complete') / "
        "nullif(count(DISTINCT session) FILTER (outcome IS NOT NULL), 0) "
        "FROM stops JOIN crafts USING (session) GROUP BY 1 ORDER BY 2 DESC, 1"
    )
    crafts, stopped, with_stop, without = history.one(
        "SELECT count(*), count(*) FILTER (stopped), "
        "count(*) FILTER (stopped AND outcome = 'complete') / "
        "nullif(count(*) FILTER (stopped AND outcome NOT NULL), 0), "
        "count(*) FILTER (NOT stopped AND outcome = 'complete') / "
        "nullif(count(*) FILTER (NOT stopped AND outcome NOT NULL), 0) "
        "FROM (SELECT *, session IN (SELECT session FROM stops) AS stopped FROM crafts)"
    )
    method = (
        "An interruption begins when a craft is paused or interrupted, and lasts until it continues or ends. "
        "Interruptions without an end count, but have no length. The authority gives a reason for a pause, and none "
        "for an interruption: “missing material” means that it reported a shortage within two seconds of it."
    )
    if not rows:
        sentence = f"None of {counted(crafts, 'craft')} was interrupted." if crafts else "There are no crafts."
        return ReportSection("interruptions", "Interruptions", (sentence,), (), method)
    reason, number, _, length, *_ = rows[0]
    sentences = [f"{share(stopped / crafts)} of {counted(crafts, 'craft')} were interrupted at least once."]
    lasts = "" if length is None else f", with a median length of {duration(length)} seconds"
    sentences.append(f"The most frequent reason is {_words(reason)}: {counted(number, 'interruption')}{lasts}.")
    if with_stop is not None and without is not None:
        sentences.append(
            f"{share(with_stop)} of the crafts with an interruption were completed, and {share(without)} of the others."
        )
    columns = (
        TableColumn("reason", "Reason", Unit.TEXT),
        TableColumn("interruptions", "Interruptions", Unit.COUNT),
        _CRAFTS,
        TableColumn("median_seconds", "Length, median", Unit.SECONDS),
        TableColumn("p90_seconds", "Length, 9 of 10 below", Unit.SECONDS),
        TableColumn("completed_share", "Completed afterwards", Unit.SHARE),
    )
    shown = tuple((_words(str(first)), *rest) for first, *rest in rows)
    table = Table("interruptions", "Interruptions by reason", columns, shown, Bars("reason", "interruptions"))
    return ReportSection("interruptions", "Interruptions", (*sentences, *few(stopped)), (table,), method)


def shortages(history: RecordedHistory, names: Names) -> ReportSection:
    """The materials that are short most often."""
    rows = history.all(
        "SELECT material, count(*), count(DISTINCT session), "
        "count(*) FILTER (event = 'insufficient_quantity'), count(*) FILTER (event = 'quality_too_low'), "
        "count(*) FILTER (event = 'material_unavailable'), median(required_quantity - available_quantity), "
        "count(DISTINCT session) FILTER (outcome = 'complete') / "
        "nullif(count(DISTINCT session) FILTER (outcome IS NOT NULL), 0) "
        f"FROM shortages LEFT JOIN crafts USING (session) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MOST}"
    )
    number, materials, sessions = history.one(
        "SELECT count(*), count(DISTINCT material), count(DISTINCT session) FROM shortages"
    )
    method = (
        "Each notification of the authority that a material is missing, insufficient or of too low a quality counts; "
        "that a material is there again does not."
    )
    if not rows:
        return ReportSection("shortages", "Shortages", ("No material was short in this period.",), (), method)
    first, most, *_ = named(names, rows)[0]
    sentences = (
        f"{counted(number, 'shortage')} of {counted(materials, 'material')} affected {counted(sessions, 'craft')}.",
        f"The material that is short most often is {first}: {share(most / number)} of all shortages.",
        *few(number),
    )
    columns = (
        TableColumn("material", "Material", Unit.TEXT),
        TableColumn("shortages", "Shortages", Unit.COUNT),
        _CRAFTS,
        TableColumn("too_few", "Too few", Unit.COUNT),
        TableColumn("too_low_quality", "Quality too low", Unit.COUNT),
        TableColumn("unavailable", "Unavailable", Unit.COUNT),
        TableColumn("missing_pieces", "Missing pieces, median", Unit.COUNT),
        TableColumn("completed_share", "Crafts completed", Unit.SHARE),
    )
    title = f"Shortages by material: the {MOST} that are short most often"
    table = Table("shortages", title, columns, named(names, rows), Bars("material", "shortages"))
    return ReportSection("shortages", "Shortages", sentences, (table,), method)


def queues(history: RecordedHistory, names: Names) -> ReportSection:
    """How long players wait, by station."""
    rows = history.all(
        "SELECT coalesce(station, 'not stated'), count(*), median(seconds), quantile_cont(seconds, 0.9), "
        "count(*) FILTER (outcome = 'queue_timeout') / count(*), median(seconds - estimated) "
        "FILTER (outcome = 'station_available') FROM waits GROUP BY 1 ORDER BY 3 DESC, 1"
    )
    number, median, expired = history.one(
        "SELECT count(*), median(seconds), count(*) FILTER (outcome = 'queue_timeout') FROM waits"
    )
    method = (
        "A wait lasts from a player's first place in the queue to the free station or to the timeout. Waits whose "
        "beginning or end is not recorded are left out."
    )
    if not rows:
        return ReportSection("queues", "Queues", ("No wait for a station ended in this period.",), (), method)
    station, _, longest, *_ = rows[0]
    sentences = [f"Half of {counted(number, 'wait')} took at most {duration(median)} seconds."]
    if len(rows) > 1:
        sentences.append(f"Players wait longest for {_words(station)}: {duration(longest)} seconds in the median.")
    sentences.append(f"{share(expired / number)} of the waits ended with a timeout instead of a station.")
    columns = (
        TableColumn("station", "Station", Unit.TEXT),
        TableColumn("waits", "Waits", Unit.COUNT),
        TableColumn("median_seconds", "Wait, median", Unit.SECONDS),
        TableColumn("p90_seconds", "Wait, 9 of 10 below", Unit.SECONDS),
        TableColumn("timeout_share", "Timeouts", Unit.SHARE),
        TableColumn("late_seconds", "Longer than first estimated, median", Unit.SECONDS),
    )
    shown = tuple((_words(str(first)), *rest) for first, *rest in rows)
    chart = Ranges(("station",), "median_seconds", "p90_seconds")
    table = Table("queues", "Waits by station", columns, shown, chart)
    return ReportSection("queues", "Queues", (*sentences, *few(number)), (table,), method)


def network(history: RecordedHistory, names: Names) -> ReportSection:
    """Round trip, jitter and loss, by region and transport."""
    rows = history.all(
        "SELECT coalesce(region, 'no region'), transport, count(*), median(round_trip_ms), "
        "quantile_cont(round_trip_ms, 0.95), median(jitter_ms), avg(loss), count(*) FILTER (loss > 0.02) / count(*) "
        "FROM paths GROUP BY 1, 2 ORDER BY 1, 2"
    )
    method = (
        "Once a minute, each server process samples up to 200 connections of UDP and 200 of others, so long "
        "connections count more often. The region is that of the server. Over TCP, a path ends at a proxy, if there is "
        "one, and loss is the share of segments that were sent again; jitter is measured over UDP only."
    )
    if not rows:
        return ReportSection("network", "Network", ("There is no sample of a network path.",), (), method)
    number = sum(row[2] for row in rows)
    best, worst = min(rows, key=_round_trip), max(rows, key=_round_trip)
    sentences = [f"There are {counted(number, 'sample')}."]
    if best is not worst:
        sentences.append(
            f"The median round trip is shortest with {best[0]} over {best[1]} ({best[3]:.0f} ms), and longest with "
            f"{worst[0]} over {worst[1]} ({worst[3]:.0f} ms)."
        )
    else:
        sentences.append(f"The median round trip is {best[3]:.0f} ms.")
    lossy = max(rows, key=lambda row: float(row[7]))
    if lossy[7]:
        sentences.append(f"{share(lossy[7])} of the samples of {lossy[0]} over {lossy[1]} lose more than 2 %.")
    columns = (
        TableColumn("region", "Region", Unit.TEXT),
        TableColumn("transport", "Transport", Unit.TEXT),
        TableColumn("samples", "Samples", Unit.COUNT),
        TableColumn("median_round_trip_ms", "Round trip, median", Unit.MILLISECONDS),
        TableColumn("p95_round_trip_ms", "Round trip, 19 of 20 below", Unit.MILLISECONDS),
        TableColumn("jitter_ms", "Jitter, median", Unit.MILLISECONDS),
        TableColumn("loss_share", "Loss, mean", Unit.SHARE),
        TableColumn("lossy_share", "Samples with more than 2 % loss", Unit.SHARE),
    )
    chart = Ranges(("region", "transport"), "median_round_trip_ms", "p95_round_trip_ms")
    table = Table("network", "Paths by region and transport", columns, tuple(rows), chart)
    return ReportSection("network", "Network", (*sentences, *few(number)), (table,), method)


def _round_trip(row: tuple[Any, ...]) -> float:
    return float(row[3])


def _words(text: str) -> str:
    """The value of an enumeration as words."""
    return text.replace("_", " ")


QUESTIONS: dict[str, Callable[[RecordedHistory, Names], ReportSection]] = {
    question.__name__: question for question in (completion, estimates, interruptions, shortages, queues, network)
}
"""The questions by the names that `craftnet analyse --only` takes, in the order of the report."""
