"""Ops that move pixels: flips, turns, affine and perspective maps.

Names and arguments are torchvision's; `sizing` says what fill and interpolation mean. All
geometric ops of a policy become one matrix, and the source is interpolated once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...checks import interval, number, several, spread, whole
from .. import geometry
from ..draft import UNCHANGED
from ..keyed import below
from .arguments import colour, interpolation_name
from .op import Op
from .strength import magnitude


@dataclass(frozen=True)
class RandomHorizontalFlip(Op):
    """Mirror left and right, with probability p.

    alternate: a sample is flipped in every other epoch (in every 1/p-th), from a random start,
    instead of by chance (Jordan 2024, airbench): in n epochs n·p times, to within one.
    """

    p: float = 0.5
    alternate: bool = False

    def __post_init__(self):
        self._set(p=number("RandomHorizontalFlip.p", self.p, 0, 1))

    def _decide(self, draft, rows, place):
        rows = rows[_flips(draft, rows, place, self.p, self.alternate)]
        draft.warp(rows, geometry.inv_hflip(draft.frame[rows]))
        draft.log(rows, "flipped")


@dataclass(frozen=True)
class RandomVerticalFlip(Op):
    """Mirror top and bottom, with probability p. alternate: as RandomHorizontalFlip's."""

    p: float = 0.5
    alternate: bool = False

    def __post_init__(self):
        self._set(p=number("RandomVerticalFlip.p", self.p, 0, 1))

    def _decide(self, draft, rows, place):
        rows = rows[_flips(draft, rows, place, self.p, self.alternate)]
        draft.warp(rows, geometry.inv_vflip(draft.frame[rows]))
        draft.log(rows, "flipped upside down")


@dataclass(frozen=True)
class RandomQuarterTurn(Op):
    """Turn by a multiple of 90 degrees, counter-clockwise, without interpolation.

    turns: the numbers of quarter turns to choose from. An odd one swaps height and width.
    """

    turns: tuple[int, ...] = (0, 1, 2, 3)

    def __post_init__(self):
        turns = several(self.turns)
        if not turns or not all(whole(turn) and 0 <= turn < 4 for turn in turns):
            raise ValueError(
                f"RandomQuarterTurn.turns: got {turns!r}, expected some of 0, 1, 2, 3. Pass quarter "
                "turns, not degrees."
            )
        self._set(turns=tuple(map(int, turns)))

    def _decide(self, draft, rows, place):
        choice = below(draft.uniform(place, 1, rows)[:, 0], len(self.turns))
        turns = np.array(self.turns)[choice]
        rows, turns = rows[turns != 0], turns[turns != 0]
        frame = draft.frame[rows]
        turned = np.where((turns % 2 == 1)[:, None], frame[:, ::-1], frame)
        draft.warp(rows, geometry.inv_quarter_turns(turns, frame), frame=turned)
        draft.log(rows, "turned %d°", 90 * turns)


@dataclass(frozen=True)
class RandomRotation(Op):
    """Rotate by an angle drawn from `degrees`, counter-clockwise as seen.

    degrees: a number d for (−d, d), or (lowest, highest). center: (x, y) in pixels from the top
    left corner, by default the middle. expand: grow the frame so that all of the image is seen
    (about the middle only). interpolation: torchvision's default is nearest, ours is bilinear.
    """

    degrees: Any
    interpolation: str | None = None
    expand: bool = False
    center: Any = None
    fill: Any = None

    def __post_init__(self):
        self._set(
            degrees=spread("RandomRotation.degrees", self.degrees),
            interpolation=interpolation_name("RandomRotation", self.interpolation),
            center=_point("RandomRotation.center", self.center),
            fill=colour("RandomRotation.fill", self.fill),
        )
        if self.expand and self.center is not None:
            raise ValueError(
                "RandomRotation: expand goes with the middle, got a center. Leave one out."
            )

    def _decide(self, draft, rows, place):
        uniform = draft.uniform(place, 1, rows)[:, 0]
        angle = magnitude(uniform, self.degrees, 0, draft.strength[rows])
        frame = draft.frame[rows]
        inverse = geometry.inv_rotation(angle)
        if self.expand:
            grown = _expanded(inverse, frame)
            inverse = geometry.about(frame[:, ::-1] / 2, inverse, grown[:, ::-1] / 2)
            draft.warp(rows, inverse, frame=grown)
        else:
            draft.warp(rows, geometry.about(_centre(self.center, frame), inverse))
        draft.log(rows, "rotated %+.1f°", angle)


