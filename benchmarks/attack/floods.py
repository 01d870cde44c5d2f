"""What comes from outside: hostile files, connections that drip, password guesses while Redis is away, revocations."""

import contextlib
import http.client
import socket
import time
from itertools import islice
from pathlib import Path
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from benchmarks.attack.ground import Broken, Caller, Count, Ground, hold, until
from tests.attack.hostile_files import HostileFile, hostile_files

AT_ONCE = 10
"""Files that wait together; one user may have 20."""

IMPORT_SECONDS = 300
FEW_DESCRIPTORS = 400


def hostile(ground: Ground, count: Count) -> None:
    """Send generated hostile files; each is read or fails with a sentence, and the honest one behind them is read."""
    seed = ground.chance.randrange(10**6)
    number_of_files = ground.times(200)
    files = enumerate(hostile_files(number_of_files, seed))
    with ground.site(count) as caller:
        while together := list(islice(files, AT_ONCE)):
            sent = [(number, file, _sent(caller, count, number, file)) for number, file in together]
            for number, file, key in sent:
                if key is not None:
                    _judge(
                        caller, count, f"file {number} ({file.kind}) of hostile_files({number_of_files}, {seed})", key
                    )
        with count.one("an honest file afterwards"):
            status, honest = caller.upload("honest.csv", b"id,arrival_time,runtime,cpus\n1,0,10,1\n2,1,10,1\n")
            hold(status == 202, f"it was answered with {status}")
            hold(_end(caller, honest["id"])["status"] == "finished", "it was not read")
            hold(not [*(caller.site.folder / "uploads").iterdir()], "uploads are left on disk")
            hold(not caller.ask("jobs/?status=running")["results"], "jobs are left under way")
        with count.one("the pages of all imports"):
            for model, page in (("WorkloadImport", "/workloads/imports"), ("Workload", "/workloads")):
                for key in caller.says(_KEYS.format(model=model)):
                    status = _status(caller, f"{page}/{key}/")
                    hold(status == 200, f"{page}/{key}/ was answered with {status}")


_KEYS = """
from apps.tasks.models import *
print(json.dumps([*{model}.objects.values_list("pk", flat=True)]))
"""


def _status(caller: Caller, path: str) -> int:
    return caller.fetch(path)[0]


def _sent(caller: Caller, count: Count, number: int, file: HostileFile) -> int | None:
    """Send a file; return its import, None where it was refused at the door."""
    try:
        status, answer = caller.upload(file.name, file.content, file.format)
    except (Broken, OSError, http.client.HTTPException) as error:
        status, answer = 0, {"detail": str(error)}
    if status == 202:
        return int(answer["id"])
    with count.one(f"file {number} ({file.kind})"):
        count.seen["refused at once"] += 1
        hold(400 <= status < 500, f"it was answered with {status} {answer}")
    return None


def _judge(caller: Caller, count: Count, which: str, key: int) -> None:
    with count.one(which):
        ended = _end(caller, key)
        count.seen["read" if ended["status"] == "finished" else "failed with a sentence"] += 1
        if ended["status"] == "failed":
            hold(ended["error"].endswith("."), f"it says {ended['error'][:200]!r}")
            hold(not ended["error"].startswith("Unexpected"), f"nobody foresaw it: {ended['error'][:200]}")
            hold("died" not in ended["error"], f"its process died: {ended['error']}")


def _end(caller: Caller, key: int) -> dict[str, str]:
    found: dict[str, str] = until(
        lambda: (one := caller.ask(f"imports/{key}/"))["status"] in ("finished", "failed") and one,
        IMPORT_SECONDS,
        f"import {key} did not end",
    )
    return found


def descriptors(ground: Ground, count: Count) -> None:
    """Take every connection that a server has, from many addresses; those who are in are served all the same."""
    with ground.site(count, descriptors=FEW_DESCRIPTORS, CONNECTIONS_PER_ADDRESS="1000") as caller:
        port = caller.site.port
        for number in range(ground.times(10)):
            with contextlib.ExitStack() as stack, count.one(f"flood {number}"):
                inside = stack.enter_context(
                    contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60))
                )
                _asked(inside, "/health")
                for one in range(FEW_DESCRIPTORS + 200):
                    client = stack.enter_context(socket.socket())
                    client.settimeout(5)
                    with contextlib.suppress(OSError):
                        client.bind((f"127.0.0.{2 + one % 20}", 0))
                        client.connect(("127.0.0.1", port))
                        client.sendall(b"GET /health HTTP/1.1\r\nX-Slow: ")
                held = len([*Path(f"/proc/{caller.site.process_id}/fd").iterdir()])
                count.seen["most descriptors open"] = max(count.seen["most descriptors open"], held)
                for path in ("/", "/static/css/layout.css", "/api/v1/runs/", "/workloads/", "/ready"):
                    status = _asked(inside, path)
                    hold(status == 200, f"{path} was answered with {status} while the descriptors were taken")
                hold(held < FEW_DESCRIPTORS, f"{held} descriptors are open")
            with count.one(f"after flood {number}"):
                until(lambda: _answers(port), 20, "the server does not answer when the flood is over")


