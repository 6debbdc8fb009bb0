"""Measuring: interleaved rounds, and the memory floor that a time is a multiple of.

floor = bytes that must be moved / copy bandwidth, measured in the same rounds
bytes = source bytes that the plan needs, each once, + the bytes of the output
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

import numpy as np
import torch

from .. import Plan
from ..plan.kinds import NO_STATISTIC, NO_VIEW, PLAIN_COLOUR

# Each way, and larger than the last-level caches of most machines.
COPY_BYTES = 64 << 20


@dataclass(frozen=True)
class Timing:
    """The seconds that each round took."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median round, in seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Half the distance of the quartiles, as a share of the median."""
        if len(self.seconds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (high - low) / 2 / self.median

    def __len__(self) -> int:
        return len(self.seconds)


def timed(work: Callable[[], object]) -> float:
    """Seconds that work() takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def interleaved(
    contenders: dict[str, Callable[[], object]],
    rounds: int,
    seconds: float = float("inf"),
    after: Callable[[int, int], object] = lambda done, total: None,
) -> dict[str, Timing]:
    """Time contenders by turns, so that a busy moment of the machine meets all of them.

    Args:
        contenders: Calls by name. Each is made once before, to warm up.
        rounds: Number of times that each is timed.
        seconds: Time for all rounds. There are fewer, though not below three, if it is too short.
        after: Function of (rounds done, rounds in all), called after each round.
    """
    warm_up = sum(timed(work) for work in contenders.values())
    rounds = int(max(min(rounds, 3), min(rounds, seconds / max(warm_up, 1e-9))))
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for done in range(1, rounds + 1):
        for name, work in contenders.items():
            times[name].append(timed(work))
        after(done, rounds)
    return {name: Timing(tuple(each)) for name, each in times.items()}


def copier(nbytes: int = COPY_BYTES) -> Callable[[], object]:
    """A call that copies nbytes with torch's threads, to be timed for the copy bandwidth."""
    source = torch.zeros(nbytes, dtype=torch.uint8)
    target = torch.ones_like(source)
    return lambda: target.copy_(source)


def floor_seconds(nbytes: int, copy: Timing, copy_bytes: int = COPY_BYTES) -> float:
    """The seconds in which memory can move nbytes.

    Args:
        nbytes: Bytes that are read or written.
        copy: Timing of a copy.
        copy_bytes: Bytes that it copies; it reads and writes them, so that they count twice.
    """
    return nbytes / (2 * copy_bytes / copy.median)


def floor_bytes(plan: Plan, itemsize: int = 1) -> int:
    """Source bytes that the plan needs, each counted once, + the bytes of its output.

    Args:
        plan: Plan whose outputs are drawn. What an opaque layer hides is not needed.
        itemsize: Bytes of a source value.
    """
    item = getattr(torch, plan.finish.dtype).itemsize
    return needed_pixels(plan) * plan.finish.channels * itemsize + int(np.prod(plan.shape)) * item


def needed_pixels(plan: Plan) -> int:
    """How many source pixels the plan's outputs depend on. Of a view that is shrunk before it turns, those
    that one pass would weigh."""
    needed = [np.zeros(size, bool) for size in plan.sizes]
    height, width = plan.finish.size
    for views, boxes, alphas in zip(plan.view, plan.box, plan.alpha, strict=True):
        visible = np.ones((height, width), bool)  # what no later layer hides
        for view, (y0, x0, y1, x1), alpha in reversed([*zip(views, boxes, alphas, strict=True)]):
            if view == NO_VIEW:
                continue
            if view != PLAIN_COLOUR:
                points = np.argwhere(visible[y0:y1, x0:x1])[:, ::-1] + [x0 + 0.5, y0 + 0.5]
                _mark(needed, plan, view, points)
            if alpha == 1:
                visible[y0:y1, x0:x1] = False
    for view, step in np.argwhere(plan.statistic != NO_STATISTIC):
        y0, x0, y1, x1 = plan.window[view, step]
        rows, columns = (slice(int(a), int(np.ceil(b))) for a, b in ((y0, y1), (x0, x1)))
        if plan.source[view] < len(needed):
            needed[plan.source[view]][rows, columns] = True
    return sum(int(np.count_nonzero(mask)) for mask in needed)


def _mark(needed: list[np.ndarray], plan: Plan, view: int, points: np.ndarray) -> None:
    """Mark the source pixels under the filter of a view.

    needed: a bool mask [H, W] for each source. points: [m, 2], x and y in the view's frame.
    """
    filtered = plan.source[view] - len(needed)
    if filtered >= 0:  # the view shows a filtered view, all of whose picture is drawn first
        frame = np.argwhere(np.ones(plan.frame[filtered], bool))[:, ::-1] + 0.5
        _mark(needed, plan, filtered, frame)
        return
    mask = needed[plan.source[view]]
    projected = np.c_[points, np.ones(len(points))] @ plan.inv_matrix[view].T.astype(float)
    centres = projected[:, :2] / projected[:, 2:]
    low, high = plan.clip[view, 1::-1], plan.clip[view, :1:-1]  # as x, y
    seen_low, seen_high = plan.sight[view, 1::-1], plan.sight[view, :1:-1]
    centres = centres[((low <= centres) & (centres <= high)).all(axis=1)]
    if not len(centres) or not (low < high).all():
        return
    half = plan.support[view] if plan.support[view].max() else np.full(2, 0.5)  # 0: nearest
    # Those pixels count whose centre lies less than `half` away, and inside the sight.
    most = np.ceil(seen_high) - 1
    first = np.clip(np.floor(centres - half + 0.5), np.floor(seen_low), most).astype(int)
    last = np.clip(np.ceil(centres + half - 0.5) - 1, first, most).astype(int)
    columns, rows = np.ceil(2 * half).astype(int)
    for row in range(rows):
        y = np.minimum(first[:, 1] + row, last[:, 1])
        for column in range(columns):
            mask[y, np.minimum(first[:, 0] + column, last[:, 0])] = True


def machine() -> str:
    """The processor and its cores, in a few words."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next(line for line in file if line.startswith("model name"))
        name = name.partition(":")[2].strip()
    except (OSError, StopIteration):
        pass  # not Linux, or a processor that has no name there
    cores = os.cpu_count() or 1
    return f"{name}, {cores} core{'s' * (cores != 1)}"


def versions(*packages: str) -> str:
    """Python and those of the packages that are installed, with their versions."""
    parts = [f"Python {platform.python_version()}"]
    for package in packages:
        try:
            parts.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return ", ".join(parts)
