"""The headless Chromium and the server that measurements, pictures and tests of pages share."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from benchmarks.project import ROOT

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    """Return the browser's program: `CHROMIUM`, or the one that is installed; None without one."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


def needed_chromium() -> str:
    """Return the browser's program, or end the command with the way to it."""
    return find_chromium() or sys.exit("There is no Chromium; make browser installs it.")


def free_port() -> int:
    """Return a port of this machine that nothing listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def site_environment(folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of a site on the embedded default whose database and files lie in `folder`."""
    own = {
        "VAR_DIR": str(folder),
        "DATABASE_URL": f"sqlite:///{folder / 'site.sqlite3'}",
        "REDIS_URL": "",
        "LOG_LEVEL": "WARNING",
    }
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"} | own | more


def start_daphne(port: int, environment: Mapping[str, str], log: IO[Any]) -> subprocess.Popen[bytes]:
    """Start the server on this machine's `port` and return it once it answers.

    Raises:
        RuntimeError: it ended, or did not answer within a minute.
    """
    command = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "scheduler_sim.asgi:application"]
    server = subprocess.Popen(command, cwd=ROOT, env=dict(environment), stdout=log, stderr=log)
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return server
        time.sleep(0.1)
    server.kill()
    raise RuntimeError("The server did not start.")
