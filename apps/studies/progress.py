"""How far a study is, and whether anybody plays it."""

from collections.abc import Iterable
from dataclasses import dataclass

from apps.live.models import SimulationState, StudyState
from apps.results.models import Run, Study, study_status
from apps.studies.definition import Definition
from scheduler_sim.background.models import Job
from scheduler_sim.display.formatting import roughly

PACE_RUNS = 50
"""The time that is left is told from so many runs that ended last."""


@dataclass(frozen=True)
class StudyProgress:
    """How far a study is.

    Attributes:
        status: what its runs' statuses come to.
        counts: how many runs have each status that occurs.
        total: how many runs there are to be, those not stored yet included.
        is_played: a living process hands its runs out or plays one of them.
        interrupted: the process that handed its runs out died.
        error: why it was not played to its end, empty where nothing is known.
        words: what its process waits for or does, empty when it is not played.
        seconds_left: from the pace of the runs that ended last, None where nothing is known or left.
    """

    status: str
    counts: dict[str, int]
    total: int
    is_played: bool
    interrupted: bool
    error: str
    words: str
    seconds_left: float | None

    @property
    def finished(self) -> int:
        """How many runs are finished."""
        return self.counts.get("finished", 0)

    @property
    def missing(self) -> int:
        """How many runs are not finished."""
        return self.total - self.finished

    @property
    def time_left(self) -> str:
        """The time that is left as one says it, empty where it is not known."""
        return "" if self.seconds_left is None else roughly(self.seconds_left)

    @property
    def is_open(self) -> bool:
        """True while runs wait or are under way."""
        return any(self.counts.get(status) for status in ("queued", "running", "paused"))


def study_progress(study: Study) -> StudyProgress:
    """Look at a study's runs."""
    counts = study.counts()
    definition = Definition.from_json(study.definition)
    there = sum(counts.values())
    # A study that stops by itself may end before its last seed.
    total = there if definition.stopping and there else max(there, definition.run_count)
    newest = study.runs.finished().order_by("-finished_at").values_list("finished_at", flat=True)[:PACE_RUNS]
    ended = [finished_at for finished_at in newest if finished_at is not None]
    state = StudyState.objects.filter(study=study).first()
    job = Job.objects.latest_about("study", study)
    is_asked_for = job is not None and job.is_active and not job.interrupted
    is_played = is_asked_for or _is_played(study, state)
    missing = total - counts.get("finished", 0)
    span = (ended[0] - ended[-1]).total_seconds() if len(ended) > 1 else 0.0
    return StudyProgress(
        status=study_status(counts) if counts or not is_played else "queued",
        counts=counts,
        total=total,
        is_played=is_played,
        interrupted=not is_played and missing > 0 and _is_interrupted(state, job),
        error=job.error if job is not None and missing and not is_played else "",
        words=job.words if is_asked_for else "",
        seconds_left=missing * span / (len(ended) - 1) if is_played and span > 0 and missing else None,
    )


def interrupted_among(studies: Iterable[Study]) -> list[tuple[Study, bool]]:
    """Return each study and whether the process that handed its runs out died before they were finished.

    Two queries however many they are, beside those for the studies that were left by their process.
    """
    studies = list(studies)
    states = {state.study_id: state for state in StudyState.objects.filter(study__in=studies)}
    jobs: dict[int, Job] = {}
    for job in Job.objects.filter(kind="study", subject_id__in=[study.pk for study in studies]).order_by("pk"):
        jobs[job.subject_id or 0] = job
    return [
        (study, _is_interrupted(states.get(study.pk), jobs.get(study.pk)) and study_progress(study).interrupted)
        for study in studies
    ]


def _is_interrupted(state: StudyState | None, job: Job | None) -> bool:
    """Tell whether the process that handed the runs out, or was to do so, died."""
    return (state is not None and state.is_abandoned) or (job is not None and job.interrupted)


def _is_played(study: Study, state: StudyState | None) -> bool:
    """Tell whether a process hands the runs out, or workers play on although that one is gone."""
    if state is not None and state.is_alive:
        return True
    under_way = (Run.Status.RUNNING, Run.Status.PAUSED)
    return any(one.is_alive for one in SimulationState.objects.filter(run__study=study, run__status__in=under_way))
