"""The options that a race without end has beside those of a run, one line each."""

from typing import Annotated

import msgspec

from apps.live.play.kinds import ENDLESS, Count, Seed, read_model
from apps.live.play.options import COMMAND, SITE, About, options_of
from scheduler_sim.engine.generators import GENERATORS


class RaceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a race without end has beside the options of its rounds."""

    continuous: Annotated[
        bool,
        About(
            "Without end",
            "play round after round of fresh tasks until stopped; only the newest rounds are kept",
            ENDLESS,
            asked_in=(COMMAND, SITE),
        ),
    ] = False
    model: Annotated[
        str,
        About(
            "Generator",
            "of the tasks",
            ENDLESS,
            metavar="MODEL",
            asked_in=(COMMAND, SITE),
            check=read_model,
            rule=f"one of {', '.join(sorted(GENERATORS))}",
        ),
    ] = "mixed"
    round_tasks: Annotated[
        Count,
        About("Tasks in a round", "tasks in a round", ENDLESS, "tasks", "N", asked_in=(COMMAND, SITE)),
    ] = 1000
    retrain_interval: Annotated[
        Seed,
        About(
            "Retraining",
            "fit hybrid_ml anew in the background after N labelled tasks; needs the policy oracle (0: never)",
            ENDLESS,
            "tasks",
            "N",
            asked_in=(COMMAND,),
        ),
    ] = 0
    retrain_window: Annotated[
        Count,
        About(
            "Rows fitted to",
            "the newest N rows that it is fitted to; rounds stay as long as some of their rows may be among them",
            ENDLESS,
            "rows",
            "N",
            asked_in=(COMMAND,),
        ),
    ] = 20_000


RACE_OPTIONS = options_of(RaceOptions)

RACE_ASKED = tuple(option for option in RACE_OPTIONS if SITE in option.about.asked_in)
"""Those that the form of a run and the API ask for."""
