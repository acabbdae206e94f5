"""The extras that the doctor knows are those that the package has."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from wow.cli import extras
from wow.cli.extras import ALONE, EXTRAS, needs
from wow.types import WowError

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
DECLARED: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]


def test_every_extra_of_the_package_is_known() -> None:
    assert set(EXTRAS) == set(DECLARED) - {"dev"}


def test_what_belongs_to_an_extra_is_installed_with_it() -> None:
    for extra, packages in EXTRAS.items():
        declared = {re.split(r"[<>=\[ ]", line)[0] for line in DECLARED[extra]}
        assert set(packages) - set(ALONE) <= declared, extra


def test_what_is_installed_without_its_dependencies_is_there_and_new_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """No resolver looks after its version, so whoever uses it does."""
    for found in ("1.5.2", "1.5.2.post1", "1.10.0", "2.0"):
        monkeypatch.setattr(extras, "version", lambda name, found=found: found)
        needs("robosuite")
    monkeypatch.setattr(extras, "version", lambda name: "1.5.1")
    with pytest.raises(WowError, match=r"1\.5\.1 is installed, 1\.5\.2 or newer .*--no-deps robosuite==1\.5\.2"):
        needs("robosuite")

    def missing(name: str) -> str:
        raise PackageNotFoundError

    monkeypatch.setattr(extras, "version", missing)
    with pytest.raises(WowError, match=r"robosuite is not installed: .*sim-robosuite"):
        needs("robosuite")
