"""A site in Slurm's words: lines of slurm.conf and commands of sacctmgr, which `slurm_conf` and `slurm_accounts` read.

Grammar: https://slurm.schedmd.com/slurm.conf.html and sacctmgr.html (22.05 to 24.11). What decides nothing of who
starts when (addresses, ports, sockets, groups of users) is not known to a site and is not written.
"""

from collections.abc import Callable, Mapping
from typing import Any

from scheduler_sim.engine.clusters.cluster import NodeGroup
from scheduler_sim.engine.sites.parts import Account, Limits, Nodes, Partition, Qos, Scheduling
from scheduler_sim.engine.sites.site import Site
from scheduler_sim.engine.sites.slurm_settings import CHOICES, MEMORY, PARAMETERS, PRIORITY, SCHEDULING, SWITCHES
from scheduler_sim.engine.units import SECONDS_PER_DAY

_SPELLED = {
    "schedulertype": "SchedulerType",
    "prioritytype": "PriorityType",
    "preempttype": "PreemptType",
    "selecttype": "SelectType",
    "defmempercpu": "DefMemPerCPU",
    "defmempernode": "DefMemPerNode",
    "maxmempercpu": "MaxMemPerCPU",
    "maxmempernode": "MaxMemPerNode",
}
_DEFAULT_SCHEDULING = Scheduling()


def number_text(value: float) -> str:
    """Write a number in the shortest form that reads back as the same."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def span_text(seconds: float) -> str:
    """Write a span whose bare number is minutes: whole minutes below a day so, others as days-hours:minutes:seconds."""
    if seconds < SECONDS_PER_DAY and seconds % 60 == 0:
        return str(int(seconds // 60))
    days, rest = divmod(round(seconds), SECONDS_PER_DAY)
    minutes, whole_seconds = divmod(int(rest), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{int(days)}-{hours:02}:{minutes:02}:{whole_seconds:02}"


def resources_text(amounts: Mapping[str, float]) -> str:
    """Write amounts by resource as `cpu=320,mem=102400,gres/gpu=4`."""
    return ",".join(f"{name}={number_text(amount)}" for name, amount in amounts.items())


def settings_of(site: Site) -> dict[str, str]:
    """Return the settings of slurm.conf that a site stands for, by name; what it leaves open is not there."""
    found: dict[str, str] = {}
    for key, (where, choices) in CHOICES.items():
        value = _at(site, where)
        found[_SPELLED[key]] = next(reversed([word for word, meant in choices.items() if meant == value]))
    if parameters := _parameters(site.scheduling):
        found["SchedulerParameters"] = ",".join(parameters)
    if site.placement == "cores":
        found["SelectTypeParameters"] = "CR_Core_Memory" if site.is_memory_shared_out else "CR_Core"
    elif site.is_memory_shared_out:
        found["SelectTypeParameters"] = "CR_Memory"
    for name, (where, _) in SCHEDULING.items():
        value = getattr(site.scheduling, where)
        is_plain = name == "KillWait" or isinstance(value, bool)
        found[name] = number_text(value) if is_plain else span_text(value)
    if site.priority.kind == "multifactor":
        found.update(_priority(site))
    if site.preemption.kind != "none":
        found["PreemptMode"] = _mode_text(site.preemption.mode)
        found["PreemptExemptTime"] = span_text(site.preemption.exempt_time)
    if site.enforces:
        found["AccountingStorageEnforce"] = ",".join(site.enforces)
    for key, (where, _) in MEMORY.items():
        if (value := getattr(site, where)) is not None:
            found[_SPELLED[key]] = number_text(value)
    return found


def node_line(group: NodeGroup, nodes: Nodes) -> str:
    """Return the line of slurm.conf that describes the nodes of a group; of GPUs of several types no type is said."""
    words = [f"NodeName={nodes.hosts}", f"CPUs={group.cores}"]
    if group.memory_mb is not None:
        words.append(f"RealMemory={number_text(group.memory_mb)}")
    if nodes.features:
        words.append(f"Feature={','.join(nodes.features)}")
    gres = [f"{name}:{number_text(amount)}" for name, amount in nodes.gres.items()]
    if group.gpus:
        kind = f"{group.gpu_type}:" if group.gpu_type and "|" not in group.gpu_type else ""
        gres.insert(0, f"gpu:{kind}{group.gpus}")
    if gres:
        words.append(f"Gres={','.join(gres)}")
    if nodes.weight != 1:
        words.append(f"Weight={nodes.weight}")
    return " ".join(words)


def partition_line(partition: Partition) -> str:
    """Return the line of slurm.conf that describes a partition; what is as by default is left out."""
    default = Partition(name=partition.name)
    words = [f"PartitionName={partition.name}", f"Nodes={partition.hosts or '(null)'}"]
    for name, where, write in _PARTITION:
        value = getattr(partition, where)
        if value != getattr(default, where):
            words.append(f"{name}={write(value)}")
    if partition.exclusive:
        words.append("OverSubscribe=EXCLUSIVE")
    elif partition.oversubscribe > 1:
        words.append(f"OverSubscribe=FORCE:{partition.oversubscribe}")
    return " ".join(words)


def slurm_conf(site: Site) -> str:
    """Return the whole slurm.conf of a site, as far as it decides who starts when."""
    lines = [f"ClusterName={site.name}", *(f"{name}={text}" for name, text in settings_of(site).items())]
    lines += [node_line(group, nodes) for group, nodes in zip(site.cluster.groups, site.nodes, strict=True)]
    lines += [partition_line(partition) for partition in site.partitions]
    return "\n".join(lines) + "\n"


def qos_words(qos: Qos) -> dict[str, str]:
    """Return what sacctmgr sets of a QOS, by its name; what limits nothing is not there."""
    found = {
        "Priority": str(qos.priority),
        "GraceTime": number_text(qos.grace_time),
        "Preempt": ",".join(qos.preempts),
        "UsageFactor": number_text(qos.usage_factor),
        "Flags": ",".join(qos.flags),
    }
    if qos.preempt_mode is not None:
        found["PreemptMode"] = qos.preempt_mode
    if qos.exempt_time is not None:
        found["PreemptExemptTime"] = span_text(qos.exempt_time)
    return {name: text for name, text in found.items() if text} | _limit_words(qos.limits, _QOS_LIMITS)


def account_words(account: Account) -> dict[str, str]:
    """Return what sacctmgr sets of an account or of a user in it, by its name."""
    found = {"Fairshare": str(account.shares)}
    if account.qos:
        found["QOS"] = ",".join(account.qos)
    if account.default_qos:
        found["DefaultQOS"] = account.default_qos
    return found | _limit_words(account.limits, _ACCOUNT_LIMITS)


def _at(site: Site, where: str) -> Any:
    value: Any = site
    for name in where.split("."):
        value = getattr(value, name)
    return value


def _parameters(scheduling: Scheduling) -> list[str]:
    """Return the words of SchedulerParameters that differ from Slurm's defaults, and those that have no effect here."""
    words = []
    for name, (where, _) in PARAMETERS.items():
        value = getattr(scheduling, where)
        if value is None or value == getattr(_DEFAULT_SCHEDULING, where):
            continue
        if name == "sched_min_interval":
            text = str(round(value * 1e6))
        elif name == "bf_window":
            text = number_text(value / 60) if value % 60 == 0 else span_text(value)
        else:
            text = number_text(value)
        words.append(f"{name}={text}")
    words += [name for name, where in SWITCHES.items() if getattr(scheduling, where)]
    return [*words, *scheduling.others]


