"""Finds the weights of a learned score by CMA-ES over simulated sequences.

CMA-ES: Hansen & Ostermeier, Completely derandomized self-adaptation in evolution strategies, Evol. Comput. 2001; the
implementation is the package `cma`. Four things keep a score from fitting accidents of its training part: every
generation is judged on freshly drawn, varied sequences; the objective is the mean logarithm of each sequence's figure,
so that the few worst sequences do not rule; what is kept is the average of the distribution's means over the later half
of the generations (Polyak & Juditsky, SIAM J. Control Optim. 1992), since each of them alone follows its few sequences;
and after how many generations is chosen on a validation part, whereupon the search is made again for as many on both
parts together, so that the score has met all tasks that it may.
"""

import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from scheduler_sim.engine.clusters.cluster import Cluster
from scheduler_sim.engine.errors import EngineError
from scheduler_sim.engine.learning.rollout import OBJECTIVES
from scheduler_sim.engine.learning.sampling import Parts
from scheduler_sim.engine.learning.settings import SearchSettings
from scheduler_sim.engine.learning.subjects import Batch, Subject, subject_of
from scheduler_sim.engine.optional import optional
from scheduler_sim.engine.workloads.workload import FloatArray, Workload

SMALLEST = 1e-3
"""Added before the logarithm, since a mean wait can be 0."""


class SearchStopped(EngineError):
    """Somebody stopped the search before it had found anything."""


