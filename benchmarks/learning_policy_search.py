"""Policy search on one trace: every learned score against every registered order, on sequences nobody has seen.

    python benchmarks/learning_policy_search.py ../shared/traces/lublin_256.swf --processors 256 --seeds 5

The first half of the trace is searched on (its last 30% chooses among generations and seeds); the figures are the mean
bounded slowdown of sequences of the second half, played by the simulator that plays every run. A choice is shown for
each backfill, and the interval is that of the paired difference to the best order that was not learned, by a bootstrap
over sequences. Sequences overlap when there are more of them than fit side by side, so a second interval resamples
blocks of the test part instead.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from scheduler_sim import engine
from scheduler_sim.engine.errors import EngineError
from scheduler_sim.engine.learning.evaluation import (
    LEARNED_ORDERS,
    held_out_windows,
    paired_interval,
    window_means,
    yardsticks,
)
from scheduler_sim.engine.learning.orders import learned_order
from scheduler_sim.engine.learning.sampling import Parts
from scheduler_sim.engine.learning.search import SearchSettings, search_seeds
from scheduler_sim.engine.presets import pool
from scheduler_sim.engine.traces import read_trace
from scheduler_sim.engine.workload import FloatArray


def main() -> None:
    """Search, play and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trace", type=Path)
    parser.add_argument("--processors", type=int, required=True)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--sequences", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--generations", type=int, default=240)
    parser.add_argument("--form", choices=LEARNED_ORDERS, default="linear")
    parser.add_argument("--backfills", default="none,easy")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="write the weights found to this file, and read them if it exists")
    options = parser.parse_args()
    cluster = pool(options.processors)
    workload = read_trace(options.trace).workload
    parts = Parts.of(workload, length=options.length)
    windows = held_out_windows(parts.test, options.sequences, options.length)
    kept = json.loads(options.keep.read_text()) if options.keep and options.keep.exists() else {}
    for backfill in options.backfills.split(","):
        settings = SearchSettings(
            form=options.form,
            backfill=backfill,
            length=options.length,
            generations=options.generations,
            threads=options.threads,
        )
        if backfill not in kept:
            began = time.perf_counter()
            results = search_seeds(parts, options.processors, settings, seeds=list(range(options.seeds)))
            kept[backfill] = {
                "seconds": time.perf_counter() - began,
                "sequences": sum(result.sequences_played for result in results),
                "found": [
                    {"seed": result.seed, "validation": result.validation, "document": result.document()}
                    for result in results
                ],
            }
            if options.keep:
                options.keep.write_text(json.dumps(kept))
        report(kept[backfill], backfill, windows, cluster)


def report(searched: dict, backfill: str, windows: list[engine.Workload], cluster: engine.Cluster) -> None:
    """Play every order and print the table of one backfill."""
    generator = np.random.default_rng(0)
    print(
        f"\nbackfill {backfill}: {len(searched['found'])} searches, {searched['sequences']:,} sequences played in "
        f"{searched['seconds']:.0f} s"
    )
    rows: dict[str, FloatArray] = {}
    for order in yardsticks():
        try:
            rows[order.name] = window_means(order, backfill, windows, cluster)
        except EngineError as error:
            print(f"  {order.name}: not played. {error}")
    best = min(rows, key=lambda name: rows[name].mean())
    for name, values in sorted(rows.items(), key=lambda item: item[1].mean()):
        print(f"  {name:14s} {values.mean():10.2f}")
    print(f"  best of them: {best}; learned, best validation first:")
    for found in searched["found"]:
        order = learned_order(f"learned:{found['seed']}", found["document"])
        values = window_means(order, backfill, windows, cluster)
        difference = values - rows[best]
        low, high = paired_interval(difference, generator)
        block_low, block_high = paired_interval(difference, generator, blocks=5)
        print(
            f"  seed {found['seed']}: {values.mean():8.2f}  {100 * (values.mean() / rows[best].mean() - 1):+6.1f}%  "
            f"difference {difference.mean():+.2f} [{low:+.2f}, {high:+.2f}], by blocks "
            f"[{block_low:+.2f}, {block_high:+.2f}]  validation {found['validation']:.3f}"
        )


if __name__ == "__main__":
    main()
