"""The CPU executor: the numba kernel, driven by threads over ranges of outputs.

The kernel holds no GIL. Threads are ours and not numba's, whose parallel loops end forked DataLoader
workers; they follow `torch.get_num_threads()`, which is 1 in a worker.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import pairwise

import numpy as np
import torch

from ...plan import Plan
from ..forks import hold_at_forks
from ..passes import with_filtered
from ..sources import Sources
from .cache import first_call, load_kernels
from .tables import images_of, tables_of

PAST_CACHE = 8 << 20  # bytes: a batch that no second-level cache holds
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def execute(plan: Plan, sources: Sources, out: torch.Tensor) -> torch.Tensor:
    """Draw the plan into `out`, a CPU tensor of any strides, and return it."""
    if sources.dtype in (torch.float16, torch.bfloat16):
        sources = sources.map(torch.Tensor.float)
    byte = sources.dtype == torch.uint8
    sample_value = np.uint8(0) if byte else np.float32(0)
    to_unit = np.float32(1 / 255 if byte else 1)
    hold_at_forks()
    kernels, dtype = load_kernels(), sample_value.dtype.name
    plan, sources = with_filtered(
        plan,
        sources,
        execute,
        lambda pictures, filters: kernels.filtered(
            pictures, filters, _spread_first("filter", dtype)
        ),
    )
    images = images_of(sources)
    plan = kernels.measured(plan, sample_value, to_unit, images, _spread_first("measure", dtype))
    arguments = (
        sample_value, sample_value.itemsize, to_unit, images, *tables_of(plan),
        plan.fill, plan.colour, plan.step_kind, plan.step_arg, plan.curves,
        *plan.finish.gain_offset(),
        kernels.Out(
            out.data_ptr(), *out.stride(), kernels.OUT_KINDS[plan.finish.dtype],
            out.element_size(), out.numel() * out.element_size() > PAST_CACHE,
        ),
        *plan.finish.size,
    )  # fmt: skip
    spread = _spread_first("draw", dtype)
    spread(lambda begin, end: kernels.draw(begin, end, *arguments), len(plan))
    return out


def _spread_first(part: str, dtype: str):
    """`_spread` for one of the compiled parts, whose first call loads or compiles it."""

    def spread(work, count: int) -> None:
        with first_call(part, dtype) as first:
            if first:
                work(0, 0)  # compiled in this thread, since no other one hears a Ctrl-C
            _spread(work, count)

    return spread


def _spread(work, count: int) -> None:
    """Run work(begin, end) over 0 … count − 1 in ranges, on as many threads as torch uses."""
    threads = min(torch.get_num_threads(), count)
    if threads <= 1:
        work(0, count)
        return
    # A pool from before a fork hangs in the child: pools are the process's own.
    key = (os.getpid(), threads)
    if key not in _pools:
        _pools[key] = ThreadPoolExecutor(threads, thread_name_prefix="augengine")
    # Four ranges a thread, since outputs differ in cost.
    edges = np.linspace(0, count, min(count, 4 * threads) + 1).astype(int)
    futures: list[Future] = []
    try:
        for begin, end in pairwise(edges):
            futures.append(_pools[key].submit(work, int(begin), int(end)))
        for future in futures:
            future.result()
    except BaseException:
        # They read and write by address: none may go on when the caller lets go of its memory.
        for future in futures:
            future.cancel()
        while not all(future.done() for future in futures):
            with suppress(KeyboardInterrupt):
                wait(futures)
        raise