def _asked(connection: http.client.HTTPConnection, path: str) -> int:
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def _answers(port: int) -> bool:
    try:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            return _asked(connection, "/health") == 200
    except (OSError, http.client.HTTPException):
        return False


def redis_away(ground: Ground, count: Count) -> None:
    """Take Redis away in the middle of a run and bring it back; limits hold, pages are served, the run ends."""
    with ground.site(count, RATE_LIMIT_LOGIN="10/m", RATE_LIMIT_ACCOUNT="10/m,30/15m,60/h") as caller:
        if caller.redis is None:
            return
        whole = caller.ended_run(caller.start("undisturbed"))["checksum"]
        for number in range(ground.times(5)):
            with count.one(f"absence {number}"):
                run = caller.start(f"absence {number}", rate=2000)
                caller.wait_until_played(run)
                caller.redis.stop()
                try:
                    for path in ("/", "/runs/", f"/runs/{run}/", "/api/v1/leaderboard/"):
                        hold(_status(caller, path) == 200, f"{path} is not served without Redis")
                    passed = sum(_guess(caller, number) != 429 for _ in range(40))
                    count.seen["password guesses tried"] += 40
                    count.seen["of which passed the limit"] += passed
                    hold(passed <= 20, f"{passed} of 40 guesses passed")
                finally:
                    caller.redis.start()
                ready = "/ready does not say that Redis is back"
                until(lambda: b'"ready"' in caller.fetch("/ready")[2], 30, ready)
                ended = caller.ended_run(run)
                hold(ended["status"] == "finished" and ended["checksum"] == whole, "the run did not end as undisturbed")
        with count.one("the log"):
            lines = [line for line in caller.site.log.splitlines() if "edis" in line]
            count.seen["lines in the log"] = len(lines)
            hold(len(lines) <= 20 * ground.times(5), f"{len(lines)} lines about Redis")


def _guess(caller: Caller, number: int) -> int:
    status, headers, page = caller.fetch("/admin/login/", known=False)
    if status == 429:
        return status
    cookie = headers.get("set-cookie", "").partition(";")[0]
    token = page.partition(b'csrfmiddlewaretoken" value="')[2].partition(b'"')[0].decode()
    form = {"username": f"victim {number}", "password": "guess", "csrfmiddlewaretoken": token}
    kind = "application/x-www-form-urlencoded"
    sent = urlencode(form).encode()
    return caller.fetch("/admin/login/", sent, {"Content-Type": kind, "Cookie": cookie}, known=False)[0]


def revocations(ground: Ground, count: Count) -> None:
    """Deactivate users, delete tokens and end sessions; the sockets that they opened end within seconds."""
    kinds = ("deactivate", "delete_token", "sign_out")
    with ground.site(count) as caller, contextlib.ExitStack() as stack:
        run = caller.site.tell("run", name="watched")
        opened: list[tuple[str, str, dict[str, str], list[ClientConnection]]] = []
        for number in range(ground.times(30)):
            kind = ground.chance.choice(kinds)
            user = caller.site.tell("user", username=f"user {number}", may_control=True)
            header = {"Cookie": user["cookie"]} if kind == "sign_out" else {"Authorization": f"Token {user['token']}"}
            sockets = [
                stack.enter_context(connect(caller.site.url(path), additional_headers=header, proxy=None))
                for path in ("/ws/live/", f"/ws/runs/{run}/")
            ]
            opened.append((kind, f"user {number}", user, sockets))
        stranger = stack.enter_context(connect(caller.site.url("/ws/live/"), proxy=None))
        revoked = []
        for kind, name, user, sockets in opened:
            value = {"deactivate": {"username": name}, "delete_token": {"token": user.get("token", "")}}
            caller.site.tell(kind, **value.get(kind, {"cookie": user["cookie"]}))
            revoked.append((kind, name, sockets, time.monotonic()))
        for kind, name, sockets, since in revoked:
            with count.one(f"{kind} of {name}"):
                for one in sockets:
                    _closes(one)
                seconds = time.monotonic() - since
                count.seen["longest, milliseconds"] = max(count.seen["longest, milliseconds"], round(1000 * seconds))
                hold(seconds < 10, f"its sockets went on for {seconds:.1f} s")
        with count.one("somebody else's socket"):
            hold(stranger.ping().wait(20), "it was closed too")


def _closes(connection: ClientConnection) -> None:
    """Read until the server ends the connection, or raise `Broken`."""
    try:
        end = time.monotonic() + 30
        while time.monotonic() < end:
            connection.recv(timeout=30)
    except TimeoutError:
        pass
    except ConnectionClosed as closed:
        hold(closed.rcvd is not None and closed.rcvd.code == 4403, f"it was closed with {closed.rcvd}")
        return
    raise Broken("it is open after 30 s")
