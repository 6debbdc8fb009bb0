"""FiveCrop and TenCrop: ops that stand for several views of an image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np

from .. import geometry
from .arguments import Size, WholeNumber, kept
from .op import Op

CORNERS = ("top left", "top right", "bottom left", "bottom right", "middle")


class SeveralCrops(Op):
    """What both share. views: how many there are."""

    views: ClassVar[int]

    @property
    def stands_for_all(self) -> bool:
        """Whether it stands for all views, and not for one of them."""
        return getattr(self, "which") is None  # noqa: B009

    def each(self) -> list[Op]:
        """The op of each view."""
        raise NotImplementedError

    def _crop(self, draft, rows, size, corner: int) -> None:
        if self.stands_for_all:
            raise ValueError(
                f"{type(self).__name__}: makes {self.views} views of each image, expected an op that makes "
                f"one. Pass ae.Views(crops=[…, ae.{type(self).__name__}(…)]), or which= for one of them."
            )
        height, width = size
        frame = draft.frame[rows]
        small = np.flatnonzero((frame < [height, width]).any(axis=1))
        if len(small):
            h, w = frame[small[0]]
            raise ValueError(
                f"{type(self).__name__}: a frame is {h}×{w}, smaller than the crop {height}×{width}, expected "
                "it as large at least. Resize it first."
            )
        spare = frame - [height, width]
        middle = np.round(spare / 2).astype(np.int64)
        top = middle[:, 0] if corner == 4 else spare[:, 0] * (corner >= 2)
        left = middle[:, 1] if corner == 4 else spare[:, 1] * (corner % 2)
        full = np.ones(len(rows), np.int64)
        draft.crop(rows, top, left, full * height, full * width)
        draft.log(rows, f"crop %d×%d, {CORNERS[corner]}", full * height, full * width)


@dataclass(frozen=True, repr=False)
class FiveCrop(SeveralCrops):
    """Five crops of an image, four at its corners and one in its middle, in torchvision's order: top left,
    top right, bottom left, bottom right, middle. Equals torchvision's FiveCrop.

    Of five views a `Views` is made: in a policy among its views it stands for five, which are a list under
    one name. Each view draws for itself, so that random ops before it differ from crop to crop.

    Args:
        size: Pixels (height, width), or an int for a square; 1 or more.
        which: Number of one crop, 0 … 4, which is then an op as others are; None stands for all.

    Raises:
        ValueError: When it is sampled: an image is smaller than the crop, or which is None outside of `Views`.

    Example:
        >>> views = ae.Views(crops=[ae.Resize(40), ae.FiveCrop(32)])
        >>> batch = ae.Engine(views)(torch.zeros(1, 3, 50, 60, dtype=torch.uint8), ids=[0])
        >>> len(batch["crops"]), batch["crops"][4].images.shape
        (5, torch.Size([1, 3, 32, 32]))
    """

    size: Size
    which: Annotated[int | None, WholeNumber(0, 4, "Leave it out for all five.")] = None
    views = 5

    def each(self) -> list[Op]:
        """The op of each of the five views."""
        return [replace(self, which=k) for k in range(5)]

    def _decide(self, draft, rows, place):
        self._crop(draft, rows, kept(self.size), self.which or 0)


@dataclass(frozen=True, repr=False)
class TenCrop(SeveralCrops):
    """Five crops of an image as `FiveCrop` makes them, and five of its mirror image. Equals torchvision's
    TenCrop. Of ten views a `Views` is made, as there.

    Args:
        size: Pixels (height, width), or an int for a square; 1 or more.
        vertical_flip: Whether the mirror image is upside down, instead of from left to right.
        which: Number of one crop, 0 … 9, which is then an op as others are; None stands for all.

    Raises:
        ValueError: When it is sampled: an image is smaller than the crop, or which is None outside of `Views`.

    Example:
        >>> len(ae.Views(crops=ae.TenCrop(32)))
        10
    """

    size: Size
    vertical_flip: bool = False
    which: Annotated[int | None, WholeNumber(0, 9, "Leave it out for all ten.")] = None
    views = 10

    def each(self) -> list[Op]:
        """The op of each of the ten views."""
        return [replace(self, which=k) for k in range(10)]

    def _decide(self, draft, rows, place):
        which = self.which or 0
        if which >= 5:
            flip = geometry.inv_vflip if self.vertical_flip else geometry.inv_hflip
            draft.warp(rows, flip(draft.frame[rows]))
            draft.log(rows, "flipped upside down" if self.vertical_flip else "flipped")
        self._crop(draft, rows, kept(self.size), which % 5)
