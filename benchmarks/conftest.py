"""`python -m pytest benchmarks`: the sampler alone, on one core, after the check of pixels. All else is
measured by `python -m benchmarks`."""

from statistics import median

import pytest
import torch

from augengine.demo import machine
from augengine.demo import race as races

from . import workloads


def pytest_addoption(parser):
    group = parser.getgroup("augengine")
    group.addoption("--batch", type=int, default=128, help="how many crops of photographs")
    group.addoption("--rounds", type=int, default=9, help="rounds of each contender")


def pytest_configure(config):
    config.augengine_rows = []


@pytest.fixture(scope="session", autouse=True)
def one_core():
    before = torch.get_num_threads()
    machine.use_one_thread()
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
    """record(name=, seconds=, spread=, engine=): a line of the summary; engine: the seconds of the whole
    engine's rounds among these."""
    return lambda **row: request.config.augengine_rows.append(row)


def pytest_terminal_summary(terminalreporter, config):
    for row in config.augengine_rows:
        seconds = median(row["seconds"])
        text = f"{row['name']}: {1e3 * seconds:.2f} ms"
        if "engine" in row:
            text += f", {100 * seconds / median(row['engine']):.1f} % of the engine's time"
        if row["spread"] > races.MOST_SPREAD:
            text = f"{row['name']}: no result (spread {100 * row['spread']:.0f} %)"
        terminalreporter.write_line(text)
