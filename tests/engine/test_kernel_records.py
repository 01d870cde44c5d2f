"""Records of addresses: arrays are laid in only as compiled code reads them."""

import numpy as np
import pytest

from scheduler_sim.engine.contract import Outcome
from scheduler_sim.engine.kernels.base import BaseKernel
from scheduler_sim.engine.kernels.records import addresses, readable, record_of_columns


def test_an_array_of_another_type_is_not_read_as_its_bits() -> None:
    record = record_of_columns(("of_test_reals", "of_test_whole"), reals={"of_test_reals"}, records={})
    reals, whole = np.zeros(3), np.zeros(2, np.int64)
    laid = addresses(record, {"of_test_reals": reals, "of_test_whole": whole})
    assert laid["of_test_reals_at"].tolist() == [reals.ctypes.data]
    assert laid["of_test_whole_0"].tolist() == [2]
    with pytest.raises(TypeError, match="Array of_test_reals holds int64, and is read as float64"):
        addresses(record, {"of_test_reals": whole, "of_test_whole": whole})
    with pytest.raises(ValueError, match="not contiguous"):
        addresses(record, {"of_test_reals": reals[::2], "of_test_whole": whole})


def test_a_name_reads_as_one_kind_of_array_in_all_records() -> None:
    readable("of_test_shape", 1, np.int64)
    readable("of_test_shape", 1, np.int64)
    for dimensions, dtype in ((2, np.int64), (0, np.int64), (1, np.float64)):
        with pytest.raises(TypeError, match=r"of_test_shape is read as array\(int64, 1d, C\) already"):
            readable("of_test_shape", dimensions, dtype)


def test_a_kernel_that_cannot_play_says_so():
    class Idle(BaseKernel):
        def outcome(self) -> Outcome:
            raise AssertionError

    with pytest.raises(NotImplementedError, match="Idle has neither an event loop"):
        Idle(counts=np.zeros(9, np.int64), clock=np.zeros(2)).advance(until_time=1.0, max_events=1)
