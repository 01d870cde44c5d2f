"""Hold forecasts of starts beside what recorded Slurm clusters really did, and beside Slurm's own forecasts.

Each folder holds what `squeue` and `squeue --start` printed every minute, what `sacct` told afterwards, and the
configuration. At each instant only what had come about by then is known. Run from the project's root:

    python -m benchmarks.forecast_accuracy --replicas 100 ../shared/slurm/S2 ../shared/slurm/S3
"""

import argparse
import gzip
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scheduler_sim.engine.forecasting import Accuracy, Past, Scored, forecast, score
from scheduler_sim.engine.forecasting.accuracy import chance_of_covering
from scheduler_sim.engine.forecasting.heldout import printed_queues, real_starts
from scheduler_sim.engine.sites import Site, read_slurm_site
from scheduler_sim.engine.traces import read_trace
from scheduler_sim.engine.traces.slurm_snapshots import QueuedJob, split_snapshots


def read_site(folder: Path) -> Site:
    """Read the configuration of a recorded cluster."""
    conf = folder / "conf"
    gres = conf / "gres.conf"
    files = {"dump": conf / "sacctmgr_dump.cfg", "qos": conf / "sacctmgr_qos.txt"}
    return read_slurm_site(files, slurm_conf_file=conf / "slurm.conf", gres_conf_file=gres if gres.exists() else None)[
        0
    ]


def read_past(folder: Path) -> Past:
    """Read the accounting of a recorded cluster."""
    trace = read_trace(folder / "sacct" / "sacct_X_all.psv.gz")
    return Past(trace.workload, float(trace.headers["UnixStartTime"]))


def queues(folder: Path) -> list[tuple[float, list[QueuedJob]]]:
    """Return each printed queue in which jobs wait, with the starts that `squeue --start` expected of them."""
    printed, expected = (
        split_snapshots(gzip.decompress((folder / "snapshots" / f"{name}.txt.gz").read_bytes()).decode())
        for name in ("squeue", "squeue_start")
    )
    return printed_queues(printed, expected)


def score_folder(folder: Path, *, replicas: int, seed: int, every: int = 1, first: int = 0) -> list[Scored]:
    """Forecast at every so many instants, from one on, and return the forecasts beside what happened."""
    site, past = read_site(folder), read_past(folder)
    started = real_starts(past)
    found: list[Scored] = []
    for at, jobs in queues(folder)[first::every]:
        found += score(forecast(jobs, site, at=at, past=past, replicas=replicas, seed=seed), started)
    return found


def main() -> None:
    """Print one row for each folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--replicas", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="take every so many of the instants")
    parser.add_argument("--first", type=int, default=0, help="leave out so many instants at first")
    parser.add_argument("--detail", action="store_true", help="a line for each instant")
    asked = parser.parse_args()
    table = Table(
        *("recorded", "instants", "forecasts", "in the 80 % interval", "95 %", "median width", "median error"),
        *("compared", "median error", "of Slurm", "mean error", "of Slurm", "seconds"),
    )
    for folder in asked.folders:
        begun = time.monotonic()
        scored = score_folder(folder, replicas=asked.replicas, seed=asked.seed, every=asked.every, first=asked.first)
        if asked.detail:
            for at in sorted({one.at for one in scored}):
                here = Accuracy.of([one for one in scored if one.at == at])
                print(
                    f"{at:.0f} n={here.forecasts} in={here.covered:.2f} error={here.median_error:.1f} "
                    f"width={here.median_width:.1f} ours={here.median_error_compared:.1f} "
                    f"slurm={here.slurm_median_error:.1f}"
                )
        found = Accuracy.of(scored)
        table.add_row(
            folder.name,
            str(found.instants),
            str(found.forecasts),
            f"{100 * found.covered:.1f} %",
            "{:.0f} to {:.0f} %".format(*(100 * bound for bound in chance_of_covering(scored))),
            f"{found.median_width:.1f} s",
            f"{found.median_error:.1f} s",
            str(found.compared),
            *(f"{seconds:.1f} s" for seconds in (found.median_error_compared, found.slurm_median_error)),
            *(f"{seconds:.1f} s" for seconds in (found.mean_error_compared, found.slurm_mean_error)),
            f"{time.monotonic() - begun:.0f}",
        )
    Console(width=170).print(table)


if __name__ == "__main__":
    main()
