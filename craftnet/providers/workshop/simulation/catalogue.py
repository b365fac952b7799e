"""The recipes of the workshop: a table, and the values made from it."""

from __future__ import annotations

from uuid import UUID, uuid5

from msgspec import Struct

from craftnet.contract.messages import Station

_NAMES = UUID("6f1d4c1e-2f0b-5c58-9d6a-3b7f0a4be2c1")

_TABLE = """
# craft                      | station             | seconds | fails % | quality | materials: quantity name (quality), …
Gutterlight flare            | basic_workbench     |       5 |     0.5 |      30 | 1 tallow gel (15), 1 foil scrap (10)
Scrap shiv                   | basic_workbench     |       8 |     1   |      25 | 2 plate scrap (10), 1 grip tape (10)
Stim patch                   | basic_workbench     |      12 |     1   |      40 | 1 stim base (30), 1 skin mesh (25), 1 foil scrap (10)
Door spike                   | basic_workbench     |      15 |     2   |      35 | 3 plate scrap (20), 1 copper filament (20)
Smoke tin                    | basic_workbench     |      20 |     2   |      35 | 2 tallow gel (20), 1 nitrate salt (25)
Burner handset               | basic_workbench     |      30 |     3   |      40 | 1 signal chip (30), 1 cell battery (25), 2 copper filament (20)
Taped riot vest              | basic_workbench     |      45 |     3   |      45 | 4 aramid cloth (35), 6 grip tape (15)
Neon street mask             | basic_workbench     |      60 |     2   |      50 | 1 polymer sheet (35), 2 light fibre (40), 1 cell battery (20)
Courier satchel              | basic_workbench     |      90 |     3   |      50 | 3 aramid cloth (40), 2 polymer sheet (30), 4 grip tape (20)
Hand-wound dynamo            | basic_workbench     |     150 |     5   |      55 | 12 copper filament (35), 2 rare magnet (40), 1 bearing set (35)
Rooftop signal kite          | basic_workbench     |     240 |     6   |      60 | 2 light fibre (45), 1 signal chip (45), 3 polymer sheet (40), 1 cell battery (35)
Rail-pin carbine clip        | advanced_workbench  |      20 |     2   |      50 | 24 rail pin (40), 1 spring steel (40)
Monowire spool               | advanced_workbench  |      40 |     4   |      60 | 8 carbon thread (55), 1 bearing set (50)
Shock baton                  | advanced_workbench  |      60 |     4   |      55 | 2 spring steel (40), 2 capacitor bank (50), 1 grip tape (30)
Ceramic knife set            | advanced_workbench  |      75 |     5   |      65 | 6 ceramic blank (55), 2 grip tape (35)
Pocket drone                 | advanced_workbench  |     120 |     7   |      60 | 4 micro rotor (50), 1 signal chip (55), 1 cell battery (50), 2 polymer sheet (45)
Mirrorplate jacket           | advanced_workbench  |     180 |     6   |      70 | 5 aramid cloth (55), 8 mirror plate (60), 2 carbon thread (55)
Caseless pistol              | advanced_workbench  |     300 |     8   |      70 | 3 spring steel (60), 1 barrel blank (65), 2 ceramic blank (55), 1 signal chip (50)
Silent crossbow              | advanced_workbench  |     420 |     9   |      75 | 4 carbon thread (65), 2 spring steel (65), 1 bearing set (60)
Heavy exo-frame              | advanced_workbench  |     900 |    12   |      80 | 12 plate alloy (65), 4 servo motor (65), 2 capacitor bank (60), 6 bearing set (60)
Lowlight lens                | cyberware_station   |      25 |     3   |      55 | 1 optic blank (50), 1 light fibre (50)
Subdermal grip pads          | cyberware_station   |      45 |     4   |      55 | 2 skin mesh (50), 1 neural gel (45)
Pulse dampener               | cyberware_station   |      80 |     5   |      60 | 1 capacitor bank (55), 1 neural gel (50), 1 skin mesh (45)
Tendon springs               | cyberware_station   |     120 |     7   |      65 | 2 spring steel (60), 4 carbon thread (60), 2 neural gel (55)
Ghostline vocoder            | cyberware_station   |     180 |     7   |      70 | 1 signal chip (65), 2 light fibre (55), 1 neural gel (60)
Ledger memory graft          | cyberware_station   |     300 |    10   |      75 | 2 memory lattice (70), 2 neural gel (65), 1 skin mesh (60)
Owl optics                   | cyberware_station   |     480 |    10   |      80 | 2 optic blank (75), 3 light fibre (70), 1 signal chip (65), 1 neural gel (60)
Splitstep reflex core        | cyberware_station   |     900 |    14   |      88 | 1 reflex kernel (80), 3 neural gel (75), 6 carbon thread (70), 1 memory lattice (70)
Cold-spine uplink            | cyberware_station   |    1500 |    18   |      92 | 1 reflex kernel (85), 4 memory lattice (80), 6 neural gel (80), 8 light fibre (75), 2 coolant (60)
Patch kit, hull              | vehicle_bay         |      30 |     1   |      40 | 3 plate alloy (35), 2 tallow gel (25)
Run-flat tyre                | vehicle_bay         |      60 |     3   |      50 | 2 polymer sheet (45), 4 carbon thread (45)
Tuned injector               | vehicle_bay         |     120 |     5   |      60 | 1 bearing set (55), 2 copper filament (45), 1 ceramic blank (50)
Overcharged drive cell       | vehicle_bay         |     200 |     8   |      65 | 6 cell battery (55), 3 capacitor bank (60), 1 coolant (50)
Smuggler's false floor       | vehicle_bay         |     360 |     5   |      65 | 6 plate alloy (55), 2 servo motor (50), 1 signal chip (45)
Street racer gearbox         | vehicle_bay         |     600 |    10   |      75 | 8 bearing set (70), 5 plate alloy (65), 2 spring steel (65)
Armoured door set            | vehicle_bay         |     900 |     8   |      75 | 14 plate alloy (65), 4 aramid cloth (60), 2 servo motor (60)
Hover skirt, salvaged        | vehicle_bay         |    1800 |    16   |      85 | 8 micro rotor (75), 10 plate alloy (70), 6 carbon thread (70), 4 capacitor bank (70), 2 coolant (60)
Glow ink                     | laboratory          |      10 |     1   |      40 | 1 tallow gel (30), 1 biolume culture (35)
Clotting foam                | laboratory          |      25 |     2   |      50 | 1 stim base (40), 1 nitrate salt (35)
Truth mist                   | laboratory          |      50 |     5   |      55 | 2 stim base (50), 1 solvent (45)
Coolant, lab grade           | laboratory          |      90 |     3   |      65 | 2 solvent (50), 1 nitrate salt (50)
Thermal paste charge         | laboratory          |     120 |     9   |      60 | 4 nitrate salt (55), 1 foil scrap (30), 1 signal chip (40)
Neural gel, cultured         | laboratory          |     210 |     7   |      75 | 2 biolume culture (65), 1 stim base (60), 1 solvent (60)
Quickblood serum             | laboratory          |     330 |    10   |      80 | 3 stim base (70), 2 biolume culture (65), 1 coolant (60)
Nightbloom antidote          | laboratory          |     540 |    12   |      82 | 4 biolume culture (75), 2 solvent (70), 1 neural gel (70)
Lattice seed crystal         | laboratory          |    1200 |    15   |      90 | 1 memory lattice (80), 6 solvent (75), 2 coolant (70), 1 rare magnet (70)
"""  # noqa: E501  (a table is read by its columns)


