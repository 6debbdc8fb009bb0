"""Ops that set the frame: resize and crops. Names and arguments are torchvision's.

Shared arguments:
size: an int or (height, width). interpolation: None (bilinear), "bilinear" or "nearest".
antialias: widen the filter when shrinking. fill: 0 … 255, one number or one a channel.
padding_mode: None ("constant"), "constant", "edge", "reflect", "symmetric".
A view is sampled once, so all ops of a policy must agree on interpolation, fill and padding_mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...checks import interval, several, size_pair, whole
from ..keyed import below
from .arguments import colour, interpolation_name
from .op import Op
from .strength import magnitude

PADDING_MODES = ("constant", "edge", "reflect", "symmetric")


@dataclass(frozen=True)
class Resize(Op):
    """Resize to `size`: (height, width), or an int for the shorter edge (the aspect ratio is kept,
    the longer edge is cut down to an int, and to max_size). Equals torchvision's Resize."""

    size: Any
    interpolation: str | None = None
    max_size: int | None = None
    antialias: bool = True

    def __post_init__(self):
        pair = size_pair("Resize.size", self.size)
        size = pair[0] if len(several(self.size)) == 1 else pair
        if self.max_size is not None and not (
            whole(self.max_size) and isinstance(size, int) and self.max_size > size
        ):
            raise ValueError(
                f"Resize.max_size: got {self.max_size!r} with size {size}, expected it above an int "
                "size. Leave it out, or give the shorter edge alone."
            )
        self._set(size=size, interpolation=interpolation_name("Resize", self.interpolation))

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
            height, width = (np.full(len(rows), s) for s in self.size)
        draft.resize(rows, height, width, self.antialias)
        draft.log(rows, "resized to %d×%d", height, width)


