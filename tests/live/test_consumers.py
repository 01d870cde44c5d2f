"""The WebSocket endpoints over real sockets: what is sent, what may be asked, and what is refused."""

import json
import time
from contextlib import ExitStack
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.live.live_site import Client, Site, code_of


def test_a_client_gets_the_whole_state_on_connect(site: Site, name: str) -> None:
    run = site.tell("run", name=name)
    site.tell("publish", run=run)
    with site.client(f"/ws/runs/{run}/") as client:
        message = client.receive()
    assert (message["type"], message["version"], message["run"], message["status"]) == ("snapshot", 1, run, "running")
    assert [policy["scheduler"] for policy in message["policies"]] == ["fcfs", "fcfs+easy", "sjf", "sjf+easy"]
    assert message["progress"] == 1.0


def test_a_message_says_which_way_it_came(embedded_site: Site, redis_site: Site, name: str) -> None:
    for site, way in ((embedded_site, "database"), (redis_site, "redis")):
        run = site.tell("run", name=name)
        with site.client(f"/ws/runs/{run}/") as client:
            assert client.receive("snapshot")["via"] == way


def test_a_run_that_has_said_nothing_yet_is_shown_without_figures(site: Site, name: str) -> None:
    run = site.tell("run", name=name, status="queued")
    with site.client(f"/ws/runs/{run}/") as client:
        message = client.receive()
    assert (message["status"], message["progress"], message["clock_time"]) == ("queued", 0.0, None)
    assert message["policies"] == message["placements"] == []


@pytest.mark.parametrize("clients", [1, 50])
def test_every_client_gets_the_newest_snapshot_and_the_end(site: Site, name: str, clients: int) -> None:
    run = site.tell("run", name=f"{name} {clients}")
    with ExitStack() as stack:
        watching = [stack.enter_context(site.client(f"/ws/runs/{run}/")) for _ in range(clients)]
        for client in watching:
            client.receive("snapshot")
        published = site.tell("publish", run=run, count=5)
        for client in watching:
            client.receive("snapshot", published_at=published[-1])
        published = site.tell("publish", run=run, status="finished")
        for client in watching:
            assert client.receive("run_state")["status"] == "finished"
            assert client.receive("snapshot", published_at=published[-1])["status"] == "finished"


def test_sequences_only_grow_on_one_connection(site: Site, name: str) -> None:
    run = site.tell("run", name=name)
    with site.client(f"/ws/runs/{run}/") as client:
        sequences = [client.receive("snapshot")["sequence"]]
        for _ in range(5):
            published = site.tell("publish", run=run, count=3, rate=1000)
            # How many of the three arrive is left to the server; the newest always does.
            newest: dict[str, Any] = {}
            while newest.get("published_at") != published[-1]:
                newest = client.receive()
                sequences.append(newest["sequence"])
    assert len(sequences) >= 5
    assert sequences == sorted(set(sequences))


def test_a_client_that_comes_back_gets_what_it_missed(site: Site, name: str) -> None:
    run = site.tell("run", name=name)
    with site.client(f"/ws/runs/{run}/") as client:
        client.receive("snapshot")
    published = site.tell("publish", run=run, count=3, rate=50, status="paused")
    with site.client(f"/ws/runs/{run}/") as client:
        client.receive("snapshot", published_at=published[-1], status="paused")


def test_the_server_may_be_restarted_while_a_run_goes_on(site: Site, name: str) -> None:
    run = site.tell("run", name=name)
    site.begin("publish", run=run, count=60)
    site.stop()
    site.start()
    published = site.answer()
    site.tell("publish", run=run, status="finished")
    with site.client(f"/ws/runs/{run}/") as client:
        assert client.receive("snapshot")["published_at"] > published[-1]


def test_a_retraining_is_told(site: Site, name: str) -> None:
    run = site.tell("run", name=name)
    with site.client(f"/ws/runs/{run}/") as client:
        client.receive("snapshot")
        site.tell("retrained", run=run, number=3)
        message = client.receive("retraining")
        assert (message["scheduler"], message["number"], message["rows"]) == ("hybrid_ml", 3, 1000)
        assert client.receive("snapshot", progress=0.5)["retraining"]["number"] == 3


def test_the_list_shows_runs_as_they_change(site: Site, name: str) -> None:
    with site.client("/ws/live/") as client:
        client.receive("runs")
        run = site.tell("run", name=name)
        while not [line for line in client.receive("runs")["runs"] if line["run"] == run]:
            pass
        site.tell("publish", run=run, status="finished")
        line: dict[str, Any] = {}
        while line.get("status") != "finished":
            (line,) = [line for line in client.receive("runs")["runs"] if line["run"] == run]
    assert (line["name"], line["leader"], line["interrupted"]) == (name, "fcfs", False)


