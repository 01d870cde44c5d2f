"""The middle of all shares that keep what each job must have, so that a programme's many optima come down to one.

A linear programme's optimum is often met by many allocations, and the corner that a simplex method stops at leaves
GPUs idle or gives some jobs all that is left over. The analytic centre (Sonnevend 1985), where the product of all
slacks is largest, is unique, treats jobs that are alike alike, and is where interior-point solvers end.
"""

import numpy as np

from scheduler_sim.engine.columns import FloatArray
from scheduler_sim.engine.jit import counting_kernel

MOST_STEPS = 100
CLOSE = 1e-12
"""Newton steps at most, and the decrement at which they end."""

SHORTEST = 1e-9
"""The part of a step below which rounding leaves no direction to go in."""


@counting_kernel
def center(
    x: FloatArray, gains: FloatArray, least: float, gpus: FloatArray, count: FloatArray, workers: FloatArray
) -> None:
    """Move x to where the weighted sum of the logarithms of all slacks is largest.

    The slacks are x itself, gains @ x - least and 1 - the sum of x of each row, weighed by `count`, and what is left of
    `workers`. Newton's method with damped steps. Each step solves for x in units of itself, and for the bounds
    together, so that the system keeps its condition however near a bound is; rows depend on each other through the
    kinds only, so that each is solved alone for what it does and for what each kind does to it.

    Args:
        x: shape (r, k), strictly within the bounds; changed in place. 0 where gains are 0.
        gains: shape (r, k), what a share brings; 0 where a job cannot run. least: what each row must gain.
        gpus, count: shape (r,), GPUs of a job and how many jobs a row stands for. workers: shape (k,).
    """
    rows, kinds = x.shape
    size = kinds + 2
    step, trial = np.zeros((rows, kinds)), np.empty((rows, kinds))
    # Of each row: the answer to its own right side, and to one unit of the price of each kind.
    answers = np.zeros((rows, kinds, kinds + 1))
    system, coupling = np.empty((size, size + kinds + 1)), np.empty((kinds, kinds + 1))
    value = _potential(x, gains, least, gpus, count, workers)
    for _ in range(MOST_STEPS):
        for kind in range(kinds):
            left = workers[kind]
            for row in range(rows):
                left -= gpus[row] * count[row] * x[row, kind]
            coupling[kind, :] = 0.0
            coupling[kind, kind] = -(left * left)
            coupling[kind, kinds] = -left
        for row in range(rows):
            gained, whole = -least, 1.0
            for kind in range(kinds):
                gained += gains[row, kind] * x[row, kind]
                whole -= x[row, kind]
            system[:, :] = 0.0
            for kind in range(kinds):
                usable = gains[row, kind] > 0.0
                system[kind, kind] = count[row]
                system[kind, size] = count[row] if usable else 0.0
                if usable:
                    system[kind, kinds] = system[kinds, kind] = -gains[row, kind] * x[row, kind]
                    system[kind, kinds + 1] = system[kinds + 1, kind] = x[row, kind]
                    system[kind, size + 1 + kind] = -gpus[row] * count[row] * x[row, kind]
            system[kinds, kinds] = -(gained * gained) / count[row]
            system[kinds, size] = -gained
            system[kinds + 1, kinds + 1] = -(whole * whole) / count[row]
            system[kinds + 1, size] = -whole
            _eliminate(system, size)
            for kind in range(kinds):
                for column in range(kinds + 1):
                    answers[row, kind, column] = system[kind, size + column]
            for kind in range(kinds):
                held = gpus[row] * count[row] * x[row, kind]
                coupling[kind, kinds] -= held * answers[row, kind, 0]
                for other in range(kinds):
                    coupling[kind, other] += held * answers[row, kind, 1 + other]
        _eliminate(coupling, kinds)
        decrement = 0.0
        for row in range(rows):
            gained, whole, more, used = -least, 1.0, 0.0, 0.0
            for kind in range(kinds):
                solved = answers[row, kind, 0]
                for other in range(kinds):
                    solved += answers[row, kind, 1 + other] * coupling[other, kinds]
                step[row, kind] = x[row, kind] * solved
                decrement += count[row] * solved * solved
                gained += gains[row, kind] * x[row, kind]
                whole -= x[row, kind]
                more += gains[row, kind] * step[row, kind]
                used += step[row, kind]
            decrement += count[row] * ((more / gained) ** 2 + (used / whole) ** 2)
        for kind in range(kinds):
            left, used = workers[kind], 0.0
            for row in range(rows):
                left -= gpus[row] * count[row] * x[row, kind]
                used += gpus[row] * count[row] * step[row, kind]
            decrement += (used / left) ** 2
        if not decrement >= CLOSE:
            return
        length = 1.0
        while True:
            for row in range(rows):
                for kind in range(kinds):
                    trial[row, kind] = x[row, kind] + length * step[row, kind]
            found = _potential(trial, gains, least, gpus, count, workers)
            if found <= value - 0.1 * length * decrement:
                break
            length *= 0.5
            if length < SHORTEST:
                return
        x[:, :] = trial
        value = found


@counting_kernel
def _potential(
    x: FloatArray, gains: FloatArray, least: float, gpus: FloatArray, count: FloatArray, workers: FloatArray
) -> float:
    """Return what is to be least; infinity outside of the bounds."""
    rows, kinds = x.shape
    found = 0.0
    for row in range(rows):
        gained, whole = -least, 1.0
        for kind in range(kinds):
            if gains[row, kind] <= 0.0:
                continue
            if not x[row, kind] > 0.0:
                return np.inf
            found -= count[row] * np.log(x[row, kind])
            gained += gains[row, kind] * x[row, kind]
            whole -= x[row, kind]
        if not (gained > 0.0 and whole > 0.0):
            return np.inf
        found -= count[row] * (np.log(gained) + np.log(whole))
    for kind in range(kinds):
        left = workers[kind]
        for row in range(rows):
            left -= gpus[row] * count[row] * x[row, kind]
        if not left > 0.0:
            return np.inf
        found -= np.log(left)
    return found


@counting_kernel
def _eliminate(system: FloatArray, size: int) -> None:
    """Solve for the columns behind the first `size` in place, by Gauss with partial pivoting."""
    width = system.shape[1]
    for place in range(size):
        pivot = place
        for other in range(place + 1, size):
            if abs(system[other, place]) > abs(system[pivot, place]):
                pivot = other
        if pivot != place:
            for column in range(place, width):
                system[place, column], system[pivot, column] = system[pivot, column], system[place, column]
        if system[place, place] == 0.0:
            continue
        for other in range(size):
            if other != place and system[other, place] != 0.0:
                factor = system[other, place] / system[place, place]
                for column in range(place, width):
                    system[other, column] -= factor * system[place, column]
        for column in range(place + 1, width):
            system[place, column] /= system[place, place]
        system[place, place] = 1.0
