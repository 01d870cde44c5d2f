"""What was submitted to the recorded Slurm clusters, as a workload and a site."""

import csv
import gzip
import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from math import floor, nan
from pathlib import Path
from typing import Any

import numpy as np

from scheduler_sim.engine.sites import Reservation, Site, read_slurm_site
from scheduler_sim.engine.workloads.columns import FloatArray, Labels
from scheduler_sim.engine.workloads.requests import TEXTS, Requests
from scheduler_sim.engine.workloads.workload import Workload

_UNITS = {"K": 1 / 1024, "M": 1.0, "G": 1024.0, "T": 1024.0**2}
_ALONE = {"--exclusive", "-H", "--hold", "--no-requeue", "--requeue"}
_BLANK: dict[str, Any] = {
    "nodes": 0,
    "most_nodes": 0,
    "tasks": 0,
    "cores_per_task": 0,
    "tasks_per_node": 0,
    "gpus_per_node": 0.0,
    "memory_mb_per_core": nan,
    "memory_mb_per_node": nan,
    "features": "",
    "partitions": "",
    "qos": "",
    "reservation": "",
    "recorded_nodes": "",
    "exclusive": False,
    "eligible_time": nan,
    "cancel_time": nan,
    "nice": 0,
    "array": 0,
    "array_limit": 0,
    "needs_success": False,
    "fails": False,
    "requeueable": True,
}


@dataclass
class Recorded:
    """One recorded cluster: its site, what was submitted, and when each job really started first.

    Attributes:
        start: shape (n,), NaN for a job that never started.
        nodes: the nodes of its last run, by row, as a host list.
        epoch: seconds since 1970 at which the workload's clock is 0.
    """

    site: Site
    workload: Workload
    start: FloatArray
    nodes: list[str]
    names: list[str]
    epoch: float


def read_recorded(path: Callable[[str], Path], name: str) -> Recorded:
    """Read a scenario of the recorded clusters; `path` gives the path of one of their files."""
    conf = path(f"{name}/conf")
    gres = conf / "gres.conf"
    site, _ = read_slurm_site(
        {"dump": conf / "sacctmgr_dump.cfg", "qos": conf / "sacctmgr_qos.txt"},
        slurm_conf_file=conf / "slurm.conf",
        gres_conf_file=gres if gres.exists() else None,
    )
    with gzip.open(path(f"{name}/submission_log.jsonl.gz"), "rt") as lines:
        log = [json.loads(line) for line in lines]
    epoch = float(log[0]["t0_epoch"])
    released = {one["ref"]: one["t_done"] for one in log if one["op"] == "release"}
    cancelled = {one["ref"]: one["t_done"] for one in log if one["op"] == "cancel"}
    submitted = {one["id"]: one for one in log if one["op"] == "sbatch"}
    with gzip.open(path(f"{name}/jobs.csv.gz"), "rt") as lines:
        rows = list(csv.DictReader(lines))
    rows.sort(key=lambda row: (float(row["submit_ms"]), *(int(part) for part in row["jobid"].split("_"))))
    columns: list[dict[str, Any]] = []
    for number, row in enumerate(rows, 1):
        entry = submitted[int(row["name"][1:])]
        asked = _asked(shlex.split(row["args"]))
        asked["qos"] = asked["qos"] or row["qos"]
        if entry["kind"] == "hold":
            asked["eligible_time"] = released[entry["id"]]
        if delay := entry.get("begin_delay"):
            asked["eligible_time"] = floor(float(row["submit_ms"])) + delay
        asked["cancel_time"] = cancelled.get(entry["id"], nan)
        asked["array"] = int(row["jobid"].split("_")[0]) if "_" in row["jobid"] else 0
        asked["fails"] = row["state"] == "FAILED"
        asked["needs_success"] = row["deptype"] == "afterok"
        columns.append(asked | {"number": number})
    by_name: dict[str, list[int]] = {}
    for number, row in enumerate(rows, 1):
        by_name.setdefault(row["name"], []).append(number)
    start = np.array([float(row["first_start_ms"] or nan) for row in rows])
    workload = Workload.from_columns(
        task_id=[one["number"] for one in columns],
        arrival_time=[float(row["submit_ms"]) for row in rows],
        runtime=[_runtime(row) for row in rows],
        duration_estimate=[float(row["limit_s"]) for row in rows],
        cpus=[_cores(one) for one in columns],
        gpus=[one["gpus_per_node"] * max(one["nodes"], 1) for one in columns],
        gpu_type=[one["gpu_type"] for one in columns],
        user=[row["user"] for row in rows],
        group=[row["account"] for row in rows],
        queue=[row["partition"] for row in rows],
        dependencies=[by_name[f"j{int(row['dep']):04}"] if row["dep"] else [] for row in rows],
        recorded_start_time=start,
        requests=_requests(columns),
    )
    return Recorded(
        site=_with_reservations(site, log, epoch),
        workload=workload,
        start=start,
        nodes=[row["nodelist"] for row in rows],
        names=[row["jobid"] for row in rows],
        epoch=epoch,
    )


