"""Whether a run on a site, or one that stops tasks, can be played at all, asked before anything of it is stored."""

from dataclasses import replace

import numpy as np

from apps.live.play.configuration import RunConfiguration, blaming
from apps.live.play.electricity import refuse_series, settled_on
from apps.live.play.preparation import Prepared, adapt, refuse_sample, run_time_model
from apps.live.play.sites import played_site
from apps.tasks.models import Workload
from apps.tasks.stored_tasks import load_tasks
from scheduler_sim import engine
from scheduler_sim.engine.kernels.site.never import refuse_clamping
from scheduler_sim.engine.predictors.runtime import RuntimeModel
from scheduler_sim.engine.sites import Site

MOST_TRIED = 20_000
"""Of so many tasks a request itself finds out whether they fit a cluster: they are read in 0.2 s."""

MOST_TRIED_ON_SITE = 1_000
"""Of so many whether they fit a site, which looks at each ask of its own in each partition: in 0.2 s, too."""


def playable_on(configuration: RunConfiguration, cluster: engine.Cluster) -> RunConfiguration:
    """Return the configuration with what its cluster settles, refusing what no tasks could make playable there.

    Raises:
        InvalidOption, EngineError, DomainError: as `settled_on` and `refuse_unplayable` say.
    """
    settled = settled_on(configuration, cluster)
    refuse_unplayable(settled, cluster)
    return settled


def refuse_unplayable(
    configuration: RunConfiguration, cluster: engine.Cluster, prepared: Prepared | None = None
) -> None:
    """Refuse options, policies and a cluster or site that the engine cannot play together.

    Args:
        configuration: one that `settled_on` was asked about: an option may have its meaning by the cluster's series.
        prepared: what is played; None where the tasks are not at hand: then only what no task could change is refused.

    Raises:
        InvalidOption: an option that the cluster or site does not allow.
        InvalidPolicy, InvalidWorkload, InvalidParameter: what cannot be played, in the engine's words.
        DomainError: a model that there is not.
    """
    options = configuration.engine_options(cluster)
    refuse_series(configuration)
    site = played_site(configuration) if prepared is None else prepared.site
    policies = engine.parse_policies(",".join(configuration.policies))
    if site is None and (needy := next((policy for policy in policies if policy.order.needs_site), None)):
        raise engine.InvalidPolicy(
            f"{needy.name} is a site's own scheduler: name a stored site (--site NAME, or site over HTTP) in place of "
            "a cluster; importsite reads one."
        )
    if site is not None:
        with blaming("on_oversize"):
            refuse_clamping(site.name, configuration.on_oversize)
    asked = site is not None or options.interrupts or cluster.fails
    if not any(asked or policy.may_stop for policy in policies):
        return
    configuration = configuration.with_models()
    for policy in configuration.parsed_policies():
        if not (asked or policy.may_stop):
            continue
        engine.Simulation(
            workload=_workload(cluster, site, on_gpus=policy.order.shares_gpus)
            if prepared is None
            else prepared.workload,
            cluster=cluster,
            policy=policy,
            seed=configuration.seed,
            # Whose cap that is, is known once the series is read.
            options=replace(options, hold_cap=options.hold_cap and prepared is not None),
            predictor=_predictor(configuration) if prepared is None else prepared.predictor,
            site=site,
            signals=None if prepared is None else prepared.signals,
        )


def refuse_tasks(workload: Workload, configuration: RunConfiguration, cluster: engine.Cluster) -> None:
    """Refuse at once the tasks that a run would refuse as soon as it has read them, where that takes no time.

    Of more than `MOST_TRIED` tasks, `MOST_TRIED_ON_SITE` on a site, only what can be said without reading them.

    Raises:
        InvalidOption: they do not fit the cluster or site, none is left to play, an option has no meaning for them, or
            no such model predicts their run times; in the words of the run.
    """
    with blaming("feedback"):
        refuse_sample(workload, configuration)
    with blaming("estimates"):
        run_time_model(configuration)
    most = MOST_TRIED if configuration.site is None else MOST_TRIED_ON_SITE
    if min(configuration.limit or workload.task_count, workload.task_count) > most:
        return
    tasks = load_tasks(workload_id=workload.pk, limit=configuration.limit).workload
    site = played_site(configuration)
    adapt(workload=tasks, cluster=cluster, configuration=configuration, site=site, blaming=blaming)


def _predictor(configuration: RunConfiguration) -> RuntimeModel | None:
    model = run_time_model(configuration)
    return RuntimeModel.parse(model.artifact) if model else None


def _workload(cluster: engine.Cluster, site: Site | None, *, on_gpus: bool) -> engine.Workload:
    """Return a task that any cluster has room for, or any with GPUs; none on a site, which might take nobody's."""
    on_cores = cluster.cores > 0 and not on_gpus
    zero, one = np.zeros(1), np.ones(1)
    task = engine.Workload.from_columns(
        arrival_time=zero,
        runtime=one,
        cpus=one if on_cores else zero,
        gpus=zero if on_cores else one,
        recorded_start_time=zero,
    )
    return task if site is None else task.head(0)
