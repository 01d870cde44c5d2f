"""What measurements share: where the project lies, and how each reads what it is asked for."""

import argparse
from pathlib import Path

from scheduler_sim.engine.numerics.statistics import Interval

ROOT = Path(__file__).resolve().parent.parent


def described(text: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help is a module's own text, line by line as it stands there."""
    return argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)


def with_half_width(one: Interval) -> str:
    """Return a mean with half the width of its interval, alone where there is none."""
    return f"{one.mean:.3g}" + (f" ± {one.half_width:.2g}" if one.is_bounded else "")
