"""What every source of materials must do."""

from __future__ import annotations

from zope.interface.verify import verifyObject

from craftnet.contract.events import (
    EventMaterial,
    MaterialsUpdate,
    SessionStart,
)
from craftnet.contract.messages import (
    MaterialNotification,
    MaterialProblem,
)
from craftnet.crafting.state import MaterialsChange, MaterialsState
from craftnet.interfaces import (
    IMaterialSource,
)
from craftnet.tests.contracts.source import (
    ACCEPTED,
    DUPLICATE,
    REJECTED,
    MaterialRecorder,
    SourceContract,
    pause,
    quantity,
    queued,
)
from craftnet.tests.support.samples import (
    COPPER,
    IRON,
    NOW,
    OTHER_SESSION,
    PLAYER,
    RECIPE,
    SESSION,
    event,
    start,
)


class MaterialSourceContract(SourceContract):
    """For an `IMaterialSource`; `make_materials` gives an empty one."""

    async def make_materials(self) -> IMaterialSource:
        """The provider under test."""
        raise NotImplementedError

    async def test_materials_interface(self) -> None:
        verifyObject(IMaterialSource, await self.make_materials())

    async def test_materials_empty(self) -> None:
        source = await self.make_materials()
        self.assertEqual(await source.get(SESSION), MaterialsState(SESSION))
        self.assertEqual(await source.watch(SESSION, MaterialRecorder()), MaterialsState(SESSION))
        self.assertEqual(await source.apply([]), [])

    async def test_materials_start(self) -> None:
        source = await self.make_materials()
        self.assertEqual(await self.verdicts(source, [event(start())]), [ACCEPTED])
        state = await source.get(SESSION)
        self.assertIsInstance(state, MaterialsState)
        self.assertEqual((state.session_id, state.version, state.since), (SESSION, 1, NOW))
        self.assertEqual(
            [(item.material_id, item.quantity, item.quality) for item in state.materials], [(IRON, 10, 50)]
        )

    async def test_materials_update_without_start(self) -> None:
        source = await self.make_materials()
        update = event(quantity(3), NOW + 1)
        self.assertEqual(await self.verdicts(source, [update]), [REJECTED])
        self.assertEqual(await source.get(SESSION), MaterialsState(SESSION))
        self.assertEqual(await self.verdicts(source, [event(start()), update]), [ACCEPTED, ACCEPTED])

    async def test_materials_change_is_delivered(self) -> None:
        source = await self.make_materials()
        await self.verdicts(source, [event(start())])
        listener = MaterialRecorder()
        self.assertEqual((await source.watch(SESSION, listener)).version, 1)
        await self.verdicts(source, [event(quantity(3), NOW + 1), event(quantity(2, COPPER), NOW + 2)])
        self.assertEqual([change.state.version for change in listener.heard], [2, 3])
        for change in listener.heard:
            self.assertIsInstance(change, MaterialsChange)
        self.assertEqual(listener.heard[0].changes, quantity(3).changes)
        self.assertEqual(listener.heard[0].accepted, NOW + 1)
        state = await source.get(SESSION)
        self.assertEqual(listener.heard[-1].state, state)
        self.assertEqual([(item.material_id, item.quantity) for item in state.materials], [(IRON, 3), (COPPER, 2)])

    async def test_materials_notification_is_delivered(self) -> None:
        source = await self.make_materials()
        short = MaterialNotification(
            material_id=IRON,
            notification_type=MaterialProblem.INSUFFICIENT_QUANTITY,
            required_quantity=5,
            available_quantity=2,
        )
        await self.verdicts(source, [event(start())])
        listener = MaterialRecorder()
        await source.watch(SESSION, listener)
        await self.verdicts(source, [event(MaterialsUpdate(session_id=SESSION, notifications=(short,)), NOW + 1)])
        self.assertEqual([change.notifications for change in listener.heard], [(short,)])
        (iron,) = (await source.get(SESSION)).materials
        self.assertEqual((iron.quantity, iron.problem), (2, short))

    async def test_materials_duplicate(self) -> None:
        source = await self.make_materials()
        begun, update = event(start()), event(quantity(3), NOW + 1)
        await self.verdicts(source, [begun, update])
        listener = MaterialRecorder()
        before = await source.watch(SESSION, listener)
        self.assertEqual(await self.verdicts(source, [update, begun]), [DUPLICATE, DUPLICATE])
        self.assertEqual(await source.get(SESSION), before)
        self.assertEqual(listener.heard, [])

    async def test_materials_out_of_order(self) -> None:
        source = await self.make_materials()
        batch = [event(start()), event(quantity(3), NOW + 5), event(quantity(9), NOW + 4), event(quantity(2), NOW + 6)]
        self.assertEqual(await self.verdicts(source, batch), [ACCEPTED, ACCEPTED, REJECTED, ACCEPTED])
        self.assertEqual((await source.get(SESSION)).version, 3)

    async def test_materials_foreign_event(self) -> None:
        source = await self.make_materials()
        batch = [event(start()), event(pause(), NOW + 1), event(queued(1), NOW + 1, session_id=SESSION)]
        self.assertEqual(await self.verdicts(source, batch), [ACCEPTED, REJECTED, REJECTED])
        self.assertEqual((await source.get(SESSION)).version, 1)

    async def test_materials_two_subscriptions_one_watch(self) -> None:
        source = await self.make_materials()
        listener = MaterialRecorder()
        await source.watch(SESSION, listener)
        await source.watch(SESSION, listener)
        await self.verdicts(source, [event(start())])
        self.assertEqual(len(listener.heard), 1)

    async def test_materials_unwatch(self) -> None:
        source = await self.make_materials()
        listener, other = MaterialRecorder(), MaterialRecorder()
        source.unwatch(SESSION, listener)
        await source.watch(SESSION, listener)
        await source.watch(SESSION, other)
        source.unwatch(SESSION, listener)
        await self.verdicts(source, [event(start())])
        self.assertEqual((len(listener.heard), len(other.heard)), (0, 1))

    async def test_materials_sessions_apart(self) -> None:
        source = await self.make_materials()
        listener = MaterialRecorder()
        await source.watch(SESSION, listener)
        brought = SessionStart(
            session_id=OTHER_SESSION, recipe_id=RECIPE, player_id=PLAYER, materials=(EventMaterial(COPPER, 1),)
        )
        await self.verdicts(source, [event(brought)])
        self.assertEqual(listener.heard, [])
        self.assertEqual(await source.get(SESSION), MaterialsState(SESSION))
        self.assertEqual((await source.get(OTHER_SESSION)).version, 1)
