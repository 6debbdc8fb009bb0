"""Ops that layer one output over another, or erase a part of it.

CutMix and MixUp draw λ, box and partner for every sample (torchvision draws one for the batch).
λ and box are keyed by the sample; the partner is the one draw that depends on the batch at hand,
though not on its order. A batch of one has no partner, and a mix leaves it as it is.
Labels follow from the layers' weights: `soft_labels`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..draws import GAMMA_DRAWS, below, beta_variate
from .op import LAYER, Op, interval, number, several


@dataclass(frozen=True)
class CutMix(Op):
    """Paste a box of another sample (Yun et al. 2019).

    λ ~ Beta(alpha, alpha); the box has half sides int(0.5·√(1−λ)·size) about a uniform centre and
    is clipped to the frame; the labels' shares follow the clipped area. p: how many samples mix.
    """

    alpha: float = 1.0
    p: float = 1.0
    stages = (LAYER, LAYER)

    def __post_init__(self):
        self._set(
            alpha=number("CutMix.alpha", self.alpha, 1e-3, 1e3), p=number("CutMix.p", self.p, 0, 1)
        )

    def sample(self, draft, rows, place):
        rows, uniform = _acting(draft, rows, place, self.p, extra=2 + 2 * GAMMA_DRAWS)
        lam = beta_variate(uniform[:, 3:], self.alpha)
        size = draft.frame[rows]
        centre = below(uniform[:, 1:3], size)
        half = (0.5 * np.sqrt(1 - lam)[:, None] * size).astype(np.int64)
        low, high = np.maximum(centre - half, 0), np.minimum(centre + half, size)
        box = np.concatenate([low, high], axis=1)
        draft.paste(rows, _partner(draft, rows, uniform[:, 0]), box)


@dataclass(frozen=True)
class MixUp(Op):
    """Blend with another sample: λ·own + (1 − λ)·other, λ ~ Beta(alpha, alpha) (Zhang et al. 2018).

    p: how many samples mix. A partner that already has boxes cannot be blended: ValueError.
    """

    alpha: float = 1.0
    p: float = 1.0
    stages = (LAYER, LAYER)

    def __post_init__(self):
        self._set(
            alpha=number("MixUp.alpha", self.alpha, 1e-3, 1e3), p=number("MixUp.p", self.p, 0, 1)
        )

    def sample(self, draft, rows, place):
        rows, uniform = _acting(draft, rows, place, self.p, extra=2 * GAMMA_DRAWS)
        lam = beta_variate(uniform[:, 1:], self.alpha)
        draft.blend(rows, _partner(draft, rows, uniform[:, 0]), 1 - lam)


@dataclass(frozen=True)
class RandomErasing(Op):
    """Erase a box with a plain colour, with probability p (Zhong et al. 2020).

    scale: share of the area. ratio: height / width, log-uniform. Ten tries, as torchvision; none
    fits: nothing is erased. value: a number or one for each channel, in [0, 1]; after Normalize in
    a policy, in normalised units (so that 0 is the mean). The labels stay.
    """

    p: float = 0.5
    scale: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 3.3)
    value: Any = 0.0
    stages = (LAYER, LAYER)

    def __post_init__(self):
        value = tuple(number("RandomErasing.value", v) for v in several(self.value))
        self._set(
            p=number("RandomErasing.p", self.p, 0, 1),
            scale=interval("RandomErasing.scale", self.scale, 0, 1),
            ratio=interval("RandomErasing.ratio", self.ratio, 1e-6),
            value=value if isinstance(self.value, Iterable) else value[0],
        )

    def sample(self, draft, rows, place):
        if len(several(self.value)) not in (1, draft.channels):
            raise ValueError(
                f"RandomErasing.value: got {self.value}, the images have {draft.channels} channel(s). "
                f"Pass {draft.channels} or one."
            )
        uniform = draft.draws.uniform(place, 23, rows)
        acts = uniform[:, 0] < self.p
        rows, uniform = rows[acts], uniform[acts]
        frame, tries = draft.frame[rows], uniform[:, 3:]
        log_ratio = np.log(self.ratio)
        area = self.scale[0] + tries[:, 0::2] * (self.scale[1] - self.scale[0])
        area = area * frame.prod(axis=1)[:, None]
        aspect = np.exp(log_ratio[0] + tries[:, 1::2] * (log_ratio[1] - log_ratio[0]))
        heights = np.round(np.sqrt(area * aspect)).astype(np.int64)
        widths = np.round(np.sqrt(area / aspect)).astype(np.int64)
        fits = (heights < frame[:, :1]) & (widths < frame[:, 1:])
        first = fits.argmax(axis=1)
        found = fits.any(axis=1)
        rows, at, frame, first = rows[found], uniform[found, 1:3], frame[found], first[found]
        pick = (np.flatnonzero(found), first)
        size = np.stack([heights[pick], widths[pick]], axis=1)
        low = below(at, frame - size + 1)
        colour = np.broadcast_to(np.asarray(self.value, float), (len(rows), draft.channels))
        if draft.mean:
            colour = colour * draft.std + draft.mean
        draft.erase(rows, np.concatenate([low, low + size], axis=1), colour)


def _acting(draft, rows, place, p, extra):
    """The rows that mix, and their uniform numbers: one for the partner, then `extra`."""
    if len(draft) == 1:
        draft.log(rows, "no partner in a batch of one")
        rows = rows[:0]
    uniform = draft.draws.uniform(place, 2 + extra, rows)
    acts = uniform[:, 0] < p
    return rows[acts], uniform[acts, 1:]


def _partner(draft, rows, uniform):
    """Another sample of the batch for each row, uniformly; independent of the batch's order."""
    n = len(draft)
    order = np.argsort(draft.draws.ids, kind="stable")
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)
    return order[(rank[rows] + 1 + below(uniform, n - 1)) % n] if n > 1 else rows
