"""Fitting learned policies anew, in the background, while rounds of tasks go on."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import DatabaseError, connection

from apps.results.errors import DomainError
from apps.results.models import Run
from apps.training.fitting import hybrid_train
from apps.training.models import TrainedModel, TrainingData
from apps.training.registry import models_forget
from scheduler_sim import engine

logger = logging.getLogger(__name__)

VERSIONS_KEPT = 10
"""Versions made while a race goes on that stay beside those which stored runs name, so that its tables stay bounded."""


@dataclass
class Retrainer:
    """Fits hybrid_ml whenever enough rows have been labelled; the next round plays with the new version.

    Attributes:
        interval: labelled tasks after which the model is fitted again.
        window: how many of the newest rows it looks at.
        algorithm: see `regression.ALGORITHMS`.
        seed: of the fits.
        on_fitted: called in the fitting thread with each new version and how many there were.
    """

    interval: int
    window: int
    algorithm: str = "lightgbm"
    seed: int = 0
    on_fitted: Callable[[TrainedModel, int], None] | None = None
    _since: int = field(default=0, init=False)
    _made: list[int] = field(default_factory=list, init=False)
    _fits: int = field(default=0, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def round_finished(self, run: Run) -> None:
        """Count the rows that `run` left, and begin to fit if they are enough and no fit is under way."""
        self._since += TrainingData.objects.filter(run=run).count()
        if self._since < self.interval or (self._thread is not None and self._thread.is_alive()):
            return
        self._since = 0
        self._thread = threading.Thread(target=self._fit, name="retraining", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for a fit that is under way."""
        if self._thread is not None:
            self._thread.join()

    def _fit(self) -> None:
        try:
            model = hybrid_train(window=self.window, algorithm=self.algorithm, seed=self.seed)
            logger.info("Fitted %s on %s rows.", model, model.data_range["rows"])
            self._fits += 1
            if self.on_fitted is not None:
                self.on_fitted(model, self._fits)
            self._made.append(model.version)
            older = models_forget(name=model.name, versions=self._made[:-VERSIONS_KEPT])
            self._made = older + self._made[-VERSIONS_KEPT:]
        except (DomainError, engine.EngineError, DatabaseError) as error:
            # The race goes on with the version it has.
            logger.warning("hybrid_ml could not be fitted anew: %s", error)
        finally:
            connection.close()
