"""What the plan's vocabulary cannot say, applied to the finished batch."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import torch

from ...plan import Plan
from .arguments import BOUNDLESS, Custom, WholeNumber
from .op import Op
from .unfused import Unfused, seeds

# A function (targets of the outputs before a module, plan) → as many targets after it.
Rule: TypeAlias = Callable[..., Sequence[object]]


def _callable(where: str, value: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    if not callable(value) or isinstance(value, Op):  # an op is called too, and is fused
        raise TypeError(
            f"{where.rpartition('.')[0]}: got {value!r}, expected a module or a function of images. Pass "
            "one, such as a torch.nn.Module."
        )
    return value


def _rule(where: str, value: Any) -> Rule | str:
    if value != "same" and not callable(value):
        raise ValueError(
            f"{where}: got {value!r}, expected 'same', a function of targets and plan, or None. Pass 'same' "
            "where the module leaves pixels in their places."
        )
    return value


class _Code(Unfused):
    """What ops that hold a function share."""

    code = True
    colours = False
    targets: Any  # of a rule, as each class declares it

    @property
    def function(self) -> Callable[..., torch.Tensor]:
        raise NotImplementedError

    @property
    def rule(self) -> Any:
        return self.targets

    @property
    def name(self) -> str:
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return "".join(letter for letter in name if letter.isprintable())

    @property
    def text(self) -> str:
        """What a policy's fingerprint says of it."""
        text = repr(self.function)
        return text if self.targets is None else f"{text} {self.targets!r}"

    def _decide(self, draft, rows, place):
        self.number(draft)
        if self.happens(draft.keyed.epoch):
            draft.log(rows, f"then {self.name.replace('%', '%%')}, not fused")

    def follow(self, targets: list[object], plan: Plan) -> list[object]:
        # "same"; the plan names one that says nothing.
        if not callable(self.targets) or not self.happens(plan.epoch):
            return targets
        after = self.targets(list(targets), plan)
        if not isinstance(after, (list, tuple)) or len(after) != len(plan):
            what = f"{len(after)}" if isinstance(after, (list, tuple)) else type(after).__name__
            raise ValueError(
                f"{type(self).__name__}.targets: the function made {what} of {len(plan)} targets, expected "
                "a list of as many. Return one for each output, empty where nothing is left of it."
            )
        return list(after)

    def _of_each(self, images: torch.Tensor, plan: Plan, number: int) -> torch.Tensor:
        """Called with one image (C, H, W) after the other."""
        each = zip(images, seeds(plan, number), strict=True)
        return torch.stack([_seeded(self.function, image, seed) for image, seed in each])


@dataclass(frozen=True, repr=False)
class Stage(_Code):
    """Call a kornia, torchvision or torch module, or any function, on the finished batch.

    It is not fused: it reads and writes the batch once more. `execute` on a plan does not run it, the
    engine does; the plan's log names it. Labels are not shown to it. Boxes, masks and other targets are
    refused beside it, unless `targets` says what becomes of them. Generators of torch, random and NumPy
    are seeded by (seed, epoch, ids, look) while it runs, and put back, so that what it draws is
    reproducible: by batch, or by sample with each=True.

    Args:
        module: Function of images (N, C, H, W), as the engine finishes them, normalised and cast; it
            returns as many images.
        each: Whether it is called with one image (C, H, W) after the other, for modules that draw once
            a call.
        targets: Rule for boxes, masks and other targets: 'same' says that the module moves no pixel, and
            a function (targets, plan) gives those after it, a list as long. None says nothing, and
            targets are then refused.
        start: Number of the first epoch in which it is called, 0 … 1000000000.
        stop: Number of the epoch from which on it is not, 0 … 1000000000, above start; None is never.

    Raises:
        TypeError: The module cannot be called.
        ValueError: targets is none of these, or stop is not above start. When it runs: it returned
            another number of images, or its rule another number of targets.

    Example:
        >>> pooled = ae.Engine([ae.Resize((32, 32)), ae.Stage(torch.nn.AvgPool2d(2))])
        >>> pooled(torch.zeros(1, 3, 40, 40, dtype=torch.uint8), ids=[0]).images.shape
        torch.Size([1, 3, 16, 16])
    """

    module: Annotated[
        Callable[[torch.Tensor], torch.Tensor], Custom(_callable, "a module or a function")
    ]
    each: bool = False
    targets: Annotated[
        Literal["same"] | Rule | None, Custom(_rule, "'same', a function, or None")
    ] = None
    start: Annotated[int, WholeNumber(0, int(BOUNDLESS))] = 0
    stop: Annotated[int | None, WholeNumber(0, int(BOUNDLESS))] = None

    def _check(self) -> None:
        if self.stop is not None and self.stop <= self.start:
            raise ValueError(
                f"Stage: got start {self.start} and stop {self.stop}, expected stop above start, since it "
                "would never happen. Leave stop out to go on to the end."
            )

    @property
    def needs_epoch(self) -> bool:
        return self.start > 0 or self.stop is not None

    def happens(self, epoch: int) -> bool:
        """Whether it is called in an epoch.

        Args:
            epoch: Whole number, 0 or more.
        """
        return self.start <= epoch and (self.stop is None or epoch < self.stop)

    @property
    def function(self) -> Callable[..., torch.Tensor]:
        return self.module

    @property
    def text(self) -> str:
        rule = "" if self.targets is None else f" {self.targets!r}"
        epochs = f" {self.start} {self.stop}" if self.needs_epoch else ""
        return f"{self.module!r} {self.each}{rule}{epochs}"

    def _run(self, images: torch.Tensor, plan: Plan, number: int) -> torch.Tensor:
        if self.each:
            return self._of_each(images, plan, number)
        result = _seeded(self.module, images, seeds(plan, number)[0])
        if not isinstance(result, torch.Tensor) or len(result) != len(images):
            what = (
                tuple(result.shape) if isinstance(result, torch.Tensor) else type(result).__name__
            )
            raise ValueError(
                f"Stage: the module made {what} of images {tuple(images.shape)}, expected as many images. "
                "Pass each=True if it takes single images."
            )
        return result


@dataclass(frozen=True, repr=False)
class Lambda(_Code):
    """Call a function with one finished image after the other, as torchvision's Lambda calls it with each
    image of a dataset. It is a `Stage` with each=True, of which a function of a whole batch is faster.

    The image is a tensor (C, H, W) in the engine's dtype: in [0, 1], or as Normalize left it where that
    stands before; never a PIL image. Ops that may follow are those that may follow a Stage.

    Args:
        lambd: Function of an image (C, H, W), which returns an image.
        targets: Rule for boxes, masks and other targets, as for `Stage`: 'same', a function, or None.

    Raises:
        TypeError: The function cannot be called.
        ValueError: targets is none of these.

    Example:
        >>> inverted = ae.Engine([ae.Resize((8, 8)), ae.Lambda(lambda image: 1 - image)])
        >>> inverted(torch.zeros(1, 3, 9, 9, dtype=torch.uint8), ids=[0]).images.mean()
        tensor(1.)
    """

    lambd: Annotated[
        Callable[[torch.Tensor], torch.Tensor], Custom(_callable, "a function of an image")
    ]
    targets: Annotated[
        Literal["same"] | Rule | None, Custom(_rule, "'same', a function, or None")
    ] = None

    @property
    def function(self) -> Callable[..., torch.Tensor]:
        return self.lambd

    def _run(self, images: torch.Tensor, plan: Plan, number: int) -> torch.Tensor:
        return self._of_each(images, plan, number)


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
