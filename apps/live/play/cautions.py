"""What must be known to read a run's figures.

A log that the cluster could not have brought about, estimates that nobody stated, predictions of tasks learned from.
"""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np

from apps.results.fidelity import first_in_words
from apps.tasks.models import Workload
from apps.training.fitting import rows_fitted_to
from apps.training.models import TrainedModel
from scheduler_sim import engine
from scheduler_sim.display.formatting import duration, listing
from scheduler_sim.engine.clusters.demand import demands
from scheduler_sim.engine.clusters.paces import Paces
from scheduler_sim.engine.clusters.slices import profile_of
from scheduler_sim.engine.kernels.site.never import NeverStarting
from scheduler_sim.engine.measuring.cautions import impossible_starts, tasks_named, told_without_estimates
from scheduler_sim.engine.measuring.fidelity import Fidelity
from scheduler_sim.engine.measuring.metrics import never_started
from scheduler_sim.engine.policies.orders.rounds import PACKED
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.workloads.beginning import Beginning
from scheduler_sim.engine.workloads.workload import IntArray


class Caution(TypedDict):
    """One caution.

    Attributes:
        kind: `not_replayed`, `impossible_starts`, `perfect_estimates`, `unknown_estimates`,
            `partition_estimates`, `in_sample`, `never_starting`, `left_unstarted`, `already_running`, `rates_not_used`,
            `slices`, `no_pairs`, `crossed_racks`, `carbon_signal`,
            `perfect_forecast`, `series_unused` or `no_carbon`.
        policies: whose figures it is about.
        text: the sentence for people.
    """

    kind: str
    policies: list[str]
    text: str


def impossible_caution(
    stored: Workload, tasks: engine.Workload, played: engine.Workload, rows: IntArray, ground: engine.Cluster | Site
) -> Caution | None:
    """Return what to say where the cluster or site could not have held what the log tells, when it tells it.

    Args:
        stored: the workload. tasks: those that were read of it. played: those of them that are played, at `rows`.
    """
    text = impossible_starts(tasks, played, rows, ground)
    if text is None:
        return None
    return Caution(kind="impossible_starts", policies=[], text=f"{text}{_queued_again(stored)}")


def replay_caution(stored: Workload, replays: Mapping[str, Fidelity], cluster: engine.Cluster) -> Caution | None:
    """Return what to say where policies that replay the recorded starts of a workload do not bring them about."""
    late = [(name, found, every) for name, found in replays.items() if found.late_tasks and (every := found.every)]
    if not late:
        return None
    name, found, every = late[0]
    waits = "the mean wait is that of the log"
    if not every.has_same_mean_wait():
        waits = (
            f"the mean wait is {duration(every.played_mean_wait)} here and {duration(every.recorded_mean_wait)} in the "
            "log"
        )
    text = (
        f"{name} does not replay the log on {cluster.name}: {waits}, and {found.late_tasks:,} of {every.tasks:,} tasks "
        f"start later than recorded, the first {tasks_named(found.late)}."
    )
    if found.first is not None:
        text = f"{text} {first_in_words(found.first)}"
    text += _queued_again(stored)
    return Caution(kind="not_replayed", policies=[name for name, _, _ in late], text=text)


def _queued_again(stored: Workload) -> str:
    """Return a sentence, with a space before it, about what a log of jobs that were queued again does not tell."""
    earlier = stored.audit.get("dropped", {}).get("earlier_attempt", {}).get("count", 0)
    if not earlier:
        return ""
    return (
        f" Jobs that were queued again ({earlier:,} earlier runs) count as running from their first start on, for as "
        "long as their last run took: that alone may be why."
    )


def estimates_caution(
    workload: engine.Workload, policies: Sequence[engine.Policy], site: Site | None
) -> Caution | None:
    """Return what to say of tasks that are played without a stated estimate, None where there is nothing."""
    found = told_without_estimates(workload, policies, site)
    return None if found is None else Caution(kind=found.kind, policies=found.policies, text=found.text)


def never_starting_caution(never: NeverStarting, tasks: int, site_name: str, policies: Sequence[str]) -> Caution | None:
    """Return what to say of tasks that were left out because they can never start, None where there are none."""
    if not len(never):
        return None
    verb = "is" if len(never) == 1 else "are"
    text = f"{len(never):,} of {tasks:,} tasks can never start on site {site_name} and {verb} left out, {never.words}."
    return Caution(kind="never_starting", policies=list(policies), text=text)


def beginning_caution(begun: Beginning, policies: Sequence[str]) -> Caution | None:
    """Return what to say of tasks that were there before the replay begins, None where there are none."""
    if not (begun.running or begun.waiting or begun.ended):
        return None
    parts = [
        (begun.running, "Running: {:,}; they hold their nodes from their recorded start, and count as never waiting."),
        (begun.waiting, "Waiting: {:,}; their waits count from then on."),
        (begun.ended, "Ended, and left out: {:,}."),
    ]
    said = " ".join(words.format(number) for number, words in parts if number)
    text = f"Tasks were there before the replay begins, at {begun.time:,.15g} s. {said}"
    return Caution(kind="already_running", policies=list(policies), text=text)


