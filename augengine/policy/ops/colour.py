"""Ops on colour, and the normalisation that ends a policy. Values are in [0, 1].

Names and arguments are torchvision's. Every step clamps to [0, 1]; nothing is rounded in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Annotated, Any

import numpy as np

from ...checks import interval, number, several
from . import actions
from .arguments import BOUNDLESS, Custom, Limits, OneOrInterval, Probability, Spread, kept
from .op import LAYER, Op
from .strength import acting, chosen, magnitude


def _factors(where: str, value: Any) -> tuple[float, float]:
    """A number f for [max(0, 1 − f), 1 + f], or an interval from 0 up."""
    if isinstance(value, Real):
        value = number(where, value, 0, BOUNDLESS)
        value = (max(0.0, 1 - value), 1 + value)
    return interval(where, value, 0, 2 * BOUNDLESS)


def _numbers(where: str, value: Any) -> tuple[float, ...]:
    return tuple(number(where, v, -BOUNDLESS, BOUNDLESS) for v in several(value))


def _in_words(numbers: Sequence[float]) -> str:
    listed = ", ".join(f"{number:g}" for number in numbers)
    return listed if len(numbers) == 1 else f"({listed})"


_Factors = Annotated[Limits | None, Custom(_factors, "0 or more")]
_Numbers = Annotated[float | Sequence[float], Custom(_numbers, "one number, or one a channel")]


@dataclass(frozen=True, repr=False)
class ColorJitter(Op):
    """Change brightness, contrast, saturation and hue, in a random order for every sample. Equals
    torchvision's ColorJitter for the same factors and order, but for its rounding to whole numbers
    between steps on bytes. Contrast's mean is taken over the part of the source in the frame.

    Args:
        brightness: Factors (lowest, highest), 0 or more, or a number f for [max(0, 1 − f), 1 + f].
            None leaves the brightness as it is.
        contrast: Factors, as for brightness.
        saturation: Factors, as for brightness. Needs RGB.
        hue: Turns of the colour circle within ±0.5, (lowest, highest), or a number h for [−h, h].
            None leaves the hue as it is. Needs RGB.

    Raises:
        ValueError: A factor is negative, or a hue outside ±0.5; when it is sampled: images are not RGB.

    Example:
        >>> ae.Policy(ae.ColorJitter(0.3, 0.3)).sample([0], [(32, 32)]).explain(0)
        'contrast ×1.22, brightness ×1.20'
    """

    brightness: _Factors = None
    contrast: _Factors = None
    saturation: _Factors = None
    hue: Annotated[Limits | None, Spread(-0.5, 0.5, unit="turns")] = None

    def _decide(self, draft, rows, place):
        uniform = draft.uniform(place, 8, rows)
        strength = draft.strength[rows]
        for name in ("saturation", "hue"):
            if getattr(self, name) is not None:
                actions.needs_rgb(draft, name)
        order = np.argsort(uniform[:, 4:], axis=1, kind="stable")
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


@dataclass(frozen=True, repr=False)
class RandomBrightness(Op):
    """Add a number to the image; what passes the maximum is set to the maximum (and 0 likewise).

    Args:
        delta: Numbers to add in shares of the full range, in [-1, 1], (lowest, highest), or a number d
            for (−d, d).

    Example:
        >>> ae.Policy(ae.RandomBrightness(0.2)).sample([0], [(32, 32)]).explain(0)
        'brightness +0.13'
    """

    delta: Annotated[Limits, Spread(-1, 1)] = 0.2

    def _decide(self, draft, rows, place):
        uniform = draft.uniform(place, 1, rows)[:, 0]
        delta = magnitude(uniform, self.delta, 0, draft.strength[rows])
        actions.add(draft, rows, delta)


@dataclass(frozen=True, repr=False)
class RandomGrayscale(Op):
    """Turn all channels into the luma 0.2989 R + 0.587 G + 0.114 B, with probability p. Needs RGB.
    Equals torchvision's.

    Args:
        p: Probability in [0, 1].

    Example:
        >>> ae.Policy(ae.RandomGrayscale(p=1)).sample([0], [(32, 32)]).explain(0)
        'grey'
    """

    p: Probability = 0.1

    def _decide(self, draft, rows, place):
        actions.needs_rgb(draft, "RandomGrayscale")
        actions.grey(draft, chosen(draft, rows, place, self.p))


@dataclass(frozen=True, repr=False)
class RandomDesaturate(Op):
    """Take a share of the colour away, with probability p. Needs RGB. (timm's Desaturate.)

    Args:
        amount: Share in [0, 1], one number or (lowest, highest); 1 gives grey.
        p: Probability in [0, 1].

    Example:
        >>> ae.Policy(ae.RandomDesaturate(0.5, p=1)).sample([0], [(32, 32)]).explain(0)
        'saturation ×0.50'
    """

    amount: Annotated[Limits, OneOrInterval(0, 1)] = (0.5, 1.0)
    p: Probability = 0.5

    def _decide(self, draft, rows, place):
        actions.needs_rgb(draft, "RandomDesaturate")
        rows, uniform = acting(draft, rows, place, self.p, 1)
        amount = magnitude(uniform[:, 0], self.amount, 0, draft.strength[rows])
        actions.saturation(draft, rows, 1 - amount)


@dataclass(frozen=True, repr=False)
class RandomChannelPermutation(Op):
    """Put the colour channels in a random order, with probability p. Needs RGB. (torchvision's has
    no p.)

    Args:
        p: Probability in [0, 1].

    Example:
        >>> ae.Policy(ae.RandomChannelPermutation()).sample([0], [(32, 32)]).explain(0)
        'channels 1, 2, 0'
    """

    p: Probability = 1.0

    def _decide(self, draft, rows, place):
        actions.needs_rgb(draft, "RandomChannelPermutation")
        rows, uniform = acting(draft, rows, place, self.p, 3)
        actions.permute(draft, rows, *np.argsort(uniform, axis=1, kind="stable").T)


@dataclass(frozen=True, repr=False)
class Normalize(Op):
    """Turn values in [0, 1] into (x − mean) / std, the last thing done to an output. Only CutMix, MixUp
    and RandomErasing may follow it in a policy; a RandomErasing that does takes its value in
    normalised units.

    Args:
        mean: Mean, one number, or one for each channel.
        std: Standard deviation above 0, one number, or one for each channel.

    Raises:
        ValueError: There are not as many of each, or a std is not above 0.

    Example:
        >>> normalize = ae.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        >>> ae.Policy([ae.Resize((8, 8)), normalize]).sample([0], [(32, 32)]).finish.std
        (0.229, 0.224, 0.225)
    """

    mean: _Numbers
    std: _Numbers
    stages = (LAYER, LAYER)

    def _check(self) -> None:
        mean, std = kept(self.mean), kept(self.std)
        if len(mean) != len(std) or min(std, default=0) < 1 / BOUNDLESS:
            raise ValueError(
                f"Normalize: got mean {_in_words(mean)} and std {_in_words(std)}, expected as many "
                "of each, and std above 0. Pass one number, or one for each channel."
            )

    def _decide(self, draft, rows, place):
        mean, std = kept(self.mean), kept(self.std)
        if len(mean) not in (1, draft.channels):
            raise ValueError(
                f"Normalize: got {len(mean)} means, the images have {draft.channels} channels. "
                f"Pass {draft.channels} or one."
            )
        times = draft.channels // len(mean)
        draft.mean, draft.std = mean * times, std * times
