"""Threads that decode the images of a batch side by side; decoders hold no GIL."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress

_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def spread(work: Callable[[int], None], count: int, threads: int) -> None:
    """Call work(0) … work(count − 1), on so many threads.

    The first error is raised when no call is under way any more: they write into the caller's memory.
    """
    threads = min(threads, count)
    if threads <= 1:
        for i in range(count):
            work(i)
        return
    # A pool from before a fork hangs in the child: pools are the process's own.
    key = (os.getpid(), threads)
    if key not in _pools:
        _pools[key] = ThreadPoolExecutor(threads, thread_name_prefix="augengine-decode")
    futures: list[Future] = []
    try:
        futures += [_pools[key].submit(work, i) for i in range(count)]
        for future in futures:
            future.result()
    except BaseException:
        for future in futures:
            future.cancel()
        while not all(future.done() for future in futures):
            with suppress(KeyboardInterrupt):
                wait(futures)
        raise
