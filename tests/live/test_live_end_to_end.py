"""A run in a process of its own, watched and controlled through the server, with and without Redis."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError

from tests.live.live_site import Client, Redis, Site, code_of, eventually

TASKS = 15_000
POLICIES = ["fcfs", "fcfs+easy", "sjf", "sjf+easy", "wfp3", "wfp3+easy", "unicep", "f1"]


@pytest.fixture
def controller(site: Site, name: str) -> dict[str, str]:
    return {"Cookie": site.tell("user", username=name[:150], may_control=True)["cookie"]}


def test_a_race_tells_when_its_learned_policy_was_fitted_anew(embedded_site: Site, name: str) -> None:
    race = embedded_site.launch(
        *("runsimulation", "--continuous", "--name", name, "--policies", "oracle,greedy", "--verbosity", "0"),
        *("--round-tasks", "100", "--rate", "50", "--retrain-interval", "100"),
    )
    try:
        retraining = None
        while retraining is None:
            retraining = _retraining_of(embedded_site, _round_under_way(embedded_site, name))
    finally:
        race.terminate()
        race.wait(60)
    assert (retraining["scheduler"], retraining["number"], retraining["rows"]) == ("hybrid_ml", 1, 80)


def _round_under_way(site: Site, name: str) -> int:
    with site.client("/ws/live/") as client:
        while True:
            for run in client.receive("runs")["runs"]:
                if run["name"].startswith(name) and run["status"] == "running":
                    return int(run["run"])


def _retraining_of(site: Site, run: int) -> dict[str, Any] | None:
    """Watch a round until it tells of a retraining or is over."""
    with site.client(f"/ws/runs/{run}/") as client:
        while (snapshot := client.receive("snapshot"))["status"] == "running":
            if snapshot["retraining"] is not None:
                break
    found: dict[str, Any] | None = snapshot["retraining"]
    return found


def test_a_run_is_watched_paused_resumed_and_finished(site: Site, name: str, controller: dict[str, str]) -> None:
    run = site.tell("queue", name=name, workload="large", policies=POLICIES)
    with site.client(f"/ws/runs/{run}/", **controller) as client, site.client(f"/ws/runs/{run}/") as other:
        assert client.receive()["status"] == "queued"
        # Slow enough that it cannot end by itself before it is told to pause.
        process = site.launch("runsimulation", "--resume", str(run), "--rate", "5000", "--verbosity", "0")
        client.receive("run_state", status="running")
        assert client.ask(type="pause")["type"] == "accepted"
        for watching in (client, other):
            watching.receive("run_state", status="paused")
        paused = client.receive("snapshot", status="paused")
        assert 0 <= paused["progress"] < 1
        assert client.ask(type="resume")["type"] == "accepted"
        client.receive("run_state", status="running")
        for watching in (client, other):
            watching.receive("run_state", status="finished")
            last = watching.receive("snapshot", status="finished")
        assert last["progress"] == 1.0
        assert [policy["finished"] for policy in last["policies"]] == [TASKS] * len(POLICIES)
        assert sum(policy["wins"] for policy in last["policies"]) >= TASKS
    assert process.wait(60) == 0


def test_who_comes_late_is_told_what_the_race_came_to_before(site: Site, name: str, controller: dict[str, str]) -> None:
    run = site.tell("queue", name=name, workload="large", policies=POLICIES)
    with site.client(f"/ws/runs/{run}/", **controller) as client:
        # Slow enough that it cannot end by itself before somebody came late.
        process = site.launch("runsimulation", "--resume", str(run), "--rate", "500", "--verbosity", "0")
        client.receive("run_state", status="running")

        def late() -> dict[str, Any] | None:
            with site.client(f"/ws/runs/{run}/") as other:
                told = [other.receive() for _ in range(8)]
            assert told[0]["type"] == "snapshot", "the whole state comes first"
            return next((one for one in told if one["type"] == "history" and len(one["clock_time"]) > 2), None)

        history = eventually(late)
        client.send(type="stop")
        client.receive("snapshot", status="stopped")
    assert process.wait(60) == 130
    assert history["clock_time"] == sorted(history["clock_time"])
    assert history["clock_time"][0] < history["clock_time"][-1]
    assert [one["scheduler"] for one in history["policies"]] == POLICIES
    assert all(len(one["wins"]) == len(history["clock_time"]) for one in history["policies"])
    with site.client(f"/ws/runs/{run}/") as after:
        after.send(type="ping")
        told: dict[str, Any] = {}
        while told.get("type") != "pong":
            told = after.receive()
            assert told["type"] != "history", "it goes with the end of the run"


def test_a_run_is_stopped(site: Site, name: str, controller: dict[str, str]) -> None:
    run = site.tell("queue", name=name, workload="large", policies=POLICIES)
    with site.client(f"/ws/runs/{run}/", **controller) as client:
        # Slow enough that it cannot end by itself before it is told to.
        process = site.launch("runsimulation", "--resume", str(run), "--rate", "500", "--verbosity", "0")
        client.receive("run_state", status="running")
        client.send(type="stop")
        assert client.receive("snapshot", status="stopped")["progress"] < 1
    assert process.wait(60) == 130


def test_processes_on_one_port_tell_all_clients_and_serve_on_when_one_falls(
    tmp_path: Path, database: Path, redis: Redis, name: str
) -> None:
    site = Site(tmp_path, database=database, redis_url=redis.url, processes=2)
    try:
        run = site.tell("run", name=name)
        with ExitStack() as stack:
            clients = [stack.enter_context(site.client(f"/ws/runs/{run}/")) for _ in range(8)]
            for client in clients:
                # From its first state on a client misses nothing; what is published here lies nowhere else.
                client.receive("snapshot")
            (published,) = site.tell("publish", run=run)
            for client in clients:
                client.receive("snapshot", published_at=published)
            first, second = site.serving
            os.kill(first, signal.SIGKILL)
            clients.append(stack.enter_context(site.client(f"/ws/runs/{run}/")))
            clients[-1].receive("snapshot")
            (published,) = site.tell("publish", run=run)
            for client in clients:
                with contextlib.suppress(ConnectionClosedError):  # Those that the fallen one had.
                    client.receive("snapshot", published_at=published)
            clients[-1].receive("snapshot", published_at=site.tell("publish", run=run)[0])
            replaced = eventually(lambda: [one for one in site.serving if one not in (first, second)])
            assert len(replaced) == 1
    finally:
        site.close()
    assert f"Server process {first} ended with -9; another starts." in site.log


class StalledClient:
    """Opens a WebSocket and never reads, with a receive buffer as small as it can be."""

    def __init__(self, site: Site, path: str) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self._socket.connect(("127.0.0.1", site.port))
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def close(self) -> None:
        self._socket.close()


def test_clients_that_never_read_cost_others_nothing(site: Site, name: str) -> None:
    run = site.tell("run", name=name)
    stalled = [StalledClient(site, f"/ws/runs/{run}/") for _ in range(20)]
    try:
        with site.client(f"/ws/runs/{run}/") as client:
            client.receive("snapshot")
            sent = site.metric("scheduler_sim_messages_sent_total")
            before = site.memory_kb()  # After the first page, which loads much.
            began = time.monotonic()
            published = site.tell("publish", run=run, count=100, rate=50)
            client.receive("snapshot", published_at=published[-1])
            total = site.metric("scheduler_sim_messages_sent_total") - sent
            # The reader got all there was, each of the stalled ones the window and one a second.
            assert total < 100 + 20 * (8 + 2 + time.monotonic() - began)
            assert site.memory_kb() - before < 20_000
    finally:
        for connection in stalled:
            connection.close()


def test_a_client_that_never_acknowledges_still_gets_the_end(site: Site, name: str) -> None:
    run = site.tell("run", name=name)
    with site.client(f"/ws/runs/{run}/") as client:
        client.receive("snapshot", acknowledge=False)
        site.begin("publish", run=run, count=60, rate=20)
        received = [client.receive("snapshot", acknowledge=False)["progress"] for _ in range(5)]
        assert received == sorted(received)
        site.answer()
        published = site.tell("publish", run=run, status="finished")
        client.receive("snapshot", acknowledge=False, published_at=published[-1])


@pytest.fixture
def fragile(tmp_path: Path, database: Path) -> Iterator[tuple[Site, Redis]]:
    """A site whose Redis may be stopped."""
    from tests.live.conftest import need_redis

    need_redis()
    redis = Redis(tmp_path)
    site = Site(tmp_path, database=database, redis_url=redis.url)
    yield site, redis
    site.close()
    redis.stop()


def test_updates_go_on_while_redis_is_away_and_after_it_is_back(fragile: tuple[Site, Redis], name: str) -> None:
    site, redis = fragile
    run = site.tell("run", name=name)
    with site.client(f"/ws/runs/{run}/") as client:
        client.receive("snapshot")
        published = site.tell("publish", run=run, count=5)
        client.receive("snapshot", published_at=published[-1])
        redis.stop()
        published = site.tell("publish", run=run, count=30)
        while client.receive("snapshot")["published_at"] < published[0]:
            pass
        with site.client(f"/ws/runs/{run}/") as late:
            assert late.receive("snapshot")["published_at"] >= published[0]
        redis.start()

        def arrives_by_redis() -> bool:
            """Tell whether a snapshot arrives that only Redis carries: the database gets one a second at the most."""
            site.tell("publish", run=run)
            (published,) = site.tell("publish", run=run)
            try:
                return bool(client.receive("snapshot", seconds=2, published_at=published))
            except TimeoutError:
                return False

        eventually(arrives_by_redis)
        published = site.tell("publish", run=run, status="finished")
        assert client.receive("snapshot", published_at=published[-1])["status"] == "finished"


def test_too_many_connections_are_refused_with_the_reason(tmp_path: Path, database: Path) -> None:
    limits: dict[str, Any] = {
        "LIVE_MAX_CONNECTIONS": "5",
        "LIVE_MAX_CONNECTIONS_PER_ADDRESS": "3",
        "TRUSTED_PROXIES": "127.0.0.1",
    }
    site = Site(tmp_path, database=database, **limits)

    def refused(**headers: str) -> str:
        with site.client("/ws/live/", **headers) as client:
            message: str = client.receive("error")["message"]
            with pytest.raises(ConnectionClosedError) as closed:
                client.receive()
            assert code_of(closed) == 4429
            return message

    try:
        with ExitStack() as stack:

            def admitted(**headers: str) -> Client:
                client = stack.enter_context(site.client("/ws/live/", **headers))
                client.receive("runs")
                return client

            for _ in range(3):
                admitted()
            assert "127.0.0.1" in refused()
            # Behind a proxy that is trusted it is the client's own address that counts.
            for _ in range(2):
                admitted(**{"X-Forwarded-For": "192.0.2.7"})
            assert "This server" in refused(**{"X-Forwarded-For": "192.0.2.8"})
        eventually(lambda: site.metric("scheduler_sim_websocket_connections") == 0)
    finally:
        site.close()


def test_reading_may_be_kept_to_those_who_are_signed_in(tmp_path: Path, database: Path) -> None:
    site = Site(tmp_path, database=database, API_READ_PUBLIC="0")
    try:
        run = site.tell("run", name="hidden")
        user = site.tell("user", username="reader", may_control=False)
        for path in ("/ws/live/", f"/ws/runs/{run}/"):
            with site.client(path) as client:
                assert client.receive()["code"] == "forbidden"
                with pytest.raises(ConnectionClosedError) as closed:
                    client.receive()
                assert code_of(closed) == 4401
            with site.client(path, Cookie=user["cookie"]) as client:
                assert client.receive()["type"] in ("snapshot", "runs")
    finally:
        site.close()
