"""What came of a play: placements, attempts and figures as tables, and the state at any instant."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from scheduler_sim.engine.codes import MILLI
from scheduler_sim.engine.contract import ENDINGS, REASONS, Attempts
from scheduler_sim.engine.crew import Crew
from scheduler_sim.engine.errors import InvalidParameter, unknown_name
from scheduler_sim.engine.library.page import as_page
from scheduler_sim.engine.library.tables import Kind, table
from scheduler_sim.engine.measuring.contest import Contest
from scheduler_sim.engine.measuring.electricity import task_electricity
from scheduler_sim.engine.measuring.metrics import TaskFigures, summarise, whole_run
from scheduler_sim.engine.measuring.usage import energy_and_cost
from scheduler_sim.engine.simulation import Simulation
from scheduler_sim.engine.workloads.workload import BoolArray, Workload

if TYPE_CHECKING:
    from scheduler_sim.engine.instant.standing import Standing

RANKED_BY = "mean_bounded_slowdown"


@dataclass(frozen=True, eq=False)
class Result:
    """What came of playing one workload through policies.

    Attributes:
        name: of the workload.
        simulations: by policy, each played to its end.
        notes: sentences that must be known to read the figures.
        scored: shape (n,), tasks whose figures count; None for all.
        workers: the figures of so many policies are worked out at a time.
    """

    name: str
    simulations: Mapping[str, Simulation]
    notes: tuple[str, ...] = ()
    scored: BoolArray | None = field(default=None, repr=False)
    workers: int = field(default=1, repr=False)

    @property
    def policies(self) -> tuple[str, ...]:
        """The names of the policies, in the order in which they were given."""
        return tuple(self.simulations)

    @property
    def workload(self) -> Workload:
        """The tasks that were played; in a closed loop with their recorded arrivals."""
        return next(iter(self.simulations.values())).recorded

    def placements(self, policy: str | None = None, *, kind: Kind = "pandas") -> Any:
        """Return where and when each task ran under a policy: a row a task, by arrival.

        Columns are views on the arrays of the simulation wherever they are numbers that it holds; times are seconds on
        the workload's clock. `node` and `device` are the lowest numbers of a task on several; `on_nodes` tells the
        others. Where series were given, each task's energy, carbon and price of electricity are there too, NaN where
        one is not known.

        Args:
            policy: needed where several were played.
            kind: `pandas`, `polars`, `arrow` or `numpy` (arrays by name).

        Raises:
            InvalidParameter: a policy that was not played, or none where several were.
        """
        simulation = self._of(policy)
        outcome, tasks = simulation.outcome(), simulation.workload
        figures = TaskFigures.of(tasks, outcome)
        columns: dict[str, npt.NDArray[Any]] = {
            "task_id": tasks.task_id,
            "arrival_time": tasks.arrival_time,
            "ready_time": outcome.ready_time,
            "start_time": outcome.start_time,
            "finish_time": outcome.finish_time,
            **vars(figures),
            "cpus": tasks.cpus,
            "gpus": tasks.gpus,
            "node": outcome.node,
            "device": outcome.device,
            "gpu_fraction": outcome.gpu_fraction,
        }
        if outcome.history is not None:
            columns |= {
                "attempts": outcome.history.attempts,
                "service_time": outcome.history.service_time,
                "lost_time": outcome.history.lost_time,
                "outcome": np.array(ENDINGS)[outcome.history.ending],
            }
        if simulation.signals is not None:
            every = np.arange(len(tasks))
            columns["energy_joules"] = energy_and_cost(simulation, every)[0]
            columns["carbon_kg"] = task_electricity(simulation, "carbon", every)
            columns["electricity_usd"] = task_electricity(simulation, "price", every)
        return table(columns, kind)

    def attempts(self, policy: str | None = None, *, kind: Kind = "pandas") -> Any:
        """Return every span in which a task held devices, by task and number; arguments and errors as of `placements`.

        A task that runs once from its start to its finish has one.
        """
        simulation = self._of(policy)
        spans: Attempts = simulation.spans()
        spans = spans[np.lexsort((spans.number, spans.row))]
        return table(
            {
                "task_id": simulation.workload.task_id[spans.row],
                **{name: getattr(spans, name) for name in ("number", "start_time", "end_time", "node", "device")},
                "cpus": spans.cpus,
                "gpus": spans.gpus,
                "reason": np.array(REASONS)[spans.reason],
            },
            kind,
        )

    def on_nodes(self, policy: str | None = None, *, kind: Kind = "pandas") -> Any:
        """Return what each task held of each node, a row a node and span of time; as of `placements` otherwise.

        Of a task on one node that is what `attempts` says. Cores are 0 of what is on several nodes under a policy that
        shares out GPUs alone.
        """
        simulation = self._of(policy)
        spans, held = simulation.spans(), simulation.gangs().pieces()
        key = np.dtype([("row", np.int64), ("start", np.float64)])
        alone, several = (np.empty(len(one), key) for one in (spans, held))
        for found, one in ((alone, spans), (several, held)):
            found["row"], found["start"] = one.row, one.start_time
        kept = ~np.isin(alone, several)
        columns: dict[str, npt.NDArray[Any]] = {
            "row": np.concatenate((spans.row[kept], held.row)),
            **{
                name: np.concatenate((getattr(spans, name)[kept], getattr(held, name)))
                for name in ("start_time", "end_time", "node")
            },
            "cpus": np.concatenate((spans.cpus[kept], held.cpus / MILLI)),
            "gpus": np.concatenate((spans.gpus[kept], held.gpus / MILLI)),
        }
        order = np.lexsort((columns["node"], columns["start_time"], columns["row"]))
        task_id = simulation.workload.task_id[columns.pop("row")[order]]
        return table({"task_id": task_id, **{name: column[order] for name, column in columns.items()}}, kind)

    def figures(self, *, kind: Kind = "pandas") -> Any:
        """Return every figure of every policy, best mean bounded slowdown first; names and meanings are `Summary`'s."""
        names = list(self._rows[0])
        columns = {"policy": np.array([row["policy"] for row in self._rows], object)}
        for name in names[1:]:
            columns[name] = np.array([np.nan if row[name] is None else row[name] for row in self._rows])
        return table(columns, kind)

    def figure(self, name: str, policy: str | None = None) -> float:
        """Return one figure of a policy, NaN where there is no data; errors as of `placements`, or no such figure."""
        row = next(row for row in self._rows if row["policy"] == self._of(policy).policy.name)
        if name not in row or name == "policy":
            raise InvalidParameter(unknown_name("figure", name, list(row)[1:]))
        return float("nan") if row[name] is None else float(row[name])

    def state(self, time: float, policy: str | None = None) -> "Standing":
        """Return what runs, what waits and what is free at an instant, after the policy has acted there.

        Rows are those of the workload. Errors as of `placements`, or an instant that is no number.
        """
        # Here rather than above: it loads what explains every kind of policy.
        from scheduler_sim.engine.instant.standing import Schedule, standing

        simulation = self._of(policy)
        instant: object = time
        if not isinstance(instant, int | float | np.number) or np.isnan(time):
            raise InvalidParameter(f"An instant is a number of seconds on the workload's clock, not {time!r}.")
        return standing(Schedule.of(simulation), float(time), on_site=simulation.site is not None)

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        won = Contest.of({name: simulation.outcome().finish_time for name, simulation in self.simulations.items()}).won

        def row_of(name: str) -> dict[str, Any]:
            simulation = self.simulations[name]
            # Each policy's own span, as the stored metrics have it.
            edges = np.array(whole_run(simulation.workload, [simulation.outcome()], self.scored))
            return {"policy": name, **summarise(simulation, edges=edges, won=won[name], scored=self.scored).row()}

        with Crew(self.workers) as crew:
            rows = crew.each(row_of, self.policies)
        return sorted(rows, key=lambda row: (row[RANKED_BY] is None, row[RANKED_BY] or 0.0, row["policy"]))

    def _of(self, policy: str | None) -> Simulation:
        if policy is None:
            if len(self.simulations) > 1:
                raise InvalidParameter(f"Several policies were played; name one of {', '.join(self.policies)}.")
            return next(iter(self.simulations.values()))
        if policy not in self.simulations:
            raise InvalidParameter(unknown_name("played policy", policy, list(self.policies)))
        return self.simulations[policy]

    def __repr__(self) -> str:
        return f"Result({self.name}: {len(self.workload):,} tasks, {', '.join(self.policies)})"

    def _repr_html_(self) -> str:
        return as_page(f"{self.name}: {len(self.workload):,} tasks", self._rows, self.notes)
