"""Everything that goes over the live WebSockets: group names, one TypedDict a message, and how it is sent.

A message holds a whole state and never a change to one, so that any of them may be dropped for a newer one. Times
named `..._time` are simulated seconds, those named `..._at` are seconds since the epoch, null stands for "no data".
docs/live.md describes the same messages for the people who write clients.
"""

import json
import math
from typing import Any, Literal, NotRequired, TypedDict, get_args

from channels.layers import BaseChannelLayer, InMemoryChannelLayer, get_channel_layer
from django.core.exceptions import ImproperlyConfigured

VERSION = 1
"""Raised when a field changes its meaning or goes away; a new field does not raise it."""

PLACEMENTS_SHOWN = 8
"""How many of the latest placements a snapshot holds, over all policies."""

LONGEST_NUMBER = 20
"""Characters of a whole number in a client's message."""

RUNS_SHOWN = 50
"""How many of the newest runs the list holds."""

Via = Literal["redis", "database"]
ErrorCode = Literal["malformed", "unknown_type", "forbidden", "refused", "not_found", "too_many", "too_large"]
Command = Literal["pause", "resume", "stop"]
COMMANDS: tuple[Command, ...] = ("pause", "resume", "stop")


class PolicyProgress(TypedDict):
    """What one policy has done up to the simulated clock; the figures are those of `engine/measuring/metrics.py`."""

    scheduler: str
    total: int
    finished: int
    running: int
    queue_length: int
    mean_job_completion_time: float | None
    p95_job_completion_time: float | None
    cpu_utilisation: float | None
    gpu_utilisation: float | None
    energy_joules: float | None
    cost_usd: float | None
    wins: int
    mean_width: float | None


class Placement(TypedDict):
    """One of the latest tasks to finish."""

    scheduler: str
    task_id: int
    node: int
    device: int
    gpu_fraction: float
    start_time: float
    finish_time: float


class Fit(TypedDict):
    """A learned policy was fitted anew, the `number`th time since the race began; its score is on held-out rows."""

    scheduler: str
    number: int
    model_version: int | None
    rows: int
    score: float | None


class Retraining(Fit):
    """The same, and where the run's clock stood."""

    clock_time: float


class Snapshot(TypedDict):
    """Server to client: the whole state of one run. `type` is `snapshot`."""

    type: Literal["snapshot"]
    version: int
    run: int
    name: str
    status: str
    error: str
    published_at: float
    clock_time: float | None
    progress: float
    eta_seconds: float | None
    policies: list[PolicyProgress]
    placements: list[Placement]
    retraining: Retraining | None
    replay: bool
    speed: float | None
    interrupted: NotRequired[bool]
    sequence: NotRequired[int]
    via: NotRequired[Via]


class RunState(TypedDict):
    """Server to client: the run's status became another one. `type` is `run_state`."""

    type: Literal["run_state"]
    version: int
    run: int
    name: str
    status: str
    error: str
    interrupted: bool
    sequence: NotRequired[int]


class RetrainingMessage(Retraining):
    """Server to client: the newest retraining of the run. `type` is `retraining`."""

    type: Literal["retraining"]
    version: int
    run: int
    sequence: NotRequired[int]


class PolicyHistory(TypedDict):
    """What one policy had come to at each point of a history."""

    scheduler: str
    mean_job_completion_time: list[float | None]
    queue_length: list[float | None]
    cpu_utilisation: list[float | None]
    gpu_utilisation: list[float | None]
    energy_joules: list[float | None]
    wins: list[float | None]
    mean_width: list[float | None]


HistoryFigure = Literal[
    "mean_job_completion_time",
    "queue_length",
    "cpu_utilisation",
    "gpu_utilisation",
    "energy_joules",
    "wins",
    "mean_width",
]
HISTORY: tuple[HistoryFigure, ...] = get_args(HistoryFigure)
"""The figures of a history: those that are drawn while a race goes on."""


class HistoryMessage(TypedDict):
    """Server to client, on joining: what the race came to before, in few points. `type` is `history`."""

    type: Literal["history"]
    version: int
    run: int
    clock_time: list[float]
    policies: list[PolicyHistory]


class RunProgress(TypedDict):
    """One line of the list of runs."""

    run: int
    name: str
    status: str
    interrupted: bool
    progress: float
    clock_time: float | None
    eta_seconds: float | None
    policies: list[str]
    leader: str | None


class Runs(TypedDict):
    """Server to client, on /ws/live/: the newest runs, newest first. `type` is `runs`."""

    type: Literal["runs"]
    version: int
    via: Via
    runs: list[RunProgress]
    sequence: NotRequired[int]


