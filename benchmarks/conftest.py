"""One core, the photographs, the check before the numbers, and the table after them."""

import json

import pytest
import torch

from augengine.demo import measure

from . import race as races
from . import report, workloads


def pytest_addoption(parser):
    group = parser.getgroup("augengine")
    group.addoption("--batch", type=int, default=128, help="how many crops of photographs")
    group.addoption("--rounds", type=int, default=9, help="rounds of each contender")
    group.addoption("--json", help="write the measured seconds to this file")


def pytest_configure(config):
    config.augengine_rows = []


@pytest.fixture(scope="session", autouse=True)
def one_core():
    """For torch, and so for us; for OpenCV; and for NumPy's libraries nothing here asks."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        import cv2

        cv2.setNumThreads(0)
    except ImportError:
        pass  # then albumentations is not here either
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def images(request):
    return workloads.crops(request.config.getoption("--batch"))


@pytest.fixture(scope="session")
def checked(one_core, images):
    """No number on red: whoever measures depends on this."""
    for name in workloads.POLICIES:
        workloads.check(name, images[0])


@pytest.fixture(scope="session")
def copy():
    return measure.copier()


@pytest.fixture
def race(request):
    """race(work, {name: other}, rounds): before each round of `work` the others run, timed; see race.py.
    Returns {"work": Timing, name: Timing, …}."""

    def race(work, others=None, rounds=None):
        rounds = rounds or request.config.getoption("--rounds")
        return races.race({**(others or {}), "work": work}, rounds)

    return race


@pytest.fixture
def record(request):
    """record(**row): a row for the table (report.py lists its keys)."""
    return lambda **row: request.config.augengine_rows.append(row)


def pytest_terminal_summary(terminalreporter, config):
    rows = config.augengine_rows
    if not rows:
        return
    content = {"machine": report.machine(), "runs": [{"heap": report.heap(), "rows": rows}]}
    if path := config.getoption("--json"):
        with open(path, "w", encoding="utf-8") as file:
            json.dump(content, file)
    terminalreporter.write_line("\n" + report.markdown(content))
    for line in report.refusals(content):
        terminalreporter.write_line(line, red=True)
