"""Tests for `craftnet.observe.audit.verification` and `craftnet.observe.audit.entries`."""

from __future__ import annotations

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.observe.audit.entries import NO_ENTRY, AuditKey, LogEntry, authentic, parse, seal
from craftnet.observe.audit.events import SecurityEventType
from craftnet.observe.audit.verification import ChainHead, Verifier, digest_of, heads_in
from craftnet.tests.support.audit_lines import KEY, verified

ENTRIES = 12
PROPERTY = settings(deadline=None, max_examples=300, derandomize=True)


def entry(number: int, previous: str, kind: SecurityEventType = SecurityEventType.DENIED, **details: str) -> LogEntry:
    return LogEntry(
        time="2026-01-15T10:30:00.000Z",
        chain="w0-1",
        sequence=number,
        event=kind,
        player="0" * 32,
        reason=f"reason {number}",
        details=dict(details),
        previous=previous,
    )


@cache
def sample(first: int = 1, kind: SecurityEventType = SecurityEventType.STARTED) -> tuple[bytes, ...]:
    """The lines of a file; the kind is that of its first entry."""
    lines, previous = list[bytes](), NO_ENTRY
    for number in range(first, first + ENTRIES):
        line, previous = seal(entry(number, previous, kind if number == first else SecurityEventType.DENIED), KEY)
        lines.append(line)
    return tuple(lines)


def head_of(line: bytes) -> ChainHead:
    sealed = parse(line.removesuffix(b"\n"))
    assert sealed is not None
    return ChainHead(sealed.entry.chain, sealed.entry.sequence, sealed.mac)


class EntryTests(SynchronousTestCase):
    def test_round_trip(self) -> None:
        line, mac = seal(entry(3, "a" * 64, key_id="x"), KEY)
        sealed = parse(line[:-1])
        assert sealed is not None
        self.assertEqual((sealed.entry, sealed.mac), (entry(3, "a" * 64, key_id="x"), mac))
        self.assertTrue(authentic(line[:-1], KEY))
        self.assertFalse(authentic(line[:-1], AuditKey(b"another key of thirty-two bytes.")))

    def test_key_id(self) -> None:
        """It names the key, and reveals nothing of it."""
        self.assertRegex(KEY.id, "^[0-9a-f]{16}$")
        self.assertNotIn(KEY.id, KEY.secret.hex())

    def test_injected_text(self) -> None:
        """A reason that looks like the end of an entry stays a text."""
        evil = LogEntry(
            time="", chain="c", sequence=1, event=SecurityEventType.DENIED, previous=NO_ENTRY,
            reason='"}\n{"time":"x","mac":"' + "0" * 64 + '"}',
        )  # fmt: skip
        line, _ = seal(evil, KEY)
        self.assertEqual(line.count(b"\n"), 1)
        sealed = parse(line[:-1])
        assert sealed is not None
        self.assertEqual(sealed.entry, evil)
        self.assertTrue(authentic(line[:-1], KEY))


