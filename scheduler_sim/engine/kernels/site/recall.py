"""Answers to when a kind could start on a set of nodes, kept as long as no node has changed."""

import numpy as np

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.state import CHOSEN, LOGGED, WORDS, State

ANSWERS = 512
"""How many answers are kept; a later one takes the place of an earlier one by what both are about."""

NODES_OF_ANSWER = 32
"""An answer with more nodes is not kept."""


@inner_kernel
def place_of(s: State, kind: int) -> int:
    """Return where the answer belongs that is about a kind on `mask_words`."""
    mixed = np.uint64(kind)
    for w in range(s.settings[WORDS]):
        mixed = (mixed ^ np.uint64(s.mask_words[w])) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return int(mixed & np.uint64(ANSWERS - 1))


@inner_kernel
def recall(s: State, place: int, kind: int, until: float) -> bool:
    """Tell whether a place has the answer about a kind, `mask_words` and `suit_words`; its nodes are then chosen.

    `answer_time` is infinity for never up to `answer_until`.
    """
    if s.answer_kind[place] != kind or s.answer_version[place] != s.counts[LOGGED]:
        return False
    if s.answer_time[place] == np.inf and s.answer_until[place] < until:
        return False
    words, masks, suits = s.settings[WORDS], s.answer_masks, s.answer_suits
    other = 0
    for w in range(words):
        other |= (masks[place * words + w] ^ s.mask_words[w]) | (suits[place * words + w] ^ s.suit_words[w])
    if other != 0:
        return False
    count = s.answer_chosen[place]
    for i in range(count):
        s.chosen_nodes[i] = s.answer_nodes[place * NODES_OF_ANSWER + i]
        s.chosen_units[i] = s.answer_units[place * NODES_OF_ANSWER + i]
    s.counts[CHOSEN] = count
    return True


@inner_kernel
def remember(s: State, place: int, kind: int, until: float, time: float) -> None:
    """Keep an answer at its place."""
    words = s.settings[WORDS]
    count = 0 if time == np.inf else s.counts[CHOSEN]
    if count > NODES_OF_ANSWER:
        return
    s.answer_kind[place], s.answer_version[place] = kind, s.counts[LOGGED]
    s.answer_time[place], s.answer_until[place], s.answer_chosen[place] = time, until, count
    for w in range(words):
        s.answer_masks[place * words + w] = s.mask_words[w]
        s.answer_suits[place * words + w] = s.suit_words[w]
    for i in range(count):
        s.answer_nodes[place * NODES_OF_ANSWER + i] = s.chosen_nodes[i]
        s.answer_units[place * NODES_OF_ANSWER + i] = s.chosen_units[i]
