"""Threads over the ranges of a batch, for kernels and decoders: they hold no GIL, and write by address."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import pairwise

_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def spread(work: Callable[[int, int], None], edges: Iterable[int], threads: int) -> None:
    """Call work(begin, end) for each range between two edges, on so many threads.

    The first error is raised when no call is under way any more, since they read and write the caller's
    memory.
    """
    ranges = list(pairwise(edges))
    threads = min(threads, len(ranges))
    if threads <= 1:
        for begin, end in ranges:
            work(begin, end)
        return
    # A pool from before a fork hangs in the child: pools are the process's own.
    key = (os.getpid(), threads)
    if key not in _pools:
        _pools[key] = ThreadPoolExecutor(threads, thread_name_prefix="augengine")
    futures: list[Future] = []
    try:
        for begin, end in ranges:
            futures.append(_pools[key].submit(work, begin, end))
        for future in futures:
            future.result()
    except BaseException:
        for future in futures:
            future.cancel()
        while not all(future.done() for future in futures):
            with suppress(KeyboardInterrupt):
                wait(futures)
        raise
