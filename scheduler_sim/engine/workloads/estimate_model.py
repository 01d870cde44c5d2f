"""What users estimate, given how long their tasks run and the longest time that may be asked for.

Source: D. Tsafrir, Y. Etsion and D. G. Feitelson, "Modeling user runtime estimates", JSSPP 2005. Users choose from few
round values: the twenty most popular ones, the heads, serve 89 % of the tasks, and the longest is the most popular. How
popular the others are falls by a power of their rank. The constants are those of the authors' program.

Two things are settled otherwise than there. Shares become counts by the largest remainders. And where the longest tasks
outnumber the estimates that could hold them, these are raised to the next value that can; the program gives up there.
"""

import numpy as np

from scheduler_sim.engine.errors import InvalidParameter
from scheduler_sim.engine.workloads.columns import FloatArray, IntArray

SHORTEST_LIMIT = 3600
"""The longest estimate is at least an hour, or there are too few round values below it."""

LONGEST_LIMIT = 10**9

HEADS = 20
HEAD_SHARE = 0.89
"""Of the tasks, so many state one of the most popular estimates."""

_MINUTE, _HOUR = 60, 3600

_POPULAR = (
    *(minutes * _MINUTE for minutes in (5, 10, 15, 20, 30)),
    *(hours * _HOUR for hours in (1, 2, 3, 4, 5, 6, 8, 10, 12, 18)),
)
"""Estimates that were popular in all of the four logs."""

_ROUND = (*(hours * _HOUR for hours in (200, 100, 50, 10, 5, 2, 1)), *(minutes * _MINUTE for minutes in (20, 10, 5)))
"""Multiples of these, the largest first, fill the heads up."""

_POPULARITY = (
    (3, 1, 1, 1),
    (1, 3, 4, 6),
    (4, 4, 10, 5),
    (17, 2, 14, 3),
    (13, 12, 20, 7),
    (7, 9, 2, 2),
    (8, 8, 3, 18),
    (18, 18, 7, 19),
    (2, 6, 12, 4),
    (6, 7, 6, 11),
    (16, 11, 19, 20),
    (10, 20, 5, 9),
    (5, 16, 18, 10),
    (15, 5, 16, 14),
    (14, 14, 9, 13),
    (19, 13, 17, 16),
    (11, 10, 15, 15),
    (12, 15, 13, 17),
    (9, 17, 8, 8),
    (20, 19, 11, 12),
)
"""Ranks by popularity in the logs SDSC-106, CTC, KTH-4h and Blue: of the longest head, then of the others by time."""

_DISTINCT = ((0, 20, 200, 1000, 10_000, 70_000, 250_000), (0, 10, 20, 35, 90, 340, 565))
"""How many different estimates so many tasks have; linear between."""


def draw_estimates(runtime: FloatArray, longest: int | None, generator: np.random.Generator) -> FloatArray:
    """Draw what users estimate, seconds, shape (n,); no estimate is below its run time.

    The estimates of the model's histogram are dealt to tasks from the longest down, each one of those not yet dealt
    that is long enough, all equally likely.

    Args:
        runtime: shape (n,).
        longest: the longest estimate that may be given, seconds; None for the longest run time, up to the next hour.

    Raises:
        InvalidParameter: a longest estimate of less than an hour, above 10**9 s, or below a run time.
    """
    if not len(runtime):
        return np.zeros(0)
    needed = float(runtime.max())
    if longest is None:
        longest = max(int(np.ceil(min(needed, 2.0 * LONGEST_LIMIT) / _HOUR)) * _HOUR, SHORTEST_LIMIT)
    if not SHORTEST_LIMIT <= longest <= LONGEST_LIMIT:
        raise InvalidParameter(
            f"The longest estimate must lie between {SHORTEST_LIMIT} and {LONGEST_LIMIT} s, not {longest}."
        )
    if needed > longest:
        raise InvalidParameter(f"A task runs for {needed:,.0f} s, longer than the longest estimate of {longest:,} s.")
    times, counts = estimate_histogram(len(runtime), longest, generator)
    order = np.argsort(-runtime, kind="stable")
    running = runtime[order]
    estimates = np.repeat(times, counts)[::-1]
    estimates = np.maximum(estimates, times[np.searchsorted(times, running)])
    # Those up to here are long enough for each task.
    enough = (len(estimates) - np.searchsorted(estimates[::-1], running)).tolist()
    deck, draws = estimates.tolist(), generator.random(len(runtime)).tolist()
    for place, (last, draw) in enumerate(zip(enough, draws, strict=True)):
        other = place + int(draw * (last - place))
        deck[place], deck[other] = deck[other], deck[place]
    told = np.empty(len(runtime))
    told[order] = deck
    return told


