"""At how many random instants of random runs a test has looked at each policy, and the table of that.

Each test of instants looks at INSTANT_CASES of them, 36 by default, 9 of each run; the thousand of
`make proof-instants` are 25 of each. Where INSTANT_LOG names a file, each adds a line there once it has seen them, of
which

    .venv/bin/python -m tests.engine.instants_seen FILE

makes a table: each registered policy, each place to which it belongs, and at how many instants its state and its
decisions were compared there.
"""

import itertools
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from scheduler_sim.engine import parse_policy
from scheduler_sim.engine.policies import BACKFILLS, ORDERS, PLACEMENTS, PREEMPTIONS
from scheduler_sim.engine.workloads.workload import Workload
from tests import depth
from tests.engine.pool_cases import pool_orders
from tests.engine.test_nodes_reference import REFUSED

THOROUGH = "INSTANT_CASES" in os.environ
INSTANTS = depth.cases(36, "INSTANT_CASES")
OF_EACH_RUN = 25 if THOROUGH else 9
CASES = -(-INSTANTS // OF_EACH_RUN)
"""Runs that have so many instants."""


class Seen:
    """Counts the instants of one policy that a test has looked at.

    Args:
        what: `state`, `decisions` or `both`. where: on what the policy was played. least: so many instants.
    """

    def __init__(self, policy: str, what: str, where: str, least: int = INSTANTS) -> None:
        self.policy, self.what, self.where, self.least = policy, what, where, least
        self.count = 0
        self.refused: Counter[str] = Counter()

    def seeds(self) -> Iterator[int]:
        """Yield seeds of runs until enough instants were counted, and write that down."""
        for seed in itertools.count():
            if self.count >= self.least:
                break
            assert seed < 20 * CASES, f"{self.count} instants of {seed} runs were seen, and refused {self.refused}."
            yield seed
        if log := os.environ.get("INSTANT_LOG"):
            told = vars(self) | {"refused": self.refused}
            with Path(log).open("a") as file:
                file.write(json.dumps(told) + "\n")

    def cases(self, make: Callable[[int], tuple[Workload, Any, Any]]) -> Iterator[tuple[int, Workload, Any, Any]]:
        """Yield the seeds with what is made of each, tasks first, where there are any."""
        for seed in self.seeds():
            workload, place, options = make(seed)
            if len(workload):
                yield seed, workload, place, options


def registered() -> set[tuple[str, str]]:
    """Return every registered policy with each place to which it belongs, and so must have been looked at.

    These are every order with every backfill that it takes, every placement and every way to stop tasks.
    """
    on_pools = pool_orders()
    pairs: list[tuple[str, str]] = []
    for order in ORDERS:
        if order.needs_site:
            # Beside the discipline itself, one that sites take as well.
            pairs += [(order.name, "site"), ("fcfs", "site")]
        elif order.shares_gpus:
            pairs.append((order.name, "in pairs" if order.resizes else "in rounds"))
        elif order.resizes:
            pairs.append((order.name, "of many widths"))
        elif order.preempts:
            pairs.append((order.name, "pool"))
        else:
            where = ("pool", "nodes") if order.goes_by or order.name in on_pools else ("nodes",)
            pairs += [(f"{order.name}+{backfill}", place) for backfill in BACKFILLS.names() for place in where]
    pairs += [(f"fcfs+{fill}@{place}", "nodes") for place in PLACEMENTS.names() for fill in BACKFILLS.names()]
    pairs += [(f"sjf+{backfill}~{way}", "pool") for backfill in BACKFILLS.names() for way in PREEMPTIONS.names()]
    return {(parse_policy(name).name, place) for name, place in pairs if name not in REFUSED}


def table(lines: Iterable[dict[str, Any]]) -> tuple[list[str], int]:
    """Return the lines of the table, and how many policies with a place of theirs were not looked at often enough."""
    state: Counter[tuple[str, str]] = Counter()
    decided: Counter[tuple[str, str]] = Counter()
    refused: Counter[str] = Counter()
    for line in lines:
        pair = parse_policy(line["policy"]).name, line["where"]
        state[pair] += line["count"] * (line["what"] != "decisions")
        decided[pair] += line["count"] * (line["what"] != "state")
        refused.update(line["refused"])
    every = registered()
    told = []
    few = set()
    for pair in sorted(every | state.keys()):
        short = min(state[pair], decided[pair]) < 1000
        if short and pair in every:
            few.add(pair)
        told.append(f"{pair[0]:45} {pair[1]:14} {state[pair]:6} {decided[pair]:6}{' FEW' * (pair in few)}")
    policies = len({name for name, _ in every})
    told.append(f"{policies} registered policies at {len(every)} places, {len(few)} with fewer than 1,000 instants")
    return told + [f"{count} refused: {reason}" for reason, count in refused.most_common()], len(few)


def main() -> int:
    """Print the table; return 1 where a policy was not looked at often enough."""
    told, few = table(json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines())
    sys.stdout.write("\n".join([*told, ""]))
    return int(few > 0)


if __name__ == "__main__":
    raise SystemExit(main())
