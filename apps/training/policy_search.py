"""Searching a score on a stored workload, judging it on later tasks, and storing it."""

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
from django.db import DatabaseError, InterfaceError, connection

from apps.tasks.digests import tasks_digest
from apps.tasks.models import Workload
from apps.tasks.stored_tasks import load_tasks
from apps.training.models import BY_GROUP, PolicySearch, TrainedModel
from apps.training.registry import check_name, model_store
from scheduler_sim import engine
from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.learning.by_group import by_group, groups_of
from scheduler_sim.engine.learning.evaluation import (
    held_out_rows,
    paired_interval,
    policy_figures,
    refusal,
)
from scheduler_sim.engine.learning.sampling import Parts
from scheduler_sim.engine.learning.search import CurvePoint, SearchResult, search_seeds
from scheduler_sim.engine.learning.settings import ORDER, SearchSettings
from scheduler_sim.engine.policies.choice_scoring import CHOICES
from scheduler_sim.engine.policies.scoring import PAST_FEATURES, PAST_STATES, STATE_FEATURES, TASK_FEATURES
from scheduler_sim.engine.workloads.workload import FloatArray

HELD_OUT_WINDOWS = 20

BEST_OTHER = {True: "best_other_order", False: "best_other_policy"}
"""Where the scores name the best of what is not learned, of an order and of another choice."""

NOTED_EVERY = 2.0
"""Seconds between two notes of how far a search is."""

logger = logging.getLogger(__name__)


def policy_train(
    *,
    workload: Workload,
    cluster: engine.Cluster,
    name: str,
    settings: SearchSettings,
    seeds: list[int],
    activate: bool = True,
    progress: Callable[[int, CurvePoint], None] | None = None,
    noted: Callable[[PolicySearch], None] | None = None,
) -> TrainedModel:
    """Search once a seed, keep the best on the validation part, judge it on the test part and store it.

    A KeyboardInterrupt stops the searches, and nothing is stored.

    Args:
        cluster: a pool of processors for an order.
        progress: called in the searching thread at each look with the search's seed.
        noted: called in this thread whenever it was stored how far the search is.

    Raises:
        InvalidModelName: a name that could not stand in a policy.
        InvalidParameter, InvalidWorkload: a workload that is too short, or a cluster or tasks on which the choice
            cannot be searched.
    """
    check_name(name)
    tasks = load_tasks(workload_id=workload.pk).workload
    parts = Parts.of(tasks, length=settings.length)
    rivals = _rivals(settings, parts, cluster)
    with _shown(name, settings, seeds) as shown:
        results = _search(parts, cluster, settings, seeds, shown, progress, noted or (lambda _search: None))
    best = results[0]
    return model_store(
        name=name,
        kind=settings.kind,
        artifact=json.dumps(best.document),
        parameters={
            **asdict(settings),
            "processors": cluster.cores if cluster.is_pool else None,
            "cluster": None if cluster.is_pool else cluster.name,
            "curve": best.curve_json(),
            "stopped": best.stopped,
            "searches": [
                {"seed": result.seed, "validation": result.validation, "sequences": result.sequences_played}
                for result in results
            ],
        },
        features=_features(settings),
        data_range=data_range(workload, parts, settings.choice),
        seed=best.seed,
        scores=_scores(best, parts, cluster, rivals),
        activate=activate,
    )


def _features(settings: SearchSettings) -> list[str]:
    """Return what a score looks at."""
    if settings.choice != ORDER:
        form = CHOICES[settings.choice]
        return [*form.features, *(f"{name} of the state" for name in form.states)]
    past = settings.form == "history"
    states = PAST_STATES if past else STATE_FEATURES
    return [*(PAST_FEATURES if past else TASK_FEATURES), *(f"{name} of the state" for name in states)]


@contextmanager
def _shown(name: str, settings: SearchSettings, seeds: list[int]) -> Iterator[PolicySearch]:
    """Keep a row of the search while it lasts."""
    shown = PolicySearch.objects.create(
        name=name,
        form=settings.kind,
        seeds=seeds,
        **{name: getattr(settings, name) for name in ("objective", "backfill", "generations")},
    )
    shown.claim()
    try:
        yield shown
    finally:
        with _unless_away(name):
            shown.release()
            shown.delete()