def estimate_histogram(tasks: int, longest: int, generator: np.random.Generator) -> tuple[FloatArray, IntArray]:
    """Draw the different estimates, ascending, and how many of so many tasks state each.

    Args:
        longest: the longest estimate, whole seconds, at least an hour.
    """
    heads = _heads(longest)
    ranks = _popularity(len(heads), generator)
    sizes = _head_sizes(len(heads))
    tail = _tail_times(_distinct(tasks), longest, set(heads))
    shares = dict(zip(heads, (sizes[rank] for rank in ranks), strict=True))
    if tail:
        falling = np.arange(HEADS + 1.0, HEADS + 1 + len(tail)) ** -2.267
        falling *= (1.0 - HEAD_SHARE) / falling.sum()
        shares |= dict(zip(generator.permutation(tail).tolist(), falling.tolist(), strict=True))
    times = np.array(sorted(shares))
    parts = np.array([shares[time] for time in times.tolist()])
    return times.astype(np.float64), _counts(parts / parts.sum(), tasks)


def _heads(longest: int) -> list[int]:
    """Return the most popular estimates: the longest, then the others ascending."""
    others = [time for time in _POPULAR if time < longest]
    for step in _ROUND:
        top = longest // step * step
        for time in range(top, 0, -step):
            if len(others) < HEADS - 1 and time < longest and time not in others:
                others.append(time)
    return [longest, *sorted(others)]


def _popularity(heads: int, generator: np.random.Generator) -> list[int]:
    """Draw how popular each head is, from 0 for the most popular one; the longest is that.

    A rank may be drawn once it was seen in one of the four logs, the lower of two draws counts, and it is taken at the
    latest where it was seen last.
    """
    latest = {rank: place for place, row in enumerate(_POPULARITY) for rank in row}
    chosen = [1]
    pool = [rank for rank in _POPULARITY[0] if rank != 1]
    for place in range(1, HEADS):
        pool += [rank for rank in _POPULARITY[place] if rank not in chosen]
        due = [rank for rank in range(1, HEADS + 1) if latest[rank] <= place and rank not in chosen]
        draws = generator.integers(0, len(pool), 2).tolist()
        rank = due[0] if due else min(pool[draw] for draw in draws)
        chosen.append(rank)
        pool = [other for other in pool if other != rank]
    ranks: list[int] = np.argsort(np.argsort(chosen[:heads])).tolist()
    return ranks


def _head_sizes(heads: int) -> list[float]:
    """Return the parts of all tasks that state the heads, by popularity; the most popular one has what is left."""
    ranks = np.arange(2, heads + 1)
    others = (14.0491 * np.exp(-0.177531 * ranks) + 0.462513) / 100.0
    return [float(HEAD_SHARE - others.sum()), *others.tolist()]


def _distinct(tasks: int) -> int:
    return round(float(np.interp(tasks, *_DISTINCT)))


def _tail_times(distinct: int, longest: int, heads: set[int]) -> list[int]:
    """Return the less popular estimates, whole minutes where these are free, and shorter ones closer together."""
    count = max(distinct - len(heads), 0)
    bend = 1.0 + 12.1039 * max(distinct, 1) ** -0.6026
    ranks = np.arange(1, count + 1) / max(count, 1)
    minutes = np.round((bend - 1.0) * ranks / (bend - ranks) * longest / _MINUTE).astype(np.int64)
    found: dict[int, None] = {}
    for minute in minutes.tolist():
        tries = (minute * _MINUTE + change for change in (0, 30, -30, 20, -20, 10, -10))
        free = (time for time in tries if 0 < time < longest and time not in heads and time not in found)
        found |= dict.fromkeys([time for time in [next(free, None)] if time is not None])
    return list(found)


def _counts(shares: FloatArray, tasks: int) -> IntArray:
    """Return whole numbers in proportion to shares that sum to 1, by the largest remainders."""
    exact = shares * tasks
    counts = np.floor(exact).astype(np.int64)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: tasks - int(counts.sum())]] += 1
    return counts
