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

from scheduler_sim.engine.errors import EngineError, InvalidParameter
from scheduler_sim.engine.learning.informed import play_informed
from scheduler_sim.engine.learning.rollout import OBJECTIVES, play
from scheduler_sim.engine.learning.sampling import Parts, People, evenly_spaced, sample
from scheduler_sim.engine.learning.sequences import Sequences
from scheduler_sim.engine.optional import optional
from scheduler_sim.engine.policies import parse_policy
from scheduler_sim.engine.policies.learned import FORMS
from scheduler_sim.engine.policies.scoring import (
    HIDDEN_UNITS,
    HISTORY,
    MLP,
    PAST_FEATURES,
    PAST_STATES,
    STATE_FEATURES,
    TASK_FEATURES,
    parameter_vector,
    weight_count,
)
from scheduler_sim.engine.workloads.workload import FloatArray, Workload

SMALLEST = 1e-3
"""Added before the logarithm, since a mean wait can be 0."""


BACKFILLS = ("none", "list", "easy", "easy(predict=last_two)")
"""What a score can be searched together with; the last with the form `history` only."""


class SearchStopped(EngineError):
    """Somebody stopped the search before it had found anything."""


@dataclass(frozen=True)
class SearchSettings:
    """What is searched, and how long.

    Attributes:
        form: `linear`, `mlp` or `history`.
        objective: `bsld`, `jct` or `wait`.
        backfill: one of `BACKFILLS`.
        length: tasks in a sequence.
        generations: at most so many.
        population: candidates a generation.
        batch: sequences that judge a generation.
        validations: sequences that choose when to stop; a third as recorded, the others varied.
        check_every: generations between two looks at the validation part.
        patience: looks without improvement after which the search stops.
        max_seconds: of wall time, for one search; a search that hits it depends on the machine's speed.
        threads: candidates that are played at the same time.
        step: CMA-ES' first step size.
        again: whether to search again on the training and validation parts together.
    """

    form: str = "linear"
    objective: str = "bsld"
    backfill: str = "none"
    length: int = 1024
    generations: int = 200
    population: int = 16
    batch: int = 16
    validations: int = 96
    check_every: int = 20
    patience: int = 10
    max_seconds: float = 600.0
    threads: int = 2
    step: float = 0.3
    again: bool = True

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise InvalidParameter(f"A learned score has the form {', '.join(FORMS)}, not {self.form!r}.")
        if self.objective not in OBJECTIVES:
            raise InvalidParameter(f"The objective is one of {', '.join(OBJECTIVES)}, not {self.objective!r}.")
        if self.backfill not in BACKFILLS:
            raise InvalidParameter(f"Scores are searched with {', '.join(BACKFILLS)}, not {self.backfill!r}.")
        if self.backfill == BACKFILLS[-1] and self.form != "history":
            raise InvalidParameter(f"{self.backfill} goes by users' past, as scores of the form history do.")
        for name in ("length", "generations", "batch", "validations", "check_every", "patience", "threads"):
            if getattr(self, name) < 1:
                raise InvalidParameter(f"{name} must be at least 1, not {getattr(self, name)}.")
        if self.population < 4:
            raise InvalidParameter(f"population must be at least 4, not {self.population}.")


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
    """

    weights: FloatArray
    validation: float
    curve: list[CurvePoint]
    sequences_played: int
    stopped: str
    seed: int
    settings: SearchSettings = field(repr=False)

    def document(self) -> dict[str, Any]:
        """Return the JSON document that `orders.learned_order` takes."""
        form = self.settings.form
        hidden = {"hidden": HIDDEN_UNITS} if FORMS[form] == MLP else {}
        return {"form": form, "weights": [float(weight) for weight in self.weights], **hidden}

    def curve_json(self) -> list[dict[str, float]]:
        """Return the curve as plain data."""
        return [asdict(point) for point in self.curve]


def search(
    parts: Parts,
    processors: int,
    settings: SearchSettings,
    *,
    seed: int = 0,
    progress: Callable[[CurvePoint], None] | None = None,
    stop: threading.Event | None = None,
) -> SearchResult:
    """Search one score; the same seed finds the same weights, unless `max_seconds` ends it.

    Args:
        parts: training and validation parts are used, the test part is not looked at.
        processors: of the pool.
        progress: called at each look.
        stop: once it is set, the search ends before the next candidate is played.

    Raises:
        InvalidWorkload: tasks that a pool cannot play.
        SearchStopped: `stop` was set.
    """
    judge = _Judge(settings, stop)
    validation = _validation(parts, processors, settings)
    descent = _Descent(parts.training, processors, settings, judge, seed)
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
            descent = _Descent(parts.both, processors, settings, judge, seed)
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
    )


def search_seeds(
    parts: Parts,
    processors: int,
    settings: SearchSettings,
    *,
    seeds: list[int],
    progress: Callable[[int, CurvePoint], None] | None = None,
    stop: threading.Event | None = None,
) -> list[SearchResult]:
    """Search once a seed, `settings.threads` of them side by side, and return the results, best validation first.

    Raises:
        InvalidWorkload, SearchStopped: see `search`.
    """

    def one(seed: int) -> SearchResult:
        tell = None if progress is None else (lambda point: progress(seed, point))
        return search(parts, processors, replace(settings, threads=1), seed=seed, progress=tell, stop=stop)

    with ThreadPoolExecutor(settings.threads) as pool:
        return sorted(pool.map(one, seeds), key=lambda result: (result.validation, result.seed))


class _Judge:
    """The objective of weights on sequences: the mean logarithm of the figure, over sequences."""

    def __init__(self, settings: SearchSettings, stop: threading.Event | None) -> None:
        self._stop = stop
        self._form = FORMS[settings.form]
        backfill = parse_policy(f"fcfs+{settings.backfill}").backfill
        self._backfill, self._predict = backfill.code, backfill.predicts
        self._column = OBJECTIVES.index(settings.objective)
        self.played = 0

    def __call__(self, weights: FloatArray, sequences: Sequences) -> float:
        if self._stop is not None and self._stop.is_set():
            raise SearchStopped("The search was stopped; nothing is stored.")
        parameters = parameter_vector(self._form, weights)
        if self._form == HISTORY:
            figures = play_informed(sequences, parameters, self._backfill, predict=self._predict)
        else:
            figures = play(sequences, parameters, self._backfill)
        self.played += len(sequences)
        return float(np.log(figures[:, self._column] + SMALLEST).mean())


class _Descent:
    """CMA-ES on sequences drawn from one part.

    Args:
        part: what sequences are drawn from.
        seed: of the sequences and of the candidates.
    """

    def __init__(self, part: Workload, processors: int, settings: SearchSettings, judge: _Judge, seed: int) -> None:
        with warnings.catch_warnings():
            # It says on import that it cannot plot; nobody asks it to.
            warnings.simplefilter("ignore")
            cma = optional("cma", extra="learn")

        self._part, self._processors, self._settings, self._judge = part, processors, settings, judge
        self._people = _people(part, settings)
        self._generator = np.random.default_rng(seed)
        # A stream of its own: the library's default is NumPy's global one, which searches side by side would share.
        candidates = np.random.default_rng([seed, 1])
        self._strategy = cma.CMAEvolutionStrategy(
            _first_guess(settings.form, self._generator),
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
        settings = self._settings
        batch = sample(
            self._part,
            settings.batch,
            settings.length,
            self._processors,
            self._generator,
            people=self._people,
        )
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
        """Return the present mean; of a score whose length means nothing at length 1, to be averaged."""
        mean: FloatArray = np.array(self._strategy.mean)
        return mean if FORMS[self._settings.form] == MLP else mean / np.linalg.norm(mean)


def _people(part: Workload, settings: SearchSettings) -> People | None:
    """Return who is behind the tasks, for scores that look at it."""
    return People.of(part) if FORMS[settings.form] == HISTORY else None


def _validation(parts: Parts, processors: int, settings: SearchSettings) -> tuple[Sequences, Sequences]:
    """Return the sequences that choose when to stop, the same for every seed of a search."""
    recorded = max(settings.validations // 3, 1)
    varied = max(settings.validations - recorded, 1)
    return (
        evenly_spaced(parts.validation, recorded, settings.length, processors),
        sample(
            parts.validation,
            varied,
            settings.length,
            processors,
            np.random.default_rng(0),
            people=_people(parts.validation, settings),
        ),
    )


def _first_guess(form: str, generator: np.random.Generator) -> FloatArray:
    """Start a score at smallest area first, and a network at small random weights."""
    code = FORMS[form]
    if code == MLP:
        return generator.normal(0.0, 0.3, weight_count(code))
    past = code == HISTORY
    weights = np.zeros((len(PAST_FEATURES), len(PAST_STATES)) if past else (len(TASK_FEATURES), len(STATE_FEATURES)))
    # r and n are ln(r) / 5 - 1 and ln(n) scaled to -1..1; on 256 processors 0.55 makes it the logarithm of r * n.
    weights[0, 0], weights[1, 0] = 1.0, 0.3 if past else 0.55
    return weights.ravel()
