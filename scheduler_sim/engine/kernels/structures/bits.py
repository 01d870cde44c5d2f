"""Sets of up to 64 things as the bits of one integer."""

import numpy as np

from scheduler_sim.engine.jit import inner_kernel


@inner_kernel
def bits_in(mask: int) -> int:
    """Return how many bits of a 64-bit mask are set."""
    x = np.uint64(mask)
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))  # type: ignore[return-value]  # signed again


@inner_kernel
def lowest_bit(mask: int) -> int:
    """Return the number of the lowest set bit; the mask is not 0."""
    return bits_in((mask & -mask) - 1)
