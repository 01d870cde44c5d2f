"""The progress display of a run in the terminal."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TimeRemainingColumn,
)
from rich.text import Text

from apps.live.play.runner import Runner
from scheduler_sim.display.terminal import PlainColumn


class RateColumn(ProgressColumn):
    """Tasks simulated a second."""

    def render(self, task: Task) -> Text:
        """Return the rate, blank while it is not known."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} tasks/s" if speed else "", style="progress.data.speed")


class ProgressDisplay:
    """One bar a policy with rate and remaining time; observes a runner."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            PlainColumn(),
            BarColumn(),
            MofNCompleteColumn(),
            RateColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=False,
        )
        self._bars: list[TaskID] = []

    def started(self, runner: Runner) -> None:
        """Draw an empty bar for each policy."""
        self._bars = [self._progress.add_task(player.scheduler, total=runner.tasks) for player in runner.players]
        if self._console.is_terminal:
            self._progress.start()

    def stepped(self, runner: Runner) -> None:
        """Move the bars."""
        for bar, player in zip(self._bars, runner.players, strict=True):
            self._progress.update(bar, completed=player.simulation.finished)

    def changed(self, runner: Runner) -> None:
        """Say that the run is paused or goes on."""
        self._console.print(f"Run {runner.run.name} is {runner.run.status}.")

    def ended(self, runner: Runner) -> None:
        """Leave the last state of the bars on the screen."""
        self._progress.stop()
