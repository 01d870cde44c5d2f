"""One policy at one instant in the words of the page: what waits, what runs, what is free, what is reserved."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from apps.dashboard.instants.asked import Asked
from apps.live.exchange.instants import elapsed, instant_document, standing_of, why_not
from apps.live.instants.instant import Instant
from apps.results.models import Run
from scheduler_sim.engine.policies.order import changes_widths

ROWS = 25
"""Tasks of each list on a page."""

MINUTES_FROM = 7_200.0
"""Clocks of runs that are longer than so many seconds are told in hours and days."""

QUEUE_HEADS = ("Waits for", "Decision", "#Starts at", "#Waited", "#Score")
RUNNING_HEADS = ("Where", "#Since", "#Until", "#Expected until")

Clock = Callable[[float | None], str]


def clock_of(span: tuple[float, float]) -> Clock:
    """Return how instants of a run between these are written: as seconds, or as squeue writes longer times."""
    in_seconds = max(map(abs, span)) <= MINUTES_FROM

    def told(seconds: float | None) -> str:
        if seconds is None:
            return ""
        if in_seconds:
            return f"{seconds:,.10g} s"
        return f"-{elapsed(-seconds)}" if seconds < 0 else elapsed(seconds)

    return told


def clock_from_beginning(run: Run, last: float) -> Clock:
    """Return how instants on the workload's clock, up to `last`, are written after the first arrival of a run."""
    begin = run.configuration.get("begin_time")
    first = run.workload.first_arrival_time if begin is None else begin
    told = clock_of((0.0, last - first))
    return lambda time: "" if time is None else told(round(time - first, 6))


@dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
        task: its number. href: of its page. follow: of this page while it is followed.
        cells: the text of each further column, and whether it is a number.
    """

    task: int
    href: str
    follow: str
    cells: list[tuple[str, bool]]


@dataclass(frozen=True)
class Table:
    """What waits, or what runs.

    Attributes:
        heads: of the columns after the task's number, `#` before those of numbers.
        count: of all its tasks, of which `rows` are some. first: how many come before these.
        earlier, more: addresses of those before and of the next ones, empty where there are none.
    """

    heads: list[str]
    rows: list[Row]
    count: int
    first: int
    earlier: str
    more: str

    def as_json(self) -> dict[str, Any]:
        """Return what the browser writes it from."""
        return {**vars(self), "rows": [vars(row) for row in self.rows]}


@dataclass(frozen=True)
class Panel:
    """What the page shows of one policy at an instant.

    Attributes:
        facts: names and texts.
        free: name, cores and GPUs of nodes that have something free, at most `ROWS`; free_count: of how many.
        head, shadow_time: the task for which something is reserved, and from when on, None without one.
        plans: task, cores, from when and until when by the estimates, of what is reserved, at most `ROWS`.
        sentences: what is not known. followed: what the task that is followed does, empty where none is.
        previous_time, next_time: the nearest instants at which something happens, None where there is none.
    """

    policy: str
    time: float
    facts: list[tuple[str, str]]
    queue: Table
    running: Table
    free: list[tuple[str, str, str]]
    free_count: int
    head: int | None
    shadow_time: float | None
    plans: list[tuple[int, float, float, float]]
    sentences: list[str]
    followed: str
    previous_time: float | None
    next_time: float | None

    def as_json(self) -> dict[str, Any]:
        """Return what the browser shows it from."""
        return {**vars(self), "queue": self.queue.as_json(), "running": self.running.as_json()}


def panel(found: Instant, asked: Asked, clock: Clock) -> Panel:
    """Return a policy at an instant; `asked` says which tasks of its lists are shown, and what addresses keep."""
    # A page of a list that has become shorter is its last one.
    asked = replace(
        asked,
        time=found.standing.time,
        first=_page(asked.first, len(found.queue)),
        running=_page(asked.running, len(found.standing.running)),
    )
    document = instant_document(found, first=asked.first, most=ROWS, first_running=asked.running)
    free = document["free_by_node"] or []
    names, amounts = _columns(document)
    changes = ["#Asked for"] if changes_widths(found.scheduler) else []
    waiting = [(task, _waiting(found, task, clock)) for task in document["queue"]]
    running = [(task, _running(task, clock)) for task in document["running"]]
    waiting_count = document["waiting_count"] + document["awaiting_count"]
    return Panel(
        policy=found.scheduler,
        time=document["time"],
        facts=_facts(found, document, clock),
        queue=_table(asked, "first", [*amounts, *QUEUE_HEADS, *names], waiting, waiting_count),
        running=_table(
            asked, "running", [*amounts, *changes, *RUNNING_HEADS, *names], running, document["running_count"]
        ),
        free=[(node["name"], _amount(node["cores"]), _amount(node["gpus"])) for node in free[:ROWS]],
        free_count=len(free),
        head=document["head"],
        shadow_time=document["shadow_time"],
        plans=_plans(found, document),
        sentences=[*filter(None, [document["unexplained"]]), *document["notes"]],
        followed="" if asked.task is None else standing_of(found, asked.task),
        previous_time=document["previous_time"],
        next_time=document["next_time"],
    )


def _page(first: int, count: int) -> int:
    return min(first, max(0, count - 1) // ROWS * ROWS)


def _table(
    asked: Asked, name: str, heads: list[str], tasks: list[tuple[dict[str, Any], dict[str, str]]], count: int
) -> Table:
    rows = []
    (before, after), following = asked.task_address(), asked.following()
    for task, own in tasks:
        cells = {"User": task["user"], "Partition": task["queue"]}
        cells |= {"#Cores": _amount(task["cpus"]), "#GPUs": _amount(task["gpus"]), **own}
        number = task["task_id"]
        texts = [(cells[head], head.startswith("#")) for head in heads]
        rows.append(Row(number, f"{before}{number}{after}", f"{following}{number}", texts))
    first = asked.first if name == "first" else asked.running
    last = first + len(rows)
    earlier = asked.page(name, max(0, first - ROWS)) if first else ""
    return Table(heads, rows, count, first, earlier, asked.page(name, last) if rows and last < count else "")


def _columns(document: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the columns of names and of what tasks ask for, those alone that some task has something in."""
    every = [*document["queue"], *document["running"]]
    names = {"User": "user", "Partition": "queue"}
    amounts = {"#Cores": "cpus", "#GPUs": "gpus"}
    kept = [[head for head, name in said.items() if any(task[name] for task in every)] for said in (names, amounts)]
    return kept[0], kept[1]


