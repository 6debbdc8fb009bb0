"""Ops that lay the image on a canvas: pads, zooms out, and what makes frames of many sizes one size.

A pad is a crop that reaches outside, so it costs nothing. Names and arguments are torchvision's, where
it has the op.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ..keyed import below
from .arguments import (
    Antialias,
    Custom,
    Fill,
    Interpolation,
    Interval,
    PaddingMode,
    Probability,
    Size,
    WholeNumber,
    kept,
)
from .op import Op
from .sizing import sides
from .strength import acting, magnitude


@dataclass(frozen=True, repr=False)
class Pad(Op):
    """Widen the frame by what lies beyond the image. Equals torchvision's Pad.

    Args:
        padding: Pixels around the image: an int, (left/right, top/bottom) or (left, top, right,
            bottom); 0 or more.
        fill: Colour of the padding in the units of the images, one number or one a channel, or bytes as
            text, such as '#80'; None is black.
        padding_mode: What lies beyond the image: 'constant' (the fill), 'edge', 'reflect' or
            'symmetric'; None is constant.

    Raises:
        ValueError: The padding is not 1, 2 or 4 whole numbers.

    Example:
        >>> ae.Policy(ae.Pad((4, 2))).sample([0], [(32, 32)]).explain(0)
        'on a canvas of 36×40 at (2, 4)'
    """

    padding: Annotated[
        int | Sequence[int], Custom(sides, "1, 2 or 4 whole, 0 or more", unit="pixels")
    ]
    fill: Fill = None
    padding_mode: PaddingMode = None

    def _decide(self, draft, rows, place):
        left, top, right, bottom = kept(self.padding)
        canvas = draft.frame[rows] + [top + bottom, left + right]
        _lay(draft, rows, np.broadcast_to([top, left], canvas.shape), canvas)


@dataclass(frozen=True, repr=False)
class PadIfSmaller(Op):
    """Pad an image that is lower or narrower than a size, at the bottom and at the right. As in
    torchvision's training of segmentation models, where a RandomCrop of the same size follows; the two
    together are FixedSizeCrop.

    Args:
        size: Pixels (height, width) that the frame has at least, or an int for both; 1 or more.
        fill: Colour of the padding in the units of the images, one number or one a channel, or bytes as
            text, such as '#80'; None is black.
        padding_mode: What lies beyond the image: 'constant' (the fill), 'edge', 'reflect' or
            'symmetric'; None is constant.

    Raises:
        ValueError: A size is below 1.

    Example:
        >>> ae.Policy(ae.PadIfSmaller(32)).sample([0], [(24, 48)]).explain(0)
        'on a canvas of 32×48 at (0, 0)'
    """

    size: Size
    fill: Fill = None
    padding_mode: PaddingMode = None

    def _decide(self, draft, rows, place):
        size = np.array(kept(self.size))
        rows = rows[(draft.frame[rows] < size).any(axis=1)]
        canvas = np.maximum(draft.frame[rows], size)
        _lay(draft, rows, np.zeros_like(canvas), canvas)


@dataclass(frozen=True, repr=False)
class RandomZoomOut(Op):
    """Lay the image on a canvas larger by a random factor, at a random place, with probability p (Liu et
    al. 2016, SSD). Equals torchvision's RandomZoomOut.

    Args:
        fill: Colour of the canvas in the units of the images, one number or one a channel, or bytes as
            text, such as '#80'; None is black.
        side_range: Factors (lowest, highest) of height and width, 1 or more.
        p: Probability in [0, 1].

    Raises:
        ValueError: A factor is below 1.

    Example:
        >>> policy = ae.Policy([ae.RandomZoomOut(p=1), ae.Resize((32, 32))])
        >>> policy.sample([0], [(32, 32)]).explain(0)
        'on a canvas of 115×115 at (37, 1), resized to 32×32'
    """

    fill: Fill = None
    side_range: Annotated[Sequence[float], Interval(1)] = (1.0, 4.0)
    p: Probability = 0.5

    def _decide(self, draft, rows, place):
        rows, uniform = acting(draft, rows, place, self.p, 3)
        side = magnitude(uniform[:, 0], self.side_range, 1, draft.strength[rows])
        frame = draft.frame[rows]
        canvas = (frame * side[:, None]).astype(np.int64)
        # As torchvision: first along the width, and never all the way.
        before = ((canvas - frame) * uniform[:, [2, 1]]).astype(np.int64)
        _lay(draft, rows, before, canvas)


@dataclass(frozen=True, repr=False)
class FixedSizeCrop(Op):
    """A crop at a random place where the image is larger, padding at the right and at the bottom where it
    is smaller. As in torchvision's training of detectors, whose one random number serves both axes;
    here each axis has its own.

    Args:
        size: Pixels (height, width), or an int for a square; 1 or more.
        fill: Colour of the padding in the units of the images, one number or one a channel, or bytes as
            text, such as '#80'; None is black.
        padding_mode: What lies beyond the image: 'constant' (the fill), 'edge', 'reflect' or
            'symmetric'; None is constant.

    Raises:
        ValueError: A size is below 1.

    Example:
        >>> ae.Policy(ae.FixedSizeCrop(32)).sample([0], [(24, 48)]).explain(0)
        'crop 32×32 at (0, 14)'
    """

    size: Size
    fill: Fill = None
    padding_mode: PaddingMode = None

    def _decide(self, draft, rows, place):
        size = np.array(kept(self.size))
        spare = np.maximum(draft.frame[rows] - size, 0)
        offset = below(draft.uniform(place, 2, rows), spare + 1)
        height, width = (np.full(len(rows), side) for side in size)
        draft.crop(rows, offset[:, 0], offset[:, 1], height, width)
        draft.log(rows, "crop %d×%d at (%d, %d)", height, width, *offset.T)


@dataclass(frozen=True, repr=False)
class LetterBox(Op):
    """Resize to fit, keep the aspect ratio, and pad what is left on both sides alike. Equals Ultralytics'
    LetterBox of a fixed size, which pads with 114; an odd pixel goes to the right and to the bottom.

    Args:
        size: Pixels (height, width), or an int for a square; 1 or more.
        fill: Colour of the padding in the units of the images, one number or one a channel, or bytes as
            text, such as '#80'; None is black.
        scaleup: Whether an image that is smaller is enlarged.
        interpolation: Filter name, 'bilinear', 'bicubic' or 'nearest'; None is bilinear.
        antialias: Whether the filter grows where the image shrinks.

    Raises:
        ValueError: A size is below 1.

    Example:
        >>> ae.Policy(ae.LetterBox(32, fill=114)).sample([0], [(60, 80)]).explain(0)
        'resized to 24×32, on a canvas of 32×32 at (4, 0)'
    """

    size: Size
    fill: Fill = None
    scaleup: bool = True
    interpolation: Interpolation = None
    antialias: Antialias = True

    def _decide(self, draft, rows, place):
        size, frame = np.array(kept(self.size)), draft.frame[rows]
        ratio = (size / frame).min(axis=1, keepdims=True)
        if not self.scaleup:
            ratio = np.minimum(ratio, 1.0)
        fitted = np.maximum(np.round(frame * ratio).astype(np.int64), 1)
        draft.resize(rows, fitted[:, 0], fitted[:, 1], self.antialias)
        draft.log(rows, "resized to %d×%d", *fitted.T)
        _lay(draft, rows, (size - fitted) // 2, np.broadcast_to(size, fitted.shape))


@dataclass(frozen=True, repr=False)
class PadToLargest(Op):
    """Pad every image at the right and at the bottom to the largest height and the largest width in the
    batch, as detectors take images of many sizes. The plan's `extent` says how much of each output is
    image. What moves the image goes before it: after an op that moves it, and in a mix, the whole output
    counts as image.

    Args:
        divisor: Number of which height and width are made multiples, 1 … 65536.
        fill: Colour of the padding in the units of the images, one number or one a channel, or bytes as
            text, such as '#80'; None is black. It is
            normalised as the image is.

    Raises:
        ValueError: The divisor is outside its range.

    Example:
        >>> policy = ae.Policy(ae.PadToLargest(32))
        >>> plan = policy.sample([0, 1], [(60, 40), (50, 80)])
        >>> plan.shape, plan.extent.tolist()
        ((2, 3, 64, 96), [[60, 40], [50, 80]])
    """

    divisor: Annotated[int, WholeNumber(1, 1 << 16)] = 1
    fill: Fill = None

    def _decide(self, draft, rows, place):
        if not len(rows):
            return
        largest = draft.frame[rows].max(axis=0)
        height, width = (int(side) for side in -(-largest // self.divisor) * self.divisor)
        draft.pad_below(rows, height, width)
        draft.log(rows, "padded to %d×%d", height, width)


def _lay(draft, rows, before, canvas):
    """Each frame becomes one of `canvas` [n, 2], in which the image begins at `before` [n, 2]."""
    draft.crop(rows, -before[:, 0], -before[:, 1], canvas[:, 0], canvas[:, 1])
    draft.log(rows, "on a canvas of %d×%d at (%d, %d)", *canvas.T, *before.T)
