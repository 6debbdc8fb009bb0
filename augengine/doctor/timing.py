"""Rounds of one piece of work: warmed up first, repeated until they can be told from noise."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch

from .figures import Cost

# Rounds of a part. A round is of some length, since a clock's noise is not.
FEWEST, MOST, SHORTEST = 3, 25, 0.01

Work = Callable[[], object]
Clock = Callable[[Work], float]


def wall(work: Work) -> float:
    """Seconds that work() takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def on_gpu(work: Work) -> float:
    """Seconds that the GPU takes for what work() asks of it, by CUDA events."""
    before, after = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    before.record()
    work()
    after.record()
    after.synchronize()
    return before.elapsed_time(after) / 1000


def cost(
    part: str, images: int, work: Work, seconds: float, *, clock: Clock = wall, nbytes: int = 0
) -> Cost:
    """Time rounds of work. Where they differ too much they are taken again once, and the calmer ones
    count.

    Args:
        part: Name of the part.
        images: Number of images that work() handles.
        work: Function that is timed. It is called once before, to warm up.
        seconds: Time for all rounds, in about; there are FEWEST at least.
        clock: Function of `work` that gives its seconds.
        nbytes: Bytes that an image takes on the way.
    """
    first = wall(work)
    once = clock(work)
    repeats = max(1, math.ceil(SHORTEST / max(once, 1e-7)))

    def round_of_work() -> None:
        for _ in range(repeats):
            work()

    def rounds(seconds: float) -> Cost:
        count = int(min(MOST, max(FEWEST, seconds / max(once * repeats, 1e-7))))
        times = tuple(clock(round_of_work) / repeats for _ in range(count))
        return Cost(part, images, times, first, nbytes)

    found = rounds(seconds)
    if found.rough:
        found = min(found, rounds(seconds / 2), key=lambda c: c.spread)
    return found
