"""Ops that set the frame: resize and crops. Names and arguments are torchvision's.

A view is sampled once, so all ops of a policy must agree on interpolation, fill and padding_mode.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ...checks import MOST_PIXELS, all_true, any_true, several, size_pair, whole
from ...compiled import twin
from ...elementary import exp, logs
from ..geometry import columns
from ..keyed import below
from .arguments import (
    Antialias,
    Context,
    Custom,
    Fill,
    Interpolation,
    Interval,
    PaddingMode,
    Size,
    kept,
)
from .op import Op
from .strength import magnitude


def _resize_size(where, value):
    """An int stays one: it is the shorter edge. None: max_size says the longer one."""
    if value is None:
        return None
    pair = size_pair(where, value)
    return pair[0] if len(several(value)) == 1 else pair


def sides(where, value):
    """(left, top, right, bottom), as torchvision reads one, two or four numbers."""
    values = several(value)
    if len(values) not in (1, 2, 4) or not all(whole(v) and 0 <= v <= MOST_PIXELS for v in values):
        raise ValueError(
            f"{where}: got {value!r}, expected 1, 2 or 4 whole numbers, 0 or more. Pass pixels, "
            f"such as 4, {MOST_PIXELS:,} at most."
        )
    return tuple(map(int, values)) * (4 // len(values))


@dataclass(frozen=True, repr=False)
class Resize(Op):
    """Resize the image. Equals torchvision's Resize.

    Args:
        size: Pixels (height, width), or an int for the shorter edge: the aspect ratio is kept, and the
            longer edge is cut down to an int. None makes the longer edge max_size pixels.
        interpolation: Filter name, 'bilinear', 'bicubic' or 'nearest'; None is bilinear.
        max_size: Pixels that the longer edge has at most, with an int size above which it lies, or
            exactly, with no size; None sets no limit.
        antialias: Whether the filter grows where the image shrinks.

    Raises:
        ValueError: A size is below 1, or max_size does not go with it.

    Example:
        >>> ae.Policy(ae.Resize(24)).sample([0], [(32, 48)]).explain(0)
        'resized to 24×36'
    """

    size: Annotated[
        int | Sequence[int] | None,
        Custom(_resize_size, "an int, (height, width), or None", unit="pixels"),
    ]
    interpolation: Interpolation = None
    max_size: int | None = None
    antialias: Antialias = True

    def _check(self) -> None:
        if self.size is None:
            if (
                not whole(self.max_size)
                or not 1 <= (longer := int(self.max_size or 0)) <= MOST_PIXELS
            ):
                raise ValueError(
                    f"Resize.max_size: got {self.max_size!r} with size None, expected pixels of the longer "
                    f"edge, 1 … {MOST_PIXELS}. Pass a whole number, or a size."
                )
            object.__setattr__(self, "max_size", longer)
        elif self.max_size is not None and not (
            whole(self.max_size)
            and isinstance(self.size, int)
            and self.size < self.max_size <= MOST_PIXELS
        ):
            raise ValueError(
                f"Resize.max_size: got {self.max_size!r} with size {self.size}, expected it above an int "
                "size. Leave it out, or give the shorter edge alone; there are "
                f"{MOST_PIXELS:,} pixels at most."
            )

    def _decide(self, draft, rows, place):
        if self.size is None:
            height, width = longer_edge(draft.frame[rows], self.max_size)
        elif isinstance(self.size, int):
            height, width = shorter_edge(draft.frame[rows], self.size, self.max_size)
        else:
            height, width = (np.full(len(rows), s) for s in kept(self.size))
        draft.resize(rows, height, width, self.antialias)
        draft.log(rows, "resized to %d×%d", height, width)


def shorter_edge(frame, size, max_size=None):
    """Frames [n, 2] resized so that their shorter edge is `size`, a number or [n], and the longer one
    `max_size` at most: height and width, int64 [n] each."""
    short, long = frame.min(axis=1), frame.max(axis=1)
    new_long = (size * long / short).astype(np.int64)
    new_short = np.full_like(new_long, size)
    if max_size is not None:
        over = new_long > max_size
        shorter = np.maximum((max_size * new_short / new_long).astype(np.int64), 1)
        new_short = np.where(over, shorter, new_short)
        new_long = np.where(over, max_size, new_long)
    tall = frame[:, 0] >= frame[:, 1]
    return np.where(tall, (new_long, new_short), (new_short, new_long))


def longer_edge(frame, size):
    """Frames [n, 2] resized so that their longer edge is `size`: height and width, int64 [n] each."""
    tall = frame[:, 0] >= frame[:, 1]
    shorter = np.maximum(size * frame.min(axis=1) // frame.max(axis=1), 1)
    longer = np.full_like(shorter, size)
    return np.where(tall, (longer, shorter), (shorter, longer))


@dataclass(frozen=True, repr=False)
class CenterCrop(Op):
    """Keep the middle; a smaller image is padded with the fill. Equals torchvision's CenterCrop.

    Args:
        size: Pixels (height, width), or an int for a square; 1 or more.
        fill: Colour of the padding in the units of the images, one number or one a channel, or bytes as
            text, such as '#80'; None is black.
        context: 'source' lets later geometric ops bring in real pixels from around the crop. By
            default what the crop left out is gone, as op by op. Where the image was turned before, other
            than by quarter turns, what lies in the crop's bounding box in the source is kept, so a part
            of what the crop left out can come back at a later turn.

    Example:
        >>> ae.Policy(ae.CenterCrop(24)).sample([0], [(32, 48)]).explain(0)
        'centre crop 24×24'
    """

    size: Size
    fill: Fill = None
    context: Context = None

    def _decide(self, draft, rows, place):
        size = np.array(self.size)
        spare = draft.frame[rows] - size
        top, left = np.where(spare < 0, -(-spare // 2), np.round(spare / 2).astype(np.int64)).T
        height, width = (np.full(len(rows), s) for s in kept(self.size))
        draft.crop(rows, top, left, height, width, self.context)
        draft.log(rows, "centre crop %d×%d", height, width)


@dataclass(frozen=True, repr=False)
class RandomCrop(Op):
    """A crop at a random place, after padding. Equals torchvision's RandomCrop.

    Args:
        size: Pixels (height, width), or an int for a square; 1 or more.
        padding: Pixels around the image: an int, (left/right, top/bottom) or (left, top, right,
            bottom); 0 or more. None pads nothing.
        pad_if_needed: Whether an image that is still smaller than `size` is padded.
        fill: Colour of the padding in the units of the images, one number or one a channel, or bytes as
            text, such as '#80'; None is black.
        padding_mode: What lies beyond the image: 'constant' (the fill), 'edge', 'reflect' or
            'symmetric'; None is constant.
        context: 'source' lets later geometric ops bring in real pixels from around the crop. By
            default what the crop left out is gone, as op by op. Where the image was turned before, other
            than by quarter turns, what lies in the crop's bounding box in the source is kept, so a part
            of what the crop left out can come back at a later turn.

    Raises:
        ValueError: When it is sampled: an image is smaller than `size`, and pad_if_needed is False.

    Example:
        >>> ae.Policy(ae.RandomCrop(32, padding=4)).sample([0], [(32, 32)]).explain(0)
        'crop 32×32 at (3, 3)'
    """

    size: Size
    padding: Annotated[
        int | Sequence[int] | None, Custom(sides, "1, 2 or 4 whole, 0 or more", unit="pixels")
    ] = None
    pad_if_needed: bool = False
    fill: Fill = None
    padding_mode: PaddingMode = None
    context: Context = None

    def _decide(self, draft, rows, place):
        left, top, right, bottom = kept(self.padding) or (0, 0, 0, 0)
        size = np.array(self.size)
        before = np.broadcast_to([top, left], (len(rows), 2))
        padded = draft.frame[rows] + [top + bottom, left + right]
        lacking = np.maximum(size - padded, 0)
        if any_true(lacking) and not self.pad_if_needed:
            worst = int(lacking.max(axis=1).argmax())
            h, w = draft.frame[rows[worst]]
            raise ValueError(
                f"RandomCrop: the image of sample {draft.keyed.ids[rows[worst]]} is {h}×{w} there, "
                f"expected at least {size[0]}×{size[1]} with its padding. Pass pad_if_needed=True, "
                "or Resize first."
            )
        before = before + lacking
        padded = padded + 2 * lacking
        offset = below(draft.uniform(place, 2, rows), padded - size + 1) - before
        height, width = (np.full(len(rows), s) for s in kept(self.size))
        draft.crop(rows, offset[:, 0], offset[:, 1], height, width, self.context)
        draft.log(rows, "crop %d×%d at (%d, %d)", height, width, *offset.T)


@dataclass(frozen=True, repr=False)
class RandomResizedCrop(Op):
    """A crop of random area and aspect ratio, resized (Szegedy et al. 2015). Ten tries, then a centre
    crop, as torchvision; equals its `resized_crop(antialias=True)` to the last pixel.

    Args:
        size: Pixels (height, width) of the result, or an int for a square; 1 or more.
        scale: Shares (lowest, highest) of the area, 0 or more. A crop of more than there is does not fit,
            and is tried again.
        ratio: Aspect ratios width / height (lowest, highest) above 0, drawn log-uniformly.
        interpolation: Filter name, 'bilinear', 'bicubic' or 'nearest'; None is bilinear.
        antialias: Whether the filter grows where the image shrinks.
        context: 'source' lets later geometric ops bring in real pixels from around the crop. By
            default what the crop left out is gone, as op by op. Where the image was turned before, other
            than by quarter turns, what lies in the crop's bounding box in the source is kept, so a part
            of what the crop left out can come back at a later turn.

    Example:
        >>> ae.Policy(ae.RandomResizedCrop(32)).sample([0], [(60, 80)]).explain(0)
        'crop 22×21 at (32, 51) → 32×32'
    """

    size: Size
    scale: Annotated[Sequence[float], Interval(0)] = (0.08, 1.0)
    ratio: Annotated[Sequence[float], Interval(1e-6)] = (3 / 4, 4 / 3)
    interpolation: Interpolation = None
    antialias: Antialias = True
    context: Context = None

    def _decide(self, draft, rows, place):
        frame, strength = draft.frame[rows], draft.strength[rows]
        # Two numbers for the place, then pairs for ten tries. Nearly all fit at one of the first three:
        # the others are drawn for those that do not.
        uniform = draft.uniform(place, 8, rows)
        limits = (*self.scale, *logs(*self.ratio))
        box, fits = crop_that_fits(frame, uniform, uniform[:, 2:], limits, strength)
        if not all_true(fits):
            rest = (~fits).nonzero()[0]
            tries = draft.uniform(place, 22, rows[rest])[:, 8:]
            box[:, rest], fits[rest] = crop_that_fits(
                frame[rest], uniform[rest], tries, limits, strength[rest]
            )
        if not all_true(fits):
            rest = ~fits
            size = _whole(frame[rest], self.ratio)
            box[:2, rest], box[2:, rest] = ((frame[rest] - size) // 2).T, size.T
        top, left, height, width = box
        crop = (top, left, height, width, *kept(self.size))
        draft.resized_crop(rows, *crop, self.antialias, self.context)
        text = "crop %d×%d at (%d, %d) → %d×%d"
        draft.log(rows, text, height, width, top, left, *kept(self.size))


@twin
def crop_that_fits(frame, place, tries, limits, strength):
    """The first try that fits: top, left, height and width [4, n] int64, and whether one does [n].

    frame: [n, 2]. place: uniform numbers [n, 2 or more], of which the first two place it. tries: [n, 2 · k].
    limits: of the area's share, lowest and highest, then of the ratio's log.
    """
    pull = strength[:, None]
    area = magnitude(tries[:, 0::2], limits[:2], 1, pull)
    area = area * (frame[:, 0] * frame[:, 1])[:, None]
    aspect = exp(magnitude(tries[:, 1::2], limits[2:], 0, pull))
    sides = np.empty((2, *area.shape))  # heights, widths
    np.divide(area, aspect, out=sides[0])
    np.multiply(area, aspect, out=sides[1])
    sides = np.rint(np.sqrt(sides)).astype(np.int64)
    fits = (0 < sides) & (sides <= frame.T[:, :, None])
    fits = fits[0] & fits[1]
    rows, first = np.arange(len(frame)), fits.argmax(axis=1)
    size, fits = sides[:, rows, first], fits[rows, first]
    box = np.empty((4, len(frame)), np.int64)
    box[:2], box[2:] = below(place[:, :2].T, frame.T - size + 1), size
    return box, fits


def _whole(frame, ratio):
    """[n, 2] the largest size within a frame that has one of the ratios."""
    shape = frame[:, 1] / frame[:, 0]
    narrow, wide = shape < ratio[0], shape > ratio[1]
    width = np.where(wide, np.rint(frame[:, 0] * ratio[1]), frame[:, 1]).astype(np.int64)
    height = np.where(narrow, np.rint(frame[:, 1] / ratio[0]), frame[:, 0]).astype(np.int64)
    return np.clip(columns(height, width), 1, frame)
