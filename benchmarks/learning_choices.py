"""Searched choices of node, split and preemption, judged on second halves that no search saw.

    python -m benchmarks.learning_choices node ../shared/traces/gpu-dl-trace1.csv --cluster dgx-20 --length 200

Each seed is searched on the first half alone. On the second half every policy plays windows side by side, each of which
begins idle, and the differences are paired by window. The built-in policy that is best on the second half is one that
nobody could have chosen before; beside it stands the one that is best on the first half.
"""

import time
from dataclasses import fields

import numpy as np

from benchmarks.project import described
from scheduler_sim.engine.clusters.presets import load_cluster
from scheduler_sim.engine.generators import generate_workload
from scheduler_sim.engine.learning.evaluation import paired_interval, policy_figures, refusal
from scheduler_sim.engine.learning.sampling import Parts
from scheduler_sim.engine.learning.search import search_seeds
from scheduler_sim.engine.learning.settings import SearchSettings
from scheduler_sim.engine.policies import Policy, parse_policy
from scheduler_sim.engine.policies.choice_scoring import CHOICES
from scheduler_sim.engine.traces import read_trace
from scheduler_sim.engine.workloads.workload import FloatArray, Workload

SHOWN = 6
"""Of the policies that are not learned, the best so many are printed."""


def windows_of(part: Workload, length: int) -> list[Workload]:
    """Return the windows of `length` tasks that lie side by side in a part."""
    return [part.take(np.arange(first, first + length)) for first in range(0, len(part) - length + 1, length)]


def told(mine: FloatArray, other: FloatArray, generator: np.random.Generator) -> str:
    """Return the change in per cent with the interval of the difference."""
    low, high = paired_interval(mine - other, generator)
    return f"{100 * (mine.mean() / other.mean() - 1):+.1f}%, {low:+,.3g} to {high:+,.3g}"


def main() -> None:
    """Search, judge and print."""
    usual = SearchSettings()
    parser = described(__doc__)
    parser.add_argument("choice", choices=tuple(CHOICES))
    parser.add_argument("trace", help="a file, or mixed:SEED for 4,000 tasks of that generator")
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--others", nargs="*", default=[], help="more policies that are held against it")
    for name in ("objective", "order", "backfill", "preemption"):
        parser.add_argument(f"--{name}", default=getattr(usual, name))
    for name in ("length", "generations", "population", "batch", "validations", "check_every"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(usual, name))
    options = vars(parser.parse_args())
    if options["trace"].startswith("mixed:"):
        seed = int(options["trace"].partition(":")[2])
        workload = generate_workload("mixed", tasks=4000, seed=seed).workload
    else:
        workload = read_trace(options["trace"]).workload
    cluster = load_cluster(options["cluster"], max_processors=None)
    names = {one.name for one in fields(SearchSettings)}
    settings = SearchSettings(**{name: value for name, value in options.items() if name in names})
    parts = Parts.of(workload, length=settings.length)
    rivals = settings.rivals() | {name: parse_policy(name) for name in options["others"]}
    for name in list(rivals):
        if refused := refusal(rivals[name], workload, cluster):
            print(f"{name}: {refused}")
            del rivals[name]
    if not rivals:
        raise SystemExit("Nothing that it would be held against can be played.")
    began = time.perf_counter()
    found = search_seeds(parts, cluster, settings, seeds=list(range(options["seeds"])))
    print(f"{len(found)} searches in {time.perf_counter() - began:.0f} s.", end=" ")
    windows = windows_of(parts.test, settings.length)
    print(f"{len(windows)} windows of {settings.length} tasks of the second half, mean {settings.objective}.\n")

    def played(policy: Policy, on: list[Workload]) -> FloatArray:
        return np.array([one.mean() for one in policy_figures(policy, on, cluster, settings.objective)])

    later = {name: played(policy, windows) for name, policy in rivals.items()}
    before = {name: played(policy, windows_of(parts.both, settings.length)).mean() for name, policy in rivals.items()}
    ranked = sorted(later, key=lambda name: float(later[name].mean()))
    best, known = ranked[0], min(before, key=lambda name: float(before[name]))
    print("| " + " | ".join(f"`{name}` {later[name].mean():,.4g}" for name in ranked[:SHOWN]) + " |\n")
    print(f"| seed, best validation first | learned | to `{best}`, best in hindsight | to `{known}`, best before |")
    print("|---|---|---|---|")
    generator = np.random.default_rng(0)
    for result in found:
        mine = played(settings.policy(result.document), windows)
        against = " | ".join(told(mine, later[name], generator) for name in (best, known))
        print(f"| {result.seed} | {mine.mean():,.4g} | {against} |")


if __name__ == "__main__":
    main()
