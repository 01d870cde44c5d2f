"""The load of a whole run behind the scrubber: how many tasks waited and how busy the cores were, from its figures."""

from collections.abc import Sequence
from dataclasses import dataclass

from apps.metrics.models import Metric
from apps.results.models import Run
from scheduler_sim.display.charts import SERIES_POINTS

WIDTH, HEIGHT = 1000, 100
"""Of the drawing, which is stretched to where it stands."""


@dataclass(frozen=True)
class Load:
    """The load under one policy.

    Attributes:
        queue: points of the line of tasks that wait, `x,y x,y`. busy: outline of the area of cores in use.
        longest: tasks that the top of the drawing stands for.
    """

    policy: str
    queue: str
    busy: str
    longest: float


def loads(run: Run, policies: Sequence[str], span: tuple[float, float]) -> list[Load]:
    """Return the load under each policy, all to the scale of the longest queue, from the figures of its windows."""
    windows = Metric.objects.windows().filter(run=run, scheduler__in=policies).order_by("window_start_time")
    names = ("scheduler", "window_start_time", "window_end_time", "mean_queue_length", "cpu_utilisation")
    rows: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in policies}
    for scheduler, begin, end, waiting, busy in windows.values_list(*names):
        rows[scheduler].append((begin, end, waiting or 0.0, busy or 0.0))
    longest = max((row[2] for several in rows.values() for row in several), default=0.0)
    return [
        Load(
            policy=name,
            queue=_steps([(a, b, waiting / (longest or 1.0)) for a, b, waiting, _ in thinned(rows[name])], span),
            busy=_steps([(a, b, busy) for a, b, _, busy in thinned(rows[name])], span),
            longest=longest,
        )
        for name in policies
    ]


def thinned(
    windows: list[tuple[float, float, float, float]], most: int = SERIES_POINTS
) -> list[tuple[float, float, float, float]]:
    """Join neighbouring windows until there are at most `most`: the longest queue and the mean use of each few."""
    several = -(-len(windows) // most) or 1
    joined = []
    for at in range(0, len(windows), several):
        part = windows[at : at + several]
        length = sum(end - begin for begin, end, _, _ in part) or 1.0
        busy = sum((end - begin) * busy for begin, end, _, busy in part) / length
        joined.append((part[0][0], part[-1][1], max(waiting for _, _, waiting, _ in part), busy))
    return joined


def _steps(parts: list[tuple[float, float, float]], span: tuple[float, float]) -> str:
    """Return a line of steps from the ground and back to it; each part reaches from, to, and as high as its share."""
    low, high = span
    width = (high - low) or 1.0
    points: list[tuple[float, float]] = []
    for begin, end, share in parts:
        height = HEIGHT * (1 - min(1.0, max(0.0, share)))
        points += [(WIDTH * (begin - low) / width, height), (WIDTH * (end - low) / width, height)]
    if not points:
        return ""
    every = [(points[0][0], HEIGHT), *points, (points[-1][0], HEIGHT)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in every)
