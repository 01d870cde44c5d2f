"""Files that tests write for what they test to read."""

from pathlib import Path


def written(path: Path, text: str) -> Path:
    """Return where a text was written."""
    path.write_text(text)
    return path
