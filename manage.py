#!/usr/bin/env python
"""The command line of the project."""

import gc
import os
import sys
from typing import Any


def main() -> None:
    """Run the management command named on the command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "scheduler_sim.settings")
    from scheduler_sim.background.memory import share_one_pool

    share_one_pool()
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import ManagementUtility
    from django.db import OperationalError, connection

    class Commands(ManagementUtility):
        def fetch_command(self, subcommand: str) -> Any:
            command = super().fetch_command(subcommand)
            gc.freeze()
            gc.enable()
            return command

    try:
        Commands(sys.argv).execute()
    except OperationalError as error:
        # A database that is away, full, locked or not to be written is no fault of the program's.
        reason = str(error).strip().partition("\n")[0]
        hint = " Run manage.py migrate first." if "no such table" in reason else ""
        sys.exit(f"The database {connection.settings_dict['NAME']} cannot be used: {reason}.{hint}")
    except ImproperlyConfigured as error:
        # A setting that cannot be used is said in a sentence; where it was read helps nobody.
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)


if __name__ == "__main__":
    # What is loaded stays to the end: to look for garbage among it, again and again, takes a tenth of a short command.
    gc.disable()
    main()
