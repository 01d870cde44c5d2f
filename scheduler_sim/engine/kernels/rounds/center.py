"""The middle of all shares that keep what each job must have, so that a programme's many optima come down to one.

A linear programme's optimum is often met by many allocations, and the corner that a simplex method stops at leaves
GPUs idle or gives some jobs all that is left over. The analytic centre (Sonnevend 1985), where the product of all
slacks is largest, is unique, treats jobs that are alike alike, and is where interior-point solvers end.
"""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from scheduler_sim.engine.columns import FloatArray

MOST_STEPS = 100
CLOSE = 1e-6
"""Newton steps at most, and the decrement at which they end."""


def center(start: FloatArray, *, bounds: sparse.csc_array, limits: FloatArray, weight: FloatArray) -> FloatArray:
    """Return the x > 0 with bounds @ x < limits where the weighted sum of the logarithms of all slacks is largest.

    Newton's method with damped steps, which ends early where rounding leaves no direction to go in. Each step solves
    for x, in units of itself, and for the bounds together, so that the system keeps its condition however near a bound
    is.

    Args:
        start: shape (n,), strictly within the bounds.
        bounds: shape (b, n). limits: shape (b,). weight: shape (n + b,), of each x and then of each bound.
    """
    size = len(start)
    of_own, of_bounds = weight[:size], weight[size:]

    def potential(x: FloatArray, slack: FloatArray) -> float:
        if min(x.min(), slack.min()) <= 0:
            return np.inf
        return -float(of_own @ np.log(x) + of_bounds @ np.log(slack))

    x, slack = start, limits - bounds @ start
    value = potential(x, slack)
    for _ in range(MOST_STEPS):
        scaled = bounds @ sparse.diags_array(x)
        system = sparse.block_array(
            [[sparse.diags_array(of_own), scaled.T], [scaled, sparse.diags_array(-(slack**2) / of_bounds)]],
            format="csc",
        )
        right = np.concatenate([of_own, -slack])
        try:
            factors = splu(system)
        except RuntimeError:
            # Singular but for rounding: x is within all bounds, and as near the centre as can be told.
            return x
        found = factors.solve(right)
        solved = (found + factors.solve(right - system @ found))[:size]
        step, fall = x * solved, scaled @ solved
        decrement = float(of_own @ solved**2 + of_bounds @ (fall / slack) ** 2)
        if decrement < CLOSE:
            break
        length = 1.0
        while (trial := potential(x + length * step, slack - length * fall)) > value - 0.1 * length * decrement:
            length *= 0.5
            if length < 1e-9:
                return x
        x = x + length * step
        slack, value = limits - bounds @ x, trial
    return x
