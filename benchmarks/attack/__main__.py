"""Attacks sites of its own, on SQLite and on the PostgreSQL that DATABASE_URL names, and prints what held.

    python -m benchmarks.attack                        everything
    python -m benchmarks.attack --only hostile races   some of it
    python -m benchmarks.attack --amount 3 --seed 7    three times as much, from another seed
    python -m benchmarks.attack --minutes 60           again from further seeds until so much time is over

Ends with 1 if anything broke, and says what, with the seed that shows it again.
"""

import os
import random
import sys
import time
import traceback
from collections.abc import Callable, Sequence

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

from benchmarks.attack import disturbances, floods, kills, machines
from benchmarks.attack.ground import Count, Ground
from benchmarks.project import described

ATTACKS: dict[str, Callable[[Ground, Count], None]] = {
    "pieces": kills.runs_in_pieces,
    "runs": kills.runs,
    "studies": kills.studies,
    "readers": kills.readers,
    "hostile": floods.hostile,
    "races": disturbances.races,
    "clock": disturbances.clock_steps,
    "database": disturbances.database_away,
    "redis": floods.redis_away,
    "descriptors": floods.descriptors,
    "revocations": floods.revocations,
    "machines": machines.machines,
}


def main() -> int:
    """Attack, print the table, and return the exit code."""
    parser = described(__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=ATTACKS, default=list(ATTACKS), metavar="ATTACK", help=", ".join(ATTACKS)
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--amount", type=float, default=1.0, help="tries, as a multiple of the usual number")
    parser.add_argument("--minutes", type=float, default=0.0, help="begin anew with the next seed until then")
    parser.add_argument("--on", choices=("sqlite", "postgresql", "both"), default="both")
    asked = parser.parse_args()
    server = os.environ.get("DATABASE_URL", "")
    servers = [""] if asked.on != "postgresql" else []
    if asked.on != "sqlite" and server.startswith("postgres"):
        servers.append(server)
    elif asked.on == "postgresql":
        parser.error("DATABASE_URL names no PostgreSQL; scripts/services.sh start prints one.")
    end = time.monotonic() + 60 * asked.minutes
    seed, broken = asked.seed, False
    while True:
        counts = [_attacked(name, seed, asked.amount, server) for server in servers for name in asked.only]
        broken |= _told(counts, seed)
        seed += 1
        if time.monotonic() >= end:
            return int(broken)


def _attacked(name: str, seed: int, amount: float, server: str) -> Count:
    ground = Ground(postgresql=server, chance=random.Random(f"{seed} {name}"), amount=amount)
    attack = ATTACKS[name]
    count = Count(attack=name, database=ground.database)
    began = time.monotonic()
    try:
        attack(ground, count)
    except Exception as error:  # noqa: BLE001 the other attacks go on
        traceback.print_exc()
        count.faults.append(f"the attack ended by {type(error).__name__}: {error}")
    count.seconds = time.monotonic() - began
    print(f"{name} on {ground.database}: {count.held} of {count.tried} held, {count.seconds:.0f} s", file=sys.stderr)
    for fault in count.faults:
        print(f"BROKE, seed {seed}: {fault}", file=sys.stderr)
    return count


def _told(counts: Sequence[Count], seed: int) -> bool:
    """Print the table and the faults; return whether anything broke."""
    console = Console(width=None if sys.stdout.isatty() else 200, markup=False)
    table = Table(title=f"Attacks, seed {seed}", title_justify="left", box=MARKDOWN)
    for heading in ("attack", "database", "tried", "held", "seconds"):
        table.add_column(heading, justify="left" if heading in ("attack", "database") else "right", no_wrap=True)
    table.add_column("of which")
    for count in counts:
        of_which = ", ".join(f"{what} {number:,}" for what, number in count.seen.items())
        row = (count.attack, count.database, f"{count.tried:,}", f"{count.held:,}", f"{count.seconds:.0f}", of_which)
        table.add_row(*row)
    console.print(table)
    return any(count.faults for count in counts)


if __name__ == "__main__":
    sys.exit(main())
