"""Whether all that people read of a run is what it was when it ended."""

from collections.abc import Iterator
from dataclasses import dataclass

from apps.live.checking.gang_check import gang_faults
from apps.live.checking.recomputation import (
    PLACEMENTS_DO_NOT_TELL,
    differing_figures,
    figures_of,
    played_again,
    stored_schedules,
)
from apps.live.play.configuration import RunConfiguration
from apps.live.play.digests import DIGESTED, run_digests
from apps.live.play.launch import own_policies_changed
from apps.live.play.preparation import Prepared, prepare_tasks
from apps.results.errors import DomainError, UnknownRun
from apps.results.models import Run
from apps.results.placement_files import file_faults
from apps.results.verification import Verification, run_verify
from apps.tasks.stored_tasks import read_tasks
from scheduler_sim import engine
from scheduler_sim.columnar.snapshot import snapshot


@dataclass(frozen=True)
class Integrity:
    """What was found of a run, all of it at one instant.

    Attributes:
        run: as it was at that instant.
        counted: its placements and their checksum.
        faults: one sentence for each thing that is not as it must be, of the placements and of all else.
        notes: one sentence for each thing that could not be compared, which is no fault of the run.
        is_replayed: it was played again.
    """

    run: Run
    counted: Verification
    faults: tuple[str, ...]
    notes: tuple[str, ...]
    is_replayed: bool

    @property
    def is_whole(self) -> bool:
        """True when it came to its end and all of it is as it was then."""
        return not self.faults and self.run.status == Run.Status.FINISHED


def run_check(*, run: Run, replay: bool = False) -> Integrity:
    """Count the placements of a run, compare everything with its digests, and compute its figures again from them.

    Where files of placements are missing or changed, that is told of alone: without them there is nothing to count.

    Args:
        replay: play it again as well, storing nothing, and compare the checksum and the figures.

    Raises:
        UnknownRun: it was deleted meanwhile.
    """
    # Before the snapshot: what a run that goes on has replaced in the meantime is no fault.
    if faults := tuple(file_faults(run)):
        nothing = Verification(rows={}, attempts={}, strangers=0, checksum="", faults=())
        return Integrity(run=run, counted=nothing, faults=faults, notes=(), is_replayed=False)
    return _looked_at(run, replay=replay)


@snapshot()
def _looked_at(run: Run, *, replay: bool) -> Integrity:
    present = Run.objects.select_related("workload").filter(pk=run.pk).first()
    if present is None:
        raise UnknownRun(f"Run {run.name} was deleted.")
    counted = run_verify(run=present)
    check = _Check(present, replay=replay)
    if present.status == Run.Status.FINISHED:
        check.look()
    return Integrity(
        run=present,
        counted=counted,
        faults=(*counted.faults, *check.faults),
        notes=tuple(check.notes),
        is_replayed=check.is_replayed,
    )


class _Check:
    def __init__(self, run: Run, *, replay: bool) -> None:
        self.run = run
        self.replay = replay
        self.is_replayed = False
        self.faults: list[str] = []
        self.notes: list[str] = []

    def look(self) -> None:
        """Look at a finished run."""
        run = self.run
        if not run.checksum:
            self.faults.append("The run is finished and has no checksum.")
        try:
            configuration = RunConfiguration.from_json(run.configuration)
            cluster = engine.Cluster.from_json(run.cluster)
            tasks = read_tasks(workload_id=run.workload_id, limit=configuration.limit)
        except (DomainError, engine.EngineError, TypeError, KeyError) as error:
            self.faults.append(f"What the run was asked for, or its tasks, cannot be read: {error}")
            return
        self.faults += self._changed(tasks.digest)
        if run.engine_version != engine.ENGINE_VERSION:
            self.notes.append(
                f"The run was played by engine {run.engine_version}, and this is engine {engine.ENGINE_VERSION}: its "
                "figures are not computed again and it is not replayed."
            )
            return
        try:
            prepared = prepare_tasks(stored=run.workload, tasks=tasks, cluster=cluster, configuration=configuration)
            why_not = _why_not_from_placements(configuration)
        except (DomainError, engine.EngineError) as error:
            self.faults.append(f"The run cannot be prepared again: {error}")
            return
        if why_not:
            self.notes.append(f"The figures are compared with their digest, and not computed again: {why_not}")
        else:
            self._compute(prepared, configuration)
        if self.replay:
            self._replay(prepared, configuration)

    def _compute(self, prepared: Prepared, configuration: RunConfiguration) -> None:
        try:
            schedules = stored_schedules(self.run, prepared, configuration)
            computed = figures_of(schedules, configuration)
        except ValueError as error:
            self.faults.append(f"The figures cannot be computed again: {error}")
            return
        self.faults += differing_figures(self.run, computed, but=PLACEMENTS_DO_NOT_TELL)
        if self.run.knows_gangs:
            self.faults += gang_faults(self.run, prepared, schedules)
        else:
            self.notes.append(
                "The run ended before it was kept which nodes tasks on several of them held, so that it is not looked "
                "at whether any node held more than it has."
            )

    def _replay(self, prepared: Prepared, configuration: RunConfiguration) -> None:
        try:
            ending = played_again(prepared, configuration)
        except engine.EngineError as error:
            self.faults.append(f"The run cannot be played again: {error}")
            return
        self.is_replayed = True
        if changed := own_policies_changed(self.run):
            self.notes.append(f"The run was played with another {changed}.")
        if ending.checksum != self.run.checksum:
            self.faults.append(f"Played again it has the checksum {ending.checksum}; the run says {self.run.checksum}.")
        self.faults += differing_figures(self.run, ending.figures)

    def _changed(self, tasks: str) -> Iterator[str]:
        kept = self.run.digests
        if kept is None:
            self.notes.append(
                "The run ended before digests were kept, so its workload, cluster and configuration, and the rows to "
                "learn from, cannot be compared with what they were."
            )
            return
        present = run_digests(self.run, tasks=tasks)
        for name, words in DIGESTED.items():
            if name == "training" and kept.get(name) and not present[name]:
                self.notes.append("The rows to learn from were deleted.")
            # A run that ended before groups had figures has neither them nor their digest.
            elif present.get(name, "") != kept.get(name, ""):
                yield f"{words} what the run ended with."


def _why_not_from_placements(configuration: RunConfiguration) -> str:
    if configuration.keep == "summary":
        return "no placements were kept."
    if configuration.kill_at_estimate and configuration.estimates.startswith("predicted:"):
        return "tasks end by estimates that were made while the run went on."
    return ""
