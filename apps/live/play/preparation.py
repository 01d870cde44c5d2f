"""From stored tasks to what the engine plays."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from apps.live.play.cautions import (
    Caution,
    beginning_caution,
    data_caution,
    estimates_caution,
    impossible_caution,
    in_sample_caution,
    never_starting_caution,
    pairs_caution,
    rates_caution,
    slices_caution,
)
from apps.live.play.configuration import RunConfiguration
from apps.live.play.electricity import forecast_caution, played_signals
from apps.live.play.sites import played_site
from apps.tasks.models import Workload
from apps.tasks.services import SAMPLE
from apps.tasks.stored_tasks import StoredTasks, load_tasks
from apps.training.models import TrainedModel
from apps.training.registry import stored_runtime_model
from scheduler_sim import engine
from scheduler_sim.engine.clusters.oversize import fit_workload
from scheduler_sim.engine.kernels.site.never import fit_to_site
from scheduler_sim.engine.predictors.runtime import RuntimeModel
from scheduler_sim.engine.series import Signals
from scheduler_sim.engine.sites import Site
from scheduler_sim.engine.whatif import scale_load
from scheduler_sim.engine.workloads.beginning import begin_at
from scheduler_sim.engine.workloads.estimates import replace_estimates
from scheduler_sim.engine.workloads.feedback import session_requests
from scheduler_sim.engine.workloads.workload import IntArray


@dataclass(frozen=True)
class Prepared:
    """What a run plays.

    Attributes:
        workload: the tasks that fit, in canonical order, with the estimates in force.
        task_keys: shape (n,), their primary keys.
        cluster: what they are played on.
        site: whose rules bind them, `cluster` being its own; None without rules.
        predictor: tells every policy the run times as tasks arrive; None where the estimates are settled.
        cautions: what must be known to read the run's figures (see `cautions`).
        tasks_digest: of the tasks as they were read.
        signals: the series of the cluster's electricity; None where the run names none.
    """

    workload: engine.Workload
    task_keys: IntArray
    cluster: engine.Cluster
    tasks_digest: str
    predictor: RuntimeModel | None = None
    cautions: tuple[Caution, ...] = ()
    site: Site | None = None
    signals: Signals | None = None


@dataclass(frozen=True)
class Adapted:
    """Tasks as they are played.

    Attributes:
        rows: shape (n,), their row numbers among the tasks that were read.
        begun: those that were there when the replay began, or came later. fitted: shape (n,), which of them are played.
        cautions: what must be known of them to read the run's figures.
    """

    workload: engine.Workload
    rows: IntArray
    begun: engine.Workload
    fitted: IntArray
    cautions: tuple[Caution, ...] = ()


def prepare(
    *,
    workload: Workload,
    cluster: engine.Cluster,
    configuration: RunConfiguration,
    meanwhile: Callable[[], None] = lambda: None,
) -> Prepared:
    """Load the tasks to be played and make them ready.

    Args:
        meanwhile: called again and again while the tasks are read; what it raises ends the reading.

    Raises:
        EngineError: as `adapt`.
    """
    tasks = load_tasks(workload_id=workload.pk, limit=configuration.limit, meanwhile=meanwhile)
    return prepare_tasks(stored=workload, tasks=tasks, cluster=cluster, configuration=configuration)


def prepare_tasks(
    *,
    stored: Workload,
    tasks: StoredTasks,
    cluster: engine.Cluster,
    configuration: RunConfiguration,
) -> Prepared:
    """Make tasks ready that were read of the stored workload.

    Raises:
        EngineError: as `adapt`; InvalidWorkload where sessions are asked for of a sample.
    """
    refuse_sample(stored, configuration)
    site = played_site(configuration)
    adapted = adapt(workload=tasks.workload, cluster=cluster, configuration=configuration, site=site)
    played, rows = adapted.workload, adapted.rows
    model = run_time_model(configuration)
    policies = configuration.parsed_policies()
    signals, signals_caution = played_signals(configuration, stored, played)
    # What makes every figure doubtful comes first.
    cautions = (
        impossible_caution(stored, adapted.begun, played, adapted.fitted, site or cluster),
        *adapted.cautions,
        rates_caution(played, site.cluster if site else cluster, policies),
        pairs_caution(played, policies),
        data_caution(played, site.cluster if site else cluster),
        slices_caution(site.cluster if site else cluster),
        in_sample_caution(model, stored, tasks.workload, rows, policies)
        if model
        else estimates_caution(played, policies, site),
        signals_caution,
        forecast_caution(signals, policies),
    )
    return Prepared(
        workload=played,
        task_keys=tasks.keys[rows],
        cluster=cluster,
        tasks_digest=tasks.digest,
        predictor=RuntimeModel.parse(model.artifact) if model else None,
        cautions=tuple(caution for caution in cautions if caution),
        site=site,
        signals=signals,
    )


def refuse_sample(stored: Workload, configuration: RunConfiguration) -> None:
    """Refuse to look for sessions of users in a sample.

    Raises:
        InvalidWorkload: they are asked for, and the workload is one.
    """
    if configuration.feedback == "users" and stored.source == SAMPLE:
        raise engine.InvalidWorkload(
            f"Workload {stored.name} is a sample, whose tasks do not say when they started in the log, so that no "
            f"sessions of users can be seen in it: play the log itself, or feedback open."
        )


def run_time_model(configuration: RunConfiguration) -> TrainedModel | None:
    """Return the stored model that predicts the run's durations, None where none does.

    Raises:
        InvalidParameter: no such model; the sentence names those there are.
    """
    kind, _, reference = configuration.estimates.partition(":")
    return stored_runtime_model(reference, configuration.models) if kind == "predicted" else None


def adapt(
    *,
    workload: engine.Workload,
    cluster: engine.Cluster,
    configuration: RunConfiguration,
    site: Site | None = None,
    blaming: Callable[[str], AbstractContextManager[Any]] = nullcontext,
) -> Adapted:
    """Begin where the replay begins, scale the load, leave out or change what does not fit, and set the estimates.

    Where a model predicts the durations, that is done while the run goes on, and the tasks keep what they state.

    Args:
        blaming: what to do with faults of the option that it is given, or of `workload`.

    Raises:
        OversizedTasks: tasks that could never start, unless the configuration drops or clamps them.
        InvalidWorkload: nothing is left to play, or sessions are asked for and the workload does not show them.
        InvalidParameter: a beginning, a load factor or estimates that have no meaning.
    """
    if configuration.feedback == "users":
        with blaming("feedback"):
            workload = replace(workload, requests=session_requests(workload))
    hold = configuration.already_running == "hold"
    with blaming("begin_time"):
        begun = begin_at(workload, configuration.begin_time, hold=hold)
    with blaming("load_factor"):
        scaled = scale_load(begun.workload, configuration.load_factor, since=begun.time)
    left_out = None
    with blaming("workload"):
        if site is None:
            fitted, rows = fit_workload(scaled, cluster, on_oversize=configuration.on_oversize)
        else:
            fitted, rows, never = fit_to_site(scaled, site, on_oversize=configuration.on_oversize)
            left_out = never_starting_caution(never, len(scaled), site.name, configuration.policies)
        if not len(fitted):
            raise engine.InvalidWorkload("No task is left to play.")
    with blaming("estimates"):
        if run_time_model(configuration) is None:
            generator = np.random.default_rng([configuration.seed, len(fitted)])
            fitted = replace_estimates(fitted, configuration.estimates, generator)
    found = (left_out, beginning_caution(begun, configuration.policies))
    return Adapted(fitted, begun.rows[rows], scaled, rows, tuple(one for one in found if one))