class VerificationTests(SynchronousTestCase):
    def check(self, octets: bytes, *heads: ChainHead) -> Verifier:
        return verified([("log", octets)], heads)

    def problems(self, octets: bytes, *heads: ChainHead) -> list[str]:
        return [str(finding) for finding in self.check(octets, *heads).findings if finding.problem]

    def test_whole(self) -> None:
        verifier = self.check(b"".join(sample()))
        self.assertEqual((verifier.findings, verifier.intact), ([], True))
        self.assertEqual((verifier.chains["w0-1"].entries, verifier.chains["w0-1"].last), (ENTRIES, ENTRIES))

    @given(st.data())
    @PROPERTY
    def test_changed_byte(self, data: st.DataObject) -> None:
        """Any single byte, newlines included."""
        octets = bytearray(b"".join(sample()))
        place = data.draw(st.integers(0, len(octets) - 1))
        octets[place] = data.draw(st.integers(0, 255).filter(lambda value: value != octets[place]))
        self.assertFalse(self.check(bytes(octets)).intact)

    def test_last_newline(self) -> None:
        """A line whose newline was changed is not taken for an unfinished one."""
        octets = b"".join(sample())
        for last in range(256):
            self.assertEqual(self.check(octets[:-1] + bytes([last])).intact, last == ord("\n"))

    @given(st.data())
    @PROPERTY
    def test_deleted_lines(self, data: st.DataObject) -> None:
        """Any but those at the end, for which there are published heads."""
        first = data.draw(st.integers(0, ENTRIES - 2))
        after = data.draw(st.integers(first + 1, ENTRIES - 1))
        kept = sample()[:first] + sample()[after:]
        (problem,) = self.problems(b"".join(kept))
        names = f"entry {first + 1} is" if after == first + 1 else f"entries {first + 1} to {after} are"
        self.assertIn(f"log:{first + 1}: {names}", problem)

    @given(st.permutations(range(ENTRIES)))
    @PROPERTY
    def test_order(self, order: list[int]) -> None:
        lines = [sample()[place] for place in order]
        self.assertEqual(self.check(b"".join(lines)).intact, order == sorted(order))

    @given(st.integers(0, ENTRIES), st.one_of(st.integers(0, ENTRIES - 1), st.binary(max_size=80)))
    @PROPERTY
    def test_inserted_line(self, place: int, inserted: int | bytes) -> None:
        """A copy of another line, or anything else."""
        line = sample()[inserted] if isinstance(inserted, int) else inserted.replace(b"\n", b"") + b"\n"
        lines = [*sample()[:place], line, *sample()[place:]]
        self.assertFalse(self.check(b"".join(lines)).intact)

    @given(st.integers(0, ENTRIES))
    @PROPERTY
    def test_cut_end(self, kept: int) -> None:
        """The head of any later entry shows it."""
        octets, head = b"".join(sample()[:kept]), head_of(sample()[-1])
        self.assertEqual(self.check(octets, head).intact, kept == ENTRIES)
        self.assertTrue(self.check(octets).intact, "without a head, it looks like a log that is still written")

    def test_wrong_line_is_named(self) -> None:
        octets = b"".join(sample()).replace(b"reason 5", b"reason X")
        self.assertEqual(self.problems(octets), ["log:5: entry 5 was changed, or sealed with another key"])

    def test_other_history(self) -> None:
        """A log that was restored from a backup and went on has another entry than was published."""
        forked, _ = seal(entry(ENTRIES, "f" * 64), KEY)
        octets = b"".join(sample()[:-1]) + forked
        self.assertEqual(
            self.problems(octets, head_of(sample()[-1])),
            [
                f"log:{ENTRIES}: entry {ENTRIES} follows another entry than the one above",
                f"log:{ENTRIES}: entry {ENTRIES} is another one than was published",
            ],
        )

    def test_unfinished_end(self) -> None:
        """Wherever a crash cuts the last line off, that is said and tolerated."""
        whole, last = b"".join(sample()[:-1]), sample()[-1]
        for length in range(1, len(last) - 1):
            verifier = self.check(whole + last[:length])
            self.assertTrue(verifier.intact, length)
            (finding,) = verifier.findings
            self.assertIn(f"log:{ENTRIES}: unfinished line", str(finding))
        self.assertTrue(self.check(whole + last[:-1]).intact)

    def test_declared_unfinished_line(self) -> None:
        """The next process declares it, with its digest, so that it cannot be changed, and no other can be added."""
        torn = sample()[5][:100]
        kept, previous = b"".join(sample()[:5]), head_of(sample()[4]).mac
        declared, _ = seal(entry(6, previous, SecurityEventType.TORN, digest=digest_of(torn)), KEY)
        self.assertTrue(self.check(kept + torn + b"\n" + declared).intact)
        self.assertFalse(self.check(kept + torn[:-1] + b"\n" + declared).intact)
        self.assertFalse(self.check(kept + torn + b"\n" + torn + b"\n" + declared).intact)

    def test_older_files_were_removed(self) -> None:
        """The chain may begin in a file that is not given, and only there."""
        continued = sample(40, SecurityEventType.CONTINUED)
        verifier = self.check(b"".join(continued))
        self.assertTrue(verifier.intact)
        self.assertIn("the files before this one were not given", str(verifier.findings[0]))
        self.assertFalse(self.check(b"".join(continued[1:])).intact)
        self.assertFalse(verified([("a", b"".join(sample())), ("b", b"".join(continued))]).intact)

    def test_another_chain_is_missing(self) -> None:
        self.assertEqual(
            self.problems(b"".join(sample()), ChainHead("w1-2", 7, "0" * 64)),
            ["chain w1-2 was published up to entry 7, but is in none of the files"],
        )

    def test_heads_in_a_log(self) -> None:
        """As the service's log has them, among other lines and in JSON."""
        heads = [ChainHead("w0-1", 5, "a" * 64), ChainHead("w1-2", 70, "b" * 64)]
        text = f'2026-01-15 [audit#info] {heads[0]}\nsomething\n{{"message": "{heads[1]}"}}\n'
        self.assertEqual(heads_in(text), heads)

    def test_replaced_key(self) -> None:
        other = AuditKey(b"another key of thirty-two bytes.")
        started, _ = seal(
            entry(ENTRIES + 1, head_of(sample()[-1]).mac, SecurityEventType.STARTED, key_id=other.id), other
        )
        octets = b"".join(sample()) + started
        self.assertTrue(verified([("log", octets)], keys=[KEY, other]).intact)
        self.assertIn(f"it names the key {other.id}", self.problems(octets)[0])
