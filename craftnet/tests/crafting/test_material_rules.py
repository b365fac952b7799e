"""A session's materials."""

from __future__ import annotations

from uuid import UUID

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.events import EventMaterial, MaterialsUpdate, SessionStart
from craftnet.contract.messages import ChangeType, MaterialChange, MaterialNotification, MaterialProblem
from craftnet.crafting.material_rules import MAX_MATERIALS, NEEDED_VALUES, advance_materials
from craftnet.crafting.state import Material, MaterialsState, Stamp
from craftnet.errors import EventRejected
from craftnet.tests.contracts.source import pause, quantity
from craftnet.tests.support.samples import COPPER, IRON, NOW, PLAYER, RECIPE, SESSION, event, start

NOTHING = MaterialsState(SESSION)
STARTED = MaterialsState(SESSION, 1, (Material(IRON, 10, 50),), NOW, (Stamp("", NOW),))


def changed(kind: ChangeType, amount: int | None = None, quality: int | None = None) -> MaterialsUpdate:
    """The data of one change of the iron."""
    change = MaterialChange(material_id=IRON, change_type=kind, new_quantity=amount, new_quality=quality)
    return MaterialsUpdate(session_id=SESSION, changes=(change,))


def notified(kind: MaterialProblem, available: int | None = None, quality: int | None = None) -> MaterialNotification:
    """A notification about the iron."""
    return MaterialNotification(
        material_id=IRON, notification_type=kind, available_quantity=available, available_quality=quality
    )