def test_a_run_whose_process_died_is_shown_as_interrupted(site: Site, name: str) -> None:
    run = site.tell("run", name=name)
    with site.client(f"/ws/runs/{run}/") as client:
        client.receive("snapshot")
        site.tell("publish", run=run)
        site.tell("dead", run=run)
        assert client.receive("run_state")["interrupted"]


def test_a_run_that_ends_without_a_word_is_shown_as_its_row_says(site: Site, name: str) -> None:
    run = site.tell("run", name=name)
    with site.client(f"/ws/runs/{run}/") as client:
        client.receive("snapshot")
        site.tell("publish", run=run)
        site.tell("row", run=run, status="failed", error="The disk is full.")
        message = client.receive("run_state")
    assert (message["status"], message["error"]) == ("failed", "The disk is full.")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("", "malformed"),
        ("{", "malformed"),
        ("[1, 2]", "malformed"),
        ('"ack"', "malformed"),
        ("[" * 4000, "malformed"),
        ('{"type": 7}', "malformed"),
        ('{"type": "ack"}', "malformed"),
        ('{"type": "ack", "sequence": "1"}', "malformed"),
        ('{"type": "ack", "sequence": true}', "malformed"),
        ('{"type": "replay", "speed": "fast"}', "malformed"),
        ('{"type": "replay", "speed": -1}', "malformed"),
        ('{"type": "replay", "speed": NaN}', "malformed"),
        ('{"type": "ping", "id": NaN}', "malformed"),
        ('{"type": "ping", "id": -Infinity}', "malformed"),
        ('{"type": "ping", "id": 1e999}', "malformed"),
        ('{"type": "ping", "id": ' + "9" * 4000 + "}", "malformed"),
        ('{"type": "ack", "sequence": ' + "9" * 4000 + "}", "malformed"),
        ('{"type": "replay", "from_time": ' + "9" * 400 + "}", "malformed"),
        ('{"type": "dance"}', "unknown_type"),
        ('{"type": "__init__"}', "unknown_type"),
        (b"\x00\xff", "malformed"),
    ],
)
def test_a_malformed_message_is_answered_and_the_connection_kept(
    embedded_site: Site, sent: str | bytes, code: str
) -> None:
    run = embedded_site.tell("run", name=f"malformed {sent!r}"[:190])
    with embedded_site.client(f"/ws/runs/{run}/") as client:
        client.connection.send(sent)
        answer = client.answer()
        assert (answer["type"], answer["code"]) == ("error", code)
        assert client.ask(type="ping", id=5) == {"type": "pong", "version": 1, "id": 5}


def test_a_message_that_is_too_large_ends_the_connection(embedded_site: Site, name: str) -> None:
    run = embedded_site.tell("run", name=name)
    with embedded_site.client(f"/ws/runs/{run}/") as client:
        client.connection.send(json.dumps({"type": "ping", "id": "x" * 5000}))
        assert client.answer()["code"] == "too_large"
        with pytest.raises(ConnectionClosedError) as closed:
            client.receive()
    assert code_of(closed) == 4413


def test_a_flood_of_messages_ends_the_connection(embedded_site: Site) -> None:
    def flood() -> None:
        for _ in range(1000):
            client.send(type="ping")
        client.receive("never sent", acknowledge=False)

    with embedded_site.client("/ws/live/") as client, pytest.raises(ConnectionClosedError) as closed:
        flood()
    assert code_of(closed) == 4429


@pytest.mark.parametrize("run", [987654321, 10**30])
def test_a_run_that_does_not_exist_is_said_to(site: Site, run: int) -> None:
    with site.client(f"/ws/runs/{run}/") as client:
        assert client.receive()["code"] == "not_found"
        with pytest.raises(ConnectionClosedError) as closed:
            client.receive()
    assert code_of(closed) == 4404


