"""The figures of a study: every cell's replications with intervals, differences, ranks and the best policy."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from apps.metrics.models import Metric
from apps.results.models import Study
from apps.studies.definition import Definition, variant_label
from apps.studies.grid import Cell
from scheduler_sim import engine
from scheduler_sim.engine.measuring.figures import FIGURES
from scheduler_sim.engine.numerics.statistics import (
    Difference,
    Interval,
    compare_with_base,
    figure_interval,
    friedman_p_value,
    mean_ranks,
)

AXES = tuple(axis.name for axis in fields(Cell))


@dataclass(frozen=True)
class Standing:
    """One policy in one cell.

    Attributes:
        interval: of the figure over the seeds.
        difference: from the base policy on the same seeds, None for the base itself.
        rank: averaged over the seeds.
    """

    scheduler: str
    interval: Interval
    difference: Difference | None
    rank: float


@dataclass(frozen=True)
class CellFigures:
    """Everything about one cell.

    Attributes:
        standings: by policy, in the study's order.
        best: the policy with the best mean, empty without figures.
        friedman: p-value that all policies rank alike.
        run_ids: the runs behind it, by seed.
        offered_load: core-seconds asked for over those there are while tasks arrive, averaged over the seeds; None
            where a limit cuts the workload or there are no cores.
        cores, gpus: of the cluster.
    """

    cell: Cell
    standings: Mapping[str, Standing]
    best: str
    friedman: float
    run_ids: Mapping[int, int] = field(default_factory=dict)
    offered_load: float | None = None
    cores: int = 0
    gpus: int = 0

    @property
    def is_alike(self) -> bool:
        """True where several seeds gave every policy the same, so that there are no intervals."""
        intervals = [one.interval for one in self.standings.values()]
        return max((one.count for one in intervals), default=0) > 1 and not any(one.is_bounded for one in intervals)


Values = dict[Cell, dict[str, dict[int, float]]]
"""One figure of a study's finished runs: by cell, policy and seed."""


def study_values(study: Study, figures: Sequence[str]) -> dict[str, Values]:
    """Return some figures of a study's finished runs, by their names."""
    totals = Metric.objects.totals().filter(run__study=study, run__status="finished").order_by("run_id", "scheduler")
    found: dict[str, Values] = {name: {} for name in figures}
    for point, scheduler, *values in totals.values_list("run__study_point", "scheduler", *figures):
        cell = _cell(point)
        for name, value in zip(figures, values, strict=True):
            of_cell = found[name].setdefault(cell, {}).setdefault(scheduler, {})
            of_cell[point["seed"]] = math.nan if value is None else float(value)
    return found


def in_order(cells: Iterable[Cell], study: Study) -> list[Cell]:
    """Return cells in the order of the study's definition."""
    return sorted(cells, key=_place(study.definition))


def study_figures(study: Study, figure: str, base: str) -> list[CellFigures]:
    """Return every cell that has finished runs, in the order of the definition.

    Args:
        figure: a figure of `Metric`.
        base: the policy that the others are compared with.
    """
    values = study_values(study, [figure])[figure]
    behind = _behind(study)
    order = Definition.from_json(study.definition).policies
    return [
        _figures(
            cell,
            {name: values[cell][name] for name in order if name in values[cell]},
            behind[cell],
            figure=figure,
            base=base,
        )
        for cell in in_order(values, study)
    ]


def _figures(
    cell: Cell, values: Mapping[str, Mapping[int, float]], behind: "_Behind", *, figure: str, base: str
) -> CellFigures:
    lower = FIGURES[figure].better != "higher"
    seeds = sorted({seed for of_policy in values.values() for seed in of_policy})
    rows = {name: [of_policy.get(seed, math.nan) for seed in seeds] for name, of_policy in values.items()}
    possible = FIGURES[figure].possible
    intervals = {name: figure_interval(figure, row).within(*possible) for name, row in rows.items()}
    differences = compare_with_base(rows, base) if base in rows else {}
    ranks = mean_ranks(rows, lower_is_better=lower)
    known = {name: one.mean for name, one in intervals.items() if not math.isnan(one.mean)}
    best = (min if lower else max)(known, key=known.__getitem__) if known and FIGURES[figure].better else ""
    return CellFigures(
        cell=cell,
        standings={name: Standing(name, intervals[name], differences.get(name), ranks[name]) for name in rows},
        best=best,
        friedman=friedman_p_value(rows),
        run_ids=behind.run_ids,
        offered_load=sum(behind.loads) / len(behind.loads) if behind.loads else None,
        cores=behind.cores,
        gpus=behind.gpus,
    )


@dataclass
class _Behind:
    run_ids: dict[int, int] = field(default_factory=dict)
    loads: list[float] = field(default_factory=list)
    cores: int = 0
    gpus: int = 0


def _behind(study: Study) -> dict[Cell, _Behind]:
    """Return the finished runs behind each cell, with the load that was offered to the cluster."""
    found: dict[Cell, _Behind] = {}
    names = ("pk", "study_point", "cluster", "configuration__limit")
    tasks = ("workload__core_seconds", "workload__first_arrival_time", "workload__last_arrival_time")
    for key, point, described, limit, core_seconds, first, last in (
        study.runs.finished().order_by("pk").values_list(*names, *tasks)
    ):
        behind = found.setdefault(_cell(point), _Behind())
        behind.run_ids[point["seed"]] = key
        cluster = engine.Cluster.from_json(described)
        behind.cores, behind.gpus = cluster.cores, cluster.gpus
        if limit is None and last > first and cluster.cores:
            behind.loads.append(core_seconds * point["load_factor"] / (cluster.cores * (last - first)))
    return found


def _cell(point: Mapping[str, Any]) -> Cell:
    return Cell(**{axis: point[axis] for axis in AXES if axis in point})


def _place(definition: Mapping[str, Any]) -> Any:
    """Return a sort key: clusters and variants in the order given, loads ascending."""
    clusters = _labels(definition.get("clusters", []))
    variants = [variant_label(one) for one in definition.get("variants", [])]
    return lambda cell: (
        cell.workload,
        cell.estimates,
        variants.index(cell.variant) if cell.variant in variants else len(variants),
        clusters.index(cell.cluster) if cell.cluster in clusters else len(clusters),
        cell.cluster,
        cell.load_factor,
    )


def _labels(given: Any) -> Sequence[str]:
    values = given if isinstance(given, list) else [given]
    return [str(value) if isinstance(value, str) else str(value.get("label", "")) for value in values]
