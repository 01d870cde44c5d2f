"""The types that the scripts are checked against are those of the messages."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.own_data


def test_the_types_of_the_scripts_are_those_of_the_messages():
    command = [sys.executable, "scripts/message_types.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
