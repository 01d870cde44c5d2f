"""Answers to when a kind could start on a set of nodes, kept as long as no node has changed that they rest on."""

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.kinds import WORD
from scheduler_sim.engine.kernels.site.offers import known_place, known_within
from scheduler_sim.engine.kernels.site.state import CHOSEN, LOGGED, WORDS, State
from scheduler_sim.engine.kernels.structures.bits import lowest_bit

BITS_OF_PLACE = 11

ANSWERS = 1 << BITS_OF_PLACE
"""How many answers are kept; a later one takes the place of an earlier one by what both are about."""

NODES_OF_ANSWER = 32
"""An answer with more nodes is not kept."""

MOST_CHANGES = 256
"""Changes of nodes after which an older answer is not looked at."""

UNSURE = -2
"""In place of the row of a cut: the answer holds only as long as no node at all has changed."""

LATER = -3
"""In place of the row of a cut: too few nodes are of use up to the instant, or what ends with the last of them does not
by then."""


@inner_kernel
def place_of(s: State, kind: int) -> int:
    """Return where the answer belongs that is about a kind on `mask_words`."""
    mask, odd = s.mask_words, np.uint64(0x9E3779B97F4A7C15)
    # No step waits for the one before: they are made in vectors.
    mixed, factor = np.uint64(kind) * np.uint64(0xD1342543DE82EF95), odd
    for w in range(s.settings[WORDS]):
        mixed += np.uint64(mask[w]) * factor
        factor += np.uint64(2) * odd
    return int(mixed >> np.uint64(64 - BITS_OF_PLACE))


@inner_kernel
def is_about(s: State, place: int, kind: int) -> bool:
    """Tell whether the answer at a place is about a kind, `mask_words` and `suit_words`.

    Both together tell each of them: they are what is available of the masks of the kind.
    """
    if s.answer_kind[place] != kind:
        return False
    words, both = s.settings[WORDS], s.answer_both
    other = 0
    for w in range(words):
        other |= both[place * words + w] ^ (s.mask_words[w] | s.suit_words[w])
    return bool(other == 0)


@inner_kernel
def is_fresh(s: State, place: int) -> bool:
    """Tell whether no node has changed since an answer was found, or was last seen to hold still."""
    return bool(s.answer_version[place] == s.counts[LOGGED])


@inner_kernel
def nodes_hold(s: State, place: int, kind: int) -> bool:
    """Tell whether what nodes of `mask_words` offer a kind up to the cut of an answer is what it was.

    Of those that have changed since none offered anything by then, and none does now.
    """
    time, words = s.answer_time[place], s.settings[WORDS]
    if not _list_changed(s, s.answer_version[place]):
        return False
    for w in range(words):
        if s.changed_words[w] & s.answer_within[place * words + w]:
            return False
    known = known_place(s, kind, False) * words * WORD
    for w in range(words):
        bits = s.changed_words[w] & s.mask_words[w]
        while bits != 0:
            if s.known_times[known + w * WORD + lowest_bit(bits)] <= time:
                return False
            bits &= bits - 1
    return True


@inner_kernel
def _last_of_use(s: State, place: int) -> tuple[float, bool]:
    """Return up to when nodes count towards an answer of LATER, and whether that instant is left out."""
    is_left_out = s.answer_earliest[place] < np.inf
    return float(s.answer_earliest[place] if is_left_out else s.answer_until[place]), is_left_out


@inner_kernel
def remember_later(s: State, place: int, kind: int, until: float, earliest: float) -> None:
    """Keep an answer of LATER; `earliest` is when enough nodes are of use, infinity where that is after `until`."""
    s.answer_until[place], s.answer_earliest[place] = until, earliest
    last, is_left_out = _last_of_use(s, place)
    if is_left_out:
        # A step before, or two: of a node that is of use between it is then not known that it was before.
        last -= last * 2.0**-52
    known_within(s, s.kinds[kind].part, known_place(s, kind, True) * s.settings[WORDS] * WORD, last)
    remember(s, place, kind, until, np.inf, LATER, earliest)


@inner_kernel
def as_few_as_before(s: State, place: int, kind: int) -> bool:
    """Tell whether no more nodes of `mask_words` are of use in time than when an answer of LATER was found."""
    words, (last, is_left_out) = s.settings[WORDS], _last_of_use(s, place)
    if not _list_changed(s, s.answer_version[place]):
        return False
    known = known_place(s, kind, True) * words * WORD
    for w in range(words):
        bits = s.changed_words[w] & s.mask_words[w] & ~s.answer_within[place * words + w]
        while bits != 0:
            time = s.known_times[known + w * WORD + lowest_bit(bits)]
            if time < last or (time == last and not is_left_out):
                return False
            bits &= bits - 1
    return True


@inner_kernel
def _list_changed(s: State, version: int) -> bool:
    """Write to `changed_words` which nodes have changed since a version; False where that is not known any more."""
    logged, size = s.counts[LOGGED], len(s.changed_nodes)
    if s.changed_span[0] == version and s.changed_span[1] == logged:
        return True
    if logged - version > min(size, MOST_CHANGES):
        return False
    for w in range(s.settings[WORDS]):
        s.changed_words[w] = 0
    for i in range(version, logged):
        node = s.changed_nodes[i % size]
        s.changed_words[node // WORD] |= 1 << (node % WORD)
    s.changed_span[0], s.changed_span[1] = version, logged
    return True


@inner_kernel
def recall(s: State, place: int) -> float:
    """Choose the nodes of the answer at a place again; return its time, infinity for never up to `answer_until`."""
    s.answer_version[place] = s.counts[LOGGED]
    count = s.answer_chosen[place]
    for i in range(count):
        s.chosen_nodes[i] = s.answer_nodes[place * NODES_OF_ANSWER + i]
        s.chosen_units[i] = s.answer_units[place * NODES_OF_ANSWER + i]
    s.counts[CHOSEN] = count
    return float(s.answer_time[place])


@inner_kernel
def remember(s: State, place: int, kind: int, until: float, time: float, row: int, earliest: float) -> None:
    """Keep an answer at its place, with its cut and the first by which nodes enough are of use.

    The row is `UNSURE` where it was not the first choice that was made.
    """
    words = s.settings[WORDS]
    count = 0 if time == np.inf else s.counts[CHOSEN]
    if count > NODES_OF_ANSWER:
        return
    s.answer_kind[place], s.answer_version[place] = kind, s.counts[LOGGED]
    s.answer_time[place], s.answer_until[place], s.answer_chosen[place] = time, until, count
    s.answer_row[place], s.answer_earliest[place] = row, earliest
    for w in range(words):
        s.answer_both[place * words + w] = s.mask_words[w] | s.suit_words[w]
        s.answer_within[place * words + w] = s.within_words[w]
    for i in range(count):
        s.answer_nodes[place * NODES_OF_ANSWER + i] = s.chosen_nodes[i]
        s.answer_units[place * NODES_OF_ANSWER + i] = s.chosen_units[i]
