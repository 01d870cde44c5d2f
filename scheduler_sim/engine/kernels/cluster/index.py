"""Nodes by what they have left: sets of bits by free GPUs and free cores, so that no choice looks at every node."""

from typing import Any

import numpy as np

from scheduler_sim.engine import inlined
from scheduler_sim.engine.codes import BEST_FIT, FIRST_FIT, MILLI
from scheduler_sim.engine.jit import bare_kernel, called_kernel
from scheduler_sim.engine.kernels.cluster.state import BY_CORES, Sim
from scheduler_sim.engine.kernels.cluster.view import fits
from scheduler_sim.engine.kernels.structures.bits import lowest_bit
from scheduler_sim.engine.workloads.workload import IntArray


@bare_kernel
def _move(
    node: int, level: int, level_of: IntArray, level_bits: IntArray, level_words: IntArray, level_count: IntArray
) -> None:
    """Take a node out of the set of its level and put it into that of another one, -1 for none.

    `level_words` has a bit for each word of `level_bits` that is not 0.
    """
    word = node >> 6
    bit = np.int64(1) << (node & 63)
    old = level_of[node]
    if old == level:
        return
    if old >= 0:
        level_bits[old, word] &= ~bit
        if level_bits[old, word] == 0:
            level_words[old, word >> 6] &= ~(np.int64(1) << (word & 63))
        level_count[old] -= 1
    if level >= 0:
        level_bits[level, word] |= bit
        level_words[level, word >> 6] |= np.int64(1) << (word & 63)
        level_count[level] += 1
    level_of[node] = level


@inlined.kernel
def reindex(s: Sim, node: int) -> None:
    """Bring the bit sets up to date after what `node` has left changed."""
    gpu = -1
    cpu = -1
    if s.live.away[node] == 0:
        gpu = s.live.devices[node] // MILLI
        cpu = min(s.live.cores[node] // MILLI, len(s.cpu_count) - 1)
    _move(node, gpu, s.gpu_level, s.gpu_bits, s.gpu_words, s.gpu_count)
    if s.settings[BY_CORES]:
        _move(node, cpu, s.cpu_level, s.cpu_bits, s.cpu_words, s.cpu_count)
    word = node >> 6
    if s.live.away[node] == 0:
        s.block_cpu[word] = max(s.block_cpu[word], s.live.cores[node])


@called_kernel
def tighten(s: Sim, word: int) -> None:
    """Make the bound on free cores of a block of 64 nodes exact; it only grows in between."""
    most = np.int64(-1)
    for node in range(word << 6, min((word + 1) << 6, len(s.live.cores))):
        if s.live.away[node] == 0:
            most = max(most, s.live.cores[node])
    s.block_cpu[word] = most


@inlined.kernel
def _next_fitting(s: Sim, word: int, bits: int, stamp: int, need: tuple[int, int, int, int]) -> tuple[int, int]:
    """Return the lowest of a word's nodes that fits and is not marked, -1 for none, and the bits of those behind it."""
    cpu, whole, share, memory = need
    while bits != 0:
        node = (word << 6) + lowest_bit(bits)
        bits &= bits - 1
        if (stamp < 0 or s.mark[node] != stamp) and fits(s.live, node, cpu, whole, share, memory):
            return node, bits
    return -1, bits


@inlined.kernel
def find_indexed(s: Sim, rule: int, nodes: int, stamp: int, need: tuple[int, int, int, int]) -> int:
    """Return the node that first_fit, best_fit or worst_fit chooses, -1 for none."""
    cpu, whole, share, _ = need
    if rule == FIRST_FIT:
        return _first(s, nodes, stamp, need)
    bits, words, count, level = s.gpu_bits, s.gpu_words, s.gpu_count, whole
    if whole == 0 and share == 0:
        bits, words, count, level = s.cpu_bits, s.cpu_words, s.cpu_count, min(cpu // MILLI, len(s.cpu_count) - 1)
    return _by_level(s, bits, words, count, level, rule == BEST_FIT, nodes, stamp, need)


@inlined.kernel
def _with_gpus(s: Sim, word: int, whole: int) -> Any:
    """Return the nodes of a word that have so many GPUs left, and perhaps some that are away."""
    bits: Any = np.int64(0)
    if 2 * whole <= len(s.gpu_count):
        for level in range(whole):
            bits |= s.gpu_bits[level, word]
        return ~bits
    for level in range(whole, len(s.gpu_count)):
        bits |= s.gpu_bits[level, word]
    return bits


@inlined.kernel
def _first(s: Sim, nodes: int, stamp: int, need: tuple[int, int, int, int]) -> int:
    cpu, whole, share, _ = need
    on_gpu = whole > 0 or share > 0
    for above in range(s.gpu_words.shape[1]):
        words: Any = np.int64(-1)
        if on_gpu:
            words = np.int64(0)
            for level in range(whole, len(s.gpu_count)):
                words |= s.gpu_words[level, above]
        while words != 0:
            word = (above << 6) + lowest_bit(words)
            words &= words - 1
            if word >= len(s.block_cpu):
                break
            if s.block_cpu[word] < cpu:
                continue
            bits = s.allowed_bits[nodes, word]
            if on_gpu:
                bits &= _with_gpus(s, word, whole)
            if bits != 0:
                node, _ = _next_fitting(s, word, bits, stamp, need)
                if node >= 0:
                    return node
            tighten(s, word)
    return -1


@inlined.kernel
def _by_level(
    s: Sim,
    level_bits: IntArray,
    level_words: IntArray,
    level_count: IntArray,
    lowest: int,
    upward: bool,
    nodes: int,
    stamp: int,
    need: tuple[int, int, int, int],
) -> int:
    levels = len(level_count)
    for step in range(levels - lowest):
        level = lowest + step if upward else levels - 1 - step
        if level_count[level] == 0:
            continue
        for above in range(level_words.shape[1]):
            words = level_words[level, above]
            while words != 0:
                word = (above << 6) + lowest_bit(words)
                words &= words - 1
                node, _ = _next_fitting(s, word, level_bits[level, word] & s.allowed_bits[nodes, word], stamp, need)
                if node >= 0:
                    return node
    return -1
