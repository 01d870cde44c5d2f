"""Pictures of a result for notebooks and papers; each draws on given axes or on its own, and returns them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter, unknown_name
from scheduler_sim.engine.library.result import Result
from scheduler_sim.engine.measuring.metrics import TaskFigures
from scheduler_sim.engine.measuring.usage import Usage
from scheduler_sim.engine.numerics.rows import processors_taken, rows_needed
from scheduler_sim.engine.numerics.spans import held_by_window
from scheduler_sim.engine.optional import optional
from scheduler_sim.engine.units import SECONDS_PER_HOUR
from scheduler_sim.engine.workloads.columns import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BARS = 50_000
"""More bars than this cannot be told apart on paper."""

FIGURES = ("wait_time", "job_completion_time", "actual_time", "bounded_slowdown")


def gantt(
    result: Result,
    policy: str | None = None,
    *,
    since: float = -np.inf,
    until: float = np.inf,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw when tasks ran under a policy, a row a node, a task on several on each; hours from the first arrival across.

    On a pool each task is as high as it has processors, which a pool does not number: the lowest free ones are drawn.
    On one node with GPUs tasks that overlap lie in lanes of their own.

    Args:
        policy: needed where several were played.
        since, until: seconds on the workload's clock; only what runs between them is drawn.

    Raises:
        InvalidParameter: a policy that was not played, or more than `MOST_BARS` bars.
    """
    spans = result.on_nodes(policy, kind="numpy")
    chosen = np.flatnonzero((spans["end_time"] > since) & (spans["start_time"] < until))
    if len(chosen) > MOST_BARS:
        raise InvalidParameter(f"{len(chosen):,} bars are too many to draw; give since and until.")
    ax = _axes(ax)
    simulation = result.simulations[result.policies[0] if policy is None else policy]
    cluster = simulation.cluster
    chosen = chosen[np.lexsort((spans["end_time"][chosen], spans["start_time"][chosen]))]
    start, end = (spans[name][chosen] for name in ("start_time", "end_time"))
    height: float | FloatArray = 0.9
    if cluster.nodes > 1:
        rows, what = spans["node"][chosen], "node"
    elif cluster.gpus:
        rows, what = rows_needed(start, end), "lane"
    else:
        piece, low, high = processors_taken(start, end, spans["cpus"][chosen], cluster.cores)
        chosen, start, end = chosen[piece], start[piece], end[piece]
        rows, height, what = (low + high) / 2, high - low, "processors"
    first = result.workload.arrival_time[0]
    colours = optional("matplotlib", extra="notebook").colormaps["tab20"]
    ax.barh(
        rows,
        (end - start) / SECONDS_PER_HOUR,
        left=(start - first) / SECONDS_PER_HOUR,
        height=height,
        color=colours(spans["task_id"][chosen] % 20),
    )
    ax.set(xlabel="hours from the first arrival", ylabel=what, title=simulation.policy.name)
    return ax


def cdf(
    result: Result,
    figure: str = "job_completion_time",
    *,
    policies: Sequence[str] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draw which part of the tasks has at most so large a figure, a line a policy; the scale is logarithmic.

    Args:
        figure: `wait_time`, `job_completion_time`, `actual_time` or `bounded_slowdown`.

    Raises:
        InvalidParameter: another figure, or a policy that was not played.
    """
    if figure not in FIGURES:
        raise InvalidParameter(unknown_name("figure of tasks", figure, list(FIGURES)))
    ax = _axes(ax)
    for name in _named(result, policies):
        simulation = result.simulations[name]
        values = getattr(TaskFigures.of(simulation.workload, simulation.outcome()), figure)
        if result.scored is not None:
            values = values[result.scored]
        values = np.sort(values[~np.isnan(values)])
        ax.step(values, np.arange(1, len(values) + 1) / max(len(values), 1), where="post", label=name)
    ax.set_xscale("symlog", linthresh=1.0)
    ax.set(xlabel=figure.replace("_", " "), ylabel="part of the tasks", ylim=(0, 1))
    ax.legend()
    return ax


def utilisation(
    result: Result, *, policies: Sequence[str] | None = None, windows: int = 200, ax: "Axes | None" = None
) -> "Axes":
    """Draw the part of all cores (of all GPUs where there are no cores) that is busy over time, a line a policy.

    Raises:
        InvalidParameter: a policy that was not played, or fewer than one window.
    """
    if windows < 1:
        raise InvalidParameter(f"windows is {windows}, not a whole number from 1 up.")
    ax = _axes(ax)
    for name in _named(result, policies):
        usage = Usage.of(result.simulations[name])
        edges = np.linspace(*_span(result, name), windows + 1)
        busy, there = usage.busy_core_seconds(edges), usage.cores
        if not there:
            busy, there = usage.busy_gpu_seconds(edges), usage.gpus
        hours = (edges - edges[0]) / SECONDS_PER_HOUR
        ax.stairs(busy / (there * np.diff(edges)), hours, label=name)
    ax.set(xlabel="hours from the first arrival", ylabel="busy part of the cluster", ylim=(0, 1.02))
    ax.legend()
    return ax


def heatmap(result: Result, policy: str | None = None, *, windows: int = 200, ax: "Axes | None" = None) -> "Axes":
    """Draw how much of each node's cores and GPUs is held over time.

    Raises:
        InvalidParameter: a policy that was not played, or fewer than one window.
    """
    if windows < 1:
        raise InvalidParameter(f"windows is {windows}, not a whole number from 1 up.")
    spans = result.on_nodes(policy, kind="numpy")
    name = result.policies[0] if policy is None else policy
    cluster = result.simulations[name].cluster
    edges = np.linspace(*_span(result, name), windows + 1)
    groups = cluster.group_of_nodes()
    size = np.array([max(group.cores + group.gpus, 1) for group in cluster.groups], float)[groups]
    held = np.zeros((cluster.nodes, windows))
    for node in np.unique(spans["node"]).tolist():
        there = spans["node"] == node
        devices = (spans["cpus"] + spans["gpus"])[there]
        held[node] = held_by_window(spans["start_time"][there], spans["end_time"][there], devices, edges)
    ax = _axes(ax)
    hours = (edges - edges[0]) / SECONDS_PER_HOUR
    image = ax.pcolormesh(hours, np.arange(cluster.nodes + 1), held / (np.diff(edges) * size[:, None]), cmap="viridis")
    ax.figure.colorbar(image, ax=ax, label="held part of the node")
    ax.set(xlabel="hours from the first arrival", ylabel="node", title=name)
    return ax


def _axes(ax: "Axes | None") -> "Axes":
    if ax is not None:
        return ax
    drawn: Axes = optional("matplotlib.pyplot", extra="notebook").subplots()[1]
    return drawn


def _named(result: Result, policies: Sequence[str] | None) -> Sequence[str]:
    for name in policies or ():
        if name not in result.policies:
            raise InvalidParameter(unknown_name("played policy", name, list(result.policies)))
    return policies or result.policies


def _span(result: Result, policy: str) -> tuple[float, float]:
    finish = result.simulations[policy].outcome().finish_time
    first = float(result.workload.arrival_time[0])
    return first, max(float(np.nanmax(finish)), np.nextafter(first, np.inf))
