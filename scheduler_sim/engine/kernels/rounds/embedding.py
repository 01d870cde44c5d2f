"""Where an interior-point method that is asked for any shares at all stops: at neither a corner nor the centre.

A programme without an objective, such as a step of a bisection, is met by many shares. Which of them is found depends
on the method's way, and schedulers are published with what follows from it. The way here is the usual one: the
homogeneous self-dual embedding (Xu, Hung, Ye 1996) from the shares whose slacks are least by squares, with Mehrotra's
predictor and corrector (1992) and Nesterov and Todd's scaling, as described for ECOS (Domahidi, Chu, Boyd, ECC 2013),
after the bounds were scaled alike (Ruiz 2001). Nothing in it is drawn, jobs that are alike get the same, and all sums
are NumPy's own, whose rounding, unlike that of BLAS and LAPACK, is the same on every processor.
"""

from dataclasses import dataclass

import numpy as np

from scheduler_sim.engine.workloads.columns import FloatArray

CLOSE = 1e-8
"""The relative residuals, and the gap, at which the way ends."""

MOST_STEPS = 60
SCALINGS = 3
ALMOST = 0.99
"""Which part of the way to the nearest bound a step takes."""

SHORTEST, LONGEST = 1e-6, 0.999
LEAST_CENTRING = 1e-4
NOTHING = 1e-6
"""Below this a row or column is taken for empty, and not scaled."""


@dataclass(frozen=True, eq=False)
class _Bounds:
    """Bounds @ x <= limits, of m jobs on k kinds, of which each share x_ij enters four.

    Rows are those of x_ij >= 0, of the kinds' GPUs, of each job's time and of the work that each job needs.

    Attributes:
        entries: shape (4, m, k), of x_ij in the four. limits: shape (m k + k + 2 m,), row by row.
    """

    entries: FloatArray
    limits: FloatArray

    def of_shares(self, rows: FloatArray) -> tuple[FloatArray, ...]:
        """Return what stands in `rows` for each share in the four, shaped so that it broadcasts to (m, k)."""
        _, jobs, kinds = self.entries.shape
        own, given, whole, worked = np.split(rows, np.cumsum([jobs * kinds, kinds, jobs]))
        return own.reshape(jobs, kinds), given, whole[:, None], worked[:, None]

    def times(self, x: FloatArray) -> FloatArray:
        """Return bounds @ x."""
        own, given, whole, worked = self.entries * x
        return np.concatenate([own.ravel(), given.sum(0), whole.sum(1), worked.sum(1)])

    def across(self, rows: FloatArray) -> FloatArray:
        """Return bounds.T @ rows, shape (m, k)."""
        own, given, whole, worked = self.of_shares(rows)
        of_own, of_given, of_whole, of_worked = self.entries
        found: FloatArray = of_own * own + of_given * given + of_whole * whole + of_worked * worked
        return found

    def alike(self) -> tuple["_Bounds", FloatArray]:
        """Return bounds whose rows and columns are all about as large, and what x is to be divided by."""
        entries, limits, units = self.entries, self.limits, np.ones(self.entries.shape[1:])
        for _ in range(SCALINGS):
            own, given, whole, worked = np.abs(entries)
            largest = np.concatenate([own.ravel(), given.max(0), whole.max(1), worked.max(1)])
            rows = np.sqrt(np.where(largest < NOTHING, 1.0, largest))
            columns = np.abs(entries).max(0)
            columns = np.sqrt(np.where(columns < NOTHING, 1.0, columns))
            entries = entries / (columns * np.stack(np.broadcast_arrays(*self.of_shares(rows))))
            limits, units = limits / rows, units * columns
        return _Bounds(entries, limits), units


