"""How fast an elastic job learns: Pollux's model of throughput, statistical efficiency and goodput.

Qiao et al., Pollux: Co-adaptive cluster scheduling for goodput-optimized deep learning, OSDI 2021. All functions take
columns, or numbers, that NumPy can broadcast against each other.
"""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.workloads.columns import FloatArray

CANDIDATES = 50
"""Batch sizes that `best_batch` tries, evenly on the logarithmic scale."""

TINY = 1e-8
"""What the model takes for a cost that is not there, so that powers of it are known."""


@dataclass(frozen=True)
class Goodput:
    """What is measured of a job; each a number or a column.

    Attributes:
        alpha_compute, beta_compute: seconds of a step's gradient: alpha + beta x samples on one replica.
        alpha_network, beta_network: seconds to add the gradients up over nodes: alpha + beta x (replicas - 2).
        alpha_local, beta_local: the same within one node.
        gamma: from 1, nothing overlaps, to 10, all but the longer one is hidden.
        gradient_square, gradient_variance: of the gradient at the initial batch size; their ratio is the noise scale.
        initial_batch: samples of all replicas together.
        most_batch: samples of all replicas at most. least_local, most_local: samples of one replica.
        accumulates: steps may be taken after several gradients.
    """

    alpha_compute: float
    beta_compute: float
    alpha_network: float
    beta_network: float
    alpha_local: float
    beta_local: float
    gamma: float
    gradient_square: float
    gradient_variance: float
    initial_batch: float
    most_batch: float = np.inf
    least_local: float = 1.0
    most_local: float = np.inf
    accumulates: bool = False

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            lowest = 1.0 if item.name in ("gamma", "initial_batch", "most_batch", "least_local", "most_local") else 0.0
            if not np.all(np.asarray(value) >= lowest):
                raise InvalidParameter(f"Goodput: {item.name} is {value}, not {lowest:g} or above.")

    def throughput(
        self, nodes: npt.ArrayLike, replicas: npt.ArrayLike, local: npt.ArrayLike, accumulated: npt.ArrayLike
    ) -> FloatArray:
        """Return samples a second (Pollux, equations 8 to 11).

        A step takes accumulated x T + (T^gamma + N^gamma)^(1 / gamma): T for the gradient, N to add it up.

        Args:
            local: samples of one replica at once. accumulated: gradients before the one of the step.
        """
        nodes, replicas, local, accumulated = (
            np.asarray(one, np.float64) for one in (nodes, replicas, local, accumulated)
        )
        compute = self.alpha_compute + self.beta_compute * local
        over_nodes, alone = nodes > 1, replicas <= 1
        alpha = np.where(over_nodes, self.alpha_network, np.where(alone, TINY, self.alpha_local))
        beta = np.where(over_nodes, self.beta_network, np.where(alone, TINY, self.beta_local))
        network = alpha + beta * np.maximum(replicas - 2.0, TINY)
        # Divided by the longer one, so that no power of a small time is 0.
        longest = np.maximum(compute, network)
        both = longest * ((compute / longest) ** self.gamma + (network / longest) ** self.gamma) ** (1.0 / self.gamma)
        found: FloatArray = replicas * local * (accumulated + 1.0) / (accumulated * compute + both)
        return found

    def efficiency(self, batch: npt.ArrayLike) -> FloatArray:
        """Return the progress of a sample in a batch beside one in the initial batch (Pollux, equation 6).

        gain / scale with scale = batch / initial batch and gain = (variance + square) / (variance / scale + square).
        """
        scale = np.asarray(batch, np.float64) / self.initial_batch
        below = self.gradient_variance / scale + self.gradient_square
        above = self.gradient_variance + self.gradient_square
        gain = np.divide(above, below, out=np.ones(np.broadcast(above, below).shape), where=np.asarray(below) > 0)
        found: FloatArray = gain / scale
        return found

    def goodput(
        self, nodes: npt.ArrayLike, replicas: npt.ArrayLike, local: npt.ArrayLike, accumulated: npt.ArrayLike
    ) -> FloatArray:
        """Return samples a second that are worth those in the initial batch: throughput x efficiency."""
        batch = np.multiply(np.multiply(replicas, local), np.add(accumulated, 1.0))
        return self.throughput(nodes, replicas, local, accumulated) * self.efficiency(batch)

    def best_batch(self, nodes: int, replicas: int) -> tuple[float, int, int]:
        """Return the best goodput of a job on so many replicas, its samples a replica, and its accumulated gradients.

        Batch sizes from the initial one, or what the replicas hold at least, to the largest are tried evenly on the
        logarithmic scale; the first of several equals wins. One replica that accumulates nothing keeps the initial one.

        Raises:
            InvalidParameter: there is no such batch size.
        """
        least = max(self.initial_batch, self.least_local * replicas)
        if not np.isfinite(self.most_batch) or least > self.most_batch:
            raise InvalidParameter(f"Goodput: no batch from {least:g} to {self.most_batch:g} is known.")
        batch = np.geomspace(least, self.most_batch, CANDIDATES)
        share = batch / replicas
        if self.accumulates:
            accumulated = np.ceil(share / self.most_local - TINY) - 1.0
            if replicas == 1:
                # A batch above the initial one is made of at least two gradients, or its noise could not be told.
                accumulated = np.where(batch > self.initial_batch + TINY, np.maximum(accumulated, 1.0), accumulated)
            local = np.ceil(share / (accumulated + 1.0) - TINY)
        else:
            accumulated = np.zeros_like(share)
            local = np.full_like(share, self.initial_batch) if replicas == 1 else np.ceil(share - TINY)
        local = np.clip(local, self.least_local, self.most_local)
        found = self.goodput(nodes, replicas, local, accumulated)
        best = int(np.argmax(found))
        return float(found[best]), int(local[best]), int(accumulated[best])
