"""Ops that set the frame: resize and crops. Names and arguments are torchvision's.

A view is sampled once, so all ops of a policy must agree on interpolation, fill and padding_mode.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ...checks import MOST_PIXELS, several, size_pair, whole
from ...elementary import exp, logs
from ..keyed import below
from .arguments import (
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
    """An int stays one: it is the shorter edge."""
    pair = size_pair(where, value)
    return pair[0] if len(several(value)) == 1 else pair


def _padding(where, value):
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
            longer edge is cut down to an int.
        interpolation: Filter name, 'bilinear' or 'nearest'; None is bilinear.
        max_size: Pixels that the longer edge has at most, with an int size above which it lies; None
            sets no limit.
        antialias: Whether the filter grows where the image shrinks.

    Raises:
        ValueError: A size is below 1, or max_size does not go with it.

    Example:
        >>> ae.Policy(ae.Resize(24)).sample([0], [(32, 48)]).explain(0)
        'resized to 24×36'
    """

    size: Annotated[
        int | Sequence[int], Custom(_resize_size, "an int, or (height, width)", unit="pixels")
    ]
    interpolation: Interpolation = None
    max_size: int | None = None
    antialias: bool = True

    def _check(self) -> None:
        if self.max_size is not None and not (
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
        if isinstance(self.size, int):
            frame = draft.frame[rows]
            short, long = frame.min(axis=1), frame.max(axis=1)
            new_long = (self.size * long / short).astype(np.int64)
            new_short = np.full_like(new_long, self.size)
            if self.max_size is not None:
                over = new_long > self.max_size
                shorter = np.maximum((self.max_size * new_short / new_long).astype(np.int64), 1)
                new_short = np.where(over, shorter, new_short)
                new_long = np.where(over, self.max_size, new_long)
            tall = frame[:, 0] >= frame[:, 1]
            height, width = np.where(tall, (new_long, new_short), (new_short, new_long))
        else:
            height, width = (np.full(len(rows), s) for s in kept(self.size))
        draft.resize(rows, height, width, self.antialias)
        draft.log(rows, "resized to %d×%d", height, width)


@dataclass(frozen=True, repr=False)
class CenterCrop(Op):
    """Keep the middle; a smaller image is padded with the fill. Equals torchvision's CenterCrop.

    Args:
        size: Pixels (height, width), or an int for a square; 1 or more.
        fill: Colour in bytes of the padding, one number or one a channel, 0 … 255; None is black.
        context: 'source' lets later geometric ops bring in real pixels from around the crop. By
            default what the crop left out is gone, as op by op.

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
        fill: Colour in bytes of the padding, one number or one a channel, 0 … 255; None is black.
        padding_mode: What lies beyond the image: 'constant' (the fill), 'edge', 'reflect' or
            'symmetric'; None is constant.
        context: 'source' lets later geometric ops bring in real pixels from around the crop. By
            default what the crop left out is gone, as op by op.

    Raises:
        ValueError: When it is sampled: an image is smaller than `size`, and pad_if_needed is False.

    Example:
        >>> ae.Policy(ae.RandomCrop(32, padding=4)).sample([0], [(32, 32)]).explain(0)
        'crop 32×32 at (3, 3)'
    """

    size: Size
    padding: Annotated[
        int | Sequence[int] | None, Custom(_padding, "1, 2 or 4 whole, 0 or more", unit="pixels")
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
        if lacking.any() and not self.pad_if_needed:
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
        scale: Shares (lowest, highest) of the area, in [0, 1].
        ratio: Aspect ratios width / height (lowest, highest) above 0, drawn log-uniformly.
        interpolation: Filter name, 'bilinear' or 'nearest'; None is bilinear.
        antialias: Whether the filter grows where the image shrinks.
        context: 'source' lets later geometric ops bring in real pixels from around the crop. By
            default what the crop left out is gone, as op by op.

    Example:
        >>> ae.Policy(ae.RandomResizedCrop(32)).sample([0], [(60, 80)]).explain(0)
        'crop 22×21 at (32, 51) → 32×32'
    """

    size: Size
    scale: Annotated[Sequence[float], Interval(0, 1)] = (0.08, 1.0)
    ratio: Annotated[Sequence[float], Interval(1e-6)] = (3 / 4, 4 / 3)
    interpolation: Interpolation = None
    antialias: bool = True
    context: Context = None

    def _decide(self, draft, rows, place):
        frame = draft.frame[rows]
        uniform = draft.uniform(place, 22, rows)
        tries, at = uniform[:, 2:], uniform[:, :2]
        top, left, height, width = resized_crop_box(
            frame, tries, at, self.scale, self.ratio, draft.strength[rows]
        )
        draft.crop(rows, top, left, height, width, self.context)
        new_height, new_width = (np.full(len(rows), s) for s in kept(self.size))
        draft.resize(rows, new_height, new_width, self.antialias)
        text = "crop %d×%d at (%d, %d) → %d×%d"
        draft.log(rows, text, height, width, top, left, new_height, new_width)


def resized_crop_box(frame, tries, at, scale, ratio, strength):
    """RandomResizedCrop's box: top, left, height, width, int64 [n] each.

    frame: [n, 2]. tries: [n, 20] uniform, ten pairs for area and ratio. at: [n, 2] uniform.
    """
    log_ratio = logs(*ratio)
    area = magnitude(tries[:, 0::2], scale, 1, strength[:, None])
    area = area * (frame[:, 0] * frame[:, 1])[:, None]
    aspect = exp(magnitude(tries[:, 1::2], log_ratio, 0, strength[:, None]))
    widths = np.round(np.sqrt(area * aspect)).astype(np.int64)
    heights = np.round(np.sqrt(area / aspect)).astype(np.int64)
    fits = (0 < widths) & (widths <= frame[:, 1:]) & (0 < heights) & (heights <= frame[:, :1])
    first = (np.arange(len(frame)), fits.argmax(axis=1))

    shape = frame[:, 1] / frame[:, 0]
    narrow, wide = shape < ratio[0], shape > ratio[1]
    whole_width = np.where(wide, np.round(frame[:, 0] * ratio[1]), frame[:, 1]).astype(np.int64)
    whole_height = np.where(narrow, np.round(frame[:, 1] / ratio[0]), frame[:, 0]).astype(np.int64)

    any_fits = fits.any(axis=1)
    size = np.stack(
        [
            np.where(any_fits, heights[first], whole_height),
            np.where(any_fits, widths[first], whole_width),
        ],
        axis=1,
    )
    size = np.clip(size, 1, frame)
    offset = np.where(any_fits[:, None], below(at, frame - size + 1), (frame - size) // 2)
    return offset[:, 0], offset[:, 1], size[:, 0], size[:, 1]
