"""What has been used, and what may be used yet, in a slow simulator of Slurm: limits on resource-minutes."""

from collections.abc import Callable, Iterator
from math import floor

from scheduler_sim.engine.sites import Limits, Site
from tests.engine.reference_slurm_jobs import Job

Key = tuple[str, ...]
Binding = tuple[Key, Limits]
"""What binds a job: ("qos", name) or ("account", name, user), and what it limits."""

_NAMES = {"cpu": "CPU", "node": "Node", "mem": "Mem", "gres/gpu": "GRES"}


class Use:
    """Resource-seconds by QOS and account, decayed where usage is calculated at all.

    Args:
        bindings: of a job that runs or, with a partition, of one that would run in it.
        amounts: what a job has of each resource.
    """

    def __init__(
        self,
        site: Site,
        bindings: Callable[[Job], list[Binding]],
        amounts: Callable[[Job], dict[str, float]],
    ) -> None:
        half = site.priority.decay_half_life_time
        self.decay = 1 - 0.693 / half if half else 1.0
        self.calculates = site.priority.kind == "multifactor"
        self.is_safe = "safe" in site.enforces
        self.factors = {one.name: one.usage_factor for one in site.qos}
        self.shortened = {one.name for one in site.qos if "UsageFactorSafe" in one.flags}
        self.undecayed = {("qos", one.name) for one in site.qos if "NoDecay" in one.flags}
        self.bindings = bindings
        self.amounts = amounts
        self.used: dict[tuple[Key, str], float] = {}

    def begin(self, job: Job, limit: float) -> None:
        job.ahead = floor(limit * self.factors.get(job.qos, 1.0))

    def charge(self, job: Job, seconds: float) -> None:
        """Count what a running job has used in a while; as much less may it use yet."""
        if not self.calculates:
            return
        factor = self.factors.get(job.qos, 1.0)
        job.ahead -= min(floor(seconds * factor), job.ahead)
        for key, _ in self.bindings(job):
            decay = 1.0 if key in self.undecayed else self.decay
            decayed = seconds * decay**seconds * factor
            for resource, amount in {**self.amounts(job), "wall": 1.0}.items():
                self.used[key, resource] = self.used.get((key, resource), 0.0) + amount * decayed

    def forget(self, seconds: float) -> None:
        for key, resource in self.used:
            if key not in self.undecayed:
                self.used[key, resource] *= self.decay**seconds

    def minutes(self, job: Job, limit: float) -> float:
        return floor(limit / 60 * self.factors[job.qos]) if job.qos in self.shortened else limit / 60

    def blocked_by_wall(self, job: Job, bindings: list[Binding], limit: float) -> str:
        """Return which of those that bind a job have run for as long as they may together, or an empty text."""
        stated = False
        for key, limits in bindings:
            if limits.all_time is None or stated:
                continue
            stated = key[0] == "qos"
            ran, most = floor(self.used.get((key, "wall"), 0.0) / 60), limits.all_time / 60
            if ran >= most or (self.is_safe and ran + self.minutes(job, limit) > most):
                return f"{'QOS' if key[0] == 'qos' else 'Assoc'}GrpWallLimit"
        return ""

    def blocked(
        self, job: Job, bindings: list[Binding], running: list[Job], asks: dict[str, float], limit: float
    ) -> str:
        """Return which limit on resource-minutes a job exceeds that gets so much, or an empty text."""
        wanted = {resource: amount * self.minutes(job, limit) for resource, amount in asks.items()}
        stated: set[tuple[str, str]] = set()
        for key, limits in bindings:
            prefix = "QOS" if key[0] == "qos" else "Assoc"
            found = [one for one in self._stated(limits) if one[:2] not in stated]
            mine = [one for one in running if any(key == other for other, _ in self.bindings(one))] if found else []
            for kind, resource, most in found:
                if key[0] == "qos" or kind == "job":
                    stated.add((kind, resource))
                used = self._minutes_of(job, self.used.get((key, resource), 0.0))
                ahead = self._minutes_of(job, sum(self.amounts(one)[resource] * one.ahead for one in mine))
                amount, name = wanted[resource], _NAMES[resource]
                if kind == "used" and amount > 0 and used >= most:
                    return f"{prefix}Grp{name}MinutesLimit"
                if kind == "used" and self.is_safe and (amount > most or (amount > 0 and amount + ahead > most - used)):
                    return f"{prefix}Grp{name}MinutesLimit"
                if kind == "ahead" and amount > 0 and amount + ahead > most:
                    return f"{prefix}Grp{name}RunMinutesLimit"
                if kind == "job" and amount > most:
                    return f"{prefix}Max{name.title()}MinutesPerJobLimit"
        return ""

    def is_spent(self, job: Job) -> bool:
        """Tell whether a running job has to stop, as those that bind it have used as much as they may."""
        if not self.calculates or self.is_safe:
            return False
        stated: set[tuple[str, str]] = set()
        for key, limits in self.bindings(job):
            if key == ("account", "root", ""):
                continue
            found = [(name, most) for kind, name, most in self._stated(limits) if kind == "used"]
            found += [] if limits.all_time is None else [("wall", limits.all_time / 60)]
            for resource, most in found:
                if ("used", resource) in stated:
                    continue
                if key[0] == "qos":
                    stated.add(("used", resource))
                has = resource == "wall" or self.amounts(job)[resource] > 0
                if has and floor(self.used.get((key, resource), 0.0) / 60) >= most:
                    return True
        return False

    def _minutes_of(self, job: Job, seconds: float) -> float:
        return floor(seconds / 60) if self.factors.get(job.qos, 1.0) else 0

    def _stated(self, limits: Limits) -> Iterator[tuple[str, str, float]]:
        for kind, amounts in (
            ("used", limits.all_resource_seconds),
            ("ahead", limits.all_running_resource_seconds),
            ("job", limits.job_resource_seconds),
        ):
            for resource in _NAMES:
                if resource in amounts:
                    yield kind, resource, amounts[resource] / 60
