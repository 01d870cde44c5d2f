"""The newest export of a site's accounting beside the last one that was looked at: what has changed."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from apps.live.play.cluster_changes import ClusterChanges
from apps.live.play.configuration import RunConfiguration
from apps.live.play.launch import run_create
from apps.live.play.playable import refuse_unplayable
from apps.live.play.preparation import Prepared, prepare
from apps.live.play.sites import site_settled
from apps.metrics.models import GroupMetric, Metric
from apps.results.errors import DomainError
from apps.results.fidelity import replay_in_words
from apps.results.models import Fidelity, Run
from apps.tasks.models import Site, Workload
from scheduler_sim import engine
from scheduler_sim.display.formatting import change_in_words, duration

TAG = "recheck"
"""What marks the runs that are compared with each other; who takes it from one leaves that export out."""

LOG, MODEL = "recorded", "slurm"
"""What is played: the starts that the log tells, whose waits are compared, and the site's scheduler, which shows how
far the site may still be believed."""

FEWEST_TASKS = 20
"""A group with fewer tasks in either export is left out: its mean wait tells of single tasks."""

LOSERS = 5
"""So many of the users whose waits grew most are named."""


class NothingRecorded(DomainError):
    """The export does not tell when its jobs started."""


@dataclass(frozen=True)
class Rule:
    """When a figure of seconds has changed: by more than a part of what it was, and by more than some seconds."""

    share: float = 0.2
    seconds: float = 60.0

    def is_over(self, before: float, now: float) -> bool:
        """Tell whether a figure has changed."""
        return abs(now - before) > max(self.seconds, self.share * before)


@dataclass(frozen=True)
class WaitChange:
    """The waits of all tasks, or of a partition's or a user's, in both exports; seconds.

    Attributes:
        grouped_by: `all`, `queue` or `user`. name: of the group; empty for what the export does not state.
        changed: whether the mean or the 95th percentile is beyond the rule.
    """

    grouped_by: str
    name: str
    tasks_before: int
    tasks: int
    mean_before: float
    mean: float
    p95_before: float
    p95: float
    changed: bool


@dataclass(frozen=True)
class Recheck:
    """What an export says beside the last one.

    Attributes:
        run: that played the export. last: that played the one before; None where this is the first.
        rule: by which figures have changed.
    """

    site: Site
    run: Run
    last: Run | None
    rule: Rule

    @cached_property
    def waits(self) -> list[WaitChange]:
        """All tasks, then the partitions that both exports have."""
        if self.last is None:
            return []
        before, now = (Metric.objects.totals().filter(run=run, scheduler=LOG).first() for run in (self.last, self.run))
        found = [self._change("all", "", before, now, "finished_count")] if before and now else []
        return found + self._groups("queue")

    @cached_property
    def losers(self) -> list[WaitChange]:
        """The users whose mean waits grew most, of those in both exports, the most first."""
        grown = [one for one in self._groups("user") if one.mean > one.mean_before]
        return sorted(grown, key=lambda one: one.mean_before - one.mean)[:LOSERS]

    @cached_property
    def partitions(self) -> tuple[list[str], list[str]]:
        """Partitions that are new, and those that are gone."""
        if self.last is None:
            return [], []
        now, before = (set(_groups(run, "queue")) for run in (self.run, self.last))
        return sorted(now - before), sorted(before - now)

    @cached_property
    def fidelity(self) -> tuple[Fidelity | None, Fidelity | None]:
        """How the site's scheduler replays the last export and this one; None where nothing is known."""
        return (None if self.last is None else _fidelity(self.last)), _fidelity(self.run)

    @property
    def fidelity_changed(self) -> bool:
        """Whether the log is or is not replayed any more, or starts differ by another time than before."""
        before, now = self.fidelity
        if before is None or now is None:
            return False
        return before.has_same_mean_wait != now.has_same_mean_wait or self.rule.is_over(
            before.mean_absolute_difference, now.mean_absolute_difference
        )

    @property
    def changed(self) -> bool:
        """Whether there is something to tell."""
        told = (*self.waits, *self.losers)
        return any(one.changed for one in told) or any(self.partitions) or self.fidelity_changed

    def sentences(self) -> list[str]:
        """Return what has changed, and nothing else."""
        if self.last is None:
            return [f"This is the first export of {self.site.name} that is looked at; the next is compared with it."]
        if not self.changed:
            return [
                f"Nothing changed on {self.site.name} by more than {self.rule.share:.0%} and "
                f"{duration(self.rule.seconds)} since {self.last.workload.name}."
            ]
        said = [_said(one) for one in (*self.waits, *self.losers) if one.changed]
        new, gone = self.partitions
        said += [f"Partition {name} is new." for name in new] + [f"Partition {name} is gone." for name in gone]
        before, now = self.fidelity
        if self.fidelity_changed and before and now:
            was, is_now = (replay_in_words(one) for one in (before, now))
            said.append(f"{self.site.name} {is_now[0].lower()}{is_now[1:]}; before, it {was[0].lower()}{was[1:]}.")
        return said

    def as_json(self) -> dict[str, Any]:
        """Return it as a document; times are seconds."""
        before, now = self.fidelity
        new, gone = self.partitions
        return {
            "site": self.site.reference,
            "changed": self.changed,
            "share": self.rule.share,
            "seconds": self.rule.seconds,
            "run": self.run.pk,
            "workload": self.run.workload.name,
            "last_run": None if self.last is None else self.last.pk,
            "last_workload": None if self.last is None else self.last.workload.name,
            "cautions": [caution["text"] for caution in self.run.cautions],
            "waits": [asdict(one) for one in self.waits],
            "losers": [asdict(one) for one in self.losers],
            "new_partitions": new,
            "gone_partitions": gone,
            "fidelity_before": _fidelity_json(before),
            "fidelity": _fidelity_json(now),
            "fidelity_changed": self.fidelity_changed,
            "sentences": self.sentences(),
        }

    def _groups(self, grouped_by: str) -> list[WaitChange]:
        if self.last is None:
            return []
        before, now = _groups(self.last, grouped_by), _groups(self.run, grouped_by)
        return [
            self._change(grouped_by, name, before[name], now[name], "task_count")
            for name in sorted(before.keys() & now.keys())
            if min(before[name].task_count, now[name].task_count) >= FEWEST_TASKS
        ]

    def _change(self, grouped_by: str, name: str, before: Any, now: Any, count: str) -> WaitChange:
        pairs = [(getattr(before, figure), getattr(now, figure)) for figure in ("mean_wait_time", "p95_wait_time")]
        (mean_before, mean), (p95_before, p95) = [(one or 0.0, other or 0.0) for one, other in pairs]
        return WaitChange(
            grouped_by=grouped_by,
            name=name,
            tasks_before=getattr(before, count),
            tasks=getattr(now, count),
            mean_before=mean_before,
            mean=mean,
            p95_before=p95_before,
            p95=p95,
            changed=self.rule.is_over(mean_before, mean) or self.rule.is_over(p95_before, p95),
        )


