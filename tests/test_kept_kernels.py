"""Compiled kernels on disk: a folder of this user alone, files that are whole, one process that compiles.

What is compiled here is a function of a line in the kernels' place; how it is kept is theirs.
"""

import contextlib
import errno
import fcntl
import multiprocessing
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numba
import numpy as np
import pytest

from augengine.kernels import forks
from augengine.kernels.cpu import cache, folder

FORK = multiprocessing.get_context("fork")
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root, to give a file to another user"
)


@pytest.fixture
def place(monkeypatch, tmp_path):
    """Where kernels are kept meanwhile."""
    monkeypatch.setattr(folder, "_instead", [])
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(folder.tempfile, "tempdir", str(tmp_path))
    return folder.cache_folder()


def kernel():
    """The function as a new process has it: nothing loaded, nothing compiled."""

    @numba.njit
    def doubled(begin, end, value):
        return begin + end * value

    doubled._cache = cache.Kept("draw")
    return doubled


def call(dtype=np.uint8):
    """What a new process does: (how often it compiled, how often it loaded)."""
    function = kernel()
    assert function(1, 2, dtype(20)) == 41
    stats = function.stats
    return sum(stats.cache_misses.values()), sum(stats.cache_hits.values())


COMPILED, LOADED = (1, 0), (0, 1)


def only_file(place):
    (path,) = place.glob("draw-*")
    return path


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


# Once


def test_compiling_is_announced_once_for_each_dtype(place, capsys):
    for dtype in (np.uint8, np.float32):
        assert call(dtype) == COMPILED
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert f"compiling the CPU kernel for {dtype.__name__} images, once on this machine" in said
        assert call(dtype) == LOADED
        assert capsys.readouterr().err == ""
    assert len(list(place.glob("draw-*"))) == len(list(place.iterdir())) == 2


def test_what_is_on_disk_is_loaded_and_nothing_compiled(place, monkeypatch):
    for dtype in (np.uint8, np.float32):
        call(dtype)
    spoil(place / folder.names("draw-")[0], lambda data: data[:-1])
    function = kernel()
    monkeypatch.setattr(cache.load_kernels(), "compiled", {"draw": function})
    for _ in range(2):
        cache.load_cached()
        assert len(function.overloads) == 1
    assert not sum(function.stats.cache_misses.values())


# Whose the folder is


def test_the_folder_follows_the_environment(place, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert place.parent == tmp_path / "cache" / "augengine"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    assert folder.cache_folder().parent == tmp_path / "xdg" / "augengine"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder.cache_folder().parent == tmp_path / ".cache" / "augengine"


def test_folder_and_files_are_the_users_alone(place):
    before = os.umask(0)
    try:
        shutil.rmtree(place.parent)
        call()
    finally:
        os.umask(before)
    assert mode(place) == mode(place.parent) == 0o700
    assert mode(only_file(place)) == 0o600


def writable_by_all(place):
    place.chmod(0o777)


def writable_by_the_group(place):
    place.chmod(0o770)


def a_link(place):
    place.rename(place.parent / "elsewhere")
    place.symlink_to("elsewhere")


def a_file(place):
    place.rmdir()
    place.touch()


def of_another_user(place):
    os.chown(place, 12345, -1)


def below_a_link_of_another_user(place):
    place.parent.rename(place.parent.parent / "elsewhere")
    place.parent.symlink_to("elsewhere")
    os.chown(place.parent, 12345, -1, follow_symlinks=False)


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (writable_by_all, r"others may write there, mode 0777"),
        (writable_by_the_group, r"others may write there, mode 0770"),
        (a_link, r"a link, or a file"),
        (a_file, r"a link, or a file"),
        pytest.param(of_another_user, r"it belongs to user 12345", marks=needs_root),
        pytest.param(
            below_a_link_of_another_user, r"a link that belongs to user 12345", marks=needs_root
        ),
    ],
)
def test_a_folder_that_others_could_write_is_not_read(place, tmp_path, capsys, harm, said):
    call()
    hostile = only_file(place)
    if harm is not a_file:
        harm(place)
    else:
        hostile.unlink()
        harm(place)
    capsys.readouterr()
    assert call() == COMPILED
    warning, announced = capsys.readouterr().err.splitlines()
    instead = folder.cache_folder()
    assert (
        f"augengine: got the cache folder {place} ({said}), expected one that this user" in warning
    )
    assert f"kept in {instead}, and gone when this process ends. Set NUMBA_CACHE_DIR" in warning
    assert "compiling" in announced
    assert instead.parent == tmp_path
    assert mode(instead) == 0o700
    assert call() == LOADED  # from the other place, and without a word
    assert capsys.readouterr().err == ""
    # A name that nobody can know beforehand.
    folder._instead.clear()
    assert folder.cache_folder() != instead


