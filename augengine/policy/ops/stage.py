"""What the plan's vocabulary cannot say, applied to the finished batch."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch

from ...plan import Plan
from ..keyed import Keyed
from .arguments import Custom
from .op import FINISHED, Op

_PLACE = 0xFFFFFFFF  # beyond every op's own


def _callable(where: str, value: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    if not callable(value):
        raise TypeError(
            f"{where.rpartition('.')[0]}: got {value!r}, expected a module or a function of images. Pass "
            "one, such as a torch.nn.Module."
        )
    return value


@dataclass(frozen=True, repr=False)
class Stage(Op):
    """Call a kornia, torchvision or torch module, or any function, on the finished batch.

    It is not fused: it reads and writes the batch once more. `execute` on a plan does not run it, the
    engine does; the plan's log names it. Labels are not shown to it. Generators of torch, random and
    NumPy are seeded by (seed, epoch, ids, look) while it runs, and put back, so that what it draws is
    reproducible: by batch, or by sample with each=True.

    Args:
        module: Function of images (N, C, H, W), as the engine finishes them, normalised and cast; it
            returns as many images.
        each: Whether it is called with one image (C, H, W) after the other, for modules that draw once
            a call.

    Raises:
        TypeError: The module cannot be called.
        ValueError: When it runs: it returned another number of images.

    Example:
        >>> pooled = ae.Engine([ae.Resize((32, 32)), ae.Stage(torch.nn.AvgPool2d(2))])
        >>> pooled(torch.zeros(1, 3, 40, 40, dtype=torch.uint8), ids=[0]).images.shape
        torch.Size([1, 3, 16, 16])
    """

    module: Annotated[
        Callable[[torch.Tensor], torch.Tensor], Custom(_callable, "a module or a function")
    ]
    each: bool = False
    stages = (FINISHED, FINISHED)

    def _decide(self, draft, rows, place):
        name = getattr(self.module, "__name__", type(self.module).__name__)
        text = "".join(c for c in name if c.isprintable()).replace("%", "%%")
        draft.log(rows, f"then {text}, not fused")

    def run(self, images: torch.Tensor, plan: Plan, number: int) -> torch.Tensor:
        """The images after the module.

        Args:
            images: A batch (N, C, H, W) that the plan made.
            plan: The plan, whose ids and key seed the module's generators.
            number: Index of this stage among those of its policy.
        """
        source = plan.roots()[np.maximum(plan.view[:, 0], 0)]
        keyed = Keyed(plan.seed, plan.epoch, plan.ids[source], plan.look, plan.occurrence[source])
        words = keyed.words(_PLACE - number, 2)
        seeds = (words[:, 0] << np.uint64(32)) + words[:, 1]
        if self.each:
            images_each = [
                _seeded(self.module, one, seed) for one, seed in zip(images, seeds, strict=True)
            ]
            return torch.stack(images_each)
        result = _seeded(self.module, images, seeds[0])
        if not isinstance(result, torch.Tensor) or len(result) != len(images):
            what = (
                tuple(result.shape) if isinstance(result, torch.Tensor) else type(result).__name__
            )
            raise ValueError(
                f"Stage: the module made {what} of images {tuple(images.shape)}, expected as many images. "
                "Pass each=True if it takes single images."
            )
        return result


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
