"""What a process of the pool plays of a search; free of Django at import, as `apps.studies.play.worker`."""

import json
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scheduler_sim.engine.answers.purchase import Change, Played
    from scheduler_sim.engine.answers.purchase_plays import PurchaseProblem


def play(run_id: int, document: str, change: "Change", seed: int) -> "Played":
    """Play one change with one seed."""
    return _problem(run_id, document).play_seed(change, seed)


@lru_cache(maxsize=1)
def _problem(run_id: int, document: str) -> "PurchaseProblem":
    """Keep what is played: a search plays it again and again."""
    from apps.results.models import Run
    from apps.studies.purchase.request import PurchaseRequest, purchase_problem

    run = Run.objects.select_related("workload").get(pk=run_id)
    return purchase_problem(run, PurchaseRequest.read(json.loads(document)))
