"""Nodes that go away and come back: for a while nothing starts on them; on one that fails what runs there stops."""

from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.site.hold import note_release
from scheduler_sim.engine.kernels.site.state import CHANGED, COMES, FAILS, LOOK, State
from scheduler_sim.engine.kernels.site.verbs import fail, go_on


@inner_kernel
def _next_on(s: State, node: int, last: int) -> int:
    """Return the lowest row above `last` of a task that holds a part of a node, -1 for none."""
    best = -1
    piece = s.first_on_node[node]
    while piece >= 0:
        row = s.held_pieces[piece].task
        if row > last and (best < 0 or row < best):
            best = row
        piece = s.held_pieces[piece].next_on_node
    return int(best)


@inner_kernel
def turn(s: State, kind: int, node: int, now: float) -> None:
    """Let a node go away, fail or come back."""
    s.node_away[node] += -1 if kind == COMES else 1
    bit = 1 << (node % 64)
    if s.node_away[node] == 0:
        s.up_words[node // 64] |= bit
        s.eased_words[node // 64] |= bit
        note_release(s, node)
    else:
        s.up_words[node // 64] &= ~bit
    if kind == FAILS:
        row = _next_on(s, node, -1)
        while row >= 0:
            fail(s, row, now)
            row = _next_on(s, node, row)
        go_on(s, now)
    s.counts[LOOK] = 1
    s.counts[CHANGED] = 1