def test_a_folder_that_cannot_be_made(place, monkeypatch, capsys):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/self/fdinfo")  # read-only, for root too
    assert call() == COMPILED
    assert capsys.readouterr().err.count("\n") == 2
    assert call() == LOADED


def test_nowhere_to_keep_anything(place, monkeypatch, capsys):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/proc/self/fdinfo")
    monkeypatch.setattr(folder.tempfile, "tempdir", "/proc/self/fdinfo")
    for said in ("What is compiled is not kept, and gone", ""):
        assert call() == COMPILED
        assert said in capsys.readouterr().err


def test_the_folder_of_a_process_goes_with_it():
    code = """
import os
from augengine.kernels.cpu import folder
print(folder.cache_folder(), flush=True)
if os.fork() == 0:
    raise SystemExit  # with the parent's, which stays
os.wait()
assert folder.cache_folder().is_dir()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"NUMBA_CACHE_DIR": "/proc/self/fdinfo"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1
    assert "augengine-" in done.stdout
    assert not Path(done.stdout.strip()).exists()


# Damage


def spoil(path, change):
    path.write_bytes(change(path.read_bytes()))


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def anothers_file(path):
    call(np.float32)
    (other,) = {*path.parent.glob("draw-*")} - {path}
    shutil.copy(other, path)


def pickle_that_runs(path):
    path.write_bytes(b"cos\nsystem\n(S'touch " + bytes(path.parent / "ran") + b"'\ntR.")


def given_away(path):
    os.chown(path, 12345, -1)


DAMAGE = {
    "zero length": lambda path: spoil(path, lambda data: b""),
    "cut short": lambda path: spoil(path, lambda data: data[: len(data) // 2]),
    "longer": lambda path: spoil(path, lambda data: data + b"x"),
    "garbage": lambda path: spoil(path, lambda data: b"x" * len(data)),
    "first bit": lambda path: spoil(path, lambda data: flipped(data, 0)),
    "bit of machine code": lambda path: spoil(path, lambda data: flipped(data, len(data) // 2)),
    "last bit": lambda path: spoil(path, lambda data: flipped(data, len(data) - 1)),
    "another's": anothers_file,
    "a pickle that runs a command": pickle_that_runs,
    "writable by others": lambda path: path.chmod(0o666),
    "a link": lambda path: (path.rename(path.with_name("x")), path.symlink_to("x")),
    "of another user": given_away,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_compiled_anew_and_replaced(place, capsys, damage):
    if damage == "of another user" and os.geteuid():
        pytest.skip("needs root, to give a file to another user")
    call()
    path = only_file(place)
    DAMAGE[damage](path)
    capsys.readouterr()
    assert call() == COMPILED
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "compiling the CPU kernel for uint8 images anew" in said
    assert f"since {path} is damaged" in said
    assert call() == LOADED
    assert capsys.readouterr().err == ""
    assert not (place / "ran").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads what nobody may read")
def test_a_file_that_may_not_be_read(place):
    call()
    only_file(place).chmod(0)
    assert call() == COMPILED
    assert call() == LOADED


def test_a_folder_that_goes_while_it_is_used(place):
    call()
    shutil.rmtree(place.parent.parent)
    assert call() == COMPILED
    assert call() == LOADED


def exit_code(work):
    """That of a forked process which does the work."""
    process = FORK.Process(target=work)
    process.start()
    process.join(60)
    return process.exitcode


def test_a_full_disk(place, capfd):
    """Here files may have 1,000 bytes; what is compiled has more."""

    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        assert call() == COMPILED

    assert exit_code(work) == 0
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 2
    assert f"got no room for the CPU kernel in {place} (File too large)" in said[1]
    assert not list(place.iterdir())
    assert call() == COMPILED
    assert call() == LOADED


def test_a_disk_error_while_it_is_kept(place, monkeypatch, capsys):
    def fails(*paths):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(folder.os, "replace", fails)
        assert call() == COMPILED
    assert "(No space left on device), expected a folder that keeps it" in capsys.readouterr().err
    assert not list(place.iterdir())


# Several processes


def slow(function, started, seconds):
    """Let the compilation take as long as the kernels' does, in proportion."""
    compile_ = function._compiler.compile

    def compile_slowly(*arguments):
        started.set()
        time.sleep(seconds)
        return compile_(*arguments)

    function._compiler.compile = compile_slowly
    return function