@contextmanager
def _unless_away(name: str) -> Iterator[None]:
    """Go on when the database does not answer: what the search finds is worth more than that people can look on."""
    try:
        yield
    except (DatabaseError, InterfaceError) as error:
        logger.warning("How far the search for %s is could not be stored: %s", name, error)
        if not connection.in_atomic_block:
            # The next question opens another, in case this one is broken.
            connection.close()


def _search(
    parts: Parts,
    cluster: engine.Cluster,
    settings: SearchSettings,
    seeds: list[int],
    shown: PolicySearch,
    progress: Callable[[int, CurvePoint], None] | None,
    noted: Callable[[PolicySearch], None],
) -> list[SearchResult]:
    """Search in other threads, so that this one can note how far they are, and stop them."""
    curve: list[dict[str, Any]] = []

    def look(seed: int, point: CurvePoint) -> None:
        fields = {"generation": point.generation, "training": point.training, "validation": point.validation}
        curve.append({"seed": seed, **fields})
        if progress is not None:
            progress(seed, point)

    stop = threading.Event()
    with ThreadPoolExecutor(1) as aside:
        found = aside.submit(search_seeds, parts, cluster, settings, seeds=seeds, progress=look, stop=stop)
        try:
            while not wait([found], NOTED_EVERY).done:
                with _unless_away(shown.name):
                    shown.note(list(curve))
                    noted(shown)
        except BaseException:
            stop.set()
            raise
        return found.result()


def _rivals(settings: SearchSettings, parts: Parts, cluster: engine.Cluster) -> dict[str, engine.Policy]:
    """Return what is held against the score and can play these tasks there.

    Raises:
        InvalidParameter: nothing can.
    """
    told = {name: refusal(policy, parts.test, cluster) for name, policy in settings.rivals().items()}
    if all(told.values()):
        name, sentence = next(iter(told.items()))
        raise InvalidParameter(f"Nothing that it would be held against can be played; {name}: {sentence}")
    return {name: policy for name, policy in settings.rivals().items() if not told[name]}


def data_range(workload: Workload, parts: Parts, choice: str = ORDER) -> dict[str, Any]:
    """Return which tasks were searched on, and a digest of what the search saw of them."""
    seen = hashlib.sha256()
    for part in (parts.training, parts.validation):
        if choice != ORDER:
            # Played as a run does, which reads whatever tasks say.
            seen.update(tasks_digest(part).encode())
            continue
        for column in (part.task_id, part.arrival_time, part.runtime, part.duration_estimate, part.cpus):
            seen.update(np.ascontiguousarray(column).tobytes())
    return {
        "workload": workload.name,
        "training_tasks": len(parts.training),
        "validation_tasks": len(parts.validation),
        "test_tasks": len(parts.test),
        "first_arrival_time": float(parts.training.arrival_time[0]),
        "last_arrival_time": float(parts.validation.arrival_time[-1]),
        "sha256": seen.hexdigest(),
    }


def _scores(
    result: SearchResult, parts: Parts, cluster: engine.Cluster, rivals: dict[str, engine.Policy]
) -> dict[str, Any]:
    """Play what was found and what it is held against on windows of the test part."""
    settings = result.settings
    rows = held_out_rows(parts.test, HELD_OUT_WINDOWS, settings.length)
    windows = [parts.test.take(one) for one in rows]

    def played(policy: engine.Policy) -> list[FloatArray]:
        return policy_figures(policy, windows, cluster, settings.objective)

    of_tasks = {name: played(policy) for name, policy in rivals.items()}
    of_learned = played(settings.policy(result.document))
    others = {name: np.array([one.mean() for one in figures]) for name, figures in of_tasks.items()}
    learned = np.array([one.mean() for one in of_learned])
    best = min(others, key=lambda name: others[name].mean())
    low, high = paired_interval(learned - others[best], np.random.default_rng(result.seed))
    figure = f"held_out_mean_{settings.objective}"
    return {
        figure: float(learned.mean()),
        "validation_mean_log": result.validation,
        BEST_OTHER[settings.choice == ORDER]: best,
        f"best_other_{settings.objective}": float(others[best].mean()),
        "change_percent": float(100.0 * (learned.mean() / others[best].mean() - 1.0)),
        "difference_interval": [low, high],
        "others": {name: float(values.mean()) for name, values in others.items()},
        "windows": len(windows),
        BY_GROUP: {
            "figure": f"mean_{settings.objective}",
            "against": best,
            "groups": by_group(
                groups_of(parts.test.take(rows.reshape(-1))), np.concatenate(of_learned), np.concatenate(of_tasks[best])
            ),
        },
    }
