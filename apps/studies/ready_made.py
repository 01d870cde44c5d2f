"""Studies that come with the product: comparisons of the literature that anybody can repeat."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from apps.results.models import Study
from apps.studies.definition import Definition, read_definition
from apps.studies.play.planning import plan_in_words, study_plan
from apps.tasks.models import Workload
from scheduler_sim.engine.crew import cores

FOLDER = Path(__file__).with_name("definitions")


@dataclass(frozen=True)
class ReadyMade:
    """One of them.

    Attributes:
        key: its file's name without the suffix. about: what it compares, in a line.
        stored: the study of that name, None where there is none.
        lacking: names of workloads that must be imported first. plan: what playing it means, in words.
    """

    key: str
    about: str
    definition: Definition
    stored: Study | None
    lacking: Sequence[str]
    plan: Sequence[str]


def ready_made_files() -> dict[str, Path]:
    """Return the definitions by their keys."""
    return {file.stem: file for file in sorted(FOLDER.glob("*.yaml"))}


def named_definition(wanted: str) -> Definition:
    """Read a study's file, or the ready-made one of that key where there is no such file.

    Raises:
        InvalidStudy, EngineError: as `read_definition`.
    """
    ours = ready_made_files().get(wanted)
    return read_definition(ours if ours is not None and not Path(wanted).is_file() else wanted)


def ready_made() -> list[ReadyMade]:
    """Return all that come with the product, with what each needs here."""
    return [_ready(key, file) for key, file in ready_made_files().items()]


def _ready(key: str, file: Path) -> ReadyMade:
    definition = read_definition(file)
    needed = [source.stored for source in definition.sources if source.stored]
    there = set(Workload.objects.filter(name__in=needed).values_list("name", flat=True)) if needed else set()
    return ReadyMade(
        key=key,
        about=file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# "),
        definition=definition,
        stored=Study.objects.filter(name=definition.name).first(),
        lacking=[name for name in needed if name not in there],
        plan=plan_in_words(study_plan(definition, workers=cores()), definition),
    )
