"""Reservations that come again: of each the span of now counts, or the next one, as in Slurm.

One that is over moves on to its next span, with the nodes of that; before, nobody knows of it.
Source: `_advance_resv_time` of slurmctld, src/slurmctld/reservation.c (22.05 to 26.05).
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from scheduler_sim.engine.errors import InvalidSite
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.kinds import as_words
from scheduler_sim.engine.kernels.site.state import WORDS, State
from scheduler_sim.engine.sites import Reservation, Site
from scheduler_sim.engine.units import SECONDS_PER_DAY
from scheduler_sim.engine.workloads.workload import FloatArray

REPEATED_FOR = 365 * SECONDS_PER_DAY
"""Seconds after the last submission in which reservations still come again."""


MOST_SPANS = 50_000
"""Times of all reservations that are played: what they hold is written down for each before anything is played."""


class Span(NamedTuple):
    """One time of a reservation."""

    begin: float
    end: float
    of: Reservation


def spans(site: Site, offered: FloatArray) -> list[list[Span]]:
    """Return the spans of each of `site.reserved`, in the order in which they hold.

    Args:
        offered: when tasks come. Of several spans those that are over by the first are left out.

    Raises:
        InvalidSite: there are more than `MOST_SPANS`.
    """
    known = offered[np.isfinite(offered)]
    first, last = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    until = last + REPEATED_FOR
    _refuse_too_many(site, first, until)
    found: list[list[Span]] = []
    for entries in site.reserved:
        times = chain.from_iterable(
            (Span(begin, end, one) for begin, end in one.spans(until, first)) for one in entries
        )
        ordered = sorted(times, key=lambda span: span[:2])
        found.append([one for one in ordered[:-1] if one.end > first] + ordered[-1:])
    return found


def _refuse_too_many(site: Site, since: float, until: float) -> None:
    counts = [
        1 + max(until - max(one.start_time, since), 0.0) / sum(one.repeat_times) * len(one.repeat_times)
        if one.repeat_times
        else 1.0
        for one in site.reservations
    ]
    if sum(counts) > MOST_SPANS:
        number = int(np.argmax(counts))
        raise InvalidSite(
            f"The reservations of site {site.name} come {sum(counts):,.0f} times until a year after the last task "
            f"comes, {site.reservations[number].name} {counts[number]:,.0f} times of these, and {MOST_SPANS:,} are "
            "played at most.",
            f"reservations[{number}].repeat_times",
        )


def reserved_columns(site: Site, found: Sequence[Sequence[Span]]) -> dict[str, Any]:
    """Return the columns of the state about reservations before anything has happened."""
    every = [span for one in found for span in one]
    number = np.repeat(np.arange(len(found)), [len(one) for one in found]).astype(np.int64)
    lists = {hosts: row for row, hosts in enumerate(dict.fromkeys(span.of.hosts for span in every))}
    masks = np.zeros((len(lists), len(site.hosts)), bool)
    for hosts, row in lists.items():
        masks[row, list(site.numbers(hosts))] = True
    begin = np.array([span.begin for span in every], np.float64)
    end = np.array([span.end for span in every], np.float64)
    maint = np.array([any(flag.lower() == "maint" for flag in span.of.flags) for span in every], np.int64)
    words = as_words(masks)[[lists[span.of.hosts] for span in every]]
    now = np.unique(number, return_index=True)[1]
    return {
        "span_shut": number,
        "span_from": begin,
        "span_until": end,
        "span_maint": maint,
        "span_masks": words.ravel(),
        "shut_from": begin[now],
        "shut_until": end[now],
        "shut_maint": maint[now],
        "shut_masks": words[now].ravel(),
    }


def turns(found: Sequence[Sequence[Span]]) -> list[float]:
    """Return when spans begin and end; what `move_on` is told is a place in this list."""
    return [time for one in found for span in one for time in span[:2]]


@inner_kernel
def move_on(s: State, edge: int) -> None:
    """Let a reservation whose span has ended be that of its next span, where there is one."""
    span, words = edge // 2, s.settings[WORDS]
    r, following = s.span_shut[span], span + 1
    if edge % 2 == 0 or following == len(s.span_shut) or s.span_shut[following] != r:
        return
    s.shut_from[r], s.shut_until[r] = s.span_from[following], s.span_until[following]
    s.shut_maint[r] = s.span_maint[following]
    for w in range(words):
        s.shut_masks[r * words + w] = s.span_masks[following * words + w]