class Error(TypedDict):
    """Server to client: why a request was refused; the connection stays. `type` is `error`."""

    type: Literal["error"]
    version: int
    code: ErrorCode
    message: str


class Accepted(TypedDict):
    """Server to client: a command stands in the run's queue; `run_state` tells of its effect. `type` is `accepted`."""

    type: Literal["accepted"]
    version: int
    run: int
    command: Command


class Pong(TypedDict):
    """Server to client: the answer to `ping`, with its `id` if it had one. `type` is `pong`."""

    type: Literal["pong"]
    version: int
    id: NotRequired[int | float | str | None]


class Close:
    """Codes with which the server closes a connection; the reason is also sent as an `error` just before."""

    SIGN_IN_NEEDED = 4401
    NOT_FOUND = 4404
    REVOKED = 4403
    TOO_LARGE = 4413
    TOO_MANY = 4429


def run_group(run_id: int) -> str:
    """Return the name of the channel layer's group for the snapshots of one run."""
    return f"run.{run_id}"


def via() -> Via:
    """Return how snapshots come from the runner's process to the server's.

    The in-memory layer stays inside one process, so without Redis they go through `SimulationState.snapshot`.
    """
    return "database" if isinstance(get_channel_layer(), InMemoryChannelLayer) else "redis"


def layer() -> BaseChannelLayer:
    """Return the channel layer that snapshots go through.

    Raises:
        ImproperlyConfigured: the settings name none.
    """
    found = get_channel_layer()
    if found is None:
        raise ImproperlyConfigured("CHANNEL_LAYERS has no default.")
    return found


async def send_snapshot(snapshot: Snapshot) -> None:
    """Send a snapshot to every server process that has a client for its run.

    Raises:
        redis.RedisError, OSError: when Redis cannot be reached.
    """
    await layer().group_send(run_group(snapshot["run"]), {"type": "live.snapshot", "snapshot": snapshot})


def run_state(snapshot: Snapshot) -> RunState:
    """Return the message that tells of a run's new status."""
    return {
        "type": "run_state",
        "version": VERSION,
        "run": snapshot["run"],
        "name": snapshot["name"],
        "status": snapshot["status"],
        "error": snapshot["error"],
        "interrupted": snapshot.get("interrupted", False),
    }


def retraining(run: int, event: Retraining) -> RetrainingMessage:
    """Return the message that tells of a retraining."""
    return {
        "type": "retraining",
        "version": VERSION,
        "run": run,
        "scheduler": event["scheduler"],
        "number": event["number"],
        "model_version": event["model_version"],
        "rows": event["rows"],
        "score": event["score"],
        "clock_time": event["clock_time"],
    }


def history(run: int, stored: dict[str, Any]) -> HistoryMessage:
    """Return the message with what a race came to so far."""
    return {
        "type": "history",
        "version": VERSION,
        "run": run,
        "clock_time": stored["clock_time"],
        "policies": stored["policies"],
    }


def runs(lines: list[RunProgress]) -> Runs:
    """Return the message with the list of runs."""
    return {"type": "runs", "version": VERSION, "via": via(), "runs": lines}


def error(code: ErrorCode, message: str) -> Error:
    """Return the message that refuses a request, in one plain sentence."""
    return {"type": "error", "version": VERSION, "code": code, "message": message}


def accepted(run: int, command: Command) -> Accepted:
    """Return the message that confirms a command."""
    return {"type": "accepted", "version": VERSION, "run": run, "command": command}


def pong(request: dict[str, Any]) -> Pong:
    """Return the answer to a ping."""
    answer: Pong = {"type": "pong", "version": VERSION}
    if isinstance(request.get("id"), int | float | str):
        answer["id"] = request["id"]
    return answer


def encode(message: Any) -> str:
    """Return a message as JSON text.

    Raises:
        ValueError: NaN or an infinity, which JSON cannot hold; whoever builds a message writes None instead.
    """
    return json.dumps(message, separators=(",", ":"), allow_nan=False)


def decode(text: str) -> Any:
    """Return what a client sent as JSON.

    Raises:
        ValueError: no JSON, or a number that is none (NaN), has no bound or more than 20 digits: it means nothing
            and could be sent back to nobody.
    """
    return json.loads(text, parse_constant=_refuse_number, parse_float=_finite, parse_int=_short)


def _refuse_number(text: str) -> float:
    raise ValueError(f"{text[:20]} is no number.")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse_number(text)


def _short(text: str) -> int | float:
    return int(text) if len(text) <= LONGEST_NUMBER else _refuse_number(text)


def number(value: float) -> float | None:
    """Return a figure as JSON can hold it: None where there is no data (NaN) or no bound."""
    value = float(value)
    return value if math.isfinite(value) else None
