"""Policies held beside each other: task by task on one workload, and over the seeds of many plays."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter, unknown_name
from scheduler_sim.engine.library.inputs import Ground, Played
from scheduler_sim.engine.library.playing import play
from scheduler_sim.engine.library.result import Result
from scheduler_sim.engine.library.tables import Kind, table
from scheduler_sim.engine.numerics.paired import task_difference
from scheduler_sim.engine.numerics.statistics import figure_interval
from scheduler_sim.engine.policies import Policy

FIGURES = ("mean_job_completion_time", "mean_wait_time", "mean_bounded_slowdown", "makespan")


def compare(result: Result, base: str | None = None, *, kind: Kind = "pandas") -> Any:
    """Return how the completion times of each policy differ from those of a base, on the same tasks.

    A row a policy: the mean difference in seconds (below 0: sooner) with its 95 % interval by batch means, the median
    of the differences, and how many tasks finish sooner, later and at the same instant. Where the interval holds no 0
    `verdict` says better or worse.

    Args:
        base: a policy that was played; the first by default.

    Raises:
        InvalidParameter: a base that was not played, or nothing to compare it with.
    """
    names = result.policies
    base = names[0] if base is None else base
    if base not in names:
        raise InvalidParameter(unknown_name("played policy", base, list(names)))
    if len(names) < 2:
        raise InvalidParameter("Only one policy was played, so there is nothing to compare it with.")
    others = [name for name in names if name != base]
    # In a closed loop tasks come at other instants under each policy.
    arrival = {name: result.simulations[name].workload.arrival_time for name in names}
    finish = {name: result.simulations[name].outcome().finish_time for name in names}
    both = {name: ~np.isnan(finish[name]) & ~np.isnan(finish[base]) for name in others}
    if result.scored is not None:
        both = {name: there & result.scored for name, there in both.items()}
    found = [
        task_difference((finish[base] - arrival[base])[both[name]], (finish[name] - arrival[name])[both[name]])
        for name in others
    ]
    columns: dict[str, Any] = {"policy": np.array(others, object), "base": np.array([base] * len(others), object)}
    for name in ("mean", "low", "high", "median"):
        values = [getattr(one, name) for one in found]
        columns[name] = np.array([np.nan if value is None else value for value in values])
    for name in ("sooner", "later", "same", "tasks"):
        columns[name] = np.array([getattr(one, name) for one in found], np.int64)
    columns["verdict"] = np.array([one.verdict for one in found], object)
    return table(columns, kind)


def study(
    workload: Played | Callable[[int], Played],
    cluster: Ground | Sequence[Ground],
    policies: str | Sequence[str | Policy],
    *,
    seeds: int | Iterable[int] = 10,
    loads: float | Sequence[float] = (1.0,),
    figures: str | Sequence[str] = FIGURES,
    kind: Kind = "pandas",
    **options: Any,
) -> Any:
    """Play a grid of clusters, loads and seeds, and return figures with intervals over the seeds.

    A row a cluster, load, policy and figure: the mean over the seeds with its 95 % interval (Student's t; of
    percentiles and extremes the bootstrap's), and how many seeds tell it. With one workload for all seeds
    only what policies draw differs between them, and an interval says nothing of other workloads; where nothing is
    drawn its bounds are NaN. Give a function of the seed for workloads that differ.

    Args:
        workload: what is played, or what gives it for a seed, as
            `lambda seed: generate("lublin", tasks=5000, seed=seed)`.
        cluster: as of `play`, or several.
        seeds: so many, from 1 up, or the seeds themselves.
        loads: as `load` of `play`, one or several.
        figures: of `Result.figures`, one or several.
        options: further arguments of `play`.

    Raises:
        EngineError: one sentence on what cannot be played; InvalidParameter for no seed, one or a cluster given
            twice, or an unknown figure.
    """
    drawn = list(range(1, seeds + 1) if isinstance(seeds, int | np.integer) else seeds)
    loads = (loads,) if isinstance(loads, int | float | np.number) else loads
    figures = (figures,) if isinstance(figures, str) else figures
    for what, several in (("seed", drawn), ("load", list(loads)), ("figure", list(figures))):
        if not several:
            raise InvalidParameter(f"A study needs at least one {what}.")
        if len(set(several)) < len(several):
            raise InvalidParameter(f"A study takes every {what} once; one is given twice.")
    if "seed" in options or "load" in options:
        raise InvalidParameter("A study takes seeds and loads, not one seed or load.")
    grounds = list(cluster) if isinstance(cluster, list | tuple) else [cluster]
    values: dict[tuple[str, float, str, str], list[float]] = {}
    for seed in drawn:
        tasks, seen = workload(seed) if callable(workload) else workload, set[tuple[str, float]]()
        for ground, load in itertools.product(grounds, loads):
            result = play(tasks, ground, policies, seed=seed, load=load, **options)
            on = next(iter(result.simulations.values())).cluster.name
            if (on, load) in seen:
                raise InvalidParameter(f"Two clusters of the study are called {on}; name them apart.")
            seen.add((on, load))
            for policy, figure in itertools.product(result.policies, figures):
                values.setdefault((on, load, policy, figure), []).append(result.figure(figure, policy))
    intervals = {key: figure_interval(key[3], found) for key, found in values.items()}
    keys: Mapping[str, Any] = dict(
        zip(
            ("cluster", "load", "policy", "figure"),
            (np.array(one, object) for one in zip(*intervals, strict=True)),
            strict=True,
        )
    )
    measured = {
        name: np.array([getattr(one, name) for one in intervals.values()]) for name in ("mean", "low", "high", "count")
    }
    return table({**keys, "load": keys["load"].astype(float), **measured}, kind)
