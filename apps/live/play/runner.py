"""Plays all policies of a run side by side in simulated time and on all cores, stores what they do, and obeys.

The same code runs in the foreground, in a detached process started from the web and in a worker. The simulation is
deterministic, so nothing of it is saved: a run that was interrupted is simulated again from its start, which takes a
small part of the time that storing took, and only the placements that the database does not hold are written.

Threads play the policies of one step; when all have come to its end, the runner's thread alone hands over what they
did, policy by policy. So rows have one order with any number of threads, and no policy runs ahead of the writer.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import msgspec
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from apps.live.models import ClaimLost, SimulationState
from apps.live.play.conclusion import Ending, clock_zero, conclude
from apps.live.play.configuration import RunConfiguration
from apps.live.play.file_writer import FileWriter
from apps.live.play.players import Player, make_players
from apps.live.play.preparation import Prepared, prepare
from apps.live.play.steps import STEP_SECONDS, Steps
from apps.live.store.batches import ResultBatch
from apps.live.store.refill import placements_reconcile
from apps.live.store.spill import spill_take_in
from apps.live.store.writer import ResultWriter
from apps.results.errors import DomainError, RunStateError
from apps.results.models import Run
from scheduler_sim import engine
from scheduler_sim.background.memory import kept_memory
from scheduler_sim.background.processes import HEARTBEAT_EVERY
from scheduler_sim.background.work import unforeseen
from scheduler_sim.columnar.turnstile import first_in_line
from scheduler_sim.engine.crew import Crew, cores, quick_turns
from scheduler_sim.engine.policies.own import own_digests

logger = logging.getLogger(__name__)

STEP_EVENTS = 2_500
"""Where a step is cut although its simulated span is not over: commands and the writer wait for no more."""

LARGEST_STEP_EVENTS = 40_000
"""The same where nothing is stored and policies are quick enough."""

PARTS = 4
"""With several threads each policy plays a long step in so many parts, one behind the other."""

BATCH_ROWS = 5_000
"""A batch is written when so many placements wait; small enough to lose little work, large enough to be quick."""

STORE_SECONDS = 1.0
"""A smaller batch is written when the last one is so old, so that a slow race can be followed in the tables."""

UNPLAYABLE = (engine.OversizedTasks, engine.InvalidWorkload, engine.InvalidCluster)
"""What a run fails of again, because its tasks and its cluster never change."""

POLL_SECONDS = 0.02
"""How often the command queue is looked at."""


class Observer(Protocol):
    """Anything that wants to know how a run goes: a progress display, the live publisher."""

    def started(self, runner: "Runner") -> None:
        """The run begins or is taken up again."""

    def stepped(self, runner: "Runner") -> None:
        """Another step was simulated."""

    def changed(self, runner: "Runner") -> None:
        """The run's status changed."""

    def ended(self, runner: "Runner") -> None:
        """The run is over; its status says how."""


class _StoppedWhileReading(Exception):
    """The run was stopped before anything was played."""