class Ingredient(Struct, frozen=True):
    """A material that a recipe needs: the quantity, and the minimum quality (1 to 100)."""

    material_id: UUID
    name: str
    quantity: int
    quality: int


class Recipe(Struct, frozen=True):
    """One item that can be crafted.

    Attributes:
        result_id: the item that the craft yields.
        seconds: its nominal duration.
        difficulty: the probability of failure, 0 to 1.
        quality: the quality when nothing goes wrong, 1 to 100.
    """

    recipe_id: UUID
    result_id: UUID
    name: str
    station: Station
    seconds: float
    difficulty: float
    quality: int
    ingredients: tuple[Ingredient, ...]

    @property
    def popularity(self) -> float:
        """How often players choose it, relative to others: long crafts are chosen less often."""
        return 60.0 / (60.0 + self.seconds)


def name_id(kind: str, name: str) -> UUID:
    """The id of a thing, the same on every machine and at every start."""
    return uuid5(_NAMES, f"{kind}:{name}")


def _ingredient(text: str) -> Ingredient:
    quantity, _, rest = text.strip().partition(" ")
    name, _, quality = rest.removesuffix(")").partition(" (")
    return Ingredient(name_id("material", name), name, int(quantity), int(quality))


def _recipe(line: str) -> Recipe:
    name, station, seconds, fails, quality, materials = (cell.strip() for cell in line.split("|"))
    return Recipe(
        recipe_id=name_id("recipe", name),
        result_id=name_id("item", name),
        name=name,
        station=Station(station),
        seconds=float(seconds),
        difficulty=float(fails) / 100.0,
        quality=int(quality),
        ingredients=tuple(_ingredient(text) for text in materials.split(", ")),
    )


RECIPES = tuple(_recipe(line) for line in _TABLE.strip().splitlines() if not line.startswith("#"))
"""Every recipe, in the order of the table."""
