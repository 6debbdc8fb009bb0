"""Ops that move pixels: flips, turns, affine and perspective maps.

Names and arguments are torchvision's; `sizing` says what fill and interpolation mean. All
geometric ops of a policy become one matrix, and the source is interpolated once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from ...checks import interval, number, several, spread, whole
from .. import geometry
from ..draft import UNCHANGED
from ..keyed import below
from .arguments import (
    Antialias,
    Center,
    Custom,
    Fill,
    Interpolation,
    Interval,
    Limits,
    Number,
    Probability,
    Spread,
    ends,
    kept,
)
from .op import Op
from .strength import magnitude


def _turns(where, value):
    turns = several(value)
    if not turns or not all(whole(turn) and 0 <= turn < 4 for turn in turns):
        raise ValueError(
            f"{where}: got {turns!r}, expected some of 0, 1, 2, 3. Pass quarter turns, not degrees."
        )
    return tuple(map(int, turns))


def _shear(where, value):
    """Limits for x, or for x and y."""
    shear = several(value)
    if len(shear) not in (1, 2, 4):
        raise ValueError(
            f"{where}: got {shear!r}, expected 1, 2 or 4 numbers. Pass limits in degrees for x, or for x "
            "and y."
        )
    if len(shear) == 1:
        shear = spread(where, shear[0], -89, 89)
    limits = [interval(where, shear[k : k + 2], -89, 89) for k in range(0, len(shear), 2)]
    return tuple(limit for pair in limits for limit in pair)


def _translate(where, value):
    if len(several(value)) != 2:
        raise ValueError(
            f"{where}: got {value!r}, expected two shares. Pass (horizontal, vertical)."
        )
    return tuple(number(where, share, 0, 1) for share in value)


@dataclass(frozen=True, repr=False)
class RandomHorizontalFlip(Op):
    """Mirror left and right, with probability p. Equals torchvision's.

    Args:
        p: Probability in [0, 1].
        alternate: Whether a sample is flipped in every other epoch (in every 1/p-th), from a random
            start, instead of by chance: in n epochs n · p times, to within one (Jordan 2024, airbench).

    Example:
        >>> ae.Policy(ae.RandomHorizontalFlip(p=1)).sample([0], [(32, 32)]).explain(0)
        'flipped'
    """

    p: Probability = 0.5
    alternate: bool = False

    def _decide(self, draft, rows, place):
        rows = rows[_flips(draft, rows, place, self.p, self.alternate)]
        draft.warp(rows, geometry.inv_hflip(draft.frame[rows]))
        draft.log(rows, "flipped")


@dataclass(frozen=True, repr=False)
class RandomVerticalFlip(Op):
    """Mirror top and bottom, with probability p. Equals torchvision's.

    Args:
        p: Probability in [0, 1].
        alternate: Whether a sample is flipped in every other epoch, as in `RandomHorizontalFlip`.

    Example:
        >>> ae.Policy(ae.RandomVerticalFlip(p=1)).sample([0], [(32, 32)]).explain(0)
        'flipped upside down'
    """

    p: Probability = 0.5
    alternate: bool = False

    def _decide(self, draft, rows, place):
        rows = rows[_flips(draft, rows, place, self.p, self.alternate)]
        draft.warp(rows, geometry.inv_vflip(draft.frame[rows]))
        draft.log(rows, "flipped upside down")


@dataclass(frozen=True, repr=False)
class RandomQuarterTurn(Op):
    """Turn by a multiple of 90 degrees, counter-clockwise, without interpolation (`numpy.rot90`).

    Args:
        turns: Numbers of quarter turns to choose from, some of 0, 1, 2, 3. An odd one swaps height
            and width.

    Example:
        >>> ae.Policy(ae.RandomQuarterTurn(turns=[1])).sample([0], [(32, 48)]).shape
        (1, 3, 48, 32)
    """

    turns: Annotated[
        int | Sequence[int], Custom(_turns, "some of 0, 1, 2, 3", unit="quarter turns")
    ] = (0, 1, 2, 3)

    def _decide(self, draft, rows, place):
        choice = below(draft.uniform(place, 1, rows)[:, 0], len(kept(self.turns)))
        turns = np.array(self.turns)[choice]
        rows, turns = rows[turns != 0], turns[turns != 0]
        frame = draft.frame[rows]
        turned = np.where((turns % 2 == 1)[:, None], frame[:, ::-1], frame)
        draft.warp(rows, geometry.inv_quarter_turns(turns, frame), frame=turned)
        draft.log(rows, "turned %d°", 90 * turns)


@dataclass(frozen=True, repr=False)
class RandomRotation(Op):
    """Rotate by an angle drawn from `degrees`, counter-clockwise as seen. Equals torchvision's, whose
    default interpolation is nearest.

    Args:
        degrees: Angles in degrees, (lowest, highest), or a number d for (−d, d).
        interpolation: Filter name, 'bilinear', 'bicubic' or 'nearest'; None is bilinear.
        expand: Whether the frame grows so that all of the image is seen. About a center of one's own it has
            torchvision's size and place, which may show less.
        center: Point (x, y) in pixels from the top left corner; None is the middle.
        fill: Colour outside the image in the units of the images, one number or one a channel, or bytes as
            text, such as '#80'; None is black.

    Raises:
        ValueError: An angle is not finite.

    Example:
        >>> ae.Policy(ae.RandomRotation(15)).sample([0], [(32, 32)]).explain(0)
        'rotated +9.9°'
    """

    degrees: Annotated[Limits, Spread(unit="degrees")]
    interpolation: Interpolation = None
    expand: bool = False
    center: Center = None
    fill: Fill = None

    def _decide(self, draft, rows, place):
        uniform = draft.uniform(place, 1, rows)[:, 0]
        angle = magnitude(uniform, self.degrees, 0, draft.strength[rows])
        frame = draft.frame[rows]
        inverse = geometry.inv_rotation(angle)
        if self.expand:
            centre = _centre(self.center, frame)
            grown = _expanded(inverse, frame, None if self.center is None else centre)
            inverse = geometry.about(centre, inverse, centre + (grown - frame)[:, ::-1] / 2)
            draft.warp(rows, inverse, frame=grown)
        else:
            draft.warp(rows, geometry.about(_centre(self.center, frame), inverse))
        draft.log(rows, "rotated %+.1f°", angle)


@dataclass(frozen=True, repr=False)
class RandomAffine(Op):
    """Rotate, scale, shear and translate about the centre. Equals torchvision's RandomAffine with
    antialias=False.

    Args:
        degrees: Angles in degrees, (lowest, highest), or a number d for (−d, d); clockwise as seen.
        translate: Largest shares (horizontal, vertical) of the size, in [0, 1]; the shift is rounded
            to whole pixels. None shifts nothing.
        scale: Factors (lowest, highest), in [0.001, 1000]. None scales nothing.
        shear: Angles in degrees within ±89: a number s for (−s, s) along x, two for the limits
            along x, four for those along x and y. None shears nothing.
        interpolation: Filter name, 'bilinear', 'bicubic' or 'nearest'; None is bilinear.
        fill: Colour outside the image in the units of the images, one number or one a channel, or bytes as
            text, such as '#80'; None is black.
        center: Point (x, y) in pixels from the top left corner; None is the middle.
        antialias: Whether the filter grows where `scale` shrinks. A shear widens nothing.

    Raises:
        ValueError: A number is outside its range, or a pair is reversed.

    Example:
        >>> op = ae.RandomAffine(15, translate=(0.1, 0.1), scale=(0.9, 1.1))
        >>> ae.Policy(op).sample([0], [(32, 32)]).explain(0)
        'rotated -9.9°, scaled ×1.07, shifted by (-3, +0) px'
    """

    degrees: Annotated[Limits, Spread(unit="degrees")]
    translate: Annotated[
        Sequence[float] | None,
        Custom(
            _translate,
            "two, in [0, 1]",
            of=(("horizontal", Number(0, 1)), ("vertical", Number(0, 1))),
        ),
    ] = None
    scale: Annotated[Sequence[float] | None, Interval(1e-3, 1e3)] = None
    shear: Annotated[
        Limits | None,
        Custom(_shear, "one, two or four, ±89", unit="degrees", of=ends(Number(-89, 89))),
    ] = None
    interpolation: Interpolation = None
    fill: Fill = None
    center: Center = None
    antialias: Antialias = True

    def _decide(self, draft, rows, place):
        uniform = draft.uniform(place, 6, rows).T
        strength, frame = draft.strength[rows], draft.frame[rows]
        angle = magnitude(uniform[0], self.degrees, 0, strength)
        scale = magnitude(uniform[1], self.scale or (1, 1), 1, strength)
        share_x, share_y = self.translate or (0, 0)
        dx = np.round(strength * share_x * frame[:, 1] * (2 * uniform[2] - 1))
        dy = np.round(strength * share_y * frame[:, 0] * (2 * uniform[3] - 1))
        low_x, high_x, low_y, high_y = (*(kept(self.shear) or (0, 0)), 0, 0)[:4]
        shear_x = magnitude(uniform[4], (low_x, high_x), 0, strength)
        shear_y = magnitude(uniform[5], (low_y, high_y), 0, strength)

        turn = geometry.inv_rotation(-angle)
        inverse = geometry.product(geometry.inv_scale_shear(scale, shear_x, shear_y), turn)
        centre = _centre(self.center, frame)
        inverse = geometry.about(centre, inverse, centre + np.stack([dx, dy], axis=1))
        footprint = turn[:, :2, :2]
        if self.antialias:
            footprint = footprint / scale[:, None, None]
        draft.warp(rows, inverse, footprint)

        # Angles are said counter-clockwise everywhere in a log.
        for values, text, neutral in [
            (-angle, "rotated %+.1f°", 0),
            (scale, "scaled ×%.2f", 1),
            (shear_x, "sheared %+.1f°", 0),
            (shear_y, "sheared %+.1f° vertically", 0),
        ]:
            acts = values != neutral
            draft.log(rows[acts], text, values[acts])
        shifts = (dx != 0) | (dy != 0)
        draft.log(rows[shifts], "shifted by (%+d, %+d) px", dx[shifts], dy[shifts])


@dataclass(frozen=True, repr=False)
class RandomPerspective(Op):
    """Pull each corner inwards, with probability p. Equals torchvision's.

    Args:
        distortion_scale: Largest share in [0, 1] of half the frame by which a corner moves.
        p: Probability in [0, 1].
        interpolation: Filter name, 'bilinear', 'bicubic' or 'nearest'; None is bilinear.
        fill: Colour outside the image in the units of the images, one number or one a channel, or bytes as
            text, such as '#80'; None is black.

    Example:
        >>> ae.Policy(ae.RandomPerspective(0.3, p=1)).sample([0], [(32, 32)]).explain(0)
        'perspective, corners up to 4 px in'
    """

    distortion_scale: Annotated[float, Number(0, 1)] = 0.5
    p: Probability = 0.5
    interpolation: Interpolation = None
    fill: Fill = None

    def _decide(self, draft, rows, place):
        uniform = draft.uniform(place, 9, rows)
        acts = uniform[:, 8] < self.p
        rows, uniform = rows[acts], uniform[acts]
        last = draft.frame[rows][:, None, ::-1] - 1  # [n, 1, 2]: x, y of the last pixel
        scale = self.distortion_scale * draft.strength[rows][:, None, None]
        most = (scale * (draft.frame[rows][:, None, ::-1] // 2)).astype(np.int64) + 1
        pull = below(uniform[:, :8].reshape(-1, 4, 2), most)
        outward = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])  # corners, clockwise from the top left
        corners = outward * last
        new_corners = corners + np.where(outward == 1, -pull, pull)
        inverse = geometry.inv_perspective(new_corners.astype(float), corners.astype(float))
        draft.warp(rows, inverse, UNCHANGED)
        draft.log(rows, "perspective, corners up to %d px in", pull.max(axis=(1, 2)))


def _flips(draft, rows, place, p, alternate):
    """[len(rows)] bool."""
    if not alternate:
        return draft.uniform(place, 1, rows)[:, 0] < p
    # A walk by p an epoch: it flips as often as the walk passes a whole number.
    start = draft.timeless(place, 1, rows)[:, 0]
    epoch = draft.keyed.epoch % 2**32  # beyond it a float64 would lose the fraction
    return np.floor(start + (epoch + 1) * p) > np.floor(start + epoch * p)


def _expanded(inverse, frame, centre=None):
    """The frame [n, 2] that holds all of a rotated one; cut and rounded as torchvision does. centre: [n, 2]
    (x, y), where it is not the middle: what torchvision adds then is where the old corners came from."""
    half = frame / 2
    corners = np.stack(
        [np.stack([sx * half[:, 1], sy * half[:, 0]], axis=1) for sx in (-1, 1) for sy in (-1, 1)],
        axis=1,
    )
    # A rotation's inverse is its transpose: this maps old corners to new ones.
    turn = inverse[:, :2, :2]
    new_corners = geometry.product(corners, turn)
    low, high = new_corners.min(axis=1), new_corners.max(axis=1)
    if centre is not None:
        off = centre - half[:, ::-1]
        moved = off - geometry.product(turn, off[..., None])[..., 0]
        low, high = low + moved, high + moved
    # Seen from the old corner, and cut to four decimals, as torchvision does; a quarter turn is exact.
    from_corner = [np.trunc((edge + half[:, ::-1]) * 1e4) / 1e4 for edge in (low, high)]
    grown = np.ceil(from_corner[1]) - np.floor(from_corner[0])
    quarter = (turn == np.round(turn)).all(axis=(1, 2)) & (centre is None)
    return np.where(quarter[:, None], high - low, grown).astype(np.int64)[:, ::-1]


def _centre(center, frame):
    """[n, 2] (x, y)."""
    if center is None:
        return frame[:, ::-1] / 2
    return np.broadcast_to(np.asarray(center, float), (len(frame), 2))