class _Equations:
    """Those of one step, solved job by job for what each does and for what the kinds, which all share, do to it."""

    def __init__(self, bounds: _Bounds, weight: FloatArray) -> None:
        """Take the `weight` of each row, the square of its scaling."""
        self.bounds, self.weight = bounds, weight
        own, given, whole, worked = bounds.of_shares(1.0 / weight)
        of_own, self.of_given, of_whole, of_worked = bounds.entries
        blocks = (of_whole * whole)[:, :, None] * of_whole[:, None, :]
        blocks += (of_worked * worked)[:, :, None] * of_worked[:, None, :]
        places = np.arange(len(given))
        blocks[:, places, places] += of_own * of_own * own
        self.alone = _inverse(blocks)
        held = (self.of_given[:, :, None] * self.alone * self.of_given[:, None, :]).sum(0)
        held[places, places] += 1.0 / given
        self.held = _inverse(held)

    def solve(self, of_x: FloatArray, of_rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return x and z with bounds.T @ z = of_x and bounds @ x - weight z = of_rows."""
        x = self._apart(of_x + self.bounds.across(of_rows / self.weight))
        x = x - self._apart(self.of_given * (self.held * (self.of_given * x).sum(0)).sum(1))
        return x, (self.bounds.times(x) - of_rows) / self.weight

    def _apart(self, right: FloatArray) -> FloatArray:
        found: FloatArray = (self.alone * right[:, None, :]).sum(2)
        return found


def _inverse(matrices: FloatArray) -> FloatArray:
    """Return the inverse of symmetric positive definite matrices, shape (..., k, k), by Gauss and Jordan."""
    found = matrices.copy()
    for place in range(matrices.shape[-1]):
        pivot = found[..., place, place].copy()
        row = found[..., place, :] / pivot[..., None]
        row[..., place] = 1.0 / pivot
        column = found[..., :, place].copy()
        column[..., place] = 0.0
        found[..., :, place] = 0.0
        found[..., place, :] = 0.0
        found -= column[..., :, None] * row[..., None, :]
        found[..., place, :] = row
    return found


def _norm(values: FloatArray) -> float:
    return float(np.sqrt((values * values).sum()))


def any_shares(rate: FloatArray, needed: FloatArray, gpus: FloatArray, workers: FloatArray) -> FloatArray | None:
    """Return shares x that the method finds for sum_j rate_ij x_ij >= needed_i; None where it finds none.

    Args:
        rate: shape (m, k), work a second. needed: shape (m,), work a second.
        gpus: shape (m,), of each job. workers: shape (k,), GPUs of each kind.

    Returns:
        shape (m, k), at least 0, with rows of at most 1 and gpus @ x of at most `workers`, all to about `CLOSE`.
    """
    jobs, kinds = rate.shape
    of_given = np.broadcast_to(gpus[:, None], rate.shape)
    bounds, units = _Bounds(
        np.stack([-np.ones_like(rate), of_given, np.ones_like(rate), -rate]),
        np.concatenate([np.zeros(jobs * kinds), workers, np.ones(jobs), -needed]),
    ).alike()
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = _embedded(bounds)
    return None if found is None else np.clip(found / units, 0.0, 1.0)


def _embedded(bounds: _Bounds) -> FloatArray | None:
    """Return an x with bounds @ x <= limits at which the embedding's residuals and gap are `CLOSE`, or None.

    With slacks s and prices z of the rows, and tau, kappa of the embedding: bounds.T @ z = 0, bounds @ x + s = tau
    limits, kappa + limits @ z = 0, and s z = tau kappa = 0 at its end, where x / tau is what is looked for.
    """
    limits = bounds.limits
    rows = len(limits)
    x, slack = _Equations(bounds, np.ones(rows)).solve(np.zeros(bounds.entries.shape[1:]), limits)
    lacking = float(slack.max())
    s = 1.0 - slack + (lacking if lacking >= 0.0 else -ALMOST)
    z, tau, kappa = np.ones(rows), 1.0, 1.0
    size = max(1.0, _norm(limits))
    for _ in range(MOST_STEPS):
        of_x, of_rows, of_tau = -bounds.across(z), s + bounds.times(x) - tau * limits, kappa + (limits * z).sum()
        missed = _norm(of_rows) / (size + _norm(x) + _norm(s))
        missed = max(missed, _norm(of_x) / (1.0 + _norm(z))) / tau
        if not np.isfinite(missed):
            return None
        gap = float((s * z).sum())
        if missed < CLOSE and gap < CLOSE:
            return x / tau
        equations = _Equations(bounds, s / z)
        scaling, level = np.sqrt(s / z), np.sqrt(s * z)
        of_one, z_of_one = equations.solve(np.zeros_like(x), limits)
        pace = kappa / tau - (limits * z_of_one).sum()
        # The predictor goes straight to the end ...
        _, more = equations.solve(of_x, s - of_rows)
        d_tau = (of_tau - kappa + (limits * more).sum()) / pace
        d_z = scaling * (more + d_tau * z_of_one)
        d_s = -d_z - level
        d_kappa = -kappa - kappa / tau * d_tau
        centring = (1.0 - _within(d_s / level, d_z / level, d_tau / tau, d_kappa / kappa)) ** 3
        centring = min(max(centring, LEAST_CENTRING), 1.0)
        # ... and tells how much of the step is to lead back to the middle.
        middle = centring * (gap + kappa * tau) / (rows + 1)
        corrected = level + (d_s * d_z - middle) / level
        rest = 1.0 - centring
        d_x, more = equations.solve(rest * of_x, scaling * corrected - rest * of_rows)
        of_kappa = kappa * tau + d_kappa * d_tau - middle
        d_tau = (rest * of_tau - of_kappa / tau + (limits * more).sum()) / pace
        d_x = d_x + d_tau * of_one
        more = more + d_tau * z_of_one
        d_z = scaling * more
        d_s = -(corrected + d_z)
        d_kappa = -(of_kappa + kappa * d_tau) / tau
        length = ALMOST * _within(d_s / level, d_z / level, d_tau / tau, d_kappa / kappa)
        x = x + length * d_x
        s = s + length * scaling * d_s
        z = z + length * more
        tau += length * d_tau
        kappa += length * d_kappa
    return None


def _within(of_s: FloatArray, of_z: FloatArray, of_tau: float, of_kappa: float) -> float:
    """Return which part of a step stays within the bounds, given how much of each value one whole step adds to it."""
    steepest = max(-of_s.min(), -of_z.min(), -of_tau, -of_kappa, 1.0 / LONGEST)
    return float(max(1.0 / steepest, SHORTEST))
