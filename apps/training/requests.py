"""What can be asked for: a model, or a policy search. Commands, pages and the API check it here, with one sentence."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Self

from apps.results.errors import DomainError, InvalidField
from apps.results.models import Run
from apps.tasks.models import Task, Workload
from apps.tasks.stored_tasks import load_tasks
from apps.training.agents import agent_train
from apps.training.fitting import hybrid_train, runtime_train
from apps.training.models import PolicySearch, TrainedModel
from apps.training.policy_search import policy_train
from apps.training.registry import AGENT_KIND, HYBRID_KIND, RUNTIME_KIND, check_name
from scheduler_sim import engine
from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.clusters.presets import PRESET, load_cluster, pool
from scheduler_sim.engine.errors import EngineError, InvalidCluster
from scheduler_sim.engine.learning.sampling import TRAINING
from scheduler_sim.engine.learning.search import CurvePoint
from scheduler_sim.engine.learning.settings import ORDER, InvalidSetting, SearchSettings
from scheduler_sim.engine.learning.subjects import NONE_TO_SPLIT, refuse_unplayable
from scheduler_sim.engine.policies.agent import RewardWeights
from scheduler_sim.engine.predictors.regression import ALGORITHMS

KINDS = (HYBRID_KIND, RUNTIME_KIND, AGENT_KIND)
LASTING = (
    "length",
    "generations",
    "population",
    "batch",
    "validations",
    "check_every",
    "patience",
    "max_seconds",
    "threads",
)
"""The settings of a search that say how long it lasts."""

SEARCHED = ("choice", "form", "objective", "order", "backfill", "preemption", *LASTING)
"""The settings of a search that can be asked for."""

FEW = 200
"""Tasks, the first ones, on which it is tried whether what would be searched can be played."""

_ANY_TASK = engine.Workload.from_columns(
    arrival_time=[0.0], runtime=[1.0], duration_estimate=[1.0], cpus=[1.0], recorded_start_time=[0.0]
)


class InvalidTraining(InvalidField):
    """Something that cannot be trained."""


@dataclass(frozen=True)
class ModelRequest:
    """A model to be fitted.

    Attributes:
        kind: one of `KINDS`.
        run, window, since, until: which labelled rows hybrid_ml is fitted to; see `hybrid_train`.
        workload: key of the tasks that a runtime model or an agent learns from.
        cluster: where an agent plays: a preset, or in a command a file.
        agent_reward: the weights of time, energy and cost, `T,E,C`.
        name: empty: made from the kind and the workload.
        activate: put it in use.

    Raises:
        InvalidTraining: a value that has no meaning.
    """

    kind: str
    run: int | None = None
    window: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    workload: int | None = None
    cluster: str = "workstation"
    agent_reward: str = "1,0,0"
    algorithm: str = ALGORITHMS[0]
    name: str = ""
    seed: int = 0
    activate: bool = True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidTraining(f"A model is {', '.join(KINDS)}, not {self.kind!r}.", "kind")
        _check_seed(self.seed)
        if self.window is not None and self.window < 1:
            raise InvalidTraining(f"window must be at least 1, not {self.window}.", "window")
        if self.algorithm not in ALGORITHMS:
            raise InvalidTraining(f"A regressor is {', '.join(ALGORITHMS)}, not {self.algorithm!r}.", "algorithm")
        if self.kind != HYBRID_KIND and self.workload is None:
            raise InvalidTraining(f"A model of the kind {self.kind} learns from tasks; give a workload.", "workload")
        if self.kind != AGENT_KIND and self.name:
            _named("name", check_name, self.name)
        if self.kind == AGENT_KIND:
            _named("agent_reward", RewardWeights.parse, self.agent_reward)

    def train(self) -> TrainedModel:
        """Fit it and store it.

        Raises:
            DomainError, EngineError: what it is to learn from is not there, or not enough.
        """
        if self.kind == HYBRID_KIND:
            return hybrid_train(
                run=None if self.run is None else Run.objects.get(pk=self.run),
                window=self.window,
                since=self.since,
                until=self.until,
                algorithm=self.algorithm,
                seed=self.seed,
                name=self.name or HYBRID_KIND,
                activate=self.activate,
            )
        workload = Workload.objects.get(pk=self.workload or 0)
        if self.kind == RUNTIME_KIND:
            return runtime_train(
                workload=workload,
                name=self.name or workload.name.replace(".", "_")[:60],
                algorithm=self.algorithm,
                seed=self.seed,
                activate=self.activate,
            )
        return agent_train(
            workload=workload,
            cluster=load_cluster(self.cluster, max_processors=workload.max_processors),
            reward=RewardWeights.parse(self.agent_reward),
            seed=self.seed,
            activate=self.activate,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the document that is kept with a job."""
        document = asdict(self)
        for moment in ("since", "until"):
            document[moment] = document[moment] and document[moment].isoformat()
        return document

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read a document that was kept."""
        moments = {name: document[name] and datetime.fromisoformat(document[name]) for name in ("since", "until")}
        return cls(**{**document, **moments})


@dataclass(frozen=True)
class SearchRequest:
    """A policy search.

    Attributes:
        workload: key of the tasks that are searched on.
        name: empty: made from the workload and the backfill.
        processors: of the pool; None for the trace's own size.
        cluster: instead of a pool: a preset, or in a command a file; empty for a pool.
        seed, searches: the seed of the first search, and how many there are, each with its own.
        settings: what is searched, and how long; some of `SEARCHED`.

    Raises:
        InvalidTraining: a value that has no meaning.
    """

    workload: int
    name: str = ""
    processors: int | None = None
    cluster: str = ""
    seed: int = 0
    searches: int = 2
    activate: bool = True
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.searches < 1:
            raise InvalidTraining(f"searches must be at least 1, not {self.searches}.", "searches")
        if self.processors is not None and self.processors < 1:
            raise InvalidTraining(f"processors must be at least 1, not {self.processors}.", "processors")
        if self.processors is not None and self.cluster:
            raise InvalidTraining("Give the processors of a pool or a cluster, not both.", "cluster")
        _check_seed(self.seed)
        if not 0 < self.settings.get("max_seconds", 1.0) < math.inf:
            raise InvalidTraining("max_seconds must be above 0.", "max_seconds")
        if self.name:
            _named("name", check_name, self.name)
        try:
            SearchSettings(**self.settings)
        except InvalidSetting as error:
            raise InvalidTraining(str(error), error.field) from None

    def check_beforehand(self) -> None:
        """Refuse what can be known to be unplayable before there is a workload.

        Raises:
            InvalidTraining: a cluster that is not there, or on which this cannot be searched.
        """
        settings = SearchSettings(**self.settings)
        if self.cluster == "auto" or (not self.cluster and settings.choice == ORDER):
            return
        # A pool of any size will do: it has one node and no GPUs.
        self._check_on(self._cluster(self.processors or 1), _ANY_TASK)

    def played_on(self) -> tuple[Workload, Cluster]:
        """Return the workload and the cluster.

        Raises:
            InvalidTraining: no such workload, nothing that says how large its machine was, a cluster on which this
                cannot be searched, or tasks that what would be searched does not play.
        """
        workload = Workload.objects.filter(pk=self.workload).first()
        if workload is None:
            raise InvalidTraining(f"There is no workload {self.workload}.", "workload")
        processors = self.processors or workload.max_processors
        if not self.cluster and not processors:
            sentence = f"Workload {workload.name} does not say how large its machine was; give its processors."
            raise InvalidTraining(sentence, "processors")
        cluster = self._cluster(processors)
        self._check_on(cluster, load_tasks(workload_id=workload.pk, limit=FEW).workload)
        searched_on = workload.tasks.in_canonical_order()[: round(workload.task_count * TRAINING)]
        if (
            self.settings.get("choice") == "split"
            and not workload.tasks.filter(pk__in=searched_on.values("pk"), kind=Task.Kind.HYBRID).exists()
        ):
            raise InvalidTraining(NONE_TO_SPLIT, "workload")
        return workload, cluster

    def _cluster(self, processors: int | None) -> Cluster:
        if not self.cluster:
            return pool(processors or 1)
        try:
            return load_cluster(self.cluster, max_processors=processors)
        except EngineError as error:
            raise InvalidTraining(str(error), "cluster") from None

    def _check_on(self, cluster: Cluster, tasks: engine.Workload) -> None:
        try:
            refuse_unplayable(SearchSettings(**self.settings), cluster, tasks)
        except EngineError as error:
            raise InvalidTraining(str(error), "cluster") from None

    def search(
        self,
        *,
        progress: Callable[[int, CurvePoint], None] | None = None,
        noted: Callable[[PolicySearch], None] | None = None,
    ) -> TrainedModel:
        """Search, judge and store.

        Args:
            progress, noted: see `policy_train`.

        Raises:
            DomainError, EngineError: a workload that is too short or that a pool cannot play.
        """
        workload, cluster = self.played_on()
        settings = SearchSettings(**self.settings)
        return policy_train(
            workload=workload,
            cluster=cluster,
            name=self.name or _name(workload, settings),
            settings=settings,
            seeds=self.seeds,
            activate=self.activate,
            progress=progress,
            noted=noted,
        )

    @property
    def seeds(self) -> list[int]:
        """One a search."""
        return list(range(self.seed, self.seed + self.searches))


def _name(workload: Workload, settings: SearchSettings) -> str:
    found = settings.backfill.partition("(")[0] if settings.choice == ORDER else settings.choice
    return f"{workload.name.replace('.', '_')}-{found}"[:60]


def check_preset(cluster: str) -> None:
    """Refuse a cluster that is not a preset: over HTTP a file would be one of the server's.

    Raises:
        InvalidTraining: anything else.
    """
    if not PRESET.fullmatch(cluster):
        raise InvalidTraining(f"There is no cluster preset {cluster!r}.", "cluster")


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**62:
        raise InvalidTraining(f"seed must be a whole number from 0 to 2**62 - 1, not {seed}.", "seed")


def _named(name: str, check: Callable[[str], object], value: str) -> None:
    try:
        check(value)
    except (DomainError, EngineError, InvalidCluster) as error:
        raise InvalidTraining(str(error), name) from None
