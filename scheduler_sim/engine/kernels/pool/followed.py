"""What a learned score that looks at users is told while a pool plays, with or without predicted run times."""

from typing import NamedTuple

import numpy as np

from scheduler_sim.engine.kernels.pool.reordered import Predictions
from scheduler_sim.engine.policies.past_scoring import Past
from scheduler_sim.engine.workloads.workload import IntArray


class Followed(NamedTuple):
    """What users have done, and whose the queued tasks are.

    Attributes:
        past: what has finished.
        predictions: of run times, of those that know a user's last runs only, see `reordered.make_predictions`; where
            something is predicted, it overwrites what is expected of the tasks.
        user, kind: shape (n,), of the queued tasks at their places in `learned.Queue`; numbers as in `past`.
    """

    past: Past
    predictions: Predictions
    user: IntArray
    kind: IntArray


def follow(past: Past, predictions: Predictions) -> Followed:
    """Return what is followed before anything has arrived."""
    length = len(predictions.end)
    return Followed(past, predictions, np.empty(length, np.int64), np.empty(length, np.int64))
