"""What a type checker tells a user: `user_code` is right but for the lines that say so."""

from pathlib import Path

import pytest

import augengine as ae

PAGE = Path(__file__).with_name("user_code.py")


@pytest.mark.thorough
def test_mypy_finds_what_is_wrong_in_user_code_and_nothing_else(tmp_path):
    api = pytest.importorskip("mypy.api", reason="mypy is in the extra dev")
    options = ["--strict-equality", "--no-error-summary", "--show-error-codes"]
    options += ["--cache-dir", str(tmp_path), "--follow-imports", "silent"]
    found, stderr, _ = api.run([*options, str(PAGE)])
    assert not stderr
    wrong = {
        number
        for number, line in enumerate(PAGE.read_text("utf-8").splitlines(), 1)
        if line.endswith("# error")
    }
    lines = [
        line for line in found.splitlines() if line.startswith(str(PAGE)) and ": error:" in line
    ]
    reported = {int(line.split(":")[1]) for line in lines}
    assert reported == wrong, found


def test_the_package_says_that_it_is_typed():
    assert Path(ae.__file__).with_name("py.typed").exists()
