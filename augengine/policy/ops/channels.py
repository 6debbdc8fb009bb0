"""Ops that say how many channels an image has: grey ones, and RGB of grey ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from ...checks import whole
from . import actions
from .arguments import Custom
from .unfused import Channels, CountsChannels, Unfused


def _one_or_three(where: str, value: Any) -> int:
    if not whole(value) or value not in (1, 3):
        raise ValueError(
            f"{where}: got {value!r}, expected 1 or 3. Pass 3 for channels that are alike."
        )
    return int(value)


@dataclass(frozen=True, repr=False)
class Grayscale(CountsChannels):
    """Turn an image into its luma 0.2989 R + 0.587 G + 0.114 B. Equals torchvision's Grayscale, but for its
    rounding down on bytes. Grey images stay as they are.

    A plan keeps three channels, which are alike from here on; `execute` draws them all. Of one channel an
    Engine keeps the first, after all that is fused, so that a Normalize behind it has one mean.

    Args:
        num_output_channels: Number of channels, 1 or 3, which are alike.

    Raises:
        ValueError: num_output_channels is another number; when it is sampled: images have other than 1 or
            3 channels.

    Example:
        >>> engine = ae.Engine([ae.Resize(32), ae.Grayscale(1), ae.Normalize(0.5, 0.5)])
        >>> engine(torch.zeros(1, 3, 40, 40, dtype=torch.uint8), ids=[0]).images.shape
        torch.Size([1, 1, 32, 32])
    """

    num_output_channels: Annotated[Literal[1, 3], Custom(_one_or_three, "1 or 3")] = 1

    @property
    def count(self) -> int:
        return self.num_output_channels

    @property
    def whole_batch(self) -> bool:
        return self.num_output_channels == 1  # three that are alike may be some images' alone

    def _decide(self, draft, rows, place):
        if draft.channels != 1:
            actions.needs_rgb(draft, "Grayscale")
            if draft.unfused:
                draft.log(rows, "then grey, not fused")
            else:
                actions.grey(draft, rows)
        draft.channels_left = 1 if self.num_output_channels == 1 else draft.channels

    def _unfused(self) -> Unfused:
        return Channels(self.num_output_channels, grey=True)


@dataclass(frozen=True, repr=False)
class RGB(CountsChannels):
    """Three channels of a grey image, all alike; an image of three channels, or of more, stays as it is.
    Equals torchvision's RGB.

    It holds from the start of the policy: grey images are read as three channels without a copy, so that
    noise and a fill of three colours before it have colours too.

    Raises:
        ValueError: When it is sampled: images have two channels.

    Example:
        >>> engine = ae.Engine([ae.Resize(32), ae.RGB()])
        >>> engine(torch.zeros(1, 1, 40, 40, dtype=torch.uint8), ids=[0]).images.shape
        torch.Size([1, 3, 32, 32])
    """

    @property
    def count(self) -> int:
        return 3

    def _decide(self, draft, rows, place):
        if draft.channels == 2:
            raise ValueError(
                "RGB: got images of 2 channels, expected 1, or 3 and more. Leave it out of this policy."
            )
        draft.channels_left = draft.channels

    def _unfused(self) -> Unfused:
        return Channels(3)
