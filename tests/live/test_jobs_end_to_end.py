"""Real processes that are really killed: every job ends, the queue goes on, and what was interrupted is taken up."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.live.live_site import Site, eventually


class Caller:
    """Somebody who may control runs, asking the API of a site."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.token = site.tell("user", username="caller", may_control=True)["token"]

    def ask(self, path: str, body: Any = None) -> dict[str, Any]:
        request = Request(
            f"http://127.0.0.1:{self.site.port}/api/v1/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Token {self.token}", "Content-Type": "application/json"},
        )
        with urlopen(request) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found

    def start(self, name: str, workload: int = 1) -> int:
        """Ask for a run of some seconds, or of the small workload."""
        policies = ["fcfs", "sjf", "fcfs+easy", "sjf+easy", "saf", "f1"]
        made = self.ask("runs/", {"workload": workload, "cluster": "hpc-256", "policies": policies, "name": name})
        return int(made["id"])

    def run(self, number: int) -> dict[str, Any]:
        return self.ask(f"runs/{number}/")

    def process_of(self, number: int) -> int:
        """Return the process of a run's job, once it has one."""
        words = f" runjob {self.ask(f'jobs/?subject_id={number}&kind=run')['results'][0]['id']}"
        return eventually(lambda: next(iter(processes(words)), None))


def processes(words: str) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if words in f"{(folder / 'cmdline').read_bytes().replace(bytes(1), b' ').decode()}".rstrip():
                yield int(folder.name)
        except OSError:
            continue


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory, database: Path) -> Iterator[Caller]:
    site = Site(tmp_path_factory.mktemp("jobs_site"), database=database, JOB_PROCESSES="1")
    yield Caller(site)
    site.close()


def test_a_killed_run_is_told_the_next_one_starts_and_it_is_taken_up(caller: Caller) -> None:
    first, second = caller.start("first"), caller.start("second")
    assert caller.run(second)["place"] == 1
    eventually(lambda: caller.run(first)["rows_written"] > 0)
    os.kill(caller.process_of(first), signal.SIGKILL)
    found = eventually(lambda: (run := caller.run(first))["status"] == "failed" and run, 30)
    assert found["interrupted"]
    assert found["error"].startswith("The process that played it died")
    assert 0 < found["rows_written"] < found["rows_expected"]
    eventually(lambda: caller.run(second)["status"] == "finished")

    assert caller.ask(f"runs/{first}/take-up/", {})["status"] == "queued"
    done = eventually(lambda: (run := caller.run(first))["status"] == "finished" and run)
    assert not done["interrupted"]
    assert done["checksum"] == caller.run(second)["checksum"]
    assert caller.site.metric("scheduler_sim_rows_outstanding") == 0


def test_a_run_that_is_killed_before_it_begins_is_told(caller: Caller) -> None:
    number = caller.start("unlucky", workload=2)
    os.kill(caller.process_of(number), signal.SIGKILL)
    found = eventually(lambda: (run := caller.run(number))["status"] == "failed" and run, 30)
    assert found["interrupted"]
    assert caller.ask(f"runs/{number}/take-up/", {})["status"] == "queued"
    eventually(lambda: caller.run(number)["status"] == "finished")


def test_the_queue_goes_on_without_the_server(caller: Caller) -> None:
    numbers = [caller.start("left 1"), caller.start("left 2", workload=2), caller.start("left 3", workload=2)]
    process = caller.process_of(numbers[0])
    caller.site.stop()
    eventually(lambda: not Path(f"/proc/{process}").exists() or "Z" in Path(f"/proc/{process}/stat").read_text())
    eventually(lambda: not list(processes(" runjob ")))
    caller.site.start()
    assert [caller.run(number)["status"] for number in numbers] == ["finished"] * 3


def test_a_killed_study_says_so_and_is_played_to_its_end(caller: Caller) -> None:
    site = caller.site
    definition = {"name": "killed", "workloads": ["large"], "clusters": ["hpc-256"], "policies": ["fcfs"], "seeds": 3}
    path = site.folder / "killed.json"
    path.write_text(json.dumps(definition))
    process = site.launch("runstudy", str(path), "--workers", "1", "--verbosity", "0")
    eventually(lambda: any(run["status"] == "running" for run in runs_of_study(caller)))
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    eventually(lambda: "Interrupted" in page(caller, "/studies/1/"), 30)
    eventually(lambda: all(run["status"] != "running" for run in runs_of_study(caller)), 30)
    assert site.metric("scheduler_sim_rows_outstanding") == 0
    site.manage("runstudy", "--study", "killed", "--workers", "1", "--verbosity", "0")
    assert [run["status"] for run in runs_of_study(caller)] == ["finished"] * 3
    assert "Interrupted" not in page(caller, "/studies/1/")


def runs_of_study(caller: Caller) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = caller.ask("runs/?study=1")["results"]
    return found


def page(caller: Caller, path: str) -> str:
    with urlopen(f"http://127.0.0.1:{caller.site.port}{path}") as answer:
        return str(answer.read(), "utf-8")
