"""The workshop's table of recipes."""

from __future__ import annotations

from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.messages import Station
from craftnet.providers.workshop.simulation.catalogue import RECIPES, name_id


class CatalogueTests(SynchronousTestCase):
    """The recipes."""

    def test_there_is_much_to_choose_from_at_every_station(self) -> None:
        self.assertGreaterEqual(len(RECIPES), 40)
        for station in Station:
            self.assertGreaterEqual(sum(recipe.station is station for recipe in RECIPES), 5, station)

    def test_recipe_ids_are_distinct(self) -> None:
        self.assertEqual(len({recipe.recipe_id for recipe in RECIPES}), len(RECIPES))
        self.assertEqual(len({recipe.result_id for recipe in RECIPES}), len(RECIPES))

    def test_ids_are_the_same_on_every_machine(self) -> None:
        self.assertEqual(name_id("recipe", "Owl optics"), UUID("2c053ad7-dc7a-5c3c-8aed-b2ab8d5f3928"))

    def test_a_row_of_the_table(self) -> None:
        recipe = next(recipe for recipe in RECIPES if recipe.name == "Subdermal grip pads")
        self.assertEqual(
            (recipe.station, recipe.seconds, recipe.difficulty, recipe.quality),
            (Station.CYBERWARE_STATION, 45.0, 0.04, 55),
        )
        self.assertEqual(
            [(item.name, item.quantity, item.quality) for item in recipe.ingredients],
            [("skin mesh", 2, 50), ("neural gel", 1, 45)],
        )

    def test_the_same_material_has_the_same_id_in_every_recipe(self) -> None:
        names = {(item.name, item.material_id) for recipe in RECIPES for item in recipe.ingredients}
        self.assertEqual(len(names), len({name for name, _ in names}))

    def test_ranges(self) -> None:
        for recipe in RECIPES:
            self.assertTrue(5 <= recipe.seconds <= 1800, recipe.name)
            self.assertTrue(0 < recipe.difficulty < 0.25, recipe.name)
            self.assertTrue(1 <= recipe.quality <= 100, recipe.name)
            self.assertTrue(1 <= len(recipe.ingredients) <= 6, recipe.name)
            self.assertEqual(len({item.material_id for item in recipe.ingredients}), len(recipe.ingredients))
            for item in recipe.ingredients:
                self.assertTrue(item.quantity >= 1 and 1 <= item.quality <= 100, recipe.name)

    def test_what_takes_long_is_chosen_less_often(self) -> None:
        ordered = sorted(RECIPES, key=lambda recipe: recipe.seconds)
        self.assertGreater(ordered[0].popularity, 10 * ordered[-1].popularity)