class QuantityTests(SynchronousTestCase):
    def after(self, *updates: MaterialsUpdate) -> tuple[Material, ...]:
        """The materials of the started session after the updates."""
        state = STARTED
        for update in updates:
            state = advance_materials(state, event(update, NOW + 1)).state
        return state.materials

    def test_start(self) -> None:
        change = advance_materials(NOTHING, event(start()))
        self.assertEqual(change.state, STARTED)
        wanted = MaterialChange(material_id=IRON, change_type=ChangeType.ADDED, new_quantity=10, new_quality=50)
        self.assertEqual((change.changes, change.notifications, change.accepted), ((wanted,), (), NOW))

    def test_start_with_nothing(self) -> None:
        bare = SessionStart(session_id=SESSION, recipe_id=RECIPE, player_id=PLAYER)
        self.assertEqual(
            advance_materials(NOTHING, event(bare)).state, MaterialsState(SESSION, 1, (), NOW, (Stamp("", NOW),))
        )

    def test_start_with_a_quality_in_words(self) -> None:
        brought = (EventMaterial(IRON, 3, "rare"),)
        data = SessionStart(session_id=SESSION, recipe_id=RECIPE, player_id=PLAYER, materials=brought)
        change = advance_materials(NOTHING, event(data))
        self.assertEqual((change.state.materials, change.changes[0].new_quality), ((Material(IRON, 3, 80),), 80))

    def test_update_without_content(self) -> None:
        """Behind it is a misspelt field, and the sender should hear of that."""
        empty = MaterialsUpdate(session_id=SESSION)
        error = self.assertRaises(EventRejected, advance_materials, STARTED, event(empty, NOW + 1))
        self.assertIn("neither changes nor notifications", str(error))

    def test_change_without_its_value(self) -> None:
        for kind, other in (
            (ChangeType.ADDED, {"quality": 5}),
            (ChangeType.QUANTITY_CHANGED, {"quality": 5}),
            (ChangeType.QUALITY_CHANGED, {"amount": 5}),
        ):
            for values in ({}, other):
                update = changed(kind, **values)
                update = replace(update, changes=(*changed(ChangeType.REMOVED).changes, *update.changes))
                error = self.assertRaises(EventRejected, advance_materials, STARTED, event(update, NOW + 1))
                self.assertIn(f"changes[1] is {kind.value} without its {NEEDED_VALUES[kind][0]}", str(error))

    def test_start_without_quality(self) -> None:
        data = SessionStart(session_id=SESSION, recipe_id=RECIPE, player_id=PLAYER, materials=(EventMaterial(IRON, 3),))
        self.assertEqual(advance_materials(NOTHING, event(data)).state.materials, (Material(IRON, 3),))

    def test_second_start(self) -> None:
        self.assertRaises(EventRejected, advance_materials, STARTED, event(start()))

    def test_update_before_start(self) -> None:
        error = self.assertRaises(EventRejected, advance_materials, NOTHING, event(quantity(1)))
        self.assertIn("never started", str(error))

    def test_changes(self) -> None:
        self.assertEqual(self.after(changed(ChangeType.QUANTITY_CHANGED, amount=3)), (Material(IRON, 3, 50),))
        self.assertEqual(self.after(changed(ChangeType.QUANTITY_CHANGED, amount=0)), (Material(IRON, 0, 50),))
        self.assertEqual(self.after(changed(ChangeType.QUALITY_CHANGED, quality=70)), (Material(IRON, 10, 70),))
        self.assertEqual(self.after(changed(ChangeType.ADDED, amount=5, quality=5)), (Material(IRON, 5, 5),))
        self.assertEqual(self.after(changed(ChangeType.REMOVED)), ())

    def test_quantities_are_absolute(self) -> None:
        """A repeated change does no harm."""
        change = changed(ChangeType.QUANTITY_CHANGED, amount=3)
        self.assertEqual(self.after(change, change), self.after(change))

    def test_removing_what_is_not_there(self) -> None:
        self.assertEqual(self.after(changed(ChangeType.REMOVED), changed(ChangeType.REMOVED)), ())

    def test_order_of_first_naming(self) -> None:
        self.assertEqual(self.after(quantity(1, COPPER), quantity(2)), (Material(IRON, 2, 50), Material(COPPER, 1)))

    def test_problem_stands_until_restored(self) -> None:
        short = notified(MaterialProblem.INSUFFICIENT_QUANTITY, available=2)
        fine = notified(MaterialProblem.MATERIAL_RESTORED, available=12, quality=60)
        update = MaterialsUpdate(session_id=SESSION, notifications=(short,))
        self.assertEqual(self.after(update), (Material(IRON, 2, 50, short),))
        self.assertEqual(self.after(update, quantity(3)), (Material(IRON, 3, 50, short),))
        restored = MaterialsUpdate(session_id=SESSION, notifications=(fine,))
        self.assertEqual(self.after(update, restored), (Material(IRON, 12, 60),))

    def test_notification_of_an_unknown_material(self) -> None:
        gone = MaterialNotification(material_id=COPPER, notification_type=MaterialProblem.MATERIAL_UNAVAILABLE)
        after = self.after(MaterialsUpdate(session_id=SESSION, notifications=(gone,)))
        self.assertEqual(after[1], Material(COPPER, 0, None, gone))

    def test_changes_come_before_notifications(self) -> None:
        fine = notified(MaterialProblem.MATERIAL_RESTORED, available=4)
        both = replace(changed(ChangeType.QUANTITY_CHANGED, amount=3), notifications=(fine,))
        self.assertEqual(self.after(both), (Material(IRON, 4, 50),))

    def test_version_and_time(self) -> None:
        change = advance_materials(STARTED, event(quantity(3), NOW + 2))
        self.assertEqual((change.state.version, change.state.since, change.accepted), (2, NOW + 2, NOW + 2))

    def test_out_of_order(self) -> None:
        error = self.assertRaises(EventRejected, advance_materials, STARTED, event(quantity(3), NOW - 1))
        self.assertIn("out of order", str(error))
        advance_materials(STARTED, event(quantity(3), NOW))
        advance_materials(STARTED, event(quantity(3), NOW - 1, source="another"))

    def test_clocks(self) -> None:
        """An incredible time counts as the later of its arrival and the newest; a clock may be set."""
        for stated, arrival, update in (
            (9.0, 1.0, 1.0),
            (9.0, -8.0, 0.0),
            (-3600.0, 1.0, 1.0),
            (-3600.0, -3600.0, -3600.0),
        ):
            event_ = event(quantity(3), NOW + stated, accepted=NOW + arrival)
            self.assertEqual(advance_materials(STARTED, event_).state.since, NOW + update)

    def test_other_events(self) -> None:
        error = self.assertRaises(EventRejected, advance_materials, STARTED, event(pause()))
        self.assertIn("SessionPause", str(error))

    def test_bounded(self) -> None:
        full = replace(STARTED, materials=tuple(Material(UUID(int=n)) for n in range(MAX_MATERIALS)))
        error = self.assertRaises(EventRejected, advance_materials, full, event(quantity(3)))
        self.assertIn(str(MAX_MATERIALS), str(error))
        self.assertEqual(len(advance_materials(full, event(quantity(3, UUID(int=1)))).state.materials), MAX_MATERIALS)