def _runtime(row: dict[str, str]) -> float:
    if row["end_ms"] and row["last_start_ms"] and row["state"] in {"COMPLETED", "FAILED"}:
        return float(row["end_ms"]) - float(row["last_start_ms"])
    return float(row["sleep_s"])


def _cores(asked: dict[str, Any]) -> int:
    tasks = asked["tasks"] or max(asked["nodes"], 1) * max(asked["tasks_per_node"], 1)
    return int(tasks * max(asked["cores_per_task"], 1))


def _requests(columns: list[dict[str, Any]]) -> Requests:
    stated: dict[str, Any] = {}
    for name in _BLANK:
        values = [one[name] for one in columns]
        stated[name] = Labels.from_texts(values) if name in TEXTS else np.array(values)
    return Requests.blank(len(columns), **stated)


def _asked(words: list[str]) -> dict[str, Any]:
    """Read the options of sbatch."""
    asked = dict(_BLANK, gpu_type="")
    queue = list(words)
    while queue:
        key, equals, value = queue.pop(0).partition("=")
        if key not in _ALONE and not equals:
            value = queue.pop(0)
        match key:
            case "-N" | "--nodes":
                least, _, most = value.partition("-")
                asked["nodes"], asked["most_nodes"] = int(least), int(most or 0)
            case "-n" | "--ntasks":
                asked["tasks"] = int(value)
            case "-c" | "--cpus-per-task":
                asked["cores_per_task"] = int(value)
            case "--ntasks-per-node":
                asked["tasks_per_node"] = int(value)
            case "--mem-per-cpu":
                asked["memory_mb_per_core"] = _megabytes(value)
            case "--mem":
                asked["memory_mb_per_node"] = _megabytes(value)
            case "--gres":
                *kind, count = value.removeprefix("gpu:").split(":")
                asked["gpus_per_node"], asked["gpu_type"] = float(count), "".join(kind)
            case "-C" | "--constraint":
                asked["features"] = value
            case "-p" | "--partition":
                asked["partitions"] = value
            case "-q" | "--qos":
                asked["qos"] = value
            case "--nice":
                asked["nice"] = int(value)
            case "--array":
                asked["array_limit"] = int(value.partition("%")[2] or 0)
            case "--exclusive":
                asked["exclusive"] = True
            case "--no-requeue":
                asked["requeueable"] = False
            case "-H" | "--hold" | "--requeue" | "--begin":
                pass
            case _:
                raise ValueError(f"The option {key} of sbatch is not read.")
    return asked


def _megabytes(text: str) -> float:
    unit = text[-1].upper()
    return float(text[:-1]) * _UNITS[unit] if unit in _UNITS else float(text)


def _with_reservations(site: Site, log: list[dict[str, Any]], epoch: float) -> Site:
    """Add the reservations that were made by command."""
    made = []
    for one in log:
        if one["op"] != "cmd" or one["argv"][1:3] != ["create", "reservation"]:
            continue
        given = dict(word.split("=", 1) for word in one["argv"][3:])
        start = floor(epoch + one["t_call"]) - epoch + float(given["starttime"].removeprefix("now+"))
        made.append(
            Reservation(
                name=given["reservationname"],
                start_time=start,
                end_time=start + 60 * float(given["duration"]),
                hosts=given["nodes"],
                users=(given["users"],),
                flags=(given["flags"].upper(),),
            )
        )
    if not made:
        return site
    return Site.from_json(
        site.as_json()
        | {
            "reservations": [
                *site.as_json().get("reservations", []),
                *(
                    {
                        "name": one.name,
                        "start_time": one.start_time,
                        "end_time": one.end_time,
                        "hosts": one.hosts,
                        "users": list(one.users),
                        "flags": list(one.flags),
                    }
                    for one in made
                ),
            ]
        }
    )
