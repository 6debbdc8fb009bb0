"""The folder on disk that keeps what was compiled: this user's alone, each file sealed with its digest.

What is read from it becomes a pickle and machine code, so nothing is read that another user could have
written, and nothing that is not whole.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import stat
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from ... import random_numbers, systems
from ...plan import kinds
from .. import bind, pixel

# Seconds that a process waits for another one that compiles; then it compiles for itself.
MOST_WAIT = 300.0
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH
# What keeps the kernels of this process and its forked children, where the user's own folder cannot.
_instead: list[Path | None] = []


class DamagedError(Exception):
    """A file of the folder is not what was written there."""


def cache_folder() -> Path | None:
    """Where these very sources are kept compiled; None where there is no such place.

    The folder exists, and only this user can write into it. Where the one that the environment names
    is not like that, a new one of this process is taken, and a line on stderr says so.
    """
    if not _instead:
        root = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
        # Windows gives the profile of a user to that user alone; its files have no rights that we could read.
        root = root or (None if systems.POSIX else os.environ.get("LOCALAPPDATA"))
        folder = Path(root or os.path.expanduser("~/.cache"), "augengine", _digest_of_sources())
        try:
            _claim(folder)
            return folder
        except OSError as error:
            _instead.append(_folder_of_this_process())
            kept = "not kept" if _instead[0] is None else f"kept in {_instead[0]}"
            say(
                f"got the cache folder {folder} ({error.strerror}), expected one that this user alone "
                f"can write. What is compiled is {kept}, and gone when this process ends. Set "
                "NUMBA_CACHE_DIR to a folder of your own."
            )
    return _instead[0]


def _claim(folder: Path) -> None:
    """Make the folder where there is none, and check whose it is."""
    folder.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for part in (folder.parent, folder):
        with suppress(FileExistsError):
            part.mkdir(mode=0o700)
        status = os.lstat(part)
        if (
            systems.POSIX
            and stat.S_ISLNK(status.st_mode)
            and status.st_uid not in (0, os.geteuid())
        ):
            raise PermissionError(0, f"a link that belongs to user {status.st_uid}")
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(0, "a link, or a file")
    _check_owner(status)


def _check_owner(status: os.stat_result) -> None:
    if not systems.POSIX:
        return
    if status.st_uid != os.geteuid():
        raise PermissionError(0, f"it belongs to user {status.st_uid}")
    if status.st_mode & OTHERS_MAY_WRITE:
        raise PermissionError(0, f"others may write there, mode {stat.S_IMODE(status.st_mode):04o}")


def _folder_of_this_process() -> Path | None:
    """A folder that nobody could know before. It goes with this process, not with children of it."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="augengine-"))
    except OSError:
        return None
    atexit.register(_remove, folder, os.getpid())
    return folder


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


@cache
def _digest_of_sources() -> str:
    digest, here = hashlib.sha256(), Path(__file__).parent
    also = [str(module.__file__) for module in (kinds, random_numbers, bind, pixel)]
    for path in [*sorted(here.glob("*.py")), *map(Path, also)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def names(prefix: str) -> list[str]:
    """The names of the files that begin with `prefix`."""
    folder = cache_folder()
    return [] if folder is None else sorted(path.name for path in folder.glob(f"{prefix}*"))


def read(name: str) -> bytes | None:
    """What `write` has written under this name; None where nothing was, or where it cannot be read.

    Raises:
        DamagedError: The file is another than was written.
    """
    folder = cache_folder()
    if folder is None:
        return None
    try:
        with open(os.open(folder / name, os.O_RDONLY | systems.flags("O_NOFOLLOW")), "rb") as file:
            _check_owner(os.fstat(file.fileno()))
            found = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedError(error.strerror) from error
    seal, contents = found[: hashlib.sha256().digest_size], found[hashlib.sha256().digest_size :]
    if seal != _seal(name, contents):
        raise DamagedError("it is not as it was written")
    return contents


def write(name: str, contents: bytes) -> None:
    """Keep a file, whole or not at all, for whoever of this user reads it.

    Raises:
        OSError: It cannot be kept.
    """
    folder = cache_folder()
    if folder is None:
        return
    number, path = tempfile.mkstemp(prefix="part-", dir=folder)
    try:
        with open(number, "wb") as file:
            file.write(_seal(name, contents) + contents)
        os.replace(path, folder / name)
    except BaseException:
        with suppress(OSError):
            os.unlink(path)
        raise


def _seal(name: str, contents: bytes) -> bytes:
    # With the name, so that one file is not taken for another.
    return hashlib.sha256(name.encode() + b"\0" + contents).digest()


class Turn:
    """What one process of this machine has at a time: the lock of the folder. The system takes it back
    from a process that ends."""

    def __init__(self) -> None:
        self._number: int | None = None

    def take(self) -> None:
        """Wait for the lock, and no longer than MOST_WAIT."""
        folder = cache_folder()
        if folder is None or self._number is not None or not systems.POSIX:
            return
        limit = time.monotonic() + MOST_WAIT
        while True:
            try:
                if self._number is None:
                    self._number = os.open(folder, os.O_RDONLY | systems.flags("O_DIRECTORY"))
                locks = systems.fcntl
                locks.flock(self._number, locks.LOCK_EX | locks.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > limit:
                    say(
                        f"another process has compiled for {MOST_WAIT:.0f} s, so this one begins too."
                    )
                    return
                time.sleep(0.05)
            except OSError:  # a file system without locks: every process compiles for itself
                return

    def end(self) -> None:
        """Give the lock back, if this process has it."""
        if self._number is None:
            return
        number, self._number = self._number, None
        # A process that was forked meanwhile has the folder open too, so closing it is not enough.
        with suppress(OSError):
            systems.fcntl.flock(number, systems.fcntl.LOCK_UN)
        os.close(number)


def say(text: str) -> None:
    """One line to the user."""
    print(f"augengine: {text}", file=sys.stderr, flush=True)
