"""Which pixel of its image each pixel of an output shows, by the nearest: drawn once, and read by whatever
lies on the images.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from ..aliases import Executor
from ..kernels import Sources
from ..plan import Plan
from ..plan.kinds import NO_VIEW
from .owners import owned_layers
from .planes import Planes, bytes_of, drawn_planes, numbers_of


class Shown(NamedTuple):
    """What the pixels of N outputs show, each that of the sample with the greatest share of it."""

    view: torch.Tensor  # [N, H, W] int32, which view; below 0 where there is none
    pixel: torch.Tensor  # [N, H, W] row · width + column in its image; −1 outside of it
    views: list[np.ndarray]  # of each output, the views that may show in it

    def where(self, output: int, view: int) -> torch.Tensor:
        """(H, W) the pixels of an output in which a view shows its image."""
        inside = self.pixel[output] >= 0
        if len(self.views[output]) == 1 and self.views[output][0] == view:
            return inside
        return inside & (self.view[output] == view)


def shown_pixels(plan: Plan, device: torch.device, executor: Executor | None) -> Shown:
    """What shows where, drawn on a device."""
    layers = owned_layers(plan)
    view, box = layers
    numbers = drawn_planes(plan, _numbered(plan, device), executor, layers)
    pixel = numbers_of(numbers, -1, torch.int32 if numbers.shape[-1] <= 4 else torch.int64)
    if view.shape[1] == 1:
        owner = torch.from_numpy(view.astype(np.int32))[:, :, None].expand(-1, *plan.finish.size)
    else:
        owner = torch.from_numpy(_painted(view, box, plan.finish.size))
    views = [np.unique(row[row >= 0]) for row in view]
    return Shown(owner.to(device), pixel, views)


def _numbered(plan: Plan, device: torch.device) -> Planes:
    """For each source the picture of its pixels' numbers, from 1 on; 0 is outside."""
    sizes = [tuple(size) for size in plan.sizes.tolist()]
    most = max((height * width for height, width in sizes), default=0)
    # Bytes of whole ints are read as they lie, faster than three bytes are put together.
    count = next(n for n in (1, 2, 4, 8) if bytes_of(most) <= n)
    count = 8 if most >= 1 << 31 else count
    pictures: dict[tuple[int, ...], torch.Tensor] = {}
    for height, width in dict.fromkeys(sizes):
        numbers = torch.arange(1, height * width + 1, dtype=torch.int64, device=device)
        planes = numbers.view(torch.uint8).view(height, width, 8)[..., :count]
        pictures[height, width] = planes.contiguous()
    # Sources of one size share their picture's memory.
    return Planes(
        Sources(None, tuple(pictures[size] for size in sizes), plan.sizes), [0] * count, -1
    )


def _painted(view: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[N, H, W] the view of the last layer at each pixel."""
    painted = np.empty((len(view), *size), np.int32)
    painted[:] = view[:, 0, None, None]
    lies = (view != NO_VIEW) & (box[..., :2] < box[..., 2:]).all(axis=-1)
    lies[:, 0] = False
    for i, k in np.argwhere(lies):
        y0, x0, y1, x1 = box[i, k]
        painted[i, y0:y1, x0:x1] = view[i, k]
    return painted
