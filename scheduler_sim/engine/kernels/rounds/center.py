"""The middle of all shares that keep what each job must have, so that a programme's many optima come down to one.

A linear programme's optimum is often met by many allocations, and the corner that a simplex method stops at leaves
GPUs idle or gives some jobs all that is left over. The analytic centre (Sonnevend 1985), where the product of all
slacks is largest, is unique, treats jobs that are alike alike, and is where interior-point solvers end.
"""

import numpy as np

from scheduler_sim.engine.jit import counting_kernel
from scheduler_sim.engine.workloads.columns import FloatArray

MOST_STEPS = 100
CLOSE = 1e-12
"""Newton steps at most, and the decrement at which they end."""

LOOSE = 1e-6
ROUNDED = 0.25
"""The decrements at which steps towards the centre of one price end: where they are small, and where rounding of the
potential hides what a step would bring."""

STEEPER = 20.0
MOST_PRICES = 30
"""How much larger each price is than the one before, and how many there are at most."""

SHORTEST = 1e-9
"""The part of a step below which rounding leaves no direction to go in."""


@counting_kernel
def largest_least(
    x: FloatArray, gains: FloatArray, gpus: FloatArray, count: FloatArray, workers: FloatArray, gap: float
) -> float:
    """Move x to where the least of gains @ x is largest but for a part of `gap`, and return how large it can be.

    The path of centres is followed (Fiacco, McCormick 1968): the logarithm of each slack, and the least gain at a price
    that grows until little is missing, which is read off the last two centres.

    Args:
        x: shape (r, k), strictly within the bounds; changed in place. The other ones are as for `center`.

    Returns:
        the optimum; NaN where rounding ended the path before the gap was closed.
    """
    rows, kinds = x.shape
    level = np.empty(1)
    level[0] = np.inf
    weights = float(kinds)
    for row in range(rows):
        gained = 0.0
        for kind in range(kinds):
            gained += gains[row, kind] * x[row, kind]
            weights += count[row] if gains[row, kind] > 0.0 else 0.0
        weights += 2.0 * count[row]
        level[0] = min(level[0], 0.5 * gained)
    price, before, reached = weights / level[0], 0.0, 0.0
    for _ in range(MOST_PRICES):
        if not _newton(x, level, price, gains, gpus, count, workers):
            return np.nan
        # What is missing to the optimum goes down as one over the price.
        missing = (level[0] - reached) * before / (price - before) if before > 0.0 else np.inf
        if missing <= gap * level[0]:
            return float(level[0] + missing)
        before, reached = price, level[0]
        price *= min(STEEPER, 1.2 * missing / (gap * level[0]))
    return np.nan


@counting_kernel
def center(
    x: FloatArray, gains: FloatArray, least: float, gpus: FloatArray, count: FloatArray, workers: FloatArray
) -> None:
    """Move x to where the weighted sum of the logarithms of all slacks is largest.

    The slacks are x itself, gains @ x - least and 1 - the sum of x of each row, weighed by `count`, and what is left of
    `workers`.

    Args:
        x: shape (r, k), strictly within the bounds; changed in place. 0 where gains are 0.
        gains: shape (r, k), what a share brings; 0 where a job cannot run. least: what each row must gain.
        gpus, count: shape (r,), GPUs of a job and how many jobs a row stands for. workers: shape (k,).
    """
    level = np.empty(1)
    level[0] = least
    _newton(x, level, 0.0, gains, gpus, count, workers)


@counting_kernel
def _newton(
    x: FloatArray,
    level: FloatArray,
    price: float,
    gains: FloatArray,
    gpus: FloatArray,
    count: FloatArray,
    workers: FloatArray,
) -> bool:
    """Move x, and the least gain `level` where it has a price, to the centre, and tell whether it was reached.

    Newton's method with damped steps. Each step solves for x in units of itself, for the bounds and for the level
    together, so that the system keeps its condition however near a bound is; rows depend on each other through the
    kinds and the level only, so that each is solved alone for what it does and for what each of those does to it.
    """
    rows, kinds = x.shape
    size = kinds + 2
    shared = kinds + 1 if price > 0.0 else kinds
    step, trial = np.zeros((rows, kinds)), np.empty((rows, kinds))
    before = decrement = np.inf
    # Of each row, for x and for the bound of its gain: the answer to its own right side, and to one unit of each price.
    answers = np.zeros((rows, kinds + 1, kinds + 2))
    system, coupling = np.empty((size, size + kinds + 2)), np.empty((kinds + 1, kinds + 2))
    for _ in range(MOST_STEPS):
        least = level[0]
        # What is gained at the price counts from here, so that rounding of its sum hides no step.
        value = _potential(x, least, 0.0, gains, gpus, count, workers)
        coupling[:, :] = 0.0
        for kind in range(kinds):
            left = workers[kind]
            for row in range(rows):
                left -= gpus[row] * count[row] * x[row, kind]
            coupling[kind, kind] = -(left * left)
            coupling[kind, shared] = -left
        if price > 0.0:
            coupling[kinds, shared] = price
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
            system[kinds, size + 1 + kinds] = -1.0
            system[kinds + 1, kinds + 1] = -(whole * whole) / count[row]
            system[kinds + 1, size] = -whole
            _eliminate(system, size)
            for one in range(kinds + 1):
                for column in range(shared + 1):
                    answers[row, one, column] = system[one, size + column]
            for one in range(shared):
                held = gpus[row] * count[row] * x[row, one] if one < kinds else 1.0
                coupling[one, shared] -= held * answers[row, one, 0]
                for other in range(shared):
                    coupling[one, other] += held * answers[row, one, 1 + other]
        _eliminate(coupling, shared)
        rise = coupling[kinds, shared] if price > 0.0 else 0.0
        decrement = 0.0
        for row in range(rows):
            gained, whole, more, used = -least, 1.0, -rise, 0.0
            for kind in range(kinds):
                solved = answers[row, kind, 0]
                for other in range(shared):
                    solved += answers[row, kind, 1 + other] * coupling[other, shared]
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
        if not decrement >= (LOOSE if price > 0.0 else CLOSE):
            return decrement == decrement
        if decrement < ROUNDED and decrement > 0.5 * before:
            # Near the centre each decrement is the square of the last, until rounding holds it up.
            return True
        before = decrement
        length = 1.0
        while True:
            for row in range(rows):
                for kind in range(kinds):
                    trial[row, kind] = x[row, kind] + length * step[row, kind]
            found = _potential(trial, least + length * rise, price * length * rise, gains, gpus, count, workers)
            if found <= value - 0.1 * length * decrement:
                break
            length *= 0.5
            if length < SHORTEST:
                return decrement < ROUNDED
        x[:, :] = trial
        level[0] = least + length * rise
    return decrement < ROUNDED


@counting_kernel
def _potential(
    x: FloatArray,
    least: float,
    worth: float,
    gains: FloatArray,
    gpus: FloatArray,
    count: FloatArray,
    workers: FloatArray,
) -> float:
    """Return what is to be least, less what the level is worth; infinity outside of the bounds."""
    rows, kinds = x.shape
    found = -worth
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
