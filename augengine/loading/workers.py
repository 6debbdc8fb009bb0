"""How a DataLoader's iteration ends that lost a worker or met an error: who is lost is named, once."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader
from torch.utils.data._utils import signal_handling

# Seconds within which a process that has closed its connections is seen to have ended.
MOST_WAIT = 1.0


def end_of(loader: object, batches: Any, error: Exception | None) -> RuntimeError | None:
    """See to the workers of an iteration that ends early.

    Args:
        loader: Loader whose iteration it is.
        batches: Iterator of it, such as a DataLoader's.
        error: What came for the next batch; None where the consumer wants no more.

    Returns:
        What is to be raised from the error: that a worker has ended, where the error does not say so.
        (Raised here, it would hold the iterator by this frame.)
    """
    cut = isinstance(error, (OSError, EOFError))
    lost = _lost_workers(batches, MOST_WAIT if cut else 0)
    if lost:
        if getattr(batches, "_worker_pids_set", False):
            # torch raises in the main thread whenever a worker ends and one of these was killed: again
            # for each of the others, when they are sent home.
            signal_handling._remove_worker_pids(id(batches))  # type: ignore[attr-defined]
            batches._worker_pids_set = False
        if isinstance(loader, DataLoader) and loader._iterator is batches:
            # Workers that persist: the next iteration begins others, or it would meet the same error.
            loader._iterator = None
    if error is not None:
        _let_go(error)
    if not (lost and cut):
        return None
    which = ", ".join(f"pid {worker.pid}, exit code {worker.exitcode}" for worker in lost)
    return RuntimeError(
        f"DeviceLoader: got {type(error).__name__} since a worker of the loader has ended ({which}), "
        "expected its batch. See whether the machine is out of memory (exit code -9), or what in the "
        "dataset ends a process."
    )


def _lost_workers(batches: Any, most_wait: float) -> list[Any]:
    """The workers of a DataLoader's iterator that ended before their time.

    One that ends cuts the connection over which its batches come, and torch raises what it meets there
    if it does not see yet that the worker has ended.
    """
    workers = getattr(batches, "_workers", ())
    limit = time.monotonic() + most_wait
    while True:
        lost = [worker for worker in workers if worker.exitcode is not None]
        if lost or not workers or time.monotonic() > limit:
            return lost
        time.sleep(0.01)


def _let_go(error: BaseException) -> None:
    """Empty torch's frames in the error's traceback. One holds the error that it raised, and others the
    iterator: a cycle. Collected in a cycle, an iterator waits five seconds for each of its workers."""
    for each in _chain(error):
        for frame, _ in traceback.walk_tb(each.__traceback__):
            if frame.f_globals.get("__name__", "").startswith("torch."):
                frame.clear()


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and those that it came from."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [part for part in (each.__cause__, each.__context__) if part is not None]
