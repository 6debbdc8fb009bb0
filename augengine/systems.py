"""What Linux has and macOS or Windows lacks, asked for in one place.

Linux is what the tests run on. On macOS all commands should work but the largest pages of memory; on
Windows what needs locks of files, or memory that is mapped privately, is refused by `needs_posix`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# Whether files have owners and rights, folders can be opened, and files be locked.
POSIX = fcntl is not None and hasattr(os, "geteuid")


def flags(*names: str) -> int:
    """Flags of os.open, those of them that this system has.

    Args:
        names: Names such as "O_CLOEXEC".
    """
    found = 0
    for name in names:
        found |= getattr(os, name, 0)
    # Windows alone has it, and otherwise changes the ends of lines.
    return found | getattr(os, "O_BINARY", 0)


def cores() -> int:
    """The number of cores that this process may use."""
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of files, is on the disk. Windows syncs no folders."""
    folder = path.is_dir()
    if folder and not POSIX:
        return
    # Windows syncs only what may be written.
    descriptor = os.open(path, flags("O_CLOEXEC") | (os.O_RDONLY if POSIX else os.O_RDWR))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reserve(descriptor: int, size: int) -> None:
    """Let a file have room for `size` bytes; without posix_fallocate (macOS) it is as long, and a full
    disk is found when it is written.

    Raises:
        OSError: When the disk has no room.
    """
    allocate: Callable[[int, int, int], None] | None = getattr(os, "posix_fallocate", None)
    if allocate is not None:
        allocate(descriptor, 0, size)
    elif os.fstat(descriptor).st_size < size:
        os.ftruncate(descriptor, size)


def needs_posix(what: str, instead: str) -> None:
    """Refuse what this system has no locks and mappings for.

    Args:
        what: Name of what was asked for, such as "cache".
        instead: Sentence that says what works here.

    Raises:
        OSError: When the system is no POSIX system.
    """
    if not POSIX:
        raise OSError(
            f"{what}: got a system without locks of files, such as Windows, expected Linux or macOS. {instead}"
        )
