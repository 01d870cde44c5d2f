"""Policy search on one trace: every learned score against every registered order, on sequences nobody has seen.

    python -m benchmarks.learning_policy_search ../shared/traces/lublin_256.swf --processors 256 --keep var/found.json

The first half of the trace is searched on (its last 30% chooses among generations and seeds); the figures are the mean
bounded slowdown of sequences of the second half, played by the simulator that plays every run. A choice is shown for
each backfill, and the interval is that of the paired difference to the best order that was not learned, by a bootstrap
over sequences. Sequences overlap when there are more of them than fit side by side, so a second interval resamples
blocks of the test part instead. `--generated` adds sequences that share no task, cut from a trace that Lublin and
Feitelson's model draws at the same load.

With `--keep` each search is written to the file when it has ended, and is not repeated when the command is; with
`--max-seconds` no search is begun after so long.
"""

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.project import described
from scheduler_sim import engine
from scheduler_sim.engine.clusters.presets import pool
from scheduler_sim.engine.errors import EngineError
from scheduler_sim.engine.generators import generate_workload
from scheduler_sim.engine.learning.evaluation import (
    LEARNED_ORDERS,
    held_out_windows,
    paired_interval,
    window_means,
    yardsticks,
)
from scheduler_sim.engine.learning.sampling import Parts
from scheduler_sim.engine.learning.search import search
from scheduler_sim.engine.learning.settings import SearchSettings
from scheduler_sim.engine.policies.learned import learned_order
from scheduler_sim.engine.traces import read_trace
from scheduler_sim.engine.workloads.workload import FloatArray

GENERATED_SEED = 2_000

BLOCKS = 5
"""The second half of 10,000 tasks holds about as many sequences of 1,024 side by side."""


def main() -> None:
    """Search, play and print."""
    parser = described(__doc__)
    add_search_arguments(parser)
    parser.add_argument("--sequences", type=int, default=20)
    parser.add_argument("--generated", type=int, default=0, metavar="N", help="also N sequences of a generated trace")
    parser.add_argument("--form", choices=LEARNED_ORDERS, default="linear")
    parser.add_argument("--backfills", default="none,easy")
    options = parser.parse_args()
    workload = read_trace(options.trace).workload
    parts = Parts.of(workload, length=options.length)
    backfills = options.backfills.split(",")
    found = searched(parts, options)
    tests = {"the second half": held_out_windows(parts.test, options.sequences, options.length)}
    if options.generated:
        tests["a generated trace"] = generated_windows(workload, options)
    for backfill in backfills:
        for place, windows in tests.items():
            report(found.get(backfill, []), backfill, place, windows, pool(options.processors))


