"""One colour and one dash for each policy, the same on every page, whatever else is shown beside it."""

from typing import NamedTuple
from zlib import crc32

from scheduler_sim.engine.policies import READY_MADE, read_parts
from scheduler_sim.engine.policies.placement import DEFAULT_PLACEMENT

COLOURS = 12

DASH_ARRAYS = ("", "7 4", "2 3", "10 3 2 3", "14 4", "4 2 1 2", "1 4", "12 3 2 3 2 3")
"""For SVG; `static/js/charts/colours.js` holds the same dashes for the charts."""

_ORDER_COLOURS = {
    "fcfs": 6,
    "sjf": 5,
    "saf": 3,
    "wfp3": 4,
    "unicep": 0,
    "f1": 10,
    "f2": 11,
    "f3": 2,
    "f4": 9,
    "srf": 7,
    "ljf": 1,
    "random_order": 8,
    "multifactor": 2,
    "edf": 1,
    "heft": 9,
    "linear": 3,
    "mlp": 0,
    "recorded": 8,
    "drf": 7,
    "max_min": 11,
    "min_min": 3,
    "peft": 0,
    "qssf": 4,
    "sufferage": 10,
}
_PLACEMENT_COLOURS = {
    "round_robin": 6,
    "random": 8,
    "greedy": 5,
    "hybrid_ml": 3,
    "rl_agent": 0,
    "oracle": 4,
    "cpu_only": 7,
    "gpu_only": 9,
    "eft": 1,
    "min_energy": 10,
    "min_cost": 11,
    "best_fit": 2,
    "weighted_fit": 0,
    "worst_fit": 7,
    "fgd": 9,
    "compact": 5,
}
_DASHES = {"none": 0, "easy": 1, "conservative": 2, "list": 3}


class Appearance(NamedTuple):
    """How a policy is drawn: numbers of a colour and of a dash."""

    colour: int
    dash: int

    @property
    def dash_array(self) -> str:
        """The dash as SVG writes it, empty for a solid line."""
        return DASH_ARRAYS[self.dash]


def appearance(scheduler: str) -> Appearance:
    """Return how the policy called `scheduler` is drawn; a name that is registered no more has its look too.

    The order gives the colour and the backfilling the dash, so that `sjf` and `sjf+easy` look like the relatives they
    are. Policies that differ in placement alone take the placement's colour; ready-made ones are drawn solid. What has
    parameters, as `fcfs+easy(order=sjf)`, has another colour than what has none.
    """
    parts = read_parts(READY_MADE.get(scheduler, scheduler))
    order, backfill, placement = (
        parts[kind].name if kind in parts else "" for kind in ("order", "backfill", "placement")
    )
    if not placement or placement == DEFAULT_PLACEMENT:
        colour = _ORDER_COLOURS.get(order, _of_unknown(order))
    else:
        colour = _PLACEMENT_COLOURS.get(placement, _of_unknown(placement))
        if order != "fcfs":
            colour = (colour + _ORDER_COLOURS.get(order, _of_unknown(order))) % COLOURS
    set_apart = "".join(
        f"{part.name}{key}={value}" for part in parts.values() for key, value in part.parameters.items()
    )
    if set_apart:
        # Another colour than the same parts without parameters have; these bits set the usual rivals apart.
        colour = (colour + 1 + (crc32(set_apart.encode()) >> 12) % (COLOURS - 1)) % COLOURS
    if scheduler in READY_MADE:
        return Appearance(colour, 0 if placement else 6)
    apart = placement or order not in _ORDER_COLOURS  # Their colours are not theirs alone.
    return Appearance(colour, _DASHES.get(backfill or "none", 3) + (4 if apart else 0))


def _of_unknown(name: str) -> int:
    return crc32(name.encode()) % COLOURS