def test_of_five_processes_one_compiles(place, capfd):
    barrier, started = FORK.Barrier(5), FORK.Event()

    def work():
        function = slow(kernel(), started, 0.5)
        barrier.wait()
        with cache.first_call("draw", "none of its dtypes"):
            assert function(1, 2, np.uint8(20)) == 41

    processes = [FORK.Process(target=work) for _ in range(5)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 5
    assert capfd.readouterr().err.count("compiling") == 1
    only_file(place)


def test_a_process_that_is_killed_while_it_compiles(place, capsys):
    """It leaves no note that it has, and nobody waits for it."""
    started = FORK.Event()
    process = FORK.Process(target=lambda: slow(kernel(), started, 600)(1, 2, np.uint8(20)))
    process.start()
    assert started.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    assert not list(place.iterdir())
    assert call() == COMPILED
    assert "once on this machine" in capsys.readouterr().err


def test_a_compilation_that_is_interrupted_lets_others_go_on(place):
    function = kernel()

    def interrupted(*arguments):
        raise KeyboardInterrupt

    function._compiler.compile, before = interrupted, function._compiler.compile
    with pytest.raises(KeyboardInterrupt), cache.first_call("draw", "none of its dtypes"):
        function(1, 2, np.uint8(20))
    with open_folder(place) as number:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    function._compiler.compile = before
    assert function(1, 2, np.uint8(20)) == 41


@contextlib.contextmanager
def open_folder(path):
    number = os.open(path, os.O_RDONLY)
    try:
        yield number
    finally:
        os.close(number)


def test_nobody_waits_for_ever(place, monkeypatch, capsys):
    """For a process that was stopped while it compiles, say."""
    monkeypatch.setattr(folder, "MOST_WAIT", 0.2)
    with open_folder(place) as number:
        fcntl.flock(number, fcntl.LOCK_EX)
        assert call() == COMPILED
    assert "another process has compiled for 0 s, so this one begins too" in capsys.readouterr().err


def test_a_child_that_was_forked_while_a_thread_compiled(monkeypatch):
    """And for longer than forks wait: it says so where it would wait for ever."""
    monkeypatch.setattr(forks, "MOST_WAIT", 0.1)
    forks.hold_at_forks()
    compiling, stop = threading.Event(), threading.Event()

    def compile_until_told():
        with cache.loading:
            compiling.set()
            stop.wait(60)

    def work():
        with (
            pytest.raises(
                RuntimeError, match=r"^CPU executor: got a process that was forked while"
            ),
            cache.first_call("draw", "none of its dtypes"),
        ):
            pass

    thread = threading.Thread(target=compile_until_told)
    thread.start()
    assert compiling.wait(60)
    try:
        assert exit_code(work) == 0
    finally:
        stop.set()
        thread.join()
