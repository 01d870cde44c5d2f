"""A finished run played again through the same connection."""

import math
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from apps.live.wire.replay import Request
from tests.live.live_site import Client, Site

# Where tests are shared out, a worker may come back to this file, and makes its run anew.
_times = count(1)


@pytest.fixture(scope="module")
def played(embedded_site: Site) -> int:
    """A run that really was simulated and stored."""
    name = f"played {next(_times)}"
    run: int = embedded_site.tell("queue", name=name, workload="small", policies=["fcfs", "sjf+easy"])
    embedded_site.manage("runsimulation", "--resume", str(run), "--verbosity", "0")
    return run


@pytest.fixture
def client(embedded_site: Site, played: int) -> Iterator[Client]:
    with embedded_site.client(f"/ws/runs/{played}/") as client:
        yield client


@pytest.fixture
def final(client: Client) -> dict[str, Any]:
    """The snapshot with which the run ended, which comes first."""
    return client.receive("snapshot")


def replayed(client: Client) -> list[dict[str, Any]]:
    """Return the snapshots of a replay up to its end."""
    snapshots: list[dict[str, Any]] = []
    while not snapshots or snapshots[-1]["progress"] < 1:
        snapshots.append(client.receive("snapshot", replay=True))
    return snapshots


def test_a_replay_runs_through_to_the_figures_that_the_run_ended_with(client: Client, final: dict[str, Any]) -> None:
    span = final["clock_time"]
    client.send(type="replay", speed=span / 2)
    snapshots = replayed(client)
    assert len(snapshots) > 5
    clocks = [snapshot["clock_time"] for snapshot in snapshots]
    assert clocks == sorted(clocks)
    assert snapshots[0]["progress"] < 0.5
    last = snapshots[-1]
    assert last["clock_time"] == final["clock_time"]
    assert last["placements"] == final["placements"]
    for one, other in zip(last["policies"], final["policies"], strict=True):
        assert one == pytest.approx(other)


def test_a_replay_may_start_in_the_middle(client: Client, final: dict[str, Any]) -> None:
    middle = final["clock_time"] / 2
    client.send(type="replay", speed=final["clock_time"], from_time=middle)
    assert client.receive("snapshot", replay=True)["clock_time"] == pytest.approx(middle)
    assert replayed(client)[-1]["progress"] == 1.0


def test_another_replay_takes_the_place_of_the_first(client: Client) -> None:
    client.send(type="replay", speed=1e-3)
    client.receive("snapshot", replay=True)
    client.send(type="replay", speed=1e15)
    assert client.receive("snapshot", speed=1e15)
    assert replayed(client)[-1]["speed"] == 1e15


def test_a_client_may_go_back_to_the_present_state(client: Client) -> None:
    client.send(type="replay", speed=1e-3)
    client.receive("snapshot", replay=True)
    client.send(type="live")
    present = client.receive("snapshot", replay=False)
    assert present["progress"] == 1.0


def test_a_run_that_is_not_finished_is_not_played_again(embedded_site: Site, name: str) -> None:
    run = embedded_site.tell("run", name=name)
    with embedded_site.client(f"/ws/runs/{run}/") as client:
        assert client.ask(type="replay")["code"] == "refused"
        embedded_site.tell("publish", run=run)
        assert client.receive("snapshot", progress=1.0)["replay"] is False


def test_a_run_without_placements_is_not_played_again(embedded_site: Site, name: str) -> None:
    run = embedded_site.tell("run", name=name, status="finished")
    with embedded_site.client(f"/ws/runs/{run}/") as client:
        answer = client.ask(type="replay")
    assert (answer["code"], "no placements" in answer["message"]) == ("refused", True)


@pytest.mark.parametrize(
    "message",
    [{"speed": 0}, {"speed": -1.0}, {"speed": True}, {"speed": math.inf}, {"speed": [1]}, {"from_time": "noon"}],
)
def test_a_request_without_meaning_is_refused(message: dict) -> None:
    with pytest.raises(ValueError, match=r"speed|from_time"):
        Request.from_message(message)