def _waiting(found: Instant, task: dict[str, Any], clock: Clock) -> dict[str, str]:
    score = "" if task["score"] is None else f"{task['score']:,.10g}"
    waited, starts = clock(found.standing.time - task["arrival_time"]), clock(task["start_time"])
    return dict(zip(QUEUE_HEADS, (task["waits_for"], why_not(task), starts, waited, score), strict=True))


def _running(task: dict[str, Any], clock: Clock) -> dict[str, str]:
    is_alone = task["nodes"] == task["node_name"]
    where = task["nodes"] + (f" GPU {task['device']}" if is_alone and task["device"] >= 0 else "")
    times = (clock(task[name]) for name in ("since", "until", "expected_until"))
    held = {"#Cores": _amount(task["held_cpus"]), "#GPUs": _amount(task["held_gpus"])}
    held["#Asked for"] = _amount(task["gpus"] or task["cpus"])
    return held | dict(zip(RUNNING_HEADS, (where, *times), strict=True))


def _facts(found: Instant, document: dict[str, Any], clock: Clock) -> list[tuple[str, str]]:
    cluster = found.schedule.cluster
    waits = f"{document['waiting_count']:,}"
    if document["awaiting_count"]:
        waits += f" and {document['awaiting_count']:,} for a parent"
    facts = [("Waiting", waits), ("Running", f"{document['running_count']:,}")]
    for name, whole in (("cores", cluster.cores), ("gpus", cluster.gpus)):
        free = document[f"free_{name}"]
        if whole and free is not None:
            label = "GPUs" if name == "gpus" else name
            facts.append((f"Free {label}", f"{_amount(free)} of {whole:,}"))
    if document["head"] is not None:
        facts.append(("Head of the queue", f"task {document['head']}"))
    if document["shadow_time"] is not None:
        facts.append(("Reserved for it from", clock(document["shadow_time"])))
    if document["extra"]:
        facts.append(("Left over then", f"{document['extra']:,} cores"))
    return facts


def _plans(found: Instant, document: dict[str, Any]) -> list[tuple[int, float, float, float]]:
    """Return what is reserved for tasks that wait: by their own plans, else for the head alone."""
    tasks = found.schedule.workload
    told = dict(zip(tasks.task_id.tolist(), tasks.duration_estimate.tolist(), strict=True))
    plans = []
    for task in document["queue"]:
        # What is not offered yet has nothing reserved.
        begin = None if task["verdict"] in ("held", "cleaner") else task["planned_time"]
        if begin is None and task["task_id"] == document["head"]:
            begin = document["shadow_time"]
        if begin is not None:
            plans.append((task["task_id"], task["cpus"], begin, begin + told[task["task_id"]]))
    return plans


def _amount(value: float) -> str:
    return f"{value:,.6g}"
