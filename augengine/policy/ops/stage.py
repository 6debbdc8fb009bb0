"""What the plan's vocabulary cannot say, applied to the finished batch."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...plan import Plan
from ..keyed import Keyed
from .op import FINISHED, Op

_PLACE = 0xFFFFFFFF  # beyond every op's own


@dataclass(frozen=True)
class Stage(Op):
    """A kornia, torchvision or torch module, or any function, called by the engine on its output.

    module: takes images (N, C, H, W) as the engine finishes them, normalised and cast, and returns
    images; labels are not shown to it. each: call it with one image (C, H, W) after the other, for
    modules that draw once a call. It is not fused: it reads and writes the batch once more, and
    `execute` on a plan does not run it; the plan's log names it.
    Generators of torch, random and NumPy are seeded by (seed, epoch, ids, view) while it runs, and
    put back: what it draws is reproducible, by batch, or by sample with each=True.
    """

    module: Callable[..., Any]
    each: bool = False
    stages = (FINISHED, FINISHED)

    def __post_init__(self):
        if not callable(self.module):
            raise TypeError(
                f"Stage: got {self.module!r}, expected a module or a function of images. Pass one, such "
                "as a torch.nn.Module."
            )

    def _decide(self, draft, rows, place):
        name = getattr(self.module, "__name__", type(self.module).__name__)
        text = "".join(c for c in name if c.isprintable()).replace("%", "%%")
        draft.log(rows, f"then {text}, not fused")

    def run(self, images: torch.Tensor, plan: Plan, number: int) -> torch.Tensor:
        """images after the module; number: of the stage in its policy."""
        ids = plan.ids[plan.roots()[np.maximum(plan.view[:, 0], 0)]]
        words = Keyed(plan.seed, plan.epoch, ids, plan.look).words(_PLACE - number, 2)
        seeds = (words[:, 0] << np.uint64(32)) + words[:, 1]
        if self.each:
            made = [
                _seeded(self.module, one, seed) for one, seed in zip(images, seeds, strict=True)
            ]
            return torch.stack(made)
        made = _seeded(self.module, images, seeds[0])
        if not isinstance(made, torch.Tensor) or len(made) != len(images):
            what = tuple(made.shape) if isinstance(made, torch.Tensor) else type(made).__name__
            raise ValueError(
                f"Stage: the module made {what} of images {tuple(images.shape)}, expected as many images. "
                "Pass each=True if it takes single images."
            )
        return made


def _seeded(module, images, seed):
    # The modules of others draw from these.
    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    devices = [images.device] if images.is_cuda else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(int(seed) % 2**63)
        random.seed(int(seed))
        np.random.seed(int(seed) % 2**32)  # noqa: NPY002
        try:
            return module(images)
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002
