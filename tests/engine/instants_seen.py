"""At how many random instants of random runs a test has looked at each policy, and the table of that.

Each test of instants looks at INSTANT_CASES of them, 36 by default, 9 of each run; the thousand of
`make proof-instants` are 25 of each. Where INSTANT_LOG names a file, each adds a line there once it has seen them, of
which

    .venv/bin/python -m tests.engine.instants_seen FILE

makes a table: each registered policy, and at how many instants its state and its decisions were compared.
"""

import itertools
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from scheduler_sim.engine import parse_policy
from scheduler_sim.engine.policies import BACKFILLS, ORDERS, PLACEMENTS, PREEMPTIONS
from tests.engine.test_nodes_reference import REFUSED

THOROUGH = "INSTANT_CASES" in os.environ
INSTANTS = int(os.environ.get("INSTANT_CASES", "36"))
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


def registered() -> list[str]:
    """Return every registered order with every backfill that it takes, every placement and every way to stop tasks."""
    names: list[str] = []
    for order in ORDERS:
        if order.preempts or order.shares_gpus or order.resizes or order.needs_site:
            names.append(order.name)
        else:
            names += [f"{order.name}+{backfill}" for backfill in BACKFILLS.names()]
    names += [f"fcfs+{backfill}@{placement}" for placement in PLACEMENTS.names() for backfill in BACKFILLS.names()]
    names += [f"sjf+{backfill}~{way}" for backfill in BACKFILLS.names() for way in PREEMPTIONS.names()]
    return list(dict.fromkeys(parse_policy(name).name for name in names if name not in REFUSED))


def main() -> int:
    """Print the table; return 1 where a policy was not looked at often enough."""
    lines = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    state: Counter[str] = Counter()
    decided: Counter[str] = Counter()
    where: dict[str, set[str]] = {}
    refused: Counter[str] = Counter()
    for line in lines:
        name = parse_policy(line["policy"]).name
        where.setdefault(name, set()).add(line["where"])
        state[name] += line["count"] * (line["what"] != "decisions")
        decided[name] += line["count"] * (line["what"] != "state")
        refused.update(line["refused"])
    every, few = registered(), 0
    table = []
    for name in dict.fromkeys([*every, *sorted(where)]):
        short = min(state[name], decided[name]) < 1000
        few += short and name in every
        places = ", ".join(sorted(where.get(name, ())))
        table.append(f"{name:45} {state[name]:6} {decided[name]:6}  {places}{' FEW' * short}")
    table.append(f"{len(every)} registered policies, {few} with fewer than 1,000 instants")
    table += [f"{count} refused: {reason}" for reason, count in refused.most_common()]
    sys.stdout.write("\n".join([*table, ""]))
    return int(few > 0)


if __name__ == "__main__":
    raise SystemExit(main())
