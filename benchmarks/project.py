"""What measurements share: where the project lies, and how each reads what it is asked for."""

import argparse
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def described(text: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help is a module's own text, line by line as it stands there."""
    return argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
