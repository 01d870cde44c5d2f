"""What the bundles of a study and of a comparison have in common: the numbers of their runs, and what replays them."""

import functools
import json
from collections.abc import Iterator, Sequence
from typing import Any

from apps.live.exchange.manifest import run_manifest, series_told
from apps.metrics.models import Metric
from apps.results.fidelity import run_badges
from apps.results.models import Run
from apps.studies.paper.bundle import MOST_SERIES_BYTES, TooMuchAtOnce
from scheduler_sim.engine.measuring.figures import FIGURES

STORED = tuple(name for name in FIGURES if name in {field.name for field in Metric._meta.concrete_fields})
"""Figures that are stored for every policy of a run."""

RUN_COLUMNS = ("run", "run_name", "workload", "seed", "engine_version", "policy", "figure", "unit", "value")


def run_rows(runs: Sequence[Run], places: Sequence[str] = ()) -> Iterator[Sequence[Any]]:
    """Yield a head, then one row a run, policy and stored figure that is known, in stored units.

    Args:
        places: parts of a run's place in a study's grid that stand before all else.
    """
    yield (*places, *RUN_COLUMNS)
    by_key = {run.pk: run for run in runs}
    totals = Metric.objects.totals().filter(run__in=by_key).order_by("run_id", "scheduler")
    for key, scheduler, *values in totals.values_list("run_id", "scheduler", *STORED).iterator():
        run = by_key[key]
        where = [run.study_point.get(place, "") for place in places]
        known = (run.pk, run.name, run.workload.name, run.seed, run.engine_version, scheduler)
        for name, value in zip(STORED, values, strict=True):
            if value is not None:
                yield (*where, *known, name, FIGURES[name].unit, value)


def manifests(runs: Sequence[Run], *, is_bounded: bool) -> dict[str, str]:
    """Return what replays each run, by the names of the files.

    Args:
        is_bounded: refuse step series of more than `MOST_SERIES_BYTES` in all.

    Raises:
        TooMuchAtOnce: they are larger.
    """
    badges = run_badges(runs)
    series_of = functools.cache(series_told)
    texts, held = {}, 0
    for run in runs:
        document = run_manifest(run, badges[run.pk], series_of)
        held += sum(len(one["packed"]) for one in document.get("series", ()))
        if is_bounded and held > MOST_SERIES_BYTES:
            raise TooMuchAtOnce(
                f"The manifests hold more than {MOST_SERIES_BYTES:,} bytes of step series, the most that a page puts "
                f"together; exportreport --bundle FILE.zip has no such limit."
            )
        texts[f"manifests/run-{run.pk}.json"] = json.dumps(document, indent=2) + "\n"
    return texts


def play_count(runs: Any) -> int:
    """Return how many times a policy was played in these runs, a query set."""
    return Metric.objects.totals().filter(run__in=runs).count()