@dataclass(frozen=True)
class RandomAffine(Op):
    """Rotate (clockwise, as torchvision's affine), scale, shear and translate about the centre.

    degrees: as RandomRotation. translate: largest shares (horizontal, vertical) of the size, the
    shift is rounded to whole pixels. scale: (lowest, highest) factor. shear: degrees, a number for
    (−s, s) along x, two for its limits, four for x's and y's. antialias: widen the filter when
    scale shrinks (torchvision does not; pass False for its pixels). A shear widens nothing.
    """

    degrees: Any
    translate: Any = None
    scale: Any = None
    shear: Any = None
    interpolation: str | None = None
    fill: Any = None
    center: Any = None
    antialias: bool = True

    def __post_init__(self):
        shear = self.shear
        if shear is not None:
            where, shear = "RandomAffine.shear", several(shear)
            if len(shear) not in (1, 2, 4):
                raise ValueError(
                    f"{where}: got {shear!r}, expected 1, 2 or 4 numbers. Pass limits in degrees for x, "
                    "or for x and y."
                )
            if len(shear) == 1:
                shear = spread(where, shear[0], -89, 89)
            limits = [interval(where, shear[k : k + 2], -89, 89) for k in range(0, len(shear), 2)]
            shear = tuple(limit for pair in limits for limit in pair)
        translate = self.translate
        if translate is not None:
            if len(several(translate)) != 2:
                raise ValueError(
                    f"RandomAffine.translate: got {translate!r}, expected two shares. Pass (horizontal, "
                    "vertical)."
                )
            translate = tuple(number("RandomAffine.translate", share, 0, 1) for share in translate)
        scale = self.scale
        self._set(
            degrees=spread("RandomAffine.degrees", self.degrees),
            translate=translate,
            scale=None if scale is None else interval("RandomAffine.scale", scale, 1e-3, 1e3),
            shear=shear,
            interpolation=interpolation_name("RandomAffine", self.interpolation),
            fill=colour("RandomAffine.fill", self.fill),
            center=_point("RandomAffine.center", self.center),
        )

    def _decide(self, draft, rows, place):
        uniform = draft.uniform(place, 6, rows).T
        strength, frame = draft.strength[rows], draft.frame[rows]
        angle = magnitude(uniform[0], self.degrees, 0, strength)
        scale = magnitude(uniform[1], self.scale or (1, 1), 1, strength)
        share_x, share_y = self.translate or (0, 0)
        dx = np.round(strength * share_x * frame[:, 1] * (2 * uniform[2] - 1))
        dy = np.round(strength * share_y * frame[:, 0] * (2 * uniform[3] - 1))
        low_x, high_x, low_y, high_y = (*(self.shear or (0, 0)), 0, 0)[:4]
        shear_x = magnitude(uniform[4], (low_x, high_x), 0, strength)
        shear_y = magnitude(uniform[5], (low_y, high_y), 0, strength)

        turn = geometry.inv_rotation(-angle)
        inverse = geometry.inv_scale_shear(scale, shear_x, shear_y) @ turn
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
            done = values != neutral
            draft.log(rows[done], text, values[done])
        moved = (dx != 0) | (dy != 0)
        draft.log(rows[moved], "shifted by (%+d, %+d) px", dx[moved], dy[moved])


@dataclass(frozen=True)
class RandomPerspective(Op):
    """Pull each corner inwards, by up to distortion_scale of half the frame, with probability p."""

    distortion_scale: float = 0.5
    p: float = 0.5
    interpolation: str | None = None
    fill: Any = None

    def __post_init__(self):
        self._set(
            distortion_scale=number(
                "RandomPerspective.distortion_scale", self.distortion_scale, 0, 1
            ),
            p=number("RandomPerspective.p", self.p, 0, 1),
            interpolation=interpolation_name("RandomPerspective", self.interpolation),
            fill=colour("RandomPerspective.fill", self.fill),
        )

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
        moved = corners + np.where(outward == 1, -pull, pull)
        inverse = geometry.inv_perspective(moved.astype(float), corners.astype(float))
        draft.warp(rows, inverse, UNCHANGED)
        draft.log(rows, "perspective, corners up to %d px in", pull.max(axis=(1, 2)))


def _flips(draft, rows, place, p, alternate):
    """[len(rows)] bool."""
    if not alternate:
        return draft.uniform(place, 1, rows)[:, 0] < p
    # A walk by p an epoch: it flips as often as the walk passes a whole number.
    start = draft.timeless(place, 1, rows)[:, 0]
    return np.floor(start + (draft.keyed.epoch + 1) * p) > np.floor(start + draft.keyed.epoch * p)


def _expanded(inverse, frame):
    """The frame [n, 2] that holds all of a rotated one; cut and rounded as torchvision does."""
    half = frame / 2
    corners = np.stack(
        [np.stack([sx * half[:, 1], sy * half[:, 0]], axis=1) for sx in (-1, 1) for sy in (-1, 1)],
        axis=1,
    )
    # A rotation's inverse is its transpose: this maps old corners to new ones.
    turn = inverse[:, :2, :2]
    moved = corners @ turn
    low, high = moved.min(axis=1), moved.max(axis=1)
    # Seen from the old corner, and cut to four decimals, as torchvision does; a quarter turn is exact.
    from_corner = [np.trunc((edge + half[:, ::-1]) * 1e4) / 1e4 for edge in (low, high)]
    grown = np.ceil(from_corner[1]) - np.floor(from_corner[0])
    quarter = (turn == np.round(turn)).all(axis=(1, 2))
    return np.where(quarter[:, None], high - low, grown).astype(np.int64)[:, ::-1]


def _centre(center, frame):
    """[n, 2] (x, y)."""
    if center is None:
        return frame[:, ::-1] / 2
    return np.broadcast_to(np.asarray(center, float), (len(frame), 2))


def _point(where, value):
    if value is None:
        return None
    if len(several(value)) != 2:
        raise ValueError(
            f"{where}: got {value!r}, expected (x, y) in pixels. Leave it out for the middle."
        )
    return tuple(number(where, v) for v in value)
