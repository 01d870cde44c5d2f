"""What is installed is what was looked at: every package of the lock files is pinned by version and by hashes."""

import re

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT

FILES = {"requirements.txt": "requirements-lock.txt", "requirements-dev.txt": "requirements-dev-lock.txt"}


def asked(name: str) -> list[Requirement]:
    """Return what a requirement file asks for, with the files that it reads."""
    found = []
    for line in (ROOT / name).read_text().splitlines():
        if line.startswith("-r "):
            found += asked(line.removeprefix("-r "))
        elif line and not line.startswith("#"):
            found.append(Requirement(line))
    return found


def locked(name: str) -> dict[str, tuple[Requirement, list[str]]]:
    """Return what a lock file pins, with its hashes, by name and version."""
    entries = re.split(r"\n(?=\S)", (ROOT / name).read_text().strip().replace("\\\n", " "))
    pinned = {}
    for entry in entries:
        head, *hashes = re.split(r"\s+--hash=", entry)
        requirement = Requirement(head.strip())
        pinned[f"{requirement.name}{requirement.specifier}"] = (requirement, hashes)
    return pinned


@pytest.mark.parametrize("name", FILES)
def test_the_lock_holds_what_is_asked_for_in_the_versions_asked_for(name: str) -> None:
    pinned = locked(FILES[name])
    missing = [
        str(one) for one in asked(name) if f"{re.sub(r'[-_.]+', '-', one.name).lower()}{one.specifier}" not in pinned
    ]
    assert not missing, "scripts/lock.sh writes the lock files anew"


@pytest.mark.parametrize("name", FILES.values())
def test_every_package_is_pinned_by_version_and_hashes_and_names_no_host(name: str) -> None:
    for key, (requirement, hashes) in locked(name).items():
        assert str(requirement.specifier).startswith("=="), key
        assert hashes, key
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), key
    assert "://" not in (ROOT / name).read_text()


def test_both_files_pin_the_same_versions() -> None:
    assert locked("requirements-lock.txt").keys() <= locked("requirements-dev-lock.txt").keys()
