"""A run's answer as configuration: what to write for a policy, what cannot be written, who gains and who loses."""

from dataclasses import dataclass
from typing import Any

from apps.live.play.configuration import RunConfiguration
from apps.live.play.sites import played_site
from apps.metrics.groups import told_between, told_of_run
from apps.metrics.models import Metric
from apps.results.errors import InvalidField, RunStateError
from apps.results.models import Run
from apps.training.registry import resolve_policy
from scheduler_sim import engine
from scheduler_sim.display.formatting import listing
from scheduler_sim.engine.answers.advice import Advice, advise
from scheduler_sim.engine.sites import Site


@dataclass(frozen=True)
class RunAdvice:
    """What a run advises.

    Attributes:
        scheduler: the policy that is to be brought about.
        base: what it is held against, in words.
        advice: what to write, and what cannot be written.
        gains: who gains and who loses, a text a way to tell tasks apart.
    """

    run: Run
    scheduler: str
    base: str
    advice: Advice
    gains: list[tuple[str, str]]

    @property
    def verdict(self) -> str:
        """A sentence about what the lines are worth."""
        if not self.advice.is_whole:
            return (
                f"Slurm cannot be told all of {self.scheduler}: what these lines bring about is not what was played, "
                "and the figures of the run do not hold for it."
            )
        if self.advice.is_empty:
            return f"Nothing is to be changed: the site is configured for {self.scheduler} as it was played."
        near = "" if self.scheduler.startswith("slurm") else ", as near as Slurm's loops come to it"
        return f"These lines bring {self.scheduler} about{near}."

    @property
    def conf_text(self) -> str:
        """The lines of slurm.conf, with a comment that says what they are for; empty where there are none."""
        head = f"# slurm.conf: {self.scheduler}, from the run {self.run.name}"
        return "\n".join((head, *self.advice.lines.conf)) if self.advice.lines.conf else ""

    @property
    def commands_text(self) -> str:
        """The commands, empty where there are none."""
        return "\n".join(self.advice.lines.commands)

    def as_json(self) -> dict[str, Any]:
        """Return what programs are told of it."""
        return {
            "run": self.run.pk,
            "policy": self.scheduler,
            "base": self.base,
            "verdict": self.verdict,
            "is_whole": self.advice.is_whole,
            "slurm_conf": list(self.advice.lines.conf),
            "sacctmgr": list(self.advice.lines.commands),
            "unexpressed": self.advice.unexpressed,
            "remarks": self.advice.remarks,
            "gains": dict(self.gains),
        }


def run_advice(run: Run, *, scheduler: str = "", against: Run | None = None) -> RunAdvice:
    """Return what brings a policy of a finished run about.

    Args:
        scheduler: one of the run's policies; by default that in front, leaving out those that know the future.
        against: another run, on what is configured; by default the run's own site before its changes.

    Raises:
        InvalidField: no such policy, or a run to hold it against that has another workload or kind of ground.
        RunStateError: the run has no figures, or its site or models are gone.
    """
    configuration = _configuration(run)
    if scheduler and scheduler not in run.policies:
        raise InvalidField(
            f"This run does not hold the policy {scheduler[:100]!r}; it holds {listing(run.policies)}.", "policy"
        )
    if run.status != Run.Status.FINISHED:
        raise RunStateError("The run did not come to its end, so it advises nothing.")
    try:
        policies = {name: resolve_policy(name, configuration.models) for name in run.policies}
        scheduler = scheduler or _in_front(run, policies)
        changed = played_site(configuration)
        configured = _configured(run, against)
    except engine.EngineError as error:
        raise RunStateError(str(error)) from error
    advice = advise(
        policies[scheduler],
        configured=configured,
        changed=changed if changed is not None else _of_cluster(run),
        is_known=changed is not None,
    )
    if against is None and configuration.site_changes:
        advice.remarks.append(
            "Who gains and who loses is told between policies that were all played with the changes of the site; held "
            "against a run without them it is told of the changes."
        )
    if against is None:
        base, gains = run.policies[0], told_of_run(run, scheduler)
    else:
        base = scheduler if scheduler in against.policies else against.policies[0]
        gains = told_between(run, scheduler, against, base)
        base = f"{base} in run {against.name}"
    return RunAdvice(run, scheduler, base, advice, gains)


def _in_front(run: Run, policies: dict[str, engine.Policy]) -> str:
    ranked = Metric.objects.leaderboard(run).values_list("scheduler", flat=True)
    possible = [name for name in ranked if not policies[name].clairvoyant]
    return next(iter(possible), run.policies[0])


def _configured(run: Run, against: Run | None) -> Site:
    """Return what is configured: the ground of the run that it is held against, or the run's own before its changes."""
    if against is None:
        return run.site.as_site() if run.site is not None else _of_cluster(run)
    if against.workload_id != run.workload_id:
        raise InvalidField("The two runs play different workloads, so neither tells of the other.", "against")
    if (against.site_id is None) != (run.site_id is None):
        raise InvalidField("One of the two runs is on a site and the other on a cluster.", "against")
    site = played_site(_configuration(against))
    return site if site is not None else _of_cluster(against)


def _of_cluster(run: Run) -> Site:
    return Site.from_json(run.cluster)


def _configuration(run: Run) -> RunConfiguration:
    return RunConfiguration.from_json({"policies": run.policies, **run.configuration})