def add_search_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which trace is searched on, and how long."""
    defaults = SearchSettings()
    parser.add_argument("trace", type=Path)
    parser.add_argument("--processors", type=int, required=True)
    parser.add_argument("--length", type=int, default=defaults.length)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--generations", type=int, default=defaults.generations)
    parser.add_argument("--batch", type=int, default=defaults.batch, help="sequences that judge a generation")
    parser.add_argument("--threads", type=int, default=2, help="searches side by side")
    parser.add_argument("--max-seconds", type=float, default=np.inf, help="begin no search after so long")
    parser.add_argument("--keep", type=Path, help="write what each search found to this file, and read what it holds")


def searched(parts: Parts, options: argparse.Namespace) -> dict[str, list[dict]]:
    """Search with each seed under each backfill, as many side by side as there are threads; best validation first."""
    found = json.loads(options.keep.read_text()) if options.keep and options.keep.exists() else {}
    began = time.perf_counter()

    def one(backfill: str, seed: int) -> None:
        if time.perf_counter() - began > options.max_seconds:
            return
        settings = SearchSettings(
            form=options.form,
            backfill=backfill,
            length=options.length,
            generations=options.generations,
            batch=options.batch,
            max_seconds=np.inf,
            threads=1,
        )
        start = time.perf_counter()
        result = search(parts, pool(options.processors), settings, seed=seed)
        document = {
            "seed": seed,
            "validation": result.validation,
            "seconds": time.perf_counter() - start,
            "sequences": result.sequences_played,
            "generations": min(result.curve, key=lambda point: point.validation).generation,
            "document": result.document,
        }
        found.setdefault(backfill, []).append(document)
        if options.keep:
            scratch = options.keep.with_suffix(".part")
            scratch.write_text(json.dumps(found))
            scratch.replace(options.keep)

    missing = [
        (backfill, seed)
        for backfill in options.backfills.split(",")
        for seed in range(options.seeds)
        if seed not in [result["seed"] for result in found.get(backfill, [])]
    ]
    with ThreadPoolExecutor(options.threads) as side_by_side:
        list(side_by_side.map(one, *zip(*missing, strict=True)) if missing else ())
    print(f"{len(missing)} searches, {options.threads} side by side, took {time.perf_counter() - began:.0f} s")
    return {name: sorted(results, key=lambda result: result["validation"]) for name, results in found.items()}


def generated_windows(workload: engine.Workload, options: argparse.Namespace) -> list[engine.Workload]:
    """Cut sequences side by side from a trace of the model behind the given one, at the load of its first half."""
    half = workload.take(np.arange(len(workload) // 2))
    span = half.arrival_time[-1] - half.arrival_time[0]
    load = float((half.runtime * half.cpus).sum() / (span * options.processors))
    drawn = generate_workload(
        "lublin",
        tasks=options.generated * options.length,
        seed=GENERATED_SEED,
        parameters={"processors": options.processors, "load": load},
    ).workload
    return held_out_windows(drawn, options.generated, options.length)


def report(
    found: list[dict], backfill: str, place: str, windows: list[engine.Workload], cluster: engine.Cluster
) -> None:
    """Play every order and print, as Markdown, what one backfill gave on one set of sequences."""
    generator = np.random.default_rng(0)
    rows: dict[str, FloatArray] = {}
    refused = []
    for order in yardsticks():
        try:
            rows[order.name] = window_means(order, backfill, windows, cluster)
        except EngineError:
            refused.append(order.name)
    alike: dict[float, list[str]] = {}
    for name, values in sorted(rows.items(), key=lambda item: item[1].mean()):
        alike.setdefault(round(float(values.mean()), 6), []).append(name)
    best = next(iter(alike.values()))[0]
    played, seconds = (sum(result[name] for result in found) for name in ("sequences", "seconds"))
    print(f"\nBackfill {backfill}, {len(windows)} sequences of {place}.", end=" ")
    print(f"{len(found)} searches took {seconds:.0f} s together and played {played:,} sequences.", end=" ")
    print(f"Not played: {', '.join(refused) or 'none'}. Differences are to {best}.\n")
    print(f"| {' | '.join(', '.join(names) for names in alike.values())} |")
    print(f"|{'---|' * len(alike)}")
    print(f"| {' | '.join(f'{mean:,.4g}' if mean < 10_000 else f'{mean:,.0f}' for mean in alike)} |\n")
    print("| seed, best validation first | slowdown | change | 95% interval | by blocks | better in | validation |")
    print("|---|---|---|---|---|---|---|")
    for result in found:
        order = learned_order(f"learned:{result['seed']}", result["document"])
        values = window_means(order, backfill, windows, cluster)
        difference = values - rows[best]
        intervals = [paired_interval(difference, generator, blocks=blocks) for blocks in (None, BLOCKS)]
        told = " | ".join(f"{low:+.1f} to {high:+.1f}" for low, high in intervals)
        change = 100 * (values.mean() / rows[best].mean() - 1)
        print(
            f"| {result['seed']} | {values.mean():.2f} | {change:+.1f}% | {told} | {(difference < 0).sum()} of "
            f"{len(windows)} | {result['validation']:.3f} after {result['generations']} |"
        )


if __name__ == "__main__":
    main()
