"""Playing a search to its end, on one core or on several."""

import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

from apps.results.models import Run
from apps.studies.play import worker as pool_worker
from apps.studies.purchase import worker
from apps.studies.purchase.outcome import PurchaseOutcome
from apps.studies.purchase.request import PurchaseRequest, ground_of, purchase_problem
from scheduler_sim.engine.answers.purchase import Change, Played
from scheduler_sim.engine.answers.purchase_plays import mean_play

AT_ONCE = 2
"""Changes that are played side by side, however many cores there are: so the same ones are played everywhere."""

Plays = Callable[[list[Change]], list[Played]]


def purchase_search(
    *, run: Run, request: PurchaseRequest, workers: int = 1, advanced: Callable[[PurchaseOutcome], None]
) -> PurchaseOutcome:
    """Search to the end; Ctrl-C ends it with what is found by then.

    Args:
        workers: processes that play; 1 plays in this one.
        advanced: called with what is known after each round of plays.

    Raises:
        DomainError, EngineError: what is asked for cannot be played.
    """
    begun = time.monotonic()
    ground = ground_of(run, request)
    outcome = PurchaseOutcome(run=run, request=request, ground=ground, search=ground.search(request))
    search = outcome.search
    try:
        with _players(run, request, workers) as play:
            while changes := search.ask(AT_ONCE):
                for change, played in zip(changes, play(changes), strict=True):
                    search.tell(change, played)
                outcome.seconds = time.monotonic() - begun
                advanced(outcome)
    except KeyboardInterrupt:
        outcome.is_stopped = True
    outcome.is_over = True
    outcome.seconds = time.monotonic() - begun
    return outcome


@contextmanager
def _players(run: Run, request: PurchaseRequest, workers: int) -> Iterator[Plays]:
    """Give what plays changes with all seeds, each at once where there are processes for it."""
    # Here, too, where others play: what cannot be played is refused before they are started.
    problem = purchase_problem(run, request)
    if workers <= 1:
        yield lambda changes: [problem.play(change) for change in changes]
        return
    seeds, document = list(problem.seeds), json.dumps(request.as_json())
    most = min(workers, AT_ONCE * len(seeds))
    # Not by fork: the parent has threads and database connections that a child must not inherit.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(most, mp_context=context, initializer=pool_worker.start) as pool:

        def play(changes: list[Change]) -> list[Played]:
            asked = [[pool.submit(worker.play, run.pk, document, change, seed) for seed in seeds] for change in changes]
            return [mean_play([future.result() for future in of_change]) for of_change in asked]

        try:
            yield play
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