class Runner:
    """Plays one run to its end.

    Args:
        prepared: what is played, where it was loaded already.
        tasks_per_second: slow the race down so that people can watch it; None for the run's own rate.
        threads: so many policies are played at a time; None for the run's own number of cores.

    Attributes:
        run: the run's row.
        players: one a policy, once `play` has prepared them.
        workload, cluster: what is played.
        clock_time: the simulated time that every policy has reached.
        stop_requested: set it, from any thread, to end the run at the next step; what was simulated is stored.
    """

    def __init__(
        self,
        run: Run,
        *,
        prepared: Prepared | None = None,
        observers: Sequence[Observer] = (),
        tasks_per_second: float | None = None,
        threads: int | None = None,
    ) -> None:
        self.run = run
        self._prepared = prepared
        self.configuration = RunConfiguration.from_json(run.configuration)
        self.observers = list(observers)
        self.players: list[Player] = []
        self.workload: engine.Workload
        self.cluster: engine.Cluster
        self.clock_time = 0.0
        self.stop_requested = threading.Event()
        self._tasks_per_second = tasks_per_second or self.configuration.rate
        self._threads = min(threads or self.configuration.cores or cores(), len(self.configuration.policies))
        self._step_events = STEP_EVENTS
        self._polled_at = 0.0
        self._stored_at = 0.0
        self._beat_at = 0.0
        self._is_told = False
        self._state: SimulationState

    @property
    def tasks(self) -> int:
        """How many tasks each policy plays."""
        return len(self.workload)

    @property
    def finished(self) -> int:
        """Tasks finished, over all policies."""
        return sum(player.simulation.finished for player in self.players)

    @property
    def _all_done(self) -> bool:
        return all(player.simulation.done for player in self.players)

    def play(self) -> None:
        """Simulate, store and finish.

        The run ends as finished, as stopped (what was simulated is stored), or as failed with the reason.

        Raises:
            KeyboardInterrupt: somebody would not wait for the end; the run is stopped with what is stored.
            RunStateError: another process plays the run, or its state does not allow it.
            DomainError, EngineError: why the run failed.
        """
        state = SimulationState.objects.select_related("run").get(run=self.run)
        state.claim()
        self._state = state
        try:
            self.run.begin()
        except RunStateError:
            state.release()
            raise
        try:
            with self._reporting_failure(), kept_memory(), quick_turns(), Crew(self._threads) as crew:
                try:
                    self._prepare(state, crew)
                except _StoppedWhileReading:
                    self.run.stop()
                    return
                self._tell("started")
                self._is_told = True
                with self._writer(crew) as writer:
                    self._simulate(writer, crew)
                    # While the writer still stores: this needs only what is in memory.
                    ending = self._ending(crew) if self._all_done else None
                self._conclude(ending)
        finally:
            self._tell("ended")
            _quietly(state.release)

    def _writer(self, crew: Crew) -> ResultWriter | FileWriter:
        if self.configuration.keep == "parquet":
            return FileWriter(run=self.run, claim=self._state, each=crew.each)
        return ResultWriter(run=self.run, claim=self._state)

    def _ending(self, crew: Crew) -> Ending:
        zero = clock_zero(self.run.workload)
        return Ending.of(self.players, self.configuration, clock_zero=zero, each=crew.each)

    def _prepare(self, state: SimulationState, crew: Crew) -> None:
        prepared = self._prepared or prepare(
            workload=self.run.workload,
            cluster=engine.Cluster.from_json(self.run.cluster),
            configuration=self.configuration,
            meanwhile=self._obey_while_reading,
        )
        self.workload, self.cluster = prepared.workload, prepared.cluster
        self._tasks_digest = prepared.tasks_digest
        self.clock_time = float(prepared.workload.arrival_time[0])
        if placements_reconcile(run=self.run) | bool(spill_take_in(run=self.run)):
            state.refresh_from_db(fields=["progress"])
        self._name_own_policies()
        in_database = state.progress if self.configuration.keep == "results" else None
        self.players = make_players(prepared, self.configuration, stored=in_database, each=crew.each)
        expected = len(prepared.workload) * len(self.players) if self.configuration.keep != "summary" else 0
        cautions = list(prepared.cautions)
        if expected != self.run.rows_expected or cautions != self.run.cautions:
            self.run.rows_expected, self.run.cautions = expected, cautions
            self.run.save(update_fields=["rows_expected", "cautions"])

    def _name_own_policies(self) -> None:
        """Say which files and programs play a run that is played from its beginning."""
        own = own_digests(self.run.policies) or None
        if self.run.rows_written or own == self.configuration.own_policies:
            return
        self.configuration = msgspec.structs.replace(self.configuration, own_policies=own)
        self.run.configuration = self.configuration.as_json()
        self.run.save(update_fields=["configuration"])

    @contextmanager
    def _reporting_failure(self) -> Iterator[None]:
        try:
            yield
        except ClaimLost:
            raise
        except KeyboardInterrupt:
            _quietly(self.run.stop)
            raise
        except BaseException as error:
            if self._is_lost():
                # Whatever went wrong here, the run is another process's now.
                raise self._state.lost() from error
            if isinstance(error, UNPLAYABLE):
                _quietly(_mark_unplayable, self.run)
            told = isinstance(error, DomainError | engine.EngineError)
            _quietly(self.run.fail, str(error) if told else unforeseen(error))
            raise

    def _is_lost(self) -> bool:
        try:
            return self._state.is_lost()
        except DatabaseError:
            return False  # Nobody can tell; the run says why it failed once the database is back.

    def _simulate(self, writer: ResultWriter | FileWriter, crew: Crew) -> None:
        steps = Steps(self.workload.arrival_time, tasks_per_second=self._tasks_per_second)
        while not self._all_done:
            self._obey(writer)
            if self.stop_requested.is_set():
                break
            if not writer.wait_for_room(POLL_SECONDS):
                continue  # Commands are obeyed while the database is behind.
            steps.begin()
            self._advance(crew, steps.until_time)
            self._store(writer, at_least=BATCH_ROWS)
            if all(player.reached for player in self.players):
                self.clock_time = steps.until_time
                steps.extend()
            self._tell("stepped")
        self._store(writer, at_least=1)

    def _advance(self, crew: Crew, until_time: float) -> None:
        """Let every policy play up to `until_time`, or a part of that."""
        playing = [player for player in self.players if not player.simulation.done]
        for player in playing:
            player.begin_step()
        # What took longest begins first, so that no thread is left with it at the end.
        longest = sorted(playing, key=lambda player: -player.took)
        parts = [[player for player in longest if player.simulation.holds_lock]]
        parts += [[player] for player in longest if not player.simulation.holds_lock]

        # Part by part, so that at the end a thread waits for the other no longer than one takes.
        rounds = PARTS if crew.threads > 1 and self._step_events >= PARTS * STEP_EVENTS else 1

        def play(players: list[Player]) -> None:
            for player in players:
                player.advance(until_time=until_time, max_events=self._step_events // rounds)

        crew.each(play, [part for part in parts if part] * rounds)
        if self.configuration.keep != "results":
            took = sum(player.took for player in playing) / crew.threads
            if took < STEP_SECONDS / 2:
                self._step_events = min(self._step_events * 2, LARGEST_STEP_EVENTS)
            elif took > STEP_SECONDS * 2:
                self._step_events = max(self._step_events // 2, STEP_EVENTS)

    def _store(self, writer: ResultWriter | FileWriter, *, at_least: int) -> None:
        if isinstance(writer, FileWriter):
            writer.store(self.players, self.clock_time, all_of_it=at_least == 1)
            return
        pending = sum(player.pending for player in self.players)
        now = time.monotonic()
        if self.configuration.keep != "results" or not pending:
            return
        if pending < at_least and now - self._stored_at < STORE_SECONDS:
            return
        self._stored_at = now
        taken = {player.scheduler: player.take() for player in self.players if player.pending}
        writer.put(
            ResultBatch(
                parts={scheduler: columns for scheduler, (columns, _) in taken.items()},
                attempts={scheduler: several for scheduler, (_, several) in taken.items() if several is not None},
                progress={player.scheduler: player.handed_over for player in self.players},
                clock_time=self.clock_time,
            )
        )

    def _obey(self, writer: ResultWriter | FileWriter | None = None) -> None:
        """Look at the command queue, and wait while the run is paused, with all that has finished stored."""
        now = time.monotonic()
        if now - self._polled_at < POLL_SECONDS:
            return
        self._polled_at = now
        if self._poll() != SimulationState.Command.PAUSE:
            return
        with first_in_line():
            self.run.pause()
        if isinstance(writer, FileWriter):
            self._store(writer, at_least=1)
        self._tell("changed")
        while not self.stop_requested.is_set() and self._poll() != SimulationState.Command.RESUME:
            time.sleep(POLL_SECONDS)
        if not self.stop_requested.is_set():
            with first_in_line():
                self.run.unpause()
            self._tell("changed")

    def _obey_while_reading(self) -> None:
        self._obey()
        if self.stop_requested.is_set():
            raise _StoppedWhileReading

    def _poll(self) -> str:
        """Return the command that waits, if any, and note a stop."""
        try:
            self._beat(time.monotonic())
            command = self._take_command()
        except (OperationalError, InterfaceError) as error:
            # The writer says so and tries again; until the database is back nobody can give a command. One that was
            # only busy goes on, and so does the reading of tasks. SQLite's counts as usable whatever befell it.
            is_busy = "locked" in str(error) or "busy" in str(error)
            if not connection.is_usable() or (self.players and not is_busy):
                connection.close()
            return SimulationState.Command.NONE
        if command == SimulationState.Command.STOP:
            self.stop_requested.set()
        return command

    def _take_command(self) -> str:
        """Return the command that waits, if any, and take it out of the queue."""
        states = SimulationState.objects.filter(run=self.run)
        command: str = states.values_list("command", flat=True).get()
        if command:
            # Only this very command: one that replaced it meanwhile stays.
            with first_in_line():
                states.filter(command=command).update(command=SimulationState.Command.NONE)
        return command

    def _beat(self, now: float) -> None:
        if now - self._beat_at >= HEARTBEAT_EVERY.total_seconds():
            self._beat_at = now
            self._state.keep()

    def _conclude(self, ending: Ending | None) -> None:
        """Write the figures and move the run to its last state."""
        if not connection.is_usable():
            # The database went away and came back while only the writer spoke to it.
            connection.close()
        self.run.refresh_from_db(fields=["rows_written"])
        if ending is None:
            self.run.stop()
        else:
            conclude(
                run=self.run,
                claim=self._state,
                players=self.players,
                ending=ending,
                split_model=self.configuration.split_model,
                tasks_digest=self._tasks_digest,
            )

    def _tell(self, event: str) -> None:
        if event == "changed" and not self._is_told:
            return  # Observers look at what is played, which is not there yet; the run's row says how it stands.
        for observer in self.observers:
            getattr(observer, event)(self)


def _mark_unplayable(run: Run) -> None:
    SimulationState.objects.filter(run=run).update(is_unplayable=True)


def _quietly(action: Callable[..., None], *arguments: object) -> None:
    """Do something at the end of a failure without hiding the failure itself when the database is gone.

    Without a database nothing more can be stored, and the run will be found interrupted because its process is dead.
    """
    try:
        action(*arguments)
    except (DatabaseError, DomainError) as error:
        logger.warning("The end of the run could not be recorded: %s", error)


@contextmanager
def stopping_on_signals(runner: Runner) -> Iterator[None]:
    """Let Ctrl-C and a polite kill end the run cleanly; a second Ctrl-C ends the process."""

    def stop(number: int, _frame: object) -> None:
        if runner.stop_requested.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        runner.stop_requested.set()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
