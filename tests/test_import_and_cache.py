"""The first call compiles and says so; later processes take the kernel from numba's cache."""

import json
import os
import subprocess
import sys

import pytest

from augengine.kernels.cpu import executor as cpu

FIRST_CALL = """
import json, sys, torch, augengine as ae
images = torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8)
engine = ae.Engine([ae.RandomResizedCrop(32), ae.RandomRotation(20)], executor=sys.argv[1])
before = "numba" in sys.modules
total = engine(images, ids=[0, 1]).images.sum().item()
again = engine(images, ids=[0, 1]).images.sum().item()
compiled = cached = 0
if sys.argv[1] == "cpu":
    from augengine.kernels.cpu.draw import draw
    compiled = sum(draw.stats.cache_misses.values())
    cached = sum(draw.stats.cache_hits.values())
print(json.dumps([[compiled, cached], before, "numba" in sys.modules, total == again]))
"""


def first_call(executor="cpu", **env):
    """[kernels compiled, kernels from the cache], whether numba was loaded before and after the call,
    whether a second call gave the same, and stderr."""
    inherited = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR" or not env}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FIRST_CALL, executor],
        capture_output=True,
        text=True,
        check=True,
        env=inherited | env,
    )
    return *json.loads(done.stdout), done.stderr


def test_the_torch_executor_needs_no_numba():
    _, before, after, same, said = first_call("torch")
    assert not before
    assert not after
    assert same
    assert said == ""


def test_compiling_is_announced_once(monkeypatch, tmp_path, capsys):
    """Without the wait: the kernel is compiled lazily, so an empty cache alone brings the words."""
    cpu._compiled("uint8")  # whatever the cache holds
    capsys.readouterr()
    monkeypatch.setattr(cpu, "_announced", set())
    monkeypatch.setattr(cpu, "_cache_folder", lambda: tmp_path)
    for dtype in ("uint8", "float32"):
        cpu._compiled(dtype)
        said = capsys.readouterr().err
        assert f"compiling the CPU kernel for {dtype} images, once on this machine" in said
        cpu._compiled(dtype)
        assert capsys.readouterr().err == ""

    monkeypatch.setattr(cpu, "_announced", set())
    cpu._compiled("uint8")
    assert capsys.readouterr().err == ""


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cpu._cache_folder().parent == tmp_path / "numba" / "augengine"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    assert cpu._cache_folder().parent == tmp_path / "xdg" / "augengine"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cpu._cache_folder().parent == tmp_path / ".cache" / "augengine"
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))  # where no folder can be made
    monkeypatch.setattr(cpu.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    assert cpu._cache_folder().parent.parent == tmp_path / "temporary"


def test_a_warm_start_compiles_nothing():
    first_call()  # fills the cache if nobody has
    counts, before, after, same, said = first_call()
    assert counts == [0, 1]
    assert (before, after, same, said) == (False, True, True, "")


@pytest.mark.thorough
def test_a_cold_start_is_announced_and_fills_the_cache(tmp_path):
    counts, *_, same, said = first_call(XDG_CACHE_HOME=str(tmp_path))
    assert counts == [1, 0]
    assert said.count("augengine: compiling the CPU kernel") == 1
    assert same
    assert list((tmp_path / "augengine").rglob("*draw*.nbi"))
    counts, *_, said = first_call(XDG_CACHE_HOME=str(tmp_path))
    assert counts == [0, 1]
    assert said == ""
