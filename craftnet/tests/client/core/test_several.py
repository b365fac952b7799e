"""Several watches at once: the labels of their lines."""

from __future__ import annotations

from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from craftnet.client.core.player_watch import labels

FIRST = UUID("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa")
ALIKE = UUID("aaaaaaaa-bbbb-4aaa-8aaa-aaaaaaaaaaaa")
NEARLY_THE_SAME = UUID("aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaab")
OTHER = UUID("bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb")


class LabelsTests(SynchronousTestCase):
    def test_one_session_needs_no_label(self) -> None:
        self.assertEqual(labels([FIRST]), {FIRST: ""})
        self.assertEqual(labels([FIRST, FIRST]), {FIRST: ""})

    def test_several_are_called_by_the_beginnings_of_their_ids(self) -> None:
        self.assertEqual(labels([OTHER, FIRST]), {OTHER: "bbbbbbbb", FIRST: "aaaaaaaa"})

    def test_labels_distinguish_ids_with_a_common_prefix(self) -> None:
        self.assertEqual(labels([FIRST, ALIKE]), {FIRST: "aaaaaaaa-aaaa", ALIKE: "aaaaaaaa-bbbb"})
        self.assertEqual(
            labels([FIRST, NEARLY_THE_SAME, OTHER]), {each: str(each) for each in (FIRST, NEARLY_THE_SAME, OTHER)}
        )