def recheck(*, site: Site, workload: Workload, rule: Rule, play: Callable[[Run, Prepared], None]) -> Recheck:
    """Play an export on its site, unless that was done, keep the run, and hold it beside the last one kept.

    Figures are kept, placements are not: they can be simulated again.

    Args:
        play: plays a run that is stored to its end.

    Raises:
        NothingRecorded: the workload does not tell when any of its tasks started.
        DomainError, EngineError: it cannot be played on the site.
    """
    if not workload.tasks.filter(recorded_start_time__isnull=False).exists():
        raise NothingRecorded(f"Workload {workload.name} does not tell when any of its tasks really started.")
    run = _kept(site).filter(workload=workload, site=site, engine_version=engine.ENGINE_VERSION).first()
    if run is None:
        run = _play(site, workload, play)
    last = _kept(site).exclude(workload=workload).filter(pk__lt=run.pk).first()
    return Recheck(site=site, run=run, last=last, rule=rule)


def _kept(site: Site) -> Any:
    """Return the runs that were kept for any version of the site, the newest first."""
    return Run.objects.finished().tagged(TAG).filter(site__name=site.name).select_related("workload", "site")


def _play(site: Site, workload: Workload, play: Callable[[Run, Prepared], None]) -> Run:
    asked = RunConfiguration(policies=(LOG, MODEL), on_oversize="drop", keep="summary", site=site.reference).checked()
    configuration, played = site_settled(asked, ClusterChanges())
    prepared = prepare(workload=workload, cluster=played.cluster, configuration=configuration)
    refuse_unplayable(configuration, played.cluster, prepared)
    name = Run.objects.free_name(f"{TAG} of {site.name}: {workload.name}")
    run = run_create(workload=workload, cluster=played.cluster, configuration=configuration, name=name)
    play(run, prepared)
    run.refresh_from_db()
    if run.status != Run.Status.FINISHED:
        raise DomainError(f"Run {run.name} is {run.status}, so there is nothing to compare.")
    # Only a run that came to its end is compared with.
    run.tag([TAG])
    return run


def _groups(run: Run, grouped_by: str) -> dict[str, GroupMetric]:
    stored = GroupMetric.objects.of_run(run, grouped_by, LOG).filter(merged_count=0)
    return {group.name: group for group in stored}


def _fidelity(run: Run) -> Fidelity | None:
    found: Fidelity | None = Fidelity.objects.filter(
        workload=run.workload_id, engine_version=run.engine_version, place_digest=run.place_digest, policy=MODEL
    ).first()
    return found


def _fidelity_json(found: Fidelity | None) -> dict[str, Any] | None:
    if found is None:
        return None
    names: Sequence[str] = (
        "has_same_mean_wait",
        "recorded_mean_wait",
        "played_mean_wait",
        "mean_absolute_difference",
        "median_absolute_difference",
        "p95_absolute_difference",
    )
    return {name: getattr(found, name) for name in names}


def _said(one: WaitChange) -> str:
    who = {"all": "All jobs", "queue": f"Jobs of partition {one.name}", "user": f"Jobs of user {one.name}"}
    what = who[one.grouped_by] if one.name or one.grouped_by == "all" else f"Jobs that state no {one.grouped_by}"
    by = f" ({change_in_words(one.mean, one.mean_before)})" if one.mean and one.mean_before else ""
    return (
        f"{what} wait {duration(one.mean)} on average where they waited {duration(one.mean_before)}{by}; "
        f"95% of them wait less than {duration(one.p95)}, where it was {duration(one.p95_before)}."
    )
