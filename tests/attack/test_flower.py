"""The page that watches workers, from which they can be stopped."""

import runpy

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.attack, pytest.mark.own_data]

CONFIGURATION = str(ROOT / "flowerconfig.py")


def test_it_is_for_this_machine_alone_unless_an_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWER_BASIC_AUTH", "name:password")
    monkeypatch.delenv("FLOWER_ADDRESS", raising=False)
    assert runpy.run_path(CONFIGURATION)["address"] == "127.0.0.1"
    monkeypatch.setenv("FLOWER_ADDRESS", "10.0.0.1")
    assert runpy.run_path(CONFIGURATION)["address"] == "10.0.0.1"


def test_it_does_not_start_without_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOWER_BASIC_AUTH", raising=False)
    monkeypatch.delenv("FLOWER_AUTH", raising=False)
    with pytest.raises(SystemExit, match="needs a name and a password"):
        runpy.run_path(CONFIGURATION)
