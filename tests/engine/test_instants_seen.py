"""The table of the proof that the time machine tells what the engine does asks for each policy where it belongs."""

from collections.abc import Iterable
from typing import Any

from scheduler_sim.engine import parse_policy
from tests.engine.instants_seen import registered, table
from tests.engine.test_instant import POOL_POLICIES
from tests.engine.test_instant_carbon import carbon_policies, stopping_policies
from tests.engine.test_instant_elsewhere import EVERY, GIVING_WAY, ON_SITES, place_of
from tests.engine.test_nodes_reference import SLOW_TO_COMPILE, registered_policies


def lines(pairs: Iterable[tuple[str, str]], what: str = "both", count: int = 1000) -> list[dict[str, Any]]:
    return [{"policy": name, "where": place, "what": what, "count": count, "refused": {}} for name, place in pairs]


def test_every_registered_policy_is_looked_at_where_it_belongs() -> None:
    by_carbon = [name.replace("(delay=0.003)", "") for name in carbon_policies(thorough=True)]
    stopping = [name.replace("(delay=0.003)", "") for name in stopping_policies(thorough=True)]
    looked_at = [
        *((name, "pool") for name in [*POOL_POLICIES, *GIVING_WAY, *by_carbon, *stopping]),
        *((name, "nodes") for name in [*registered_policies(), *SLOW_TO_COMPILE]),
        *((name, place_of(case)) for name, case in EVERY),
        *((name, "site") for name in ON_SITES),
    ]
    assert registered() <= {(parse_policy(name).name, place) for name, place in looked_at}


def test_a_policy_seen_elsewhere_is_not_seen_where_it_belongs() -> None:
    every = registered()
    assert {("fcfs+easy", "pool"), ("fcfs+easy", "nodes"), ("slurm", "site"), ("pollux", "of many widths")} <= every
    assert table(lines(every))[1] == 0
    on_pools = lines({(name, "pool") for name, _ in every}) + lines([("fcfs+easy", "nodes")], "state", 3)
    told, few = table(on_pools)
    assert few == len([place for _, place in every if place != "pool"])
    assert [line.split()[2:] for line in told if line.startswith("fcfs+easy ")] == [["3", "0", "FEW"], ["1000", "1000"]]
    both = lines(every - {("fcfs+easy", "nodes")}) + lines([("fcfs+easy", "nodes")], "state")
    assert table(both)[1] == 1
    assert table(both + lines([("fcfs+easy", "nodes")], "decisions"))[1] == 0
