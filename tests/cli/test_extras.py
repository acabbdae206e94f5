"""The extras that the doctor knows are those that the package has."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from wow.cli.extras import ALONE, EXTRAS

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
DECLARED: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]


def test_every_extra_of_the_package_is_known() -> None:
    assert set(EXTRAS) == set(DECLARED) - {"dev"}


def test_what_belongs_to_an_extra_is_installed_with_it() -> None:
    for extra, packages in EXTRAS.items():
        declared = {re.split(r"[<>=\[ ]", line)[0] for line in DECLARED[extra]}
        assert set(packages) - set(ALONE) <= declared, extra
