"""Storing the placements of a run with `keep: parquet` in files while it is played.

A file holds placements of one policy in the order of the tasks' primary keys, so it can be written once all of its
tasks have finished, and is then never touched again. What the last file leaves is written when the run pauses or ends:
tasks that are finished behind one that goes on are then in files of their own, until whole ones hold the same.

A file is on the disk before the transaction that names it and says how far the run is. After a kill at any point the
database names whole files; what it does not name is swept away when the run is taken up, and simulated again.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

import numpy as np
from django.db import InterfaceError, OperationalError, connection, transaction

from apps.live.models import SimulationState
from apps.live.play.players import Player
from apps.live.store.batches import progress_store
from apps.live.store.writer import GIVE_UP_AFTER, ResultsNotStored
from apps.metrics.prometheus import WRITE_SECONDS
from apps.results.models import Run, SchedulerResult
from apps.results.placement_files import ATTEMPTS, PLACEMENTS, PlacementFile, file_write, files_sweep, root
from apps.results.signals import rows_changed
from scheduler_sim.columnar.turnstile import first_in_line
from scheduler_sim.engine.crew import Each
from scheduler_sim.engine.workloads.workload import IntArray

FILE_ROWS = 2**20
"""Placements of a file: some 20 MB, written in a fifth of a second, for which commands wait."""


class _Progress:
    """How far a policy is, its tasks in the order of their keys.

    Attributes:
        stored: so many tasks from the first on are in files. whole: so many from the first on have finished.
        behind: from and to which task files with gaps reach that lie behind those.
    """

    def __init__(self, place: IntArray, stored: int) -> None:
        self._place = place
        self._seen = 0
        self.ended = np.zeros(len(place), bool)
        self.stored = self.whole = stored
        self.behind: list[tuple[int, int]] = []

    def look(self, player: Player) -> None:
        """Take note of what has finished since the last time."""
        finished = player.simulation.finished
        self.ended[self._place[player.simulation.outcome().completion_order[self._seen : finished]]] = True
        self._seen = finished
        goes_on = np.argmin(self.ended[self.whole :]) if self.whole < len(self.ended) else 0
        if self.whole < len(self.ended) and self.ended[self.whole + goes_on]:
            self.whole = len(self.ended)
        else:
            self.whole += int(goes_on)


class FileWriter:
    """Stores one run's placements in files. Use it as a context manager, and close no other way.

    Args:
        claim: of the process that plays the run; files are named only while it has the run.
        each: how policies are gone through, one after the other or side by side.
        give_up_after: seconds for which a database that is away is tried again before the run fails.
    """

    def __init__(
        self,
        *,
        run: Run,
        claim: SimulationState | None = None,
        each: Each = map,
        give_up_after: float = GIVE_UP_AFTER,
    ) -> None:
        self._run = run
        self._claim = claim
        self._each = each
        self._give_up_after = give_up_after
        self._order: IntArray
        self._progress: dict[str, _Progress] = {}

    def __enter__(self) -> Self:
        """Begin behind the files that an earlier process wrote, without those that have gaps."""
        self._with_patience(self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """What is on the disk is stored; there is nothing to wait for."""

    def wait_for_room(self, seconds: float) -> bool:
        """Tell that more can be taken, as always: it is written by who hands it over."""
        return True

    def store(self, players: Sequence[Player], clock_time: float, *, all_of_it: bool) -> None:
        """Write the files that are full, or also what is left.

        Raises:
            ResultsNotStored: a file cannot be written, or the database was away too long.
        """
        if not self._progress:
            self._look_at(players)
        for player in players:
            self._progress[player.scheduler].look(player)
        due = [player for player in players if self._is_due(self._progress[player.scheduler], all_of_it=all_of_it)]
        if not due:
            return
        try:
            written = list(self._each(lambda player: list(self._files(player, all_of_it=all_of_it)), due))
        except OSError as error:
            raise ResultsNotStored(
                f"The placements cannot be written to {root()} ({os.strerror(error.errno or 0)}); "
                f"once they can, runsimulation --resume {self._run.pk} goes on."
            ) from error
        with WRITE_SECONDS.time():
            replaced = self._with_patience(
                lambda: self._commit([one for several in written for one in several], clock_time)
            )
        if replaced:
            files_sweep(self._run)

    def _begin(self) -> None:
        with first_in_line(), transaction.atomic():
            if PlacementFile.objects.filter(run=self._run, has_gaps=True).delete()[0]:
                self._say(SimulationState.objects.values_list("clock_time", flat=True).get(run=self._run))
        files_sweep(self._run)

    def _look_at(self, players: Sequence[Player]) -> None:
        keys = players[0].task_keys
        self._order = np.argsort(keys)
        place = np.empty(len(keys), np.int64)
        place[self._order] = np.arange(len(keys))
        stored = SchedulerResult.objects.counts_by_policy(self._run)
        self._progress = {player.scheduler: _Progress(place, stored.get(player.scheduler, 0)) for player in players}

    @staticmethod
    def _is_due(progress: _Progress, *, all_of_it: bool) -> bool:
        if all_of_it:
            return bool(progress.ended[progress.stored :].any())
        return progress.whole - progress.stored >= FILE_ROWS

    def _files(self, player: Player, *, all_of_it: bool) -> Iterator[PlacementFile]:
        """Write files of one policy, and yield the rows that name them."""
        progress = self._progress[player.scheduler]
        while (ready := progress.whole - progress.stored) >= (1 if all_of_it else FILE_ROWS):
            places = np.arange(progress.stored, progress.stored + min(ready, FILE_ROWS))
            yield from self._written(player, places, has_gaps=False)
            progress.stored += len(places)
        # A file with gaps of which a whole one has taken some tasks goes; the others are written anew.
        cut = [ends for ends in progress.behind if all_of_it or ends[0] < progress.stored]
        progress.behind = [ends for ends in progress.behind if ends not in cut]
        until = len(progress.ended) if all_of_it else max((last + 1 for _, last in cut), default=0)
        behind = np.flatnonzero(progress.ended[progress.stored : until]) + progress.stored
        for first in range(0, len(behind), FILE_ROWS):
            places = behind[first : first + FILE_ROWS]
            yield from self._written(player, places, has_gaps=True)
            progress.behind.append((int(places[0]), int(places[-1])))

    def _written(self, player: Player, places: IntArray, *, has_gaps: bool) -> Iterator[PlacementFile]:
        rows = self._order[places]
        yield file_write(self._run, player.scheduler, PLACEMENTS, player.columns(rows), has_gaps=has_gaps)
        if player.simulation.outcome().history is None:
            return
        attempts = player.attempts()
        chosen = np.zeros(len(player.task_keys), bool)
        chosen[rows] = True
        attempts = attempts[chosen[attempts.row]]
        attempts = attempts[np.lexsort((attempts.number, player.task_keys[attempts.row]))]
        if len(attempts):
            columns = player.attempt_columns(attempts, player.task_keys)
            yield file_write(self._run, player.scheduler, ATTEMPTS, columns, has_gaps=has_gaps)

    def _commit(self, files: Sequence[PlacementFile], clock_time: float) -> bool:
        """Name the files and say how far the run is, together; return whether they take the place of others."""
        with first_in_line(), transaction.atomic():
            gone = 0
            for one in files:
                if one.holds == PLACEMENTS:
                    # Every file with gaps that it meets, and the attempts of its tasks.
                    gone += PlacementFile.objects.filter(
                        run=self._run,
                        scheduler=one.scheduler,
                        first_task__lte=one.last_task,
                        last_task__gte=one.first_task,
                        has_gaps=True,
                    ).delete()[0]
                # What a commit left whose answer was lost.
                gone += PlacementFile.objects.filter(
                    run=self._run, holds=one.holds, scheduler=one.scheduler, first_task=one.first_task
                ).delete()[0]
                one.pk = None
            PlacementFile.objects.bulk_create(files)
            self._say(clock_time)
        return gone > 0

    def _say(self, clock_time: float | None) -> None:
        counts = SchedulerResult.objects.counts_by_policy(self._run)
        progress_store(run=self._run, progress=counts, clock_time=clock_time, claim=self._claim)
        Run.objects.filter(pk=self._run.pk).update(rows_written=sum(counts.values()))
        rows_changed.send(sender=SchedulerResult, run_id=self._run.pk)

    def _with_patience(self, work: Callable[[], bool | None]) -> bool | None:
        """Do it, trying again while the database is away."""
        deadline = time.monotonic() + self._give_up_after
        pause = 0.1
        while True:
            try:
                return work()
            except (OperationalError, InterfaceError) as error:
                connection.close()
                if time.monotonic() >= deadline:
                    first_line = str(error).strip().partition("\n")[0]
                    raise ResultsNotStored(
                        f"The database did not take the names of files ({first_line}); "
                        f"runsimulation --resume {self._run.pk} goes on."
                    ) from error
                time.sleep(pause)
                pause = min(pause * 2, 5.0)
