"""When nodes of a cluster are away: listed outages, listed failures and drawn ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.failures import Failure, FailureStream
from scheduler_sim.engine.clusters.paces import Paces
from scheduler_sim.engine.errors import InvalidPolicy
from scheduler_sim.engine.units import SECONDS_PER_HOUR
from scheduler_sim.engine.workloads.workload import Workload

HOPELESS = 20.0
"""Work between two checkpoints that is so many mean times between failures is hardly ever done: once in e^20 tries."""


@dataclass(frozen=True, order=True)
class Away:
    """A node is away, seconds on the workload's clock; `failed` where what ran there ended."""

    node: int
    start_time: float
    end_time: float
    failed: bool


def failure_stream(begin: float, cluster: Cluster, listed: Sequence[Failure], seed: int) -> FailureStream | None:
    """Return the failures of a simulation: listed, by outages that kill, and drawn for each node; None for none.

    Args:
        begin: when the first task arrives; drawn failures count from there.
        listed: failures of a file.
        seed: the run's.
    """
    if not (cluster.fails or listed):
        return None
    killed = [Failure(start, end - start, node=node) for node, start, end, kills in listed_outages(cluster) if kills]
    return _stream(begin, cluster, [*listed, *killed], seed)


def drawn_failures(begin: float, cluster: Cluster, seed: int) -> FailureStream | None:
    """Return the drawn failures of a simulation alone, as `failure_stream` has them beside others; None for none."""
    return _stream(begin, cluster, [], seed) if any(group.failures for group in cluster.groups) else None


def _stream(begin: float, cluster: Cluster, listed: Sequence[Failure], seed: int) -> FailureStream:
    models = [group.failures for group in cluster.groups for _ in range(group.count)]
    return FailureStream(listed, models, begin=begin, seed=(seed, crc32(b"failures")))


def refuse_hopeless(cluster: Cluster, longest: float, advice: str) -> None:
    """Refuse failures so frequent that a task would practically never end.

    Args:
        longest: seconds that a task runs between two checkpoints, or from its beginning to its end.
        advice: the sentence that says what to do about it.

    Raises:
        InvalidPolicy: they are.
    """
    means = [group.failures.mean_hours for group in cluster.groups if group.failures is not None]
    if means and longest > HOPELESS * min(means) * SECONDS_PER_HOUR:
        raise InvalidPolicy(
            f"A node fails every {min(means) * SECONDS_PER_HOUR:g} s on average and a task needs up to {longest:g} s "
            f"without a checkpoint: it would practically never end. {advice}"
        )


def longest_run(workload: Workload, cluster: Cluster) -> float:
    """Return the seconds that the longest task takes on the slowest node, 0 without tasks."""
    slowest = min(cluster.of_groups("cpu_speed").min(), Paces.of(workload, cluster).gpu.min())
    return float(workload.runtime.max(initial=0.0)) / float(slowest)


def listed_outages(cluster: Cluster) -> list[tuple[int, float, float, bool]]:
    """Return node, begin, end and whether it kills, of the outages of all groups: of each its highest nodes."""
    found, last = [], 0
    for group in cluster.groups:
        last += group.count
        for outage in group.outages:
            for node in range(last - 1, last - 1 - outage.nodes, -1):
                found.append((node, outage.start_time, outage.end_time, outage.kill))
    return found


def away_spans(
    cluster: Cluster, listed: Sequence[Failure], *, begin: float, seed: int, until_time: float
) -> list[Away]:
    """Return when which nodes are away, up to `until_time`, in order of node and time.

    Args:
        listed: failures of a file.
        begin: when the first task arrives; drawn failures count from there.
        seed: the run's.
    """
    spans = [Away(node, start, end, False) for node, start, end, kills in listed_outages(cluster) if not kills]
    stream = failure_stream(begin, cluster, listed, seed)
    gone: dict[int, list[float]] = {}
    if stream is not None:
        for time, node, sign in zip(*(column.tolist() for column in stream.until(until_time)), strict=True):
            if sign > 0:
                gone.setdefault(node, []).append(time)
            else:
                spans.append(Away(node, gone[node].pop(0), time, True))
    spans += [Away(node, start, until_time, True) for node, starts in gone.items() for start in starts]
    return sorted(spans)
