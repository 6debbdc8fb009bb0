"""What the torch executor reads: the plan, and the pixels of all its sources in one table."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from ...plan import Plan
from ..sources import Sources


class PixelTable:
    """All source pixels as one tensor [pixels, C] in [0, 1], and where each image starts in it."""

    def __init__(self, sources: Sources, compute: torch.dtype):
        self.compute, self.device = compute, sources.device
        self.byte = sources.dtype == torch.uint8
        self.whole = not sources.dtype.is_floating_point
        to_unit = torch.tensor(1 / 255 if self.byte else 1.0, dtype=compute)
        images = [sources.image(b).reshape(-1, sources.channels) for b in range(len(sources))]
        self.pixels = torch.cat(images).to(compute) * to_unit
        counts = sources.sizes.astype(np.int64).prod(axis=1)
        self.start = np.cumsum(counts) - counts  # [B], the row of an image's first pixel
        self.width = sources.sizes[:, 1].astype(np.int64)  # [B], the rows from y to y + 1

    def floats(self, array) -> torch.Tensor:
        """An array of the plan as a tensor that is computed with."""
        return torch.from_numpy(np.array(array)).to(self.device, self.compute)

    def indices(self, array) -> torch.Tensor:
        """An array of whole numbers as a tensor int64."""
        return torch.from_numpy(np.asarray(array, np.int64)).to(self.device)


@dataclass
class Scene:
    """A plan over its source pixels."""

    plan: Plan
    table: PixelTable
    # By step: the offset that a measured mean gives each view's MATRIX, [V], or GAINS, [V, C], NaN where
    # none was measured. The same numbers as in the plan, but with their gradient.
    mean_offsets: dict[int, torch.Tensor] = field(default_factory=dict)
    # Likewise, where they have a gradient, each channel's lowest and highest value [V, C, 2].
    limits: dict[int, torch.Tensor] = field(default_factory=dict)
