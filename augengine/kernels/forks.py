"""Before a fork: the CPU kernels are loaded once in the parent, instead of anew in every child.

Loading costs half a second of one core, nearly all of it numba's import. Workers of a DataLoader that
are not persistent are forked in every epoch.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from functools import cache
from typing import NoReturn

# Seconds that a fork waits for a thread that loads or compiles the kernels.
MOST_WAIT = 300.0
_owners: weakref.WeakSet[object] = weakref.WeakSet()
_forking = threading.local()


def load_before_forks(owner: object) -> None:
    """Load the CPU kernels before this process forks next.

    Nothing is loaded now, and nothing in a process that never forks. Nothing is compiled: of the
    children that need a kernel which is not compiled yet, one compiles it, and the next fork finds it.

    Args:
        owner: Object that draws in children, such as a `Collate`. When all owners are gone, forks
            load nothing.
    """
    _owners.add(owner)
    hold_at_forks()


@cache
def hold_at_forks() -> None:
    """Let each fork wait while a thread loads or compiles the kernels: the child would wait for that
    thread for ever, which it does not have."""
    if hasattr(os, "register_at_fork"):  # Windows forks nothing
        os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)


def _before() -> None:
    _forking.lock, _forking.too_long = None, False
    if not _owners and f"{__package__}.cpu.cache" not in sys.modules:
        return
    try:
        from .cpu.cache import load_cached, loading

        if not loading.acquire(timeout=MOST_WAIT):
            _forking.too_long = True
            return
        _forking.lock = loading
        if _owners:
            load_cached()
    except Exception:
        # A fork is no place for it. The child meets the same error where it draws, and tells it there.
        return


def _after() -> None:
    lock = getattr(_forking, "lock", None)
    if lock is not None:
        _forking.lock = None
        lock.release()


def _after_in_child() -> None:
    _after()
    if getattr(_forking, "too_long", False):
        from .cpu import cache

        cache.loading = _Lost()  # type: ignore[assignment]


class _Lost:
    """In the place of a lock whose thread stayed in the parent."""

    def acquire(self, timeout: float = -1) -> bool:
        return False

    def __enter__(self) -> NoReturn:
        raise RuntimeError(
            "CPU executor: got a process that was forked while another thread of its parent compiled a "
            "kernel, expected a fork before or after that, since the thread is not here to end it. Draw "
            "a batch in the parent before it forks."
        )

    def __exit__(self, *error: object) -> None: ...