@pytest.mark.parametrize("path", ["/ws/", "/ws/runs/abc/", "/elsewhere/"])
def test_an_address_that_does_not_exist_is_refused(embedded_site: Site, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(embedded_site.url(path), proxy=None)
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "origin", ["https://elsewhere.example", "null", "file://", "http://localhost.elsewhere.example"]
)
def test_a_page_of_another_site_is_refused(embedded_site: Site, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(embedded_site.url("/ws/live/"), proxy=None, origin=Origin(origin))
    assert refused.value.response.status_code == 403


def test_a_page_of_this_site_is_welcome(embedded_site: Site) -> None:
    with embedded_site.client("/ws/live/", Origin=f"http://localhost:{embedded_site.port}") as client:
        assert client.receive()["type"] == "runs"


@pytest.mark.parametrize("command", ["pause", "resume", "stop"])
def test_control_by_somebody_unknown_is_refused(embedded_site: Site, name: str, command: str) -> None:
    run = embedded_site.tell("run", name=name)
    with embedded_site.client(f"/ws/runs/{run}/") as client:
        assert client.ask(type=command)["code"] == "forbidden"
    assert embedded_site.tell("command", run=run) == ""


def test_control_by_a_user_without_the_permission_is_refused(embedded_site: Site, name: str) -> None:
    run = embedded_site.tell("run", name=name)
    user = embedded_site.tell("user", username=name, may_control=False)
    with embedded_site.client(f"/ws/runs/{run}/", Cookie=user["cookie"]) as client:
        assert client.ask(type="stop")["code"] == "forbidden"
    assert embedded_site.tell("command", run=run) == ""


def test_a_command_by_a_user_with_the_permission_is_queued(site: Site, name: str) -> None:
    run = site.tell("run", name=name)
    user = site.tell("user", username=name, may_control=True)
    with site.client(f"/ws/runs/{run}/", Cookie=user["cookie"]) as client:
        assert client.ask(type="pause") == {"type": "accepted", "version": 1, "run": run, "command": "pause"}
    assert site.tell("command", run=run) == "pause"
    with site.client(f"/ws/runs/{run}/", Authorization=f"Token {user['token']}") as client:
        assert client.ask(type="stop")["type"] == "accepted"
    assert site.tell("command", run=run) == "stop"


def test_a_command_that_the_run_does_not_allow_is_refused_in_plain_words(embedded_site: Site, name: str) -> None:
    run = embedded_site.tell("run", name=name, status="finished")
    user = embedded_site.tell("user", username=name, may_control=True)
    with embedded_site.client(f"/ws/runs/{run}/", Cookie=user["cookie"]) as client:
        answer = client.ask(type="pause")
    assert answer["code"] == "refused"
    assert name in answer["message"]


def test_a_sign_out_counts_on_an_open_connection(embedded_site: Site, name: str) -> None:
    run = embedded_site.tell("run", name=name)
    user = embedded_site.tell("user", username=name, may_control=True)
    with embedded_site.client(f"/ws/runs/{run}/", Cookie=user["cookie"]) as client:
        assert client.ask(type="pause")["type"] == "accepted"
        embedded_site.tell("sign_out", cookie=user["cookie"])
        assert client.ask(type="stop")["code"] == "forbidden"


def closes(client: Client) -> int:
    """Return the code with which the server ends a connection."""
    with pytest.raises(ConnectionClosedError) as closed:
        client.receive("never sent")
    return code_of(closed)


@pytest.mark.attack
@pytest.mark.parametrize("credential", ["cookie", "token"])
def test_the_connections_of_a_deactivated_user_are_closed(site: Site, name: str, credential: str) -> None:
    run = site.tell("run", name=name)
    user = site.tell("user", username=name, may_control=True)
    header = {"Cookie": user["cookie"]} if credential == "cookie" else {"Authorization": f"Token {user['token']}"}
    with site.client(f"/ws/runs/{run}/", **header) as one, site.client("/ws/live/", **header) as other:
        assert one.ask(type="pause")["type"] == "accepted"
        site.tell("deactivate", username=name)
        assert one.ask(type="stop")["code"] == "forbidden"
        began = time.monotonic()
        assert [closes(one), closes(other)] == [4403, 4403]
    assert time.monotonic() - began < 30
    with site.client("/ws/live/", **header) as unknown:
        assert unknown.receive()["type"] == "runs"


@pytest.mark.attack
@pytest.mark.parametrize("end", ["delete_token", "expire_token"])
def test_the_connections_of_a_token_that_ends_are_closed_and_no_others(
    embedded_site: Site, name: str, end: str
) -> None:
    site = embedded_site
    user = site.tell("user", username=name, may_control=False)
    with (
        site.client("/ws/live/", Authorization=f"Token {user['token']}") as by_token,
        site.client("/ws/live/", Cookie=user["cookie"]) as by_session,
        site.client("/ws/live/") as unknown,
    ):
        site.tell(end, token=user["token"])
        assert closes(by_token) == 4403
        assert by_session.ask(type="ping", id=1)["type"] == "pong"
        assert unknown.ask(type="ping", id=2)["type"] == "pong"


@pytest.mark.attack
def test_a_permission_that_was_taken_counts_at_the_next_command(embedded_site: Site, name: str) -> None:
    run = embedded_site.tell("run", name=name)
    user = embedded_site.tell("user", username=name, may_control=True)
    with embedded_site.client(f"/ws/runs/{run}/", Cookie=user["cookie"]) as client:
        assert client.ask(type="pause")["type"] == "accepted"
        embedded_site.tell("forbid", username=name)
        assert client.ask(type="stop")["code"] == "forbidden"
    assert embedded_site.tell("command", run=run) == "pause"


def test_open_connections_are_counted_for_prometheus(embedded_site: Site) -> None:
    with ExitStack() as stack:
        before = embedded_site.metric("scheduler_sim_websocket_connections")
        for _ in range(3):
            stack.enter_context(embedded_site.client("/ws/live/")).receive()
        assert embedded_site.metric("scheduler_sim_websocket_connections") == before + 3