def left_caution(simulations: Mapping[str, engine.Simulation]) -> Caution | None:
    """Return what to say of tasks that left the queue before they started, None where there are none."""
    left = {name: never_started([simulation]) for name, simulation in simulations.items()}
    counts = {name: int(found.sum()) for name, found in left.items() if found is not None}
    if not counts:
        return None
    number = int(np.any([found for found in left.values() if found is not None], axis=0).sum())
    said = ", ".join(f"{count:,} under {name}" for name, count in counts.items())
    text = (
        f"Tasks were cancelled, or a task that they needed failed, before they started: {said}. The {number:,} of them "
        "count in no policy's figures about tasks."
    )
    return Caution(kind="left_unstarted", policies=list(counts), text=text)


def racks_caution(simulations: Mapping[str, engine.Simulation]) -> Caution | None:
    """Return how many tasks over several nodes crossed racks under each policy, None where there are no racks."""
    told = []
    found = {name: simulation.outcome().crossed for name, simulation in simulations.items()}
    for name, crossed in found.items():
        if crossed is None:
            continue
        gangs = demands(simulations[name].workload, simulations[name].cluster).full_nodes > 0
        if gangs.any():
            share = (crossed[gangs] > 0).mean()
            told.append(
                (name, f"{int((crossed[gangs] > 0).sum()):,} of {int(gangs.sum()):,} ({share:.1%}) under {name}")
            )
    if not told:
        return None
    factors = next(iter(simulations.values())).cluster.topology
    slower = "" if factors is None or not factors.slows_down else " and ran longer for it"
    text = f"Tasks over several nodes that crossed racks{slower}: {', '.join(words for _, words in told)}."
    return Caution(kind="crossed_racks", policies=[name for name, _ in told], text=text)


def rates_caution(
    workload: engine.Workload, cluster: engine.Cluster, policies: Sequence[engine.Policy]
) -> Caution | None:
    """Return what to say of tasks with GPUs that do not go by the workload's rates, None where all do."""
    names = [policy.name for policy in policies if not policy.order.shares_gpus]
    on_gpus = workload.gpus > 0
    total, lacking = int(on_gpus.sum()), int((on_gpus & ~Paces.of(workload, cluster).rated).sum())
    if workload.throughputs is None or not names or not lacking:
        return None
    kinds = listing(workload.throughputs.kinds)
    if lacking == total:
        why = f"The workload has rates of its tasks on {kinds}, which are of use to none of them on this cluster: all"
    else:
        why = f"The workload has rates on {kinds}, but none for {lacking:,} of its {total:,} tasks with GPUs: these"
    text = f"{why} are played by their run times and the nodes' speed under {', '.join(names)}."
    return Caution(kind="rates_not_used", policies=names, text=text)


def pairs_caution(workload: engine.Workload, policies: Sequence[engine.Policy]) -> Caution | None:
    """Return what to say where policies let two tasks share a GPU and no rates of such are known, else None."""
    names = [policy.name for policy in policies if policy.order.name.endswith(PACKED)]
    if not names or (workload.throughputs is not None and workload.throughputs.pairs):
        return None
    text = f"The workload has no rates of tasks that share a GPU: under {', '.join(names)} none do."
    return Caution(kind="no_pairs", policies=names, text=text)


def data_caution(workload: engine.Workload, cluster: engine.Cluster) -> Caution | None:
    """Return what to say where tasks send data and nothing says how long that takes, None elsewhere."""
    if not workload.parents.sent_mb or cluster.network is not None or cluster.nodes < 2:
        return None
    text = (
        f"Tasks send {workload.parents.sent_mb:,.0f} MB to those that depend on them, and the cluster states no "
        "network: data is everywhere at once."
    )
    return Caution(kind="no_network", policies=[], text=text)


def slices_caution(cluster: engine.Cluster) -> Caution | None:
    """Return what to say of GPUs that are cut into slices, None where none is."""
    cut = [group for group in cluster.groups if group.gpus and profile_of(group.gpu_type)]
    if not cut:
        return None
    kinds = listing(dict.fromkeys(group.gpu_type for group in cut))
    text = f"Slices of GPUs ({kinds}) count as one GPU each in figures."
    parted = dict.fromkeys(group.part_of for group in cut if group.part_of)
    if parted:
        text += (
            f" The nodes of {listing(parted)} have slices of several profiles: they are played as a node for each "
            "profile, with its part of the cores and the memory."
        )
    return Caution(kind="slices", policies=[], text=text)


def in_sample_caution(
    model: TrainedModel,
    stored: Workload,
    tasks: engine.Workload,
    rows: IntArray,
    policies: Sequence[engine.Policy],
) -> Caution | None:
    """Return what to say where run times are predicted of tasks that the model was fitted to.

    Args:
        model: predicts run times.
        stored: the workload. tasks: those that were read of it. rows: which of them are played.
        policies: of the run.
    """
    names = [policy.name for policy in policies if policy.uses_estimates and not policy.clairvoyant]
    seen = int(np.sum(rows < rows_fitted_to(model, stored.name, tasks)))
    if not seen or not names:
        return None
    text = (
        f"In-sample: the model {model} was fitted to {seen:,} of the {len(rows):,} tasks whose run times it predicts "
        f"here; the figures of {', '.join(names)} say little of other tasks."
    )
    return Caution(kind="in_sample", policies=names, text=text)
