"""Ops on tones: curves over the 256 bytes, and what is measured from the image itself.

Names and arguments are torchvision's where it has the op. Strength acts on how often they happen
where there is no magnitude to pull.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...checks import interval, number, one_or_interval, whole
from . import actions
from .op import Op
from .strength import acting, chosen, magnitude, pulled


@dataclass(frozen=True)
class RandomAutocontrast(Op):
    """Stretch each channel's range to the full one, with probability p. For uint8 in whole numbers,
    as torchvision and PIL; the range is that of the part of the source in the frame."""

    p: float = 0.5

    def __post_init__(self):
        self._set(p=number("RandomAutocontrast.p", self.p, 0, 1))

    def _decide(self, draft, rows, place):
        actions.autocontrast(draft, chosen(draft, rows, place, self.p))


@dataclass(frozen=True)
class RandomEqualize(Op):
    """Level each channel's histogram, with probability p. PIL's, in whole numbers, over the part of
    the source in the frame."""

    p: float = 0.5

    def __post_init__(self):
        self._set(p=number("RandomEqualize.p", self.p, 0, 1))

    def _decide(self, draft, rows, place):
        actions.equalize(draft, chosen(draft, rows, place, self.p))


@dataclass(frozen=True)
class RandomInvert(Op):
    """1 − value, with probability p."""

    p: float = 0.5

    def __post_init__(self):
        self._set(p=number("RandomInvert.p", self.p, 0, 1))

    def _decide(self, draft, rows, place):
        actions.invert(draft, chosen(draft, rows, place, self.p))


@dataclass(frozen=True)
class RandomPosterize(Op):
    """Keep the upper `bits` of eight, with probability p. bits: 0 … 8; 0 leaves black."""

    bits: int
    p: float = 0.5

    def __post_init__(self):
        if not whole(self.bits) or not 0 <= self.bits <= 8:
            raise ValueError(
                f"RandomPosterize.bits: got {self.bits!r}, expected a whole number 0 … 8. Pass how many "
                "of the eight bits to keep."
            )
        self._set(bits=int(self.bits), p=number("RandomPosterize.p", self.p, 0, 1))

    def _decide(self, draft, rows, place):
        rows, _ = acting(draft, rows, place, self.p, 0)
        actions.posterize(draft, rows, np.round(pulled(self.bits, 8, draft.strength[rows])))


@dataclass(frozen=True)
class RandomSolarize(Op):
    """Invert what is at least as bright as the threshold, with probability p.

    threshold: 0 … 256 as in bytes, also for float images (torchvision takes 0 … 1 for those).
    """

    threshold: float
    p: float = 0.5

    def __post_init__(self):
        self._set(
            threshold=number("RandomSolarize.threshold", self.threshold, 0, 256),
            p=number("RandomSolarize.p", self.p, 0, 1),
        )

    def _decide(self, draft, rows, place):
        rows, _ = acting(draft, rows, place, self.p, 0)
        actions.solarize(draft, rows, pulled(self.threshold, 256, draft.strength[rows]))


@dataclass(frozen=True)
class RandomSolarizeAdd(Op):
    """Add to what is darker than 128, with probability p (timm, after TensorFlow's EfficientNet).

    add: in bytes, −255 … 255, one number or (lowest, highest).
    """

    add: Any = 110
    p: float = 0.5

    def __post_init__(self):
        self._set(
            add=one_or_interval("RandomSolarizeAdd.add", self.add, -255, 255),
            p=number("RandomSolarizeAdd.p", self.p, 0, 1),
        )

    def _decide(self, draft, rows, place):
        rows, uniform = acting(draft, rows, place, self.p, 1)
        add = magnitude(uniform[:, 0], self.add, 0, draft.strength[rows])
        actions.solarize_add(draft, rows, np.round(add))


@dataclass(frozen=True)
class RandomGamma(Op):
    """value ** gamma, with probability p; equals torchvision's adjust_gamma. Below 1 is brighter.

    gamma: (lowest, highest) above 0, drawn log-uniformly, or one number.
    """

    gamma: Any = (0.8, 1.25)
    p: float = 1.0

    def __post_init__(self):
        low, high = one_or_interval("RandomGamma.gamma", self.gamma, 1e-3, 1e3)
        self._set(gamma=interval("RandomGamma.gamma", (low, high)))
        self._set(p=number("RandomGamma.p", self.p, 0, 1))

    def _decide(self, draft, rows, place):
        rows, uniform = acting(draft, rows, place, self.p, 1)
        log = magnitude(uniform[:, 0], np.log(self.gamma), 0, draft.strength[rows])
        actions.gamma(draft, rows, np.exp(log))
