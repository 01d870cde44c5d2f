"""Sorting in place what is nearly in order."""

from scheduler_sim.engine.jit import bare_kernel
from scheduler_sim.engine.workloads.workload import IntArray


@bare_kernel
def sort_numbers(numbers: IntArray, size: int) -> None:
    """Sort the first `size` numbers, ascending, by insertion."""
    for i in range(1, size):
        number = numbers[i]
        j = i
        while j > 0 and numbers[j - 1] > number:
            numbers[j] = numbers[j - 1]
            j -= 1
        numbers[j] = number
