"""What every test may rely on: which tests run, in which processes, with what threads.

Markers are declared in pyproject.toml.
"""

import gc
import math
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings
from interpreter import Interpreter

from augengine.kernels.cpu import folder

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")

# Of the examples that a test of generated cases names (cases.py), so many percent are drawn.
PERCENT = {"quick": 20, "thorough": 100}


@pytest.fixture
def one_thread():
    """torch on one thread, as in a worker: sums in another order would differ in their last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def nothing_is_left_running():
    """After a test of loaders no thread that draws is there, and no worker."""
    from loading import drawing_threads

    yield
    gc.collect()
    assert not drawing_threads()
    assert not multiprocessing.active_children()


def pytest_addoption(parser):
    parser.addoption(
        "--thorough", action="store_true", help="also the tests marked so, and every example"
    )
    parser.addoption(
        "--beyond-quick",
        action="store_true",
        help="with --thorough, after a quick run: without the tests that were the same there",
    )
    parser.addoption(
        "--minutes",
        type=float,
        default=math.inf,
        help="begin no test after so many minutes; what is left out is skipped, with this reason",
    )


def pytest_configure(config):
    for name, percent in PERCENT.items():
        settings.register_profile(
            name,
            max_examples=percent,
            deadline=None,
            derandomize=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
    settings.load_profile("thorough" if config.getoption("thorough") else "quick")
    if os.environ.get("TRITON_INTERPRET") != "1":
        config.pluginmanager.register(Interpreter(Path(__file__).parent / "interpreted"))
    config.pluginmanager.register(Deadline(config.getoption("minutes")))
    if config.getoption("numprocesses", None):
        # The workers inherit it: side by side, each takes one core.
        for name in THREADS:
            os.environ.setdefault(name, "1")
        if not hasattr(config, "workerinput") and not config.option.collectonly:
            config.pluginmanager.register(Warm())


class Deadline:
    """Begins no test after so many minutes, so that a run on a slow machine ends, and says what it left."""

    def __init__(self, minutes: float):
        self.minutes, self.begin = minutes, time.monotonic()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item):
        if time.monotonic() - self.begin > 60 * self.minutes:
            pytest.skip(f"left out: the {self.minutes:g} minutes of this run were over")


class Warm:
    """Compiles the CPU kernel while pytest-xdist's workers collect, or each of them would compile it.

    A plugin of the process that starts the workers. It leaves a kernel alone that is in the cache.
    """

    def __init__(self):
        self.running = []
        if len(folder.names("draw-")) < 2:
            for dtype in ("uint8", "float32"):
                self.running.append(subprocess.Popen([sys.executable, "-c", COMPILE, dtype]))

    def pytest_xdist_node_collection_finished(self):
        while self.running:
            self.running.pop().wait()


COMPILE = """
import sys, torch, augengine as ae
images = torch.zeros(1, 3, 9, 9, dtype=getattr(torch, sys.argv[1]))
ops = [ae.RandomRotation(9), ae.GaussianBlur(3), ae.RandomEqualize(1)]
ae.Engine(ops, executor="cpu")(images, ids=[0])
"""


def _same_when_quick(item):
    """Whether a thorough run tests no more of it: it is not marked, and has no generated examples."""
    function = getattr(item, "obj", None)  # the interpreter's items have none
    generated = getattr(function, "is_hypothesis_test", False)
    return function is not None and not item.get_closest_marker("thorough") and not generated


def pytest_collection_modifyitems(config, items):
    if not config.getoption("thorough"):
        left_out = [item for item in items if item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]
    elif config.getoption("beyond_quick"):
        config.hook.pytest_deselected(items=[item for item in items if _same_when_quick(item)])
        items[:] = [item for item in items if not _same_when_quick(item)]
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="needs a GPU: torch.cuda.is_available() is false")
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(skip)