@dataclass(frozen=True)
class CenterCrop(Op):
    """Keep the middle; a smaller image is padded with the fill. Equals torchvision's CenterCrop."""

    size: Any
    fill: Any = None
    context: str | None = None

    def __post_init__(self):
        self._set(
            size=size_pair("CenterCrop.size", self.size), fill=colour("CenterCrop.fill", self.fill)
        )
        _check_context("CenterCrop", self.context)

    def _decide(self, draft, rows, place):
        size = np.array(self.size)
        spare = draft.frame[rows] - size
        top, left = np.where(spare < 0, -(-spare // 2), np.round(spare / 2).astype(np.int64)).T
        height, width = (np.full(len(rows), s) for s in self.size)
        draft.crop(rows, top, left, height, width, self.context)
        draft.log(rows, "centre crop %d×%d", height, width)


@dataclass(frozen=True)
class RandomCrop(Op):
    """A crop of `size` at a random place, after padding.

    padding: pixels, an int, (left/right, top/bottom) or (left, top, right, bottom).
    pad_if_needed: pad an image that is still smaller than `size` (otherwise ValueError).
    context: "source" lets later geometric ops bring in real pixels from around the crop; by
    default what the crop left out is gone, as op by op.
    """

    size: Any
    padding: Any = None
    pad_if_needed: bool = False
    fill: Any = None
    padding_mode: str | None = None
    context: str | None = None

    def __post_init__(self):
        self._set(
            size=size_pair("RandomCrop.size", self.size), fill=colour("RandomCrop.fill", self.fill)
        )
        self._set(padding=_padding("RandomCrop.padding", self.padding))
        if self.padding_mode not in (None, *PADDING_MODES):
            raise ValueError(
                f"RandomCrop.padding_mode: got {self.padding_mode!r}, expected one of "
                f"{', '.join(PADDING_MODES)}. Pass one of these."
            )
        _check_context("RandomCrop", self.context)

    def _decide(self, draft, rows, place):
        left, top, right, bottom = self.padding or (0, 0, 0, 0)
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
        height, width = (np.full(len(rows), s) for s in self.size)
        draft.crop(rows, offset[:, 0], offset[:, 1], height, width, self.context)
        draft.log(rows, "crop %d×%d at (%d, %d)", height, width, *offset.T)


@dataclass(frozen=True)
class RandomResizedCrop(Op):
    """A crop of random area and aspect ratio, resized to `size` (Szegedy et al. 2015).

    scale: share of the area. ratio: width / height, drawn log-uniformly. Ten tries, then a centre
    crop, as torchvision. Equals its `resized_crop(antialias=True)` to the last pixel.
    """

    size: Any
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: str | None = None
    antialias: bool = True
    context: str | None = None

    def __post_init__(self):
        self._set(
            size=size_pair("RandomResizedCrop.size", self.size),
            scale=interval("RandomResizedCrop.scale", self.scale, 0, 1),
            ratio=interval("RandomResizedCrop.ratio", self.ratio, 1e-6),
            interpolation=interpolation_name("RandomResizedCrop", self.interpolation),
        )
        _check_context("RandomResizedCrop", self.context)

    def _decide(self, draft, rows, place):
        frame = draft.frame[rows]
        uniform = draft.uniform(place, 22, rows)
        tries, at = uniform[:, 2:], uniform[:, :2]
        top, left, height, width = resized_crop_box(
            frame, tries, at, self.scale, self.ratio, draft.strength[rows]
        )
        draft.crop(rows, top, left, height, width, self.context)
        new_height, new_width = (np.full(len(rows), s) for s in self.size)
        draft.resize(rows, new_height, new_width, self.antialias)
        text = "crop %d×%d at (%d, %d) → %d×%d"
        draft.log(rows, text, height, width, top, left, new_height, new_width)


def resized_crop_box(frame, tries, at, scale, ratio, strength):
    """RandomResizedCrop's box: top, left, height, width, int64 [n] each.

    frame: [n, 2]. tries: [n, 20] uniform, ten pairs for area and ratio. at: [n, 2] uniform.
    """
    log_ratio = np.log(ratio)
    area = magnitude(tries[:, 0::2], scale, 1, strength[:, None])
    area = area * (frame[:, 0] * frame[:, 1])[:, None]
    aspect = np.exp(magnitude(tries[:, 1::2], log_ratio, 0, strength[:, None]))
    widths = np.round(np.sqrt(area * aspect)).astype(np.int64)
    heights = np.round(np.sqrt(area / aspect)).astype(np.int64)
    fits = (0 < widths) & (widths <= frame[:, 1:]) & (0 < heights) & (heights <= frame[:, :1])
    first = (np.arange(len(frame)), fits.argmax(axis=1))

    shape = frame[:, 1] / frame[:, 0]
    narrow, wide = shape < ratio[0], shape > ratio[1]
    whole_width = np.where(wide, np.round(frame[:, 0] * ratio[1]), frame[:, 1]).astype(np.int64)
    whole_height = np.where(narrow, np.round(frame[:, 1] / ratio[0]), frame[:, 0]).astype(np.int64)

    found = fits.any(axis=1)
    size = np.stack(
        [
            np.where(found, heights[first], whole_height),
            np.where(found, widths[first], whole_width),
        ],
        axis=1,
    )
    size = np.clip(size, 1, frame)
    offset = np.where(found[:, None], below(at, frame - size + 1), (frame - size) // 2)
    return offset[:, 0], offset[:, 1], size[:, 0], size[:, 1]


def _padding(where, value):
    """(left, top, right, bottom), as torchvision reads one, two or four numbers."""
    if value is None:
        return None
    values = several(value)
    if len(values) not in (1, 2, 4) or not all(whole(v) and v >= 0 for v in values):
        raise ValueError(
            f"{where}: got {value!r}, expected 1, 2 or 4 whole numbers, 0 or more. Pass pixels, such as 4."
        )
    return tuple(map(int, values)) * (4 // len(values))


def _check_context(where, value):
    if value not in (None, "source"):
        raise ValueError(
            f"{where}.context: got {value!r}, expected None or 'source'. Leave it out."
        )
