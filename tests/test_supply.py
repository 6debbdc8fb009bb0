"""What the package is made of: dependencies are listed with their licences, and SECURITY.md with its links."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs/dependencies.md").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
COPYLEFT = re.compile(r"\b[AL]?GPL|Affero|General Public", re.IGNORECASE)


def rows(title):
    """{(package, versions): its other cells} below a title of the page."""
    section = PAGE.split(f"## {title}")[1].partition("\n## ")[0]
    head, _, *lines = [line for line in section.splitlines() if line.startswith("|")]
    assert head.startswith("| package | versions | licence | what for |")
    cells = [line.strip("| ").split(" | ") for line in lines]
    return {(name, versions): others for name, versions, *others in cells}


def asked_for(requirements):
    found = map(Requirement, requirements)
    return {(canonicalize_name(r.name), str(r.specifier)) for r in found if r.name != "augengine"}


def test_every_dependency_has_a_row_with_its_licence():
    listed = rows("Always installed")
    assert asked_for(PROJECT["dependencies"]) == set(listed)
    for (name, _), cells in listed.items():
        assert len(cells) == 2, name
        assert all(cells), name
        assert "not said" not in cells, name


@pytest.mark.parametrize("extra", PROJECT["optional-dependencies"])
def test_every_dependency_of_an_extra_has_a_row(extra):
    listed = rows("With an extra")
    for row in asked_for(PROJECT["optional-dependencies"][extra]):
        assert row in listed, f"{row} of {extra}: run python docs/dependencies.py"
        assert f"`{extra}`" in listed[row][-1], f"{row} of {extra}: run python docs/dependencies.py"


def test_nothing_that_is_installed_with_the_package_is_under_a_gpl():
    always = PAGE.split("## Always installed")[1].partition("\n## ")[0]
    brought = PAGE.split("## Brought along")[1]
    assert len(brought.splitlines()) > 20
    assert not COPYLEFT.search(always + brought)
    assert COPYLEFT.search("| x | AGPL-3.0 |")


def test_the_pythons_that_are_named_are_those_that_are_allowed():
    kinds = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if "Python :: 3." in line]
    assert kinds
    assert PROJECT["requires-python"] == f">={kinds[0]}"
