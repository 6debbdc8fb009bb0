"""The first call compiles and says so; later processes take the kernel from numba's cache."""

import json
import os
import subprocess
import sys

import pytest
import torch

import augengine as ae
from augengine.kernels.cpu import cache

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


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    """A cache folder in which no note of a compilation lies, while the kernels stay compiled."""
    draw("uint8")  # whatever the cache holds
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path)
    restart(monkeypatch)
    return tmp_path


def draw(dtype):
    images = torch.zeros((1, 3, 8, 8), dtype=getattr(torch, dtype))
    ae.Engine([ae.RandomHorizontalFlip()], executor="cpu")(images, ids=[0])


def restart(monkeypatch):
    """What this process has said and noted is forgotten, as in a new one."""
    monkeypatch.setattr(cache, "_announced", set())
    monkeypatch.setattr(cache, "_noted", set())


def test_compiling_is_announced_once(monkeypatch, empty_cache, capsys):
    """Without the wait: the kernel is compiled lazily, so an empty cache alone brings the words."""
    capsys.readouterr()
    for dtype in ("uint8", "float32"):
        draw(dtype)
        said = capsys.readouterr().err
        assert f"compiling the CPU kernel for {dtype} images, once on this machine" in said
        draw(dtype)
        assert capsys.readouterr().err == ""

    restart(monkeypatch)
    draw("uint8")
    assert capsys.readouterr().err == ""


def test_a_compilation_that_was_cut_short_is_announced_again(monkeypatch, empty_cache, capsys):
    """A process that is killed while it compiles leaves no note that it has."""

    def killed(*arguments):
        assert not list(empty_cache.iterdir())
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cache.load_kernels(), "draw", killed)
        with pytest.raises(KeyboardInterrupt):
            draw("uint8")
    assert not list(empty_cache.iterdir())

    restart(monkeypatch)
    capsys.readouterr()
    draw("uint8")
    assert "compiling the CPU kernel for uint8 images" in capsys.readouterr().err
    assert [file.name for file in empty_cache.iterdir()] == ["uint8.compiled"]


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_folder().parent == tmp_path / "numba" / "augengine"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    assert cache.cache_folder().parent == tmp_path / "xdg" / "augengine"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_folder().parent == tmp_path / ".cache" / "augengine"
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))  # where no folder can be made
    monkeypatch.setattr(cache.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    assert cache.cache_folder().parent.parent == tmp_path / "temporary"


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
