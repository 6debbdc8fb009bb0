"""Ops on colour, and the normalisation that ends a policy. Values are in [0, 1].

Names and arguments are torchvision's. Every step clamps to [0, 1]; nothing is rounded in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from .. import colour
from ..plan import HUE, MATRIX, MEAN
from .op import LAYER, Op, drawn, interval, number, several, spread


@dataclass(frozen=True)
class ColorJitter(Op):
    """Brightness, contrast, saturation and hue, in a random order for every sample.

    brightness, contrast, saturation: a number f for factors in [max(0, 1 − f), 1 + f], or
    (lowest, highest) ≥ 0. hue: a number h for turns in [−h, h], or an interval, within ±0.5.
    Saturation and hue need RGB. Equals torchvision's ColorJitter for the same factors and order,
    but for its rounding to whole numbers between steps on uint8. Contrast's mean is taken over the
    part of the source that the frame shows.
    """

    brightness: Any = None
    contrast: Any = None
    saturation: Any = None
    hue: Any = None

    def __post_init__(self):
        for name in ("brightness", "contrast", "saturation"):
            value = getattr(self, name)
            if value is not None:
                where = f"ColorJitter.{name}"
                if isinstance(value, Real):
                    value = number(where, value, 0)
                    value = (max(0.0, 1 - value), 1 + value)
                self._set(**{name: interval(where, value, 0)})
        if self.hue is not None:
            self._set(hue=spread("ColorJitter.hue", self.hue, -0.5, 0.5))

    def sample(self, draft, rows, place):
        uniform = draft.draws.uniform(place, 8, rows)
        strength = draft.strength[rows]
        order = np.argsort(uniform[:, 4:], axis=1)
        steps = [(self.brightness, _brightness), (self.contrast, _contrast)]
        steps += [(self.saturation, _saturation), (self.hue, _hue)]
        for turn in range(4):
            for k, (limits, append) in enumerate(steps):
                now = order[:, turn] == k
                if limits is not None and now.any():
                    neutral = 0 if append is _hue else 1
                    append(draft, rows[now], drawn(uniform[now, k], limits, neutral, strength[now]))


def _brightness(draft, rows, factor):
    draft.step(rows, MATRIX, colour.brightness(factor))
    draft.log(rows, "brightness ×%.2f", factor)


def _contrast(draft, rows, factor):
    draft.step(rows, MATRIX, colour.contrast(factor), statistic=MEAN)
    draft.log(rows, "contrast ×%.2f", factor)


def _saturation(draft, rows, factor):
    _needs_rgb(draft, "saturation")
    draft.step(rows, MATRIX, colour.saturation(factor))
    draft.log(rows, "saturation ×%.2f", factor)


def _hue(draft, rows, shift):
    _needs_rgb(draft, "hue")
    draft.step(rows, HUE, shift[:, None])
    draft.log(rows, "hue %+.2f", shift)


@dataclass(frozen=True)
class RandomBrightness(Op):
    """Add a number to the image; what passes the maximum is set to the maximum (and 0 likewise).

    delta: a number d for (−d, d), or (lowest, highest), in shares of the full range.
    """

    delta: Any = 0.2

    def __post_init__(self):
        self._set(delta=spread("RandomBrightness.delta", self.delta, -1, 1))

    def sample(self, draft, rows, place):
        uniform = draft.draws.uniform(place, 1, rows)[:, 0]
        delta = drawn(uniform, self.delta, 0, draft.strength[rows])
        draft.step(rows, MATRIX, colour.add(delta))
        draft.log(rows, "brightness %+.2f", delta)


@dataclass(frozen=True)
class RandomGrayscale(Op):
    """All channels become the luma 0.2989 R + 0.587 G + 0.114 B, with probability p. Needs RGB."""

    p: float = 0.1

    def __post_init__(self):
        self._set(p=number("RandomGrayscale.p", self.p, 0, 1))

    def sample(self, draft, rows, place):
        _needs_rgb(draft, "RandomGrayscale")
        rows = rows[draft.draws.uniform(place, 1, rows)[:, 0] < self.p]
        draft.step(rows, MATRIX, colour.grey(len(rows)))
        draft.log(rows, "grey")


@dataclass(frozen=True)
class Normalize(Op):
    """(x − mean) / std on values in [0, 1], the last thing done to an output.

    mean, std: one number, or one for each channel. Only CutMix, MixUp and RandomErasing may follow
    it in a policy; a RandomErasing that does takes its value in normalised units.
    """

    mean: Any
    std: Any
    stages = (LAYER, LAYER)

    def __post_init__(self):
        mean = tuple(number("Normalize.mean", v) for v in several(self.mean))
        std = tuple(number("Normalize.std", v) for v in several(self.std))
        if len(mean) != len(std) or min(std, default=0) <= 0:
            raise ValueError(
                f"Normalize: got mean {self.mean!r} and std {self.std!r}, expected as many of each, and "
                "std above 0. Pass one number, or one for each channel."
            )
        self._set(mean=mean, std=std)

    def sample(self, draft, rows, place):
        if len(self.mean) not in (1, draft.channels):
            raise ValueError(
                f"Normalize: got {len(self.mean)} means, the images have {draft.channels} channels. "
                f"Pass {draft.channels} or one."
            )
        times = draft.channels // len(self.mean)
        draft.mean, draft.std = self.mean * times, self.std * times


def _needs_rgb(draft, name):
    if draft.channels != 3:
        raise ValueError(
            f"{name}: mixes the colour channels and needs RGB, the images have {draft.channels} "
            "channel(s). Leave it out of this policy."
        )