@dataclass(frozen=True)
class CurvePoint:
    """One look at the search.

    Attributes:
        generation: counted from 1.
        training: mean objective of the generation's candidates.
        validation: objective, on the validation sequences, of the average of the later half of the means.
        step: CMA-ES' step size.
        seconds: since the search began.
    """

    generation: int
    training: float
    validation: float
    step: float
    seconds: float


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a search found.

    Attributes:
        weights: what was found.
        validation: the best objective on the validation part (a mean logarithm), before the search was made again.
        curve: the looks, in order.
        sequences_played: in all.
        stopped: why it ended, in words.
        seed: of every random stream.
        settings: what was searched.
        document: what is stored of it, as `policies.learned` takes it.
    """

    weights: FloatArray
    validation: float
    curve: list[CurvePoint]
    sequences_played: int
    stopped: str
    seed: int
    settings: SearchSettings = field(repr=False)
    document: dict[str, Any] = field(repr=False)

    def curve_json(self) -> list[dict[str, float]]:
        """Return the curve as plain data."""
        return [asdict(point) for point in self.curve]


def search(
    parts: Parts,
    cluster: Cluster,
    settings: SearchSettings,
    *,
    seed: int = 0,
    progress: Callable[[CurvePoint], None] | None = None,
    stop: threading.Event | None = None,
) -> SearchResult:
    """Search one score; the same seed finds the same weights, unless `max_seconds` ends it.

    Args:
        parts: training and validation parts are used, the test part is not looked at.
        cluster: a pool of processors for an order.
        progress: called at each look.
        stop: once it is set, the search ends before the next candidate is played.

    Raises:
        InvalidParameter, InvalidWorkload: a cluster, or tasks, on which the choice cannot be searched.
        SearchStopped: `stop` was set.
    """
    subject = subject_of(settings, cluster)
    judge = _Judge(subject, stop)
    validation = _validation(subject, parts.validation)
    descent = _Descent(subject, parts.training, judge, seed)
    curve: list[CurvePoint] = []
    best, best_weights, best_generation, stopped = np.inf, descent.average, 0, "all generations"
    began = time.perf_counter()
    with ThreadPoolExecutor(settings.threads) as pool:
        for generation in range(1, settings.generations + 1):
            training = descent.step(pool)
            if generation % settings.check_every and generation != settings.generations:
                continue
            average = descent.average
            halves = list(pool.map(lambda part, weights=average: judge(weights, part), validation))
            seconds = time.perf_counter() - began
            point = CurvePoint(generation, training, float(np.mean(halves)), descent.step_size, seconds)
            curve.append(point)
            if progress is not None:
                progress(point)
            if point.validation < best:
                best, best_weights, best_generation = point.validation, average, generation
            since = len(curve) - 1 - int(np.argmin([item.validation for item in curve]))
            if since >= settings.patience:
                stopped = f"no better on the validation part for {since * settings.check_every} generations"
                break
            # Searching again takes about as long.
            if seconds > settings.max_seconds / (1 + settings.again):
                stopped = f"{settings.max_seconds:g} seconds were over"
                break
        if settings.again:
            descent = _Descent(subject, parts.both, judge, seed)
            for _ in range(best_generation):
                descent.step(pool)
            best_weights = descent.average
    return SearchResult(
        weights=best_weights,
        validation=best,
        curve=curve,
        sequences_played=judge.played,
        stopped=stopped,
        seed=seed,
        settings=settings,
        document=subject.document(best_weights),
    )


def search_seeds(
    parts: Parts,
    cluster: Cluster,
    settings: SearchSettings,
    *,
    seeds: list[int],
    progress: Callable[[int, CurvePoint], None] | None = None,
    stop: threading.Event | None = None,
) -> list[SearchResult]:
    """Search once a seed, `settings.threads` of them side by side, and return the results, best validation first.

    Raises:
        InvalidParameter, InvalidWorkload, SearchStopped: see `search`.
    """

    def one(seed: int) -> SearchResult:
        tell = None if progress is None else (lambda point: progress(seed, point))
        return search(parts, cluster, replace(settings, threads=1), seed=seed, progress=tell, stop=stop)

    with ThreadPoolExecutor(settings.threads) as pool:
        return sorted(pool.map(one, seeds), key=lambda result: (result.validation, result.seed))


class _Judge:
    """The objective of weights on sequences: the mean logarithm of the figure, over sequences."""

    def __init__(self, subject: Subject, stop: threading.Event | None) -> None:
        self._subject, self._stop = subject, stop
        self._column = OBJECTIVES.index(subject.settings.objective)
        self.played = 0

    def __call__(self, weights: FloatArray, sequences: Batch) -> float:
        if self._stop is not None and self._stop.is_set():
            raise SearchStopped("The search was stopped; nothing is stored.")
        figures = self._subject.figures(weights, sequences)
        self.played += len(sequences)
        return float(np.log(figures[:, self._column] + SMALLEST).mean())


class _Descent:
    """CMA-ES on sequences drawn from one part.

    Args:
        part: what sequences are drawn from.
        seed: of the sequences and of the candidates.
    """

    def __init__(self, subject: Subject, part: Workload, judge: _Judge, seed: int) -> None:
        with warnings.catch_warnings():
            # It says on import that it cannot plot; nobody asks it to.
            warnings.simplefilter("ignore")
            cma = optional("cma", extra="learn")

        settings = subject.settings
        self._subject, self._draw, self._judge = subject, subject.source(part), judge
        self._generator = np.random.default_rng(seed)
        # A stream of its own: the library's default is NumPy's global one, which searches side by side would share.
        candidates = np.random.default_rng([seed, 1])
        self._strategy = cma.CMAEvolutionStrategy(
            subject.first_guess(self._generator),
            settings.step,
            {
                "randn": lambda *shape: candidates.standard_normal(shape),
                "seed": np.nan,
                "popsize": settings.population,
                "verbose": -9,
            },
        )
        self._means = [self._mean()]

    def step(self, pool: ThreadPoolExecutor) -> float:
        """Play one generation and return the mean objective of its candidates."""
        batch = self._draw(self._subject.settings.batch, self._generator)
        candidates = self._strategy.ask()
        figures = list(pool.map(lambda weights: self._judge(weights, batch), candidates))
        self._strategy.tell(candidates, figures)
        self._means.append(self._mean())
        return float(np.mean(figures))

    @property
    def average(self) -> FloatArray:
        """The average of the distribution's means over the later half of the generations."""
        weights: FloatArray = np.mean(self._means[(len(self._means) + 1) // 2 :] or self._means, axis=0)
        return weights

    @property
    def step_size(self) -> float:
        """CMA-ES' present step size."""
        return float(self._strategy.sigma)

    def _mean(self) -> FloatArray:
        return self._subject.scaled(np.array(self._strategy.mean))


def _validation(subject: Subject, part: Workload) -> tuple[Batch, Batch]:
    """Return the sequences that choose when to stop, the same for every seed of a search."""
    recorded = max(subject.settings.validations // 3, 1)
    varied = max(subject.settings.validations - recorded, 1)
    return subject.recorded(part, recorded), subject.source(part)(varied, np.random.default_rng(0))
