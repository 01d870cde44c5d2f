"""Policy search on a log with users' estimates, judged once on its second half against every order under EASY.

    python -m benchmarks.learning_logs ../shared/traces/KTH-SP2.swf.gz --processors 100 --keep var/found.json

The protocol stands in docs/learning.md, "How it is judged". `--rehearse` does all of it within the first half, which is
what choices are made by. With `--keep` searches that a file holds are not made again; `--search-only` judges nothing.
"""

from dataclasses import dataclass

import numpy as np

from benchmarks.learning_policy_search import add_search_arguments, searched
from benchmarks.project import described
from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import pool
from scheduler_sim.engine.errors import EngineError
from scheduler_sim.engine.learning.evaluation import paired_interval, yardsticks
from scheduler_sim.engine.learning.sampling import Parts
from scheduler_sim.engine.measuring.metrics import TaskFigures
from scheduler_sim.engine.policies import Policy, parse_policy
from scheduler_sim.engine.policies.learned import learned_order
from scheduler_sim.engine.traces import read_trace
from scheduler_sim.engine.workloads.workload import FloatArray, Workload

EASY_FORMS = (
    "easy",
    "easy(order=sjf)",
    "easy(order=saf)",
    "easy(predict=last_two)",
    "easy(order=sjf,predict=last_two)",
    "easy(order=sjf,predict=regression)",
)
BLOCKS = 20
WINDOW = 1024


@dataclass(frozen=True)
class Played:
    """The bounded slowdown of each task of a part under one policy, and the means of windows that begin idle."""

    slowdown: FloatArray
    windows: FloatArray

    @classmethod
    def of(cls, policy: Policy, part: Workload, cluster: engine.Cluster, *, by_windows: bool = True) -> "Played":
        """Play the part in one go and, where asked for, in windows side by side."""
        count = len(part) // WINDOW if by_windows else 0
        windows = [slowdown(policy, part.take(np.arange(i, i + WINDOW)), cluster).mean() for i in windowed(count)]
        return cls(slowdown(policy, part, cluster), np.array(windows))


def windowed(count: int) -> list[int]:
    """Return where windows begin."""
    return [WINDOW * place for place in range(count)]


def slowdown(policy: Policy, part: Workload, cluster: engine.Cluster) -> FloatArray:
    """Return the bounded slowdown of each task."""
    simulation = engine.Simulation(workload=part, cluster=cluster, policy=policy)
    simulation.advance()
    return TaskFigures.of(part, simulation.outcome()).bounded_slowdown


def best_of(part: Workload, cluster: engine.Cluster, forms: tuple[str, ...]) -> list[tuple[float, str]]:
    """Return the mean bounded slowdown of every order with every form of EASY that can be played, the lowest first."""
    means = []
    for order in yardsticks():
        for form in forms:
            try:
                policy = parse_policy(f"{order.name}+{form}")
                means.append((float(slowdown(policy, part, cluster).mean()), policy.name))
            except EngineError:
                continue
    return sorted(means)


def main() -> None:
    """Search, judge and print."""
    parser = described(__doc__)
    add_search_arguments(parser)
    parser.add_argument("--backfills", default="easy")
    parser.add_argument("--rehearse", action="store_true", help="search and judge within the first half")
    parser.add_argument("--search-only", action="store_true", help="leave the part that is judged on alone")
    options = parser.parse_args()
    options.form = "history"
    workload, cluster = read_trace(options.trace).workload, pool(options.processors)
    if options.rehearse:
        workload = workload.take(np.arange(len(workload) // 2))
    parts = Parts.of(workload, length=options.length)
    found = searched(parts, options)
    if not options.search_only:
        report(found, parts, cluster)


def report(found: dict[str, list[dict]], parts: Parts, cluster: engine.Cluster) -> None:
    """Print the yardsticks, and each score against them."""
    generator = np.random.default_rng(0)
    there = best_of(parts.test, cluster, EASY_FORMS)
    before = best_of(parts.both, cluster, EASY_FORMS)
    plain = next(name for _, name in there if name.endswith("+easy"))
    names = {"best of plain easy": plain, "best of all forms": there[0][1], "best on the first half": before[0][1]}
    print(f"{len(parts.test):,} tasks are judged on, {len(there)} policies held against.")
    print("Lowest: " + ", ".join(f"`{name}` {mean:.2f}" for mean, name in there[:5]) + ".\n")
    yard = {told: Played.of(parse_policy(name), parts.test, cluster) for told, name in names.items()}
    for told, name in names.items():
        print(f"- {told}: `{name}`, {yard[told].slowdown.mean():.2f}; windows {yard[told].windows.mean():.2f}")
    print("\n| EASY, seed, best validation first | slowdown | " + " | ".join(f"to {told}" for told in names), end=" ")
    print("| windows | " + " | ".join(f"to {told}" for told in names) + " |")
    print("|" + "---|" * (3 + 2 * len(names)))
    for backfill, results in found.items():
        for result in results:
            order = learned_order(f"learned:{result['seed']}", result["document"])
            form = parse_policy(f"fcfs+{backfill}")
            mine = Played.of(Policy(order=order, backfill=form.backfill, placement=form.placement), parts.test, cluster)
            whole = [told_of(mine.slowdown, other.slowdown, generator, BLOCKS) for other in yard.values()]
            cut = [told_of(mine.windows, other.windows, generator, None) for other in yard.values()]
            print(f"| `{backfill}`, {result['seed']} | {mine.slowdown.mean():.2f} | {' | '.join(whole)}", end=" ")
            print(f"| {mine.windows.mean():.2f} | {' | '.join(cut)} |")


def told_of(mine: FloatArray, other: FloatArray, generator: np.random.Generator, blocks: int | None) -> str:
    """Return the change in per cent with the interval of the difference."""
    low, high = paired_interval(mine - other, generator, blocks=blocks)
    return f"{100 * (mine.mean() / other.mean() - 1):+.1f}%, {low:+.2f} to {high:+.2f}"


if __name__ == "__main__":
    main()
