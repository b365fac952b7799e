"""A district: about fifty players, and few enough stations that they wait a little. Pure."""

from __future__ import annotations

from craftnet.messages import Station
from craftnet.providers.workshop.catalogue import RECIPES, name_id
from craftnet.providers.workshop.workbench import Workbench

POPULATION = 50
"""Players in a district: enough for queues, few enough that a move of a queue concerns few of them."""

_SHARE = 0.5
"""Places for each player at all stations together; players would like to use more."""

_DEMAND = {
    station: sum(recipe.popularity * recipe.seconds for recipe in RECIPES if recipe.station is station)
    for station in Station
}


class District:
    """A zone with stations of every kind: places in proportion to the demand, at least one of each.

    Arguments:
        number: distinguishes it from other districts.
        players: the number of its players.
    """

    def __init__(self, number: int, players: int) -> None:
        self.zone_id = str(name_id("zone", str(number)))
        places = players * _SHARE / sum(_DEMAND.values())
        self.benches = {
            station: Workbench(
                station,
                [name_id(station, f"{number}/{place}") for place in range(max(1, round(places * demand)))],
            )
            for station, demand in _DEMAND.items()
        }
