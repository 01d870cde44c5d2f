"""Fair share while a simulation goes on: `sites.fair_share` over the arrays of the tree, without recursion."""

from typing import Any

import numpy as np

from scheduler_sim.engine.jit import counting_kernel, inner_kernel
from scheduler_sim.engine.kernels.site.state import CLASSIC, DAMPING, State

FRAME = 4
"""Numbers of a list of siblings that is ranked: its begin, end and place in `fair_order`, and whether it is tied."""


@inner_kernel
def _sum_usage(s: State) -> None:
    for i in range(len(s.fair_total)):
        s.fair_total[i] = s.fair_usage[i] if s.fair_is_user[i] else 0.0
    for i in range(len(s.fair_total) - 1, 0, -1):
        s.fair_total[s.fair_above[i]] += s.fair_total[i]


@inner_kernel
def _sum_shares(s: State, account: int) -> float:
    total = 0.0
    for place in range(s.fair_first[account], s.fair_first[account + 1]):
        share = s.fair_shares[s.fair_below[place]]
        if not np.isnan(share):
            total += share
    return total


@inner_kernel
def _before(s: State, one: int, other: int) -> bool:
    """Tell whether one sibling goes before another: of the larger level, then users."""
    if s.fair_level[one] != s.fair_level[other]:
        return bool(s.fair_level[one] > s.fair_level[other])
    return bool(s.fair_is_user[one] > s.fair_is_user[other])


@inner_kernel
def _push(s: State, depth: int, end: int, first: int, last: int, tied: int) -> int:
    """List the siblings below the accounts at `first` to `last` of the order, sorted, as a frame behind `end`."""
    size = end
    for place in range(first, last):
        account = s.fair_order[place]
        if s.fair_is_user[account]:
            continue
        shares = _sum_shares(s, account)
        for i in range(s.fair_first[account], s.fair_first[account + 1]):
            entry = s.fair_below[i]
            share, used = s.fair_shares[entry], s.fair_total[entry]
            if np.isnan(share) or used == 0.0:
                s.fair_level[entry] = np.inf
            elif shares == 0.0:
                s.fair_level[entry] = 0.0
            else:
                s.fair_level[entry] = share / shares / (used / s.fair_total[account])
            j = size
            while j > end and _before(s, entry, s.fair_order[j - 1]):
                s.fair_order[j] = s.fair_order[j - 1]
                j -= 1
            s.fair_order[j] = entry
            size += 1
    frame = depth * FRAME
    s.fair_frames[frame], s.fair_frames[frame + 1] = end, size
    s.fair_frames[frame + 2], s.fair_frames[frame + 3] = end, tied
    return size


@inner_kernel
def _fair_tree(s: State) -> None:
    """Rank users depth first, siblings by level fair share; equal ones have the same factor."""
    users = 0
    for i in range(len(s.fair_is_user)):
        users += s.fair_is_user[i]
    s.fair_order[0] = 0
    _push(s, 0, 1, 0, 1, 0)
    depth, ranked, factor = 1, 0, 1.0
    while depth > 0:
        frame = (depth - 1) * FRAME
        end, place = s.fair_frames[frame + 1], s.fair_frames[frame + 2]
        if place == end:
            depth -= 1
            continue
        tied = s.fair_frames[frame + 3]
        s.fair_frames[frame + 3] = 0
        level = s.fair_level[s.fair_order[place]]
        last = place
        accounts = False
        while last < end and s.fair_level[s.fair_order[last]] == level:
            entry = s.fair_order[last]
            last += 1
            if not s.fair_is_user[entry]:
                accounts = True
                continue
            if not tied:
                factor = (users - ranked) / users
            s.fair_factors[entry] = factor
            ranked += 1
            tied = 1
        s.fair_frames[frame + 2] = last
        if accounts:
            _push(s, depth, end, place, last, tied)
            depth += 1


@inner_kernel
def _classic(s: State) -> None:
    """Give each user 2**(-effective usage / normalised share / damping)."""
    whole = s.fair_total[0] if s.fair_total[0] > 0.0 else 1.0
    n = len(s.fair_total)
    normal, effective = np.ones(n), np.zeros(n)
    effective[0] = s.fair_total[0] / whole
    for account in range(n):
        if s.fair_is_user[account] or (account > 0 and np.isnan(s.fair_shares[account])):
            continue
        shares = _sum_shares(s, account)
        for i in range(s.fair_first[account], s.fair_first[account + 1]):
            entry = s.fair_below[i]
            own = s.fair_total[entry] / whole
            if np.isnan(s.fair_shares[entry]):
                normal[entry], effective[entry] = normal[account], effective[account]
            else:
                part = s.fair_shares[entry] / shares if shares > 0.0 else 0.0
                normal[entry] = normal[account] * part
                effective[entry] = own if account == 0 else own + (effective[account] - own) * part
    for i in range(n):
        if s.fair_is_user[i]:
            s.fair_factors[i] = np.exp2(-(effective[i] / normal[i]) / s.reals[DAMPING]) if normal[i] > 0.0 else 0.0


@inner_kernel
def rank_users(s: State) -> None:
    """Turn shares and usage into the factor of every user."""
    if len(s.fair_above) < 2:
        return
    _sum_usage(s)
    if s.settings[CLASSIC]:
        _classic(s)
    else:
        _fair_tree(s)


@counting_kernel
def rank_once(records: Any) -> None:
    """Turn shares and usage into factors before anything runs."""
    rank_users(records[0])
