"""What is done to the finished batch, behind the plan: it reads and writes the batch once more.

`execute` on a plan does not do it, the engine does; the plan's log names it. Random numbers are keyed as
everywhere: by (seed, epoch, id, occurrence, look), in places behind those of all fused ops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import torch

from ...plan import Plan
from ..keyed import Keyed
from .op import FINISHED, Op

if TYPE_CHECKING:
    from ..draft import Draft

_PLACE = 0xFFFFFFFF  # beyond every op's own


@dataclass(frozen=True, repr=False)
class Unfused(Op):
    """An op that is done to the finished batch. Its class says what it needs:

    - numbered: it may draw random numbers, so it counts among those of its policy that do.
    - code: it holds a function, which YAML cannot say.
    - colours: it takes values for colours in [0, 1], so it comes before Normalize.
    - rule: what it does to targets: "same" moves no pixel, None says nothing, and they are refused.
    """

    stages = (FINISHED, FINISHED)
    numbered: ClassVar[bool] = True
    code: ClassVar[bool] = False
    colours: ClassVar[bool] = True

    @property
    def rule(self) -> Any:
        return None

    @property
    def name(self) -> str:
        """The name by which a plan knows it, in letters that can be printed."""
        return type(self).__name__

    @property
    def draws(self) -> bool:
        """Whether something in it is left to chance."""
        return self.numbered

    @property
    def needs_epoch(self) -> bool:
        """Whether it depends on the epoch."""
        return False

    def happens(self, epoch: int) -> bool:
        """Whether it is done in an epoch.

        Args:
            epoch: Whole number, 0 or more.
        """
        return True

    @property
    def text(self) -> str:
        """What a policy's fingerprint says of one that holds code."""
        return repr(self)

    def number(self, draft: Draft) -> int:
        """Its number among those of its policy, when it is decided."""
        draft.unfused += 1
        return draft.unfused - 1

    def run(self, images: torch.Tensor, plan: Plan, number: int) -> torch.Tensor:
        """The images after it.

        Args:
            images: A batch (N, C, H, W) that the plan made.
            plan: The plan, whose ids and key give random numbers.
            number: Index among those of its policy that may draw.
        """
        return self._run(images, plan, number) if self.happens(plan.epoch) else images

    def _run(self, images: torch.Tensor, plan: Plan, number: int) -> torch.Tensor:
        """What a class overrides: `run`."""
        raise NotImplementedError

    def follow(self, targets: list[object], plan: Plan) -> list[object]:
        """The targets after it, by its rule.

        Args:
            targets: Those of a batch before it, one for each output of the plan.
            plan: The plan of the batch.
        """
        return targets


class Finishing(Op):
    """A fused op that can also stand behind an unfused one, and is then not fused either."""

    finishes = True

    def _unfused(self) -> Unfused:
        """What it is there."""
        raise NotImplementedError


class CountsChannels(Finishing):
    """An op that says how many channels there are from here on: 1, or 3."""

    @property
    def count(self) -> int:
        """The number."""
        raise NotImplementedError

    @property
    def widens(self) -> bool:
        """Whether grey images become three channels, where it stands at the top of a policy."""
        return self.count == 3

    @property
    def whole_batch(self) -> bool:
        """Whether it has no meaning for some of the images alone."""
        return True


def whole_batch(op: Op) -> bool:
    """Whether an op holds for the whole batch, so that no other op may choose whom it happens to: what is
    not fused, and what changes the number of channels."""
    return isinstance(op, Unfused) or (isinstance(op, CountsChannels) and op.whole_batch)


def after_of(top: Sequence[Op]) -> tuple[Unfused, ...]:
    """What is done to the finished batch, of the ops of a policy: all from the first unfused one on, and
    before it what the fused ones leave to be done, which is to keep one channel."""
    after: list[Unfused] = []
    count = 0  # of channels that the fused ones leave; 0: as many as there are
    for op in top:
        if isinstance(op, Unfused):
            after.append(op)
        elif after:
            if isinstance(op, Finishing):  # a conversion changes nothing
                after.append(op._unfused())
        elif isinstance(op, CountsChannels):
            count = op.count
    if count == 1:
        after.insert(0, Channels(1))
    return tuple(after)


def run_all(after: Sequence[Unfused], images: torch.Tensor, plan: Plan) -> torch.Tensor:
    """The images after all that is done to a finished batch, in order."""
    number = 0
    for op in after:
        images = op.run(images, plan, number)
        number += op.numbered
    return images


def place_of(number: int) -> int:
    """The place of random numbers of the unfused op of this number."""
    return _PLACE - number


def own_sources(plan: Plan) -> np.ndarray:
    """[N] the source that each output is of, its own one where it is a mix."""
    return plan.roots()[np.maximum(plan.view[:, 0], 0)]


def keyed_of(plan: Plan) -> Keyed:
    """The random numbers of a plan's outputs."""
    source = own_sources(plan)
    return Keyed(plan.seed, plan.epoch, plan.ids[source], plan.look, plan.occurrence[source])


def seeds(plan: Plan, number: int) -> np.ndarray:
    """[N] uint64: a seed for each output, of the unfused op of this number."""
    words = keyed_of(plan).words(place_of(number), 2)
    return (words[:, 0] << np.uint64(32)) + words[:, 1]


def as_colours(images: torch.Tensor) -> torch.Tensor:
    """A finished batch as float32 in [0, 1]."""
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()


def as_finished(colours: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Colours in [0, 1] in the dtype of a finished batch."""
    if dtype == torch.uint8:
        return (colours * 255).round_().clamp_(0, 255).to(dtype)
    return colours.to(dtype)


# What some fused ops are behind an unfused one.


@dataclass(frozen=True, repr=False)
class Normalized(Unfused):
    """Normalize, behind an unfused op. mean, std: one number, or one a channel."""

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    numbered = False

    @property
    def rule(self) -> Any:
        return "same"

    def _run(self, images: torch.Tensor, plan: Plan, number: int) -> torch.Tensor:
        mean, std = np.asarray(self.mean, np.float64), np.asarray(self.std, np.float64)
        gain, offset = (
            torch.from_numpy(values.astype(np.float32)).to(images.device)[:, None, None]
            for values in (1 / std, -mean / std)
        )
        return (images.float() * gain + offset).to(images.dtype)


@dataclass(frozen=True, repr=False)
class Channels(Unfused):
    """Images of this many channels, 1 or 3, of those that there are. grey: whether three become their
    luma; those that are known to be alike give the first."""

    count: int = 3
    grey: bool = False
    numbered = False

    @property
    def rule(self) -> Any:
        return "same"

    def _run(self, images: torch.Tensor, plan: Plan, number: int) -> torch.Tensor:
        if self.grey and images.shape[1] == 3:
            images = _luma(images)
        if images.shape[1] > 1 and self.count == 1:
            return images[:, :1].contiguous()
        if images.shape[1] == 1 and self.count == 3:
            layout = torch.channels_last if plan.finish.channels_last else torch.contiguous_format
            return images.expand(-1, 3, -1, -1).contiguous(memory_format=layout)
        return images


def _luma(images: torch.Tensor) -> torch.Tensor:
    from ...plan.kinds import GREY

    red, green, blue = as_colours(images).split(1, dim=1)
    grey = GREY[0] * red + GREY[1] * green + GREY[2] * blue
    return as_finished(cast(torch.Tensor, grey), images.dtype)
