"""The CPU executor: the numba kernel, driven by threads over ranges of outputs.

The kernel holds no GIL. Threads are ours and not numba's, whose parallel loops end forked DataLoader
workers; they follow `torch.get_num_threads()`, which is 1 in a worker.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from ... import random_numbers
from ...plan import Plan, kinds
from .. import bind, pixel
from ..passes import with_filtered
from ..sources import Sources

PAST_CACHE = 8 << 20  # bytes: a batch that no second-level cache holds
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}
_kernels: list[SimpleNamespace] = []
_announced: set[str] = set()


def execute(plan: Plan, sources: Sources, out: torch.Tensor) -> torch.Tensor:
    """Draw the plan into `out`, a CPU tensor of any strides, and return it."""
    if sources.dtype in (torch.float16, torch.bfloat16):
        sources = sources.map(torch.Tensor.float)
    byte = sources.dtype == torch.uint8
    kernels = _compiled("uint8" if byte else "float32")
    plan, sources = with_filtered(
        plan,
        sources,
        execute,
        lambda pictures, filters: kernels.filtered(pictures, filters, _spread),
    )
    like = np.uint8(0) if byte else np.float32(0)
    unit = np.float32(1 / 255 if byte else 1)
    pixels = (like, like.itemsize, sources.sizes, *sources.pointers(), unit)
    plan = kernels.measured(plan, pixels, _spread)
    arguments = (
        *pixels,
        *(getattr(plan, name) for name in (
            "source", "inv_matrix", "support", "clip", "border", "fill", "fill_start", "step_kind",
            "step_arg", "curves", "view", "box", "alpha", "colour",
        )),
        *plan.finish.gain_offset(),
        kernels.Out(
            out.data_ptr(), *out.stride(), kernels.OUT_KINDS[plan.finish.dtype],
            out.element_size(), out.numel() * out.element_size() > PAST_CACHE,
        ),
        *plan.finish.size,
    )  # fmt: skip
    _spread(lambda begin, end: kernels.draw(begin, end, *arguments), len(plan))
    return out


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
    for done in [_pools[key].submit(work, int(begin), int(end)) for begin, end in pairwise(edges)]:
        done.result()


def _compiled(dtype: str):
    """The kernels, ready for sources of this dtype: compiled, or loaded from numba's cache."""
    if not _kernels:
        import numba

        # numba keeps what it compiled beside the file that asked for it, and does not see a change
        # in the functions that were inlined. So its cache lies in a folder named by their source.
        before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(_cache_folder())
        try:
            from .colour import OUT_KINDS, Out
            from .draw import draw
            from .filter import filtered
            from .statistics import measured
        finally:
            numba.config.CACHE_DIR = before
        _kernels.append(
            SimpleNamespace(
                draw=draw, filtered=filtered, measured=measured, Out=Out, OUT_KINDS=OUT_KINDS
            )
        )
    if dtype not in _announced:
        _announced.add(dtype)
        # numba compiles at the first call; a file beside its own says for which dtypes it has.
        done = _cache_folder() / f"{dtype}.compiled"
        if not done.exists():
            print(
                f"augengine: compiling the CPU kernel for {dtype} images, once on this machine "
                "(some 20 s) …",
                file=sys.stderr,
                flush=True,
            )
            done.touch()
    return _kernels[0]


def _cache_folder() -> Path:
    digest, here = hashlib.sha256(), Path(__file__).parent
    also = [str(module.__file__) for module in (kinds, random_numbers, bind, pixel)]
    for path in [*sorted(here.glob("*.py")), *map(Path, also)]:
        digest.update(path.read_bytes())
    root = (
        os.environ.get("NUMBA_CACHE_DIR")
        or os.environ.get("XDG_CACHE_HOME")
        or Path.home() / ".cache"
    )
    folder = Path(root) / "augengine" / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a home that cannot be written; what is compiled is then kept until a restart
        folder = Path(tempfile.gettempdir()) / f"augengine-{os.getuid()}" / folder.name
        folder.mkdir(parents=True, exist_ok=True)
    return folder
