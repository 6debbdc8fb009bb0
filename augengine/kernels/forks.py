"""Before a fork: the CPU kernels are loaded once in the parent, instead of anew in every child.

Loading costs half a second of one core, nearly all of it numba's import. Workers of a DataLoader that
are not persistent are forked in every epoch.
"""

from __future__ import annotations

import os
import threading
import weakref
from functools import cache

# Seconds that a fork waits for a thread that loads or compiles the kernels.
MOST_WAIT = 60.0
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
    _register()


@cache
def _register() -> None:
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)


def _before() -> None:
    if not _owners:
        return
    try:
        from .cpu.cache import load_cached, loading

        # Held until the fork is done: a child that was forked while another thread compiles would wait
        # for that thread for ever, which it does not have.
        if not loading.acquire(timeout=MOST_WAIT):
            return
        _forking.lock = loading
        load_cached()
    except Exception:
        # A fork is no place for it. The child meets the same error where it draws, and tells it there.
        return


def _after() -> None:
    lock = getattr(_forking, "lock", None)
    if lock is not None:
        _forking.lock = None
        lock.release()
