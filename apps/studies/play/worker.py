"""The other side of the pool; free of Django at import, because a new process imports it before Django is set up."""

import multiprocessing
import os
import signal
import threading


def start() -> None:
    """Make a new process ready: Ctrl-C is for the parent alone, and a dead parent ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import django

    django.setup()


def play(run_id: int) -> str:
    """Play one run and return its status (see `play_run`)."""
    from django.db import close_old_connections

    from apps.studies.play.playing import play_run

    # One that broke since the last run is opened anew.
    close_old_connections()
    return play_run(run_id)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        # What was committed stays; the run is taken up like that of any process that died.
        os._exit(1)
