"""The pseudonyms of recordings: the same in a period, and attributable only while its keys exist."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from craftnet.observe.audit.pseudonyms import Pseudonyms
from craftnet.recording.keys import RecordingKeys, period_of
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, OTHER_SESSION, PLAYER, SESSION

DAY = 86_400.0


class KeyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.players = self.opened()
        self.keys = RecordingKeys(self.players, "day")

    def opened(self) -> Pseudonyms:
        """The file of the keys, as another process opens it."""
        players = Pseudonyms(self.path)
        self.addCleanup(players.close)
        return players

    def names(self, now: float = NOW, keys: RecordingKeys | None = None) -> tuple[bytes, bytes, bytes]:
        """The pseudonyms of a player, a session and a place."""
        names = (keys or self.keys).names(now, [PLAYER, OTHER_PLAYER])
        return names.player(PLAYER), names.session(SESSION), names.place(PLAYER, "laboratory")

    def stored(self) -> list[str]:
        """The periods whose keys are stored."""
        with closing(sqlite3.connect(self.path)) as database:
            return [period for (period,) in database.execute("SELECT period FROM periods")]

    def test_same_in_a_period(self) -> None:
        """In all processes, and for nothing else."""
        self.assertEqual(self.names(), self.names())
        self.assertEqual(self.names(), self.names(keys=RecordingKeys(self.opened(), "day")))
        names = self.keys.names(NOW, [PLAYER, OTHER_PLAYER])
        found = {names.player(PLAYER), names.player(OTHER_PLAYER), names.session(SESSION), names.session(OTHER_SESSION)}
        found |= {names.place(PLAYER, ""), names.place(PLAYER, str(SESSION)), names.place(PLAYER, "laboratory")}
        found |= {names.session(PLAYER)}
        self.assertEqual({len(each) for each in found}, {16})
        self.assertEqual(len(found), 8)

    def test_rotation(self) -> None:
        """Nothing links two periods, and the key of the earlier one is destroyed."""
        before, after = self.names(), self.names(NOW + DAY)
        self.assertEqual(set(before) & set(after), set())
        self.assertEqual(self.stored(), [period_of(NOW + DAY, "day")])
        self.assertNotEqual(self.names(), before)  # that period has no key any more.
        self.assertEqual((period_of(NOW, "day"), period_of(NOW, "month")), ("2027-01-15", "2027-01"))
        monthly = RecordingKeys(self.opened(), "month")
        self.assertEqual(self.names(NOW, monthly), self.names(NOW + DAY, monthly))

    def test_erasure(self) -> None:
        """Destroys the player's key and the period's, also for a process that knows them."""
        other = RecordingKeys(self.opened(), "day")
        before = self.names(keys=other)
        self.assertTrue(self.players.erase(PLAYER))
        self.assertEqual(self.stored(), [])
        self.assertEqual(set(self.names(keys=other)) & set(before), set())
        self.assertFalse(self.opened().erase(SESSION))

    def test_not_the_audit_log_pseudonym(self) -> None:
        """Although both come from the player's key."""
        known = self.players.of([PLAYER])[PLAYER]
        self.assertNotIn(self.names()[0].hex(), known)

    def test_shared_key(self) -> None:
        """Machines with files of their own name a session alike; players differ, whose keys each machine has."""
        others = Pseudonyms(Path(self.mktemp()))
        self.addCleanup(others.close)
        here, there = RecordingKeys(self.players, "day", b"k" * 32), RecordingKeys(others, "day", b"k" * 32)
        (player, *names), (other_player, *others_names) = self.names(keys=here), self.names(keys=there)
        self.assertEqual(names, others_names)
        self.assertNotEqual(player, other_player)
        self.assertNotEqual(names, list(self.names(NOW + DAY, here)[1:]))
        self.assertEqual(self.stored(), [])
