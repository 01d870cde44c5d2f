"""What one view of the nodes has left: whether a task fits there, and what is taken from it and given back."""

import numpy as np

from scheduler_sim.engine import inlined
from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.jit import inner_kernel
from scheduler_sim.engine.kernels.cluster.state import MOST_LEVELS, View
from scheduler_sim.engine.kernels.structures.bits import bits_in, lowest_bit


@inlined.kernel
def copy_node(target: View, source: View, node: int) -> None:
    """Make what `target` says of a node equal to what `source` does."""
    target.cores[node] = source.cores[node]
    target.ram[node] = source.ram[node]
    target.free[node] = source.free[node]
    target.parted[node] = source.parted[node]
    target.devices[node] = source.devices[node]
    target.away[node] = source.away[node]
    for device in range(source.left.shape[1]):
        target.left[node, device] = source.left[node, device]


@inner_kernel
def copy_view(target: View, source: View) -> None:
    """Make `target` equal to `source`."""
    for node in range(len(source.cores)):
        copy_node(target, source, node)


@inlined.kernel
def tightest(view: View, node: int, share: int) -> int:
    """Return the shared device with the least room that still holds `share`, the lowest of equals, or -1."""
    best = -1
    mask = view.parted[node]
    while mask != 0:
        device = lowest_bit(mask)
        mask &= mask - 1
        room = view.left[node, device]
        if room >= share and (best < 0 or room < view.left[node, best]):
            best = device
    return best


@inlined.kernel
def fits(view: View, node: int, cpu: int, whole: int, share: int, memory: int) -> bool:
    """Tell whether `node` has this left."""
    if view.away[node] > 0 or view.cores[node] < cpu or view.ram[node] < memory:
        return False
    if whole == 0 and share == 0:
        return True
    need = whole
    if share > 0 and tightest(view, node, share) < 0:
        need += 1
    return need == 0 or bits_in(view.free[node]) >= need


@inner_kernel
def room(view: View, node: int, on_gpu: bool) -> int:
    """Return what best_fit and worst_fit compare: whole GPUs' worth left, or whole cores for work without GPUs."""
    if on_gpu:
        return int(view.devices[node] // MILLI)
    return int(min(view.cores[node] // MILLI, MOST_LEVELS - 1))


@inner_kernel
def take_share(view: View, node: int, device: int, share: int) -> None:
    """Take a part of one device."""
    bit = np.int64(1) << device
    if view.free[node] & bit:
        view.free[node] &= ~bit
        view.left[node, device] = MILLI - share
    else:
        view.left[node, device] -= share
    if view.left[node, device] > 0:
        view.parted[node] |= bit
    else:
        view.parted[node] &= ~bit
    view.devices[node] -= share


@inner_kernel
def give_share(view: View, node: int, device: int, share: int) -> None:
    """Give a part of one device back."""
    bit = np.int64(1) << device
    view.left[node, device] += share
    if view.left[node, device] >= MILLI:
        view.parted[node] &= ~bit
        view.free[node] |= bit
    else:
        view.parted[node] |= bit
    view.devices[node] += share


@inlined.kernel
def take_gpus(view: View, node: int, mask: int, device: int, share: int) -> None:
    """Take whole devices and a part of one more (`device` -1 for none)."""
    view.free[node] &= ~mask
    view.devices[node] -= MILLI * bits_in(mask)
    if device >= 0:
        take_share(view, node, device, share)


@inlined.kernel
def give_gpus(view: View, node: int, mask: int, device: int, share: int) -> None:
    """Give whole devices and a part of one more back."""
    view.free[node] |= mask
    view.devices[node] += MILLI * bits_in(mask)
    if device >= 0:
        give_share(view, node, device, share)
