"""The plans of the passes before in their order, by which a pass knows what an entry cannot do earlier than before.

Entries have their turns in nearly the same order as in the pass before, and most are promised the same again. As long
as nothing has changed before its turn but that more is promised, an entry begins no earlier than it could then. Nodes
are *eased* of which a promise is gone since, or on which something has ended: they alone can let it begin earlier.

The list is a ring through place 0; what was promised behind the last turn of a pass stays as it was, and before it
stand as an element of no entry the nodes that were eased.
"""

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.bounds import eased_begin
from scheduler_sim.engine.kernels.site.state import (
    FOLLOWED,
    FORMER,
    FREE_FORMER,
    FULL,
    LOGGED,
    MADE_FORMER,
    MODE,
    NOBODY,
    OWN_LOOPS,
    PASS,
    PREEMPTION,
    TURN,
    WAITING,
    WORDS,
    State,
)

MOST_FORMER = 2048
"""Elements for which there is room."""

AHEAD = 8
"""So many elements before that of an entry are left out, as those of entries which come later now."""


@inner_kernel
def follows(s: State) -> bool:
    """Tell whether plans of the pass before are kept: nobody gives way, and nothing is reserved."""
    return bool(s.settings[MODE] == OWN_LOOPS and s.settings[PREEMPTION] == NOBODY and len(s.shut_from) == 0)


@inner_kernel
def begin_turns(s: State) -> None:
    """Begin with the first turn of a pass; nodes are eased that have changed since the pass before began."""
    size, words = len(s.changed_nodes), s.settings[WORDS]
    if s.counts[LOGGED] - s.counts[FOLLOWED] > size:
        for w in range(words):
            s.eased_words[w] = -1
    else:
        for i in range(s.counts[FOLLOWED], s.counts[LOGGED]):
            node = s.changed_nodes[i % size]
            s.eased_words[node // 64] |= 1 << (node % 64)
    s.counts[FOLLOWED] = s.counts[LOGGED]
    s.counts[FORMER] = s.former_next[0]
    s.counts[TURN] = 0


@inner_kernel
def _unlink(s: State, former: int) -> None:
    """Take an element out of the list, and ease its nodes."""
    words, entry = s.settings[WORDS], s.former_entry[former]
    for w in range(words):
        s.eased_words[w] |= s.former_words[former * words + w]
    before, behind = s.former_before[former], s.former_next[former]
    s.former_next[before], s.former_before[behind] = behind, before
    if entry >= 0:
        s.entry_former[entry] = 0
    s.former_next[former] = s.counts[FREE_FORMER]
    s.counts[FREE_FORMER] = former


@inner_kernel
def _end_turn(s: State) -> None:
    """Ease the nodes of the entry whose turn it was, unless it was promised something again."""
    if s.counts[TURN] > 0:
        _unlink(s, s.counts[TURN])
        s.counts[TURN] = 0


@inner_kernel
def begin_turn(s: State, entry: int) -> None:
    """Let it be the turn of an entry, and ease the nodes of those that had theirs before it and have it no more."""
    _end_turn(s)
    former, own = s.counts[FORMER], s.entry_former[entry]
    while former > 0:
        other = s.former_entry[former]
        if other >= 0 and s.site_tasks[s.entry_task[other]].state == WAITING:
            break
        behind = s.former_next[former]
        _unlink(s, former)
        former = behind
    if own > 0 and own != former:
        near, left = former, AHEAD
        while near > 0 and near != own and left > 0:
            near = s.former_next[near]
            left -= 1
        if near == own:
            while former != own:
                behind = s.former_next[former]
                _unlink(s, former)
                former = behind
        else:
            # It has its turn earlier than before: those between had theirs without its promise, those behind with it.
            s.former_entry[own] = -1
            s.entry_former[entry] = 0
    if own > 0 and own == former:
        s.counts[TURN] = own
        former = s.former_next[own]
    s.counts[FORMER] = former


@inner_kernel
def _insert(s: State, entry: int) -> int:
    """Insert an element before those whose turn is to come; 0 where there is no room left in this pass."""
    if s.counts[FULL] == s.counts[PASS]:
        return 0
    if s.counts[FREE_FORMER] == 0 and s.counts[MADE_FORMER] + 1 == len(s.former_next):
        # Without those behind there is room again; nobody is left to ask what was eased.
        while s.counts[FORMER] > 0:
            behind = s.former_next[s.counts[FORMER]]
            _unlink(s, s.counts[FORMER])
            s.counts[FORMER] = behind
        if s.counts[FREE_FORMER] == 0:
            s.counts[FULL] = s.counts[PASS]
            return 0
    former = s.counts[FREE_FORMER]
    if former > 0:
        s.counts[FREE_FORMER] = s.former_next[former]
    else:
        s.counts[MADE_FORMER] += 1
        former = s.counts[MADE_FORMER]
    behind = s.counts[FORMER]
    before = s.former_before[behind]
    s.former_next[before], s.former_next[former] = former, behind
    s.former_before[behind], s.former_before[former] = former, before
    s.former_entry[former] = entry
    if entry >= 0:
        s.entry_former[entry] = former
    return int(former)


@inner_kernel
def note_promise(s: State, entry: int, begin: float, end: float, bound: float) -> None:
    """Note that the entry whose turn it is was promised the nodes of `chosen_words`, and begins not before a bound."""
    words, former = s.settings[WORDS], s.counts[TURN]
    s.counts[TURN] = 0
    if former > 0:
        other = 0
        for w in range(words):
            other |= s.former_words[former * words + w] ^ s.chosen_words[w]
        is_kept = other == 0 and begin == s.former_begin[former] and end >= s.former_end[former]
        s.former_end[former], s.former_bound[former] = end, bound
        if is_kept:
            return
        # What bounds it is to be found anew: the bound of before holds still, and is no use any more.
        s.former_bound[former] = -np.inf
        for w in range(words):
            s.eased_words[w] |= s.former_words[former * words + w]
    else:
        former = _insert(s, entry)
        if former == 0:
            return
        s.former_bound[former] = bound
    s.former_begin[former], s.former_end[former] = begin, end
    for w in range(words):
        s.former_words[former * words + w] = s.chosen_words[w]


@inner_kernel
def former_bound(s: State, entry: int, instant: float) -> float:
    """Return an instant before which the entry whose turn it is cannot begin, as before; minus infinity for none."""
    former = s.counts[TURN]
    if former == 0:
        return -np.inf
    bound = s.former_bound[former]
    if bound <= instant:
        return -np.inf
    eased = eased_begin(s, entry, instant, bound)
    # On several nodes it would begin later: others are needed beside that one.
    return float(eased) if eased == bound or s.kinds[s.entry_kind[entry]].least == 1 else -np.inf


@inner_kernel
def end_turns(s: State) -> None:
    """End a pass: those whose turn has not come find what was eased before theirs."""
    _end_turn(s)
    words, former = s.settings[WORDS], s.counts[FORMER]
    if former > 0 and s.former_entry[former] >= 0:
        former = _insert(s, -1)
        for w in range(words):
            s.former_words[former * words + w] = 0
    for w in range(words):
        if former > 0:
            s.former_words[former * words + w] |= s.eased_words[w]
        s.eased_words[w] = 0
    s.counts[FORMER] = s.former_next[0]
