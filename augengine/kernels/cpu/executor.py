"""The CPU executor: the numba kernel, driven by threads over ranges of outputs.

The kernel holds no GIL. Threads are ours and not numba's, whose parallel loops end forked DataLoader
workers; they follow `torch.get_num_threads()`, which is 1 in a worker.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import lru_cache, partial

import numpy as np
import torch

from ...plan import Finish, Plan
from ...threads import spread
from ..forks import hold_at_forks
from ..passes import Pass, with_filtered
from ..sources import Sources
from .cache import first_call, load_kernels, load_twins
from .lookups import looked_up
from .tables import images_of, tables_of

PAST_CACHE = 8 << 20  # bytes: a batch that no second-level cache holds
FEW_PICTURES = 1 << 20  # bytes: about a common second-level cache


def execute(plan: Plan, sources: Sources, out: torch.Tensor) -> torch.Tensor:
    """Draw the plan into `out`, a CPU tensor of any strides, and return it."""
    if sources.dtype in (torch.float16, torch.bfloat16):
        sources = sources.map(torch.Tensor.float)
    hold_at_forks()
    plan, sources = with_filtered(plan, sources, _draw_pictures)
    draw = _drawer(plan, sources, out)
    _spread_first(("draw",), _sample_value(sources), draw, len(plan))
    return out


def _draw_pictures(some: Pass, sources: Sources, pictures: torch.Tensor) -> torch.Tensor:
    """A few are drawn and then filtered at a time, so that they do not leave the cache in between."""
    kernels, sample_value, count = load_kernels(), _sample_value(sources), len(pictures)
    draw = _drawer(some.plan, sources, pictures.movedim(-1, 1))
    if not some.filters.any():
        _spread_first(("draw",), sample_value, draw, count)
        return pictures
    _, height, width, channels = pictures.shape
    size = pictures[0].nbytes
    few = max(1, min(FEW_PICTURES // size, count))
    filters = np.ascontiguousarray(some.filters, np.float32)
    most = np.float32(255 if sample_value.itemsize == 1 else 1)
    shapes = kernels.shapes_of(filters)
    arguments = (height, width, channels, filters, shapes, *kernels.longest_of(shapes, height))

    def work(begin: int, end: int) -> None:
        memory = torch.empty(few * size + kernels.SPARE, dtype=torch.uint8)
        for first in range(begin, max(end, begin + 1), few):
            last = min(first + few, end)
            drawn = memory.data_ptr() - first * size
            draw(first, last, drawn)
            kernels.filter_pictures(
                first, last, sample_value, sample_value.itemsize, most, drawn,
                pictures.data_ptr(), *arguments,
            )  # fmt: skip

    _spread_first(("draw", "filter"), sample_value, work, count)
    return pictures


def _sample_value(sources: Sources) -> np.generic:
    """A value of the sources' dtype."""
    return np.uint8(0) if sources.dtype == torch.uint8 else np.float32(0)


def _drawer(plan: Plan, sources: Sources, out: torch.Tensor):
    """The kernel that draws the outputs of a plan without views of views, as draw(begin, end, address): to
    where `out` lies, or as if that were at another address."""
    kernels, sample_value = load_kernels(), _sample_value(sources)
    to_unit = np.float32(1 / 255 if sample_value.itemsize == 1 else 1)
    images = images_of(sources)
    if plan.step_kind.shape[1]:
        if sample_value.itemsize == 1:
            plan = looked_up(plan)
        measure = partial(_spread_first, ("measure",), sample_value)
        plan = kernels.measured(plan, sample_value, to_unit, images, measure)
    arguments = (
        sample_value, sample_value.itemsize, to_unit, images, *tables_of(plan),
        plan.fill, plan.colour, plan.step_kind, plan.step_arg, plan.curves,
        *_gain_offset(plan.finish),
    )  # fmt: skip
    kind, item = kernels.OUT_KINDS[plan.finish.dtype], out.element_size()

    def draw(begin: int, end: int, address: int | None = None) -> None:
        past = address is None and out.numel() * item > PAST_CACHE
        where = kernels.Out(address or out.data_ptr(), *out.stride(), kind, item, past)
        kernels.draw(begin, end, *arguments, where, *plan.finish.size)

    return draw


# A finish is that of all batches, or nearly so.
_gain_offset = lru_cache(maxsize=64)(Finish.gain_offset)
_called: set[tuple[tuple[str, ...], int]] = set()


def _spread_first(parts: tuple[str, ...], sample_value: np.generic, work, count: int) -> None:
    """`_spread` for work that calls these compiled parts, the first call of which loads or compiles them."""
    key = parts, sample_value.itemsize
    if key not in _called:
        with ExitStack() as stack:
            dtype = sample_value.dtype.name
            if any([stack.enter_context(first_call(part, dtype)) for part in parts]):
                work(0, 0)  # compiled in this thread, since no other one hears a Ctrl-C
        load_twins()
        _called.add(key)
    _spread(work, count)


def _spread(work, count: int) -> None:
    """Run work(begin, end) over 0 … count − 1 in ranges, on as many threads as torch uses."""
    threads = min(torch.get_num_threads(), count)
    if threads <= 1:
        work(0, count)
        return
    # Four ranges a thread, since outputs differ in cost.
    ranges = min(count, 4 * threads)
    spread(work, [count * i // ranges for i in range(ranges + 1)], threads)
