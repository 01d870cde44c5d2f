"""A process beside the server that makes runs and publishes snapshots when it is told to, a JSON line each."""

import json
import os
import sys
import time
from typing import Any

import django

django.setup()

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY  # noqa: E402
from django.contrib.auth.models import Permission, User  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.utils import timezone  # noqa: E402

from apps.live.models import SimulationState  # noqa: E402
from apps.live.play.configuration import RunConfiguration  # noqa: E402
from apps.live.play.launch import run_create  # noqa: E402
from apps.live.play.runner import Runner  # noqa: E402
from apps.live.wire import messages  # noqa: E402
from apps.live.wire.publisher import Outlet, Publisher  # noqa: E402
from apps.live.wire.stored import before_the_start  # noqa: E402
from apps.results.models import Run  # noqa: E402
from apps.tasks.models import Workload  # noqa: E402
from scheduler_sim.accounts.models import ApiToken  # noqa: E402
from scheduler_sim.accounts.services import digest_of, token_create  # noqa: E402
from scheduler_sim.background import processes  # noqa: E402
from scheduler_sim.engine.clusters.presets import load_cluster  # noqa: E402

POLICIES = ("fcfs", "fcfs+easy", "sjf", "sjf+easy")


def snapshot(run: Run, progress: float) -> messages.Snapshot:
    """Return a snapshot of the usual size, of a run that nobody simulates."""
    return {
        **before_the_start(run),
        "published_at": time.time(),
        "clock_time": 1e6 * progress,
        "progress": progress,
        "eta_seconds": 100.0 * (1 - progress),
        "policies": [
            {
                "scheduler": name,
                "total": 10_000,
                "finished": int(10_000 * progress),
                "running": 12,
                "queue_length": 345,
                "mean_job_completion_time": 12345.678901234567,
                "p95_job_completion_time": 45678.901234567891,
                "cpu_utilisation": 0.7123456789012345,
                "gpu_utilisation": None,
                "energy_joules": 123456789.12345678,
                "cost_usd": 1234.5678901234567,
                "wins": 2345,
                "mean_width": None,
            }
            for name in POLICIES
        ],
        "placements": [
            {
                "scheduler": "fcfs+easy",
                "task_id": 12345 + number,
                "node": 0,
                "device": -1,
                "gpu_fraction": 0.0,
                "start_time": 123456.78901,
                "finish_time": 234567.89012,
            }
            for number in range(messages.PLACEMENTS_SHOWN)
        ],
    }


class Feed:
    """What the test can ask for."""

    def __init__(self) -> None:
        self.outlet = Outlet()

    def run(self, name: str, status: str = "running") -> int:
        workload, _ = Workload.objects.get_or_create(name="fed", source="synthetic:fed", task_count=1)
        run = Run.objects.create(name=name, workload=workload, cluster={}, policies=POLICIES, status=status)
        SimulationState.objects.create(
            run=run,
            host=processes.host_name(),
            process_id=os.getpid(),
            process_started_at=processes.started_at(os.getpid()),
            heartbeat_at=timezone.now(),
        )
        return run.pk

    def queue(self, name: str, workload: str, policies: list[str]) -> int:
        """Make a run that `runsimulation --resume` then plays."""
        run = run_create(
            workload=Workload.objects.get(name=workload),
            cluster=load_cluster("hpc-256"),
            configuration=RunConfiguration(policies=tuple(policies)),
            name=name,
        )
        return run.pk

    def play(self, run: int, publishing: bool) -> dict[str, float]:
        """Play a queued run in this process, and return what it took in seconds."""
        publisher = Publisher()
        runner = Runner(Run.objects.get(pk=run), observers=[publisher] if publishing else [])
        wall, processor = time.perf_counter(), time.process_time()
        runner.play()
        return {
            "wall": time.perf_counter() - wall,
            "processor": time.process_time() - processor,
            "runner_seconds": publisher.runner_seconds,
            "own_seconds": publisher.own_seconds,
        }

    def publish(self, run: int, count: int = 1, rate: float = 10.0, status: str | None = None) -> list[float]:
        """Publish in step with the clock, and return when each snapshot was built."""
        row = Run.objects.get(pk=run)
        if status is not None:
            Run.objects.filter(pk=run).update(status=status)
            row.status = status
        published = []
        began = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            message = snapshot(row, (number + 1) / count)
            self.outlet.put(message, urgent=status is not None)
            published.append(message["published_at"])
        return published

    def row(self, run: int, **changes: Any) -> None:
        """Change the run's row, as a process that publishes nothing would."""
        Run.objects.filter(pk=run).update(**changes)

    def retrained(self, run: int, number: int) -> None:
        message = snapshot(Run.objects.get(pk=run), 0.5)
        message["retraining"] = {
            "scheduler": "hybrid_ml",
            "number": number,
            "clock_time": 500.0,
            "model_version": number,
            "rows": 1000,
            "score": 0.9,
        }
        self.outlet.put(message, urgent=True)

    def dead(self, run: int) -> None:
        """Let the process behind the run be gone."""
        SimulationState.objects.filter(run=run).update(process_id=None)

    def command(self, run: int) -> str:
        return SimulationState.objects.get(run=run).command

    def user(self, username: str, may_control: bool) -> dict[str, str]:
        """Return the session cookie and the API token of a new user."""
        user = User.objects.create_user(username, password="a test's password")
        if may_control:
            user.user_permissions.add(Permission.objects.get(codename="control_run"))
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.create()
        return {
            "cookie": f"sessionid={session.session_key}",
            "token": token_create(user=user, name="fed", scope="control")[1],
        }

    def deactivate(self, username: str) -> None:
        User.objects.filter(username=username).update(is_active=False)

    def forbid(self, username: str) -> None:
        User.objects.get(username=username).user_permissions.clear()

    def delete_token(self, token: str) -> None:
        ApiToken.objects.filter(digest=digest_of(token)).delete()

    def expire_token(self, token: str) -> None:
        ApiToken.objects.filter(digest=digest_of(token)).update(expires_at=timezone.now())

    def sign_out(self, cookie: str) -> None:
        SessionStore(cookie.removeprefix("sessionid=")).flush()


if __name__ == "__main__":
    feed = Feed()
    for line in sys.stdin:
        request = json.loads(line)
        number = request.pop("asked")
        answer = getattr(feed, request.pop("do"))(**request)
        sys.stdout.write(json.dumps({"asked": number, "answer": answer}) + "\n")
        sys.stdout.flush()
