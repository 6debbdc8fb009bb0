"""The plugin that has items run by another process (interpreter.py), in a small suite of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cases import quick_or_thorough

CONFTEST = """
from pathlib import Path
from interpreter import Interpreter

def pytest_addoption(parser):
    parser.addoption("--thorough", action="store_true")

def pytest_configure(config):
    import os
    if "TRITON_INTERPRET" not in os.environ:
        config.pluginmanager.register(Interpreter(Path(__file__).parent / "interpreted"))
"""
PLAIN = """
import os

def test_here():
    assert "TRITON_INTERPRET" not in os.environ
"""
INTERPRETED = """
import os, signal
import pytest

@pytest.fixture
def resource():
    print("set up")
    yield
    print("torn down")

@pytest.mark.parametrize("name", ["a", "b b", "é"])
def test_there(name):
    assert os.environ["TRITON_INTERPRET"] == "1"

def test_dies(resource):
    print("last words")
    os.kill(os.getpid(), signal.SIGKILL)

def test_after_a_death(capsys):
    print("caught")
    assert capsys.readouterr().out == "caught\\n"

def test_fails(resource):
    found = {"a": 1}
    assert found == {"a": 2}

def test_skips():
    pytest.skip("not today")

@pytest.fixture
def broken():
    raise RuntimeError("no set-up")

def test_errs(broken):
    pass

@pytest.mark.skipif(True, reason="never")
def test_never():
    pass
"""


@pytest.fixture
def suite(tmp_path):
    """run(*arguments): pytest's output on a suite with a plain and an interpreted file."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_plain.py").write_text(PLAIN)
    (tmp_path / "interpreted").mkdir()
    (tmp_path / "interpreted" / "test_interpreted.py").write_text(INTERPRETED)
    here = str(Path(__file__).parent)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "TRITON"))}
    environment["PYTHONPATH"] = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:hypothesispytest",
    ]

    def run(*arguments):
        done = subprocess.run(
            [*command, f"--rootdir={tmp_path}", "-c", os.devnull, *arguments, "."],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        return done.stdout + done.stderr

    return run


@pytest.mark.parametrize("workers", quick_or_thorough(["0"], ["2"]))
def test_items_are_reported_as_if_they_had_run_here(suite, workers):
    said = suite("-n", workers, "-rA", "--durations=0", "-vv")
    assert "2 failed, 5 passed, 2 skipped, 1 error in" in said
    file = "interpreted/test_interpreted.py"
    for name in ("test_there[a]", "test_there[b b]", "test_after_a_death"):
        assert f"PASSED {file}::{name}" in said
    assert f"FAILED {file}::test_dies" in said
    assert "its process ended with -9" in said
    assert "last words" in said
    assert f"FAILED {file}::test_fails" in said
    assert "assert {'a': 1} == {'a': 2}" in said
    assert "set up" in said.split("torn down")[0]
    assert "not today" in said
    assert f"ERROR {file}::test_errs - RuntimeError: no set-up" in said
    assert "never" in said
    assert said.count("s call     ") >= 6


def test_items_are_chosen_as_ever(suite):
    said = suite("-k", "there", "--collect-only", "-q")
    assert "3/10 tests collected" in said
    assert "3 passed, 7 deselected in" in suite("-k", "there")
    assert "1 failed, 3 passed in" in suite("-x")


def test_a_file_that_cannot_be_imported_in_the_child_says_so(suite, tmp_path):
    file = tmp_path / "interpreted" / "test_interpreted.py"
    file.write_text(
        "import os\nassert 'TRITON_INTERPRET' not in os.environ, 'only there'\n" + PLAIN
    )
    said = suite()
    assert "1 failed, 1 passed in" in said
    assert "only there" in said


def test_these_tests_run_the_plugin_as_the_suite_does(request):
    """conftest.py registers it for the folder that has the interpreted tests."""
    from interpreter import Interpreter

    if os.environ.get("TRITON_INTERPRET") == "1":
        pytest.skip("the items of that folder run in this process")
    plugins = request.config.pluginmanager.get_plugins()
    (plugin,) = (plugin for plugin in plugins if isinstance(plugin, Interpreter))
    assert [*plugin.folder.glob("test_*.py")]