def _priority(site: Site) -> dict[str, str]:
    priority, found = site.priority, {}
    for name, (where, _) in PRIORITY.items():
        value = getattr(priority, where)
        if where == "flags":
            words = [word for word in value if word.upper() != "NO_FAIR_TREE"]
            text = ",".join([*words, "NO_FAIR_TREE"] if priority.fair_share == "classic" else words)
        elif where == "resource_weights":
            text = resources_text(value)
        elif isinstance(value, bool):
            text = "YES" if value else "NO"
        else:
            text = span_text(value) if where.endswith("_time") else number_text(value)
        if text:
            found[name] = text
    return found


def _mode_text(mode: str) -> str:
    return "SUSPEND,GANG" if mode == "suspend" else mode.upper()


def _each(write: Callable[[Any], str], **fields: str) -> list[tuple[str, str, Callable[[Any], str]]]:
    """Return settings that are all written alike, each with the field that it states."""
    return [(name, field, write) for name, field in fields.items()]


_PARTITION: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("Default", "is_default", lambda value: "YES" if value else "NO"),
    ("State", "state", str.upper),
    *_each(span_text, MaxTime="max_time", DefaultTime="default_time"),
    *_each(str, MaxNodes="max_nodes", MinNodes="min_nodes", MaxCPUsPerNode="max_cores_per_node"),
    *_each(str, PriorityTier="tier", PriorityJobFactor="priority"),
    *_each(number_text, DefMemPerCPU="default_memory_mb_per_core", DefMemPerNode="default_memory_mb_per_node"),
    *_each(number_text, MaxMemPerCPU="max_memory_mb_per_core", MaxMemPerNode="max_memory_mb_per_node"),
    ("QOS", "qos", str),
    *_each(",".join, AllowAccounts="allowed_accounts", DenyAccounts="denied_accounts"),
    *_each(",".join, AllowQos="allowed_qos", DenyQos="denied_qos"),
    ("PreemptMode", "preempt_mode", _mode_text),
    ("GraceTime", "grace_time", number_text),
)
"""Settings of a partition with the field and how it is written, in the order of a line."""

_OF_ALL = {
    "all_resources": "GrpTRES",
    "all_jobs": "GrpJobs",
    "all_submitted": "GrpSubmitJobs",
    "all_resource_seconds": "GrpTRESMins",
    "all_running_resource_seconds": "GrpTRESRunMins",
    "all_time": "GrpWall",
    "job_resources": "MaxTRESPerJob",
    "job_node_resources": "MaxTRESPerNode",
    "job_resource_seconds": "MaxTRESMinsPerJob",
    "job_time": "MaxWallDurationPerJob",
}
_QOS_LIMITS = _OF_ALL | {
    "job_least_resources": "MinTRESPerJob",
    "user_resources": "MaxTRESPerUser",
    "user_jobs": "MaxJobsPerUser",
    "user_submitted": "MaxSubmitJobsPerUser",
    "account_resources": "MaxTRESPerAccount",
    "account_jobs": "MaxJobsPerAccount",
    "account_submitted": "MaxSubmitJobsPerAccount",
}
_ACCOUNT_LIMITS = _OF_ALL | {"user_jobs": "MaxJobs", "user_submitted": "MaxSubmitJobs"}


def _limit_words(limits: Limits, names: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for where, name in names.items():
        value = getattr(limits, where)
        if value is None or value == {}:
            continue
        if isinstance(value, dict):
            # Slurm counts resource-minutes.
            scale = 60.0 if where.endswith("_seconds") else 1.0
            found[name] = resources_text({resource: amount / scale for resource, amount in value.items()})
        else:
            found[name] = span_text(value) if where.endswith("_time") else number_text(value)
    return found
