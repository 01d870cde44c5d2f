"""Host lists as Slurm writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler_sim.engine.errors import InvalidCluster
from scheduler_sim.engine.sites import expand_hosts, fold_hosts


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("login1", ["login1"]),
        ("n[08-11]", ["n08", "n09", "n10", "n11"]),
        ("n[1-2,7],gpu3", ["n1", "n2", "n7", "gpu3"]),
        ("rack[1-2]node[01-02]", ["rack1node01", "rack1node02", "rack2node01", "rack2node02"]),
        ("a[1-2]-ib", ["a1-ib", "a2-ib"]),
    ],
)
def test_a_host_list_stands_for_its_names_in_order(text: str, names: list[str]) -> None:
    assert expand_hosts(text) == names


@pytest.mark.parametrize("text", ["n[1-2", "n1-2]", "n[[1-2]]", "n[2-1]", "n[a-b]", "n[]", "n[1-99999999]"])
def test_a_host_list_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidCluster, match="host list"):
        expand_hosts(text)


@given(st.lists(st.integers(0, 999), min_size=1, max_size=30), st.sampled_from(["n", "rack1node", "a-b"]))
def test_folding_and_expanding_give_the_names_back(numbers: list[int], prefix: str) -> None:
    names = [f"{prefix}{number:03}" for number in numbers]
    assert expand_hosts(fold_hosts(names)) == names
