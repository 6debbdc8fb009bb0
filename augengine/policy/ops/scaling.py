"""Ops that resize each image to a size of its own, drawn at random. Names and arguments are torchvision's.

A batch has one size, so an op that sets it follows: FixedSizeCrop, LetterBox, PadToLargest, Resize.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from ...checks import MOST_PIXELS, several, shown, whole
from ..keyed import below
from .arguments import Antialias, Custom, Interpolation, Interval, WholeNumber, kept
from .op import Op
from .sizing import shorter_edge
from .strength import magnitude


def _sizes(where: str, value: Any) -> tuple[int, ...]:
    """One size, or some to choose from."""
    sizes = several(value)
    if not sizes or not all(whole(size) and 1 <= size <= MOST_PIXELS for size in sizes):
        raise ValueError(
            f"{where}: got {shown(value)}, expected a whole number, or some, 1 or more. Pass pixels, "
            f"{MOST_PIXELS:,} at most."
        )
    return tuple(map(int, sizes))


def _width_height(where: str, value: Any) -> tuple[int, int]:
    pair = several(value)
    if len(pair) != 2 or not all(whole(side) and 1 <= side <= MOST_PIXELS for side in pair):
        raise ValueError(
            f"{where}: got {shown(value)}, expected (width, height), 1 or more. Pass whole numbers of "
            f"pixels, {MOST_PIXELS:,} at most."
        )
    return int(pair[0]), int(pair[1])


@dataclass(frozen=True, repr=False)
class RandomShortestSize(Op):
    """Resize so that the shorter edge is one of some sizes. Equals torchvision's RandomShortestSize.

    Args:
        min_size: Pixels of the shorter edge, or several to choose from; 1 or more.
        max_size: Pixels that the longer edge has at most, 1 … 1048576: then both edges are shorter.
            None sets no limit.
        interpolation: Filter name, 'bilinear', 'bicubic' or 'nearest'; None is bilinear.
        antialias: Whether the filter grows where the image shrinks.

    Raises:
        ValueError: A size is below 1.

    Example:
        >>> policy = ae.Policy([ae.RandomShortestSize([24, 28], max_size=40), ae.FixedSizeCrop(32)])
        >>> policy.sample([0], [(32, 48)]).explain(0)
        'resized to 26×40, crop 32×32 at (0, 1)'
    """

    min_size: Annotated[
        int | Sequence[int], Custom(_sizes, "whole, one or several, 1 or more", unit="pixels")
    ]
    max_size: Annotated[
        int | None,
        WholeNumber(1, MOST_PIXELS, "Leave it out for no limit.", unit="pixels"),
    ] = None
    interpolation: Interpolation = None
    antialias: Antialias = True

    def _decide(self, draft, rows, place):
        sizes, frame = np.array(kept(self.min_size)), draft.frame[rows]
        choice = np.zeros(len(rows), np.int64)
        if len(sizes) > 1:
            choice = below(draft.uniform(place, 1, rows)[:, 0], len(sizes))
        ratio = sizes[choice] / frame.min(axis=1)
        if self.max_size is not None:
            ratio = np.minimum(ratio, self.max_size / frame.max(axis=1))
        _resize(draft, rows, ratio, self.antialias)


@dataclass(frozen=True, repr=False)
class RandomResize(Op):
    """Resize so that the shorter edge is a whole number from min_size to max_size − 1. Equals
    torchvision's RandomResize.

    Args:
        min_size: Pixels that the shorter edge has at least, 1 … 1048576.
        max_size: Pixels that it is below, 1 … 1048576; above min_size.
        interpolation: Filter name, 'bilinear', 'bicubic' or 'nearest'; None is bilinear.
        antialias: Whether the filter grows where the image shrinks.

    Raises:
        ValueError: Max_size is not above min_size.

    Example:
        >>> policy = ae.Policy([ae.RandomResize(24, 40), ae.FixedSizeCrop(32)])
        >>> policy.sample([0], [(32, 48)]).explain(0)
        'resized to 37×55, crop 32×32 at (3, 5)'
    """

    min_size: Annotated[int, WholeNumber(1, MOST_PIXELS, unit="pixels")]
    max_size: Annotated[int, WholeNumber(1, MOST_PIXELS, unit="pixels")]
    interpolation: Interpolation = None
    antialias: Antialias = True

    def _check(self) -> None:
        if self.max_size <= self.min_size:
            raise ValueError(
                f"RandomResize: got min_size {self.min_size} and max_size {self.max_size}, expected the "
                f"second above the first, since it is never reached. Pass {self.min_size + 1} or more."
            )

    def _decide(self, draft, rows, place):
        uniform = draft.uniform(place, 1, rows)[:, 0]
        size = self.min_size + below(uniform, self.max_size - self.min_size)
        height, width = shorter_edge(draft.frame[rows], size)
        draft.resize(rows, height, width, self.antialias)
        draft.log(rows, "resized to %d×%d", height, width)


@dataclass(frozen=True, repr=False)
class ScaleJitter(Op):
    """Resize to fit a target size times a random factor; the aspect ratio is kept (Ghiasi et al. 2021,
    large-scale jitter). Equals torchvision's ScaleJitter.

    Args:
        target_size: Pixels (width, height), in torchvision's order; 1 or more.
        scale_range: Factors (lowest, highest), 0.001 or more; an image shrinks by at most so much.
        interpolation: Filter name, 'bilinear', 'bicubic' or 'nearest'; None is bilinear.
        antialias: Whether the filter grows where the image shrinks.

    Raises:
        ValueError: A size is below 1, or a factor below 0.001.

    Example:
        >>> policy = ae.Policy([ae.ScaleJitter((32, 32)), ae.FixedSizeCrop(32)])
        >>> policy.sample([0], [(32, 48)]).explain(0)
        'resized to 35×53, crop 32×32 at (2, 4)'
    """

    target_size: Annotated[
        Sequence[int],
        Custom(
            _width_height,
            "(width, height), 1 or more",
            unit="pixels",
            of=(("width", WholeNumber(1, MOST_PIXELS)), ("height", WholeNumber(1, MOST_PIXELS))),
        ),
    ]
    scale_range: Annotated[Sequence[float], Interval(1e-3)] = (0.1, 2.0)
    interpolation: Interpolation = None
    antialias: Antialias = True

    def _decide(self, draft, rows, place):
        uniform, strength = draft.uniform(place, 1, rows)[:, 0], draft.strength[rows]
        scale = magnitude(uniform, self.scale_range, 1, strength)
        width, height = kept(self.target_size)
        frame = draft.frame[rows]
        _resize(
            draft,
            rows,
            np.minimum(height / frame[:, 0], width / frame[:, 1]) * scale,
            self.antialias,
        )


def _resize(draft, rows, ratio, antialias):
    """Resize each frame by its ratio, cut down to whole pixels: one at least."""
    size = np.maximum((draft.frame[rows] * ratio[:, None]).astype(np.int64), 1)
    draft.resize(rows, size[:, 0], size[:, 1], antialias)
    draft.log(rows, "resized to %d×%d", size[:, 0], size[:, 1])
