"""Everything between a fresh checkout and a leaderboard."""

from typing import Any

from django.core.management import call_command

from scheduler_sim.display.commands import PlayingCommand

WORKLOAD = "lublin-256"
POLICIES = "fcfs,fcfs+easy,sjf,sjf+easy,wfp3,wfp3+easy,f1,f1+easy"

NEXT = """
Next: make serve                      browse the run on http://localhost:8000/
      .venv/bin/python manage.py runsimulation --workload YOUR.swf --policies fcfs,sjf+easy
      .venv/bin/python manage.py runsimulation --help
"""


class Command(PlayingCommand):
    """Bring the database up to date, make an administrator, generate the built-in workload (10,000 Lublin-Feitelson
    tasks) and play it through eight policies on 256 processors. Safe to repeat.
    """

    # One process for all steps, because starting one takes longer than most of them.

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        call_command("ensureadmin", stdout=self.stdout)
        # Quiet: the leaderboard is what a newcomer wants to see.
        call_command(
            "generateworkload",
            "lublin",
            "--tasks=10000",
            "--seed=1",
            f"--name={WORKLOAD}",
            "--processors=256",
            verbosity=0,
        )
        call_command(
            "runsimulation",
            f"--workload={WORKLOAD}",
            "--cluster=hpc-256",
            f"--policies={POLICIES}",
            "--seed=1",
            stdout=self.stdout,
        )
        self.stdout.write(NEXT)
