"""Ops on colour, and the normalisation that ends a policy. Values are in [0, 1].

Names and arguments are torchvision's. Every step clamps to [0, 1]; nothing is rounded in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from ...checks import interval, number, one_or_interval, several, spread
from . import actions
from .op import LAYER, Op
from .strength import acting, chosen, magnitude


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

    def _decide(self, draft, rows, place):
        uniform = draft.uniform(place, 8, rows)
        strength = draft.strength[rows]
        for name in ("saturation", "hue"):
            if getattr(self, name) is not None:
                actions.needs_rgb(draft, name)
        order = np.argsort(uniform[:, 4:], axis=1)
        steps = [
            (self.brightness, actions.brightness, 1),
            (self.contrast, actions.contrast, 1),
            (self.saturation, actions.saturation, 1),
            (self.hue, actions.hue, 0),
        ]
        for turn in range(4):
            for k, (limits, act, neutral) in enumerate(steps):
                now = order[:, turn] == k
                if limits is not None and now.any():
                    act(
                        draft, rows[now], magnitude(uniform[now, k], limits, neutral, strength[now])
                    )


@dataclass(frozen=True)
class RandomBrightness(Op):
    """Add a number to the image; what passes the maximum is set to the maximum (and 0 likewise).

    delta: a number d for (−d, d), or (lowest, highest), in shares of the full range.
    """

    delta: Any = 0.2

    def __post_init__(self):
        self._set(delta=spread("RandomBrightness.delta", self.delta, -1, 1))

    def _decide(self, draft, rows, place):
        uniform = draft.uniform(place, 1, rows)[:, 0]
        delta = magnitude(uniform, self.delta, 0, draft.strength[rows])
        actions.add(draft, rows, delta)


@dataclass(frozen=True)
class RandomGrayscale(Op):
    """All channels become the luma 0.2989 R + 0.587 G + 0.114 B, with probability p. Needs RGB."""

    p: float = 0.1

    def __post_init__(self):
        self._set(p=number("RandomGrayscale.p", self.p, 0, 1))

    def _decide(self, draft, rows, place):
        actions.needs_rgb(draft, "RandomGrayscale")
        actions.grey(draft, chosen(draft, rows, place, self.p))


@dataclass(frozen=True)
class RandomDesaturate(Op):
    """Take a share of the colour away, with probability p. Needs RGB.

    amount: a share, or (lowest, highest), in [0, 1]; 1 gives grey. (timm's Desaturate.)
    """

    amount: Any = (0.5, 1.0)
    p: float = 0.5

    def __post_init__(self):
        self._set(
            amount=one_or_interval("RandomDesaturate.amount", self.amount, 0, 1),
            p=number("RandomDesaturate.p", self.p, 0, 1),
        )

    def _decide(self, draft, rows, place):
        actions.needs_rgb(draft, "RandomDesaturate")
        rows, uniform = acting(draft, rows, place, self.p, 1)
        amount = magnitude(uniform[:, 0], self.amount, 0, draft.strength[rows])
        actions.saturation(draft, rows, 1 - amount)


@dataclass(frozen=True)
class RandomChannelPermutation(Op):
    """The colour channels in a random order, with probability p. Needs RGB. (torchvision's has no p.)"""

    p: float = 1.0

    def __post_init__(self):
        self._set(p=number("RandomChannelPermutation.p", self.p, 0, 1))

    def _decide(self, draft, rows, place):
        actions.needs_rgb(draft, "RandomChannelPermutation")
        rows, uniform = acting(draft, rows, place, self.p, 3)
        actions.permute(draft, rows, *np.argsort(uniform, axis=1).T)


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

    def _decide(self, draft, rows, place):
        if len(self.mean) not in (1, draft.channels):
            raise ValueError(
                f"Normalize: got {len(self.mean)} means, the images have {draft.channels} channels. "
                f"Pass {draft.channels} or one."
            )
        times = draft.channels // len(self.mean)
        draft.mean, draft.std = self.mean * times, self.std * times
