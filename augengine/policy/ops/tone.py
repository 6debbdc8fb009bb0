"""Ops on tones: what becomes of bytes or values, and what is measured from the image itself.

Names and arguments are torchvision's where it has the op. Strength acts on how often they happen
where there is no magnitude to pull.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from ...checks import one_or_interval, whole
from ...elementary import exp, logs
from ..units import MOST
from . import actions
from .arguments import (
    Custom,
    Limits,
    Number,
    OneOrInterval,
    Probability,
    Threshold,
    WholeNumber,
    byte,
    kept,
)
from .op import Op
from .strength import acting, chosen, magnitude, pulled


def _bits(where: str, value: Any) -> int:
    if not whole(value) or not 0 <= value <= 8:
        raise ValueError(
            f"{where}: got {value!r}, expected a whole number 0 … 8. Pass how many of the eight bits to "
            "keep."
        )
    return int(value)


def _added(where: str, value: Any) -> tuple[float, float] | str:
    if isinstance(value, str):
        return byte(where, value)
    return one_or_interval(where, value, -MOST, MOST)


@dataclass(frozen=True, repr=False)
class RandomAutocontrast(Op):
    """Stretch each channel's range to the full one, with probability p, of any number of channels. Of
    bytes in whole numbers, as torchvision and PIL; the range is that of the part of the source in the
    frame.

    Args:
        p: Probability in [0, 1].

    Example:
        >>> ae.Policy(ae.RandomAutocontrast(p=1)).sample([0], [(32, 32)]).explain(0)
        'autocontrast'
    """

    p: Probability = 0.5

    def _decide(self, draft, rows, place):
        actions.autocontrast(draft, chosen(draft, rows, place, self.p))


@dataclass(frozen=True, repr=False)
class RandomEqualize(Op):
    """Level each channel's histogram, with probability p, of any number of channels. It is PIL's, in
    whole numbers, over the part of the source in the frame; floats are cut to bytes for it, as torchvision
    cuts them.

    Args:
        p: Probability in [0, 1].

    Example:
        >>> ae.Policy(ae.RandomEqualize(p=1)).sample([0], [(32, 32)]).explain(0)
        'equalized'
    """

    p: Probability = 0.5

    def _decide(self, draft, rows, place):
        actions.equalize(draft, chosen(draft, rows, place, self.p))


@dataclass(frozen=True, repr=False)
class RandomInvert(Op):
    """Turn each value into 1 − value, with probability p. Equals torchvision's.

    Args:
        p: Probability in [0, 1].

    Example:
        >>> ae.Policy(ae.RandomInvert(p=1)).sample([0], [(32, 32)]).explain(0)
        'inverted'
    """

    p: Probability = 0.5

    def _decide(self, draft, rows, place):
        actions.invert(draft, chosen(draft, rows, place, self.p))


@dataclass(frozen=True, repr=False)
class RandomPosterize(Op):
    """Keep the upper bits of each byte, with probability p. Equals torchvision's, whose floats are cut
    to 2^bits levels from 0 on, the highest of them below 1; but that 8 bits leave floats as they are.

    Args:
        bits: Whole number of bits to keep of eight, 0 … 8; 0 leaves black.
        p: Probability in [0, 1].

    Example:
        >>> ae.Policy(ae.RandomPosterize(4, p=1)).sample([0], [(32, 32)]).explain(0)
        'posterized to 4 bits'
    """

    bits: Annotated[int, Custom(_bits, "whole, 0 … 8", unit="bits", of=(("", WholeNumber(0, 8)),))]
    p: Probability = 0.5

    def _decide(self, draft, rows, place):
        rows, _ = acting(draft, rows, place, self.p, 0)
        actions.posterize(draft, rows, np.round(pulled(self.bits, 8, draft.strength[rows])))


@dataclass(frozen=True, repr=False)
class RandomSolarize(Op):
    """Invert what is at least as bright as a threshold, with probability p. Equals torchvision's.

    Args:
        threshold: Brightness in the units of the images, 0 or more, or a byte as text, such as '#80'; of
            bytes 256 inverts nothing.
        p: Probability in [0, 1].

    Raises:
        ValueError: When it is sampled: the threshold is above what images of their dtype have.

    Example:
        >>> ae.Policy(ae.RandomSolarize(128, p=1)).sample([0], [(32, 32)]).explain(0)
        'solarized from 128.0'
    """

    threshold: Threshold
    p: Probability = 0.5

    def _decide(self, draft, rows, place):
        threshold = draft.in_bytes("RandomSolarize.threshold", kept(self.threshold), above=1)
        rows, _ = acting(draft, rows, place, self.p, 0)
        actions.solarize(draft, rows, pulled(threshold, 256, draft.strength[rows]))


@dataclass(frozen=True, repr=False)
class RandomSolarizeAdd(Op):
    """Add to what is darker than the byte 128, with probability p (timm, after TensorFlow's EfficientNet).
    Of float images in values, 255 bytes being 1.

    Args:
        add: Number to add in the units of the images, or (lowest, highest), or a byte as text, such as
            '#6e', which is 110.
        p: Probability in [0, 1].

    Raises:
        ValueError: When it is sampled: a number is beyond what images of their dtype have.

    Example:
        >>> ae.Policy(ae.RandomSolarizeAdd(110, p=1)).sample([0], [(32, 32)]).explain(0)
        'dark tones +110'
    """

    add: Annotated[
        Limits | str,
        Custom(_added, "one, (lowest, highest), or a byte as text", unit="units of the images"),
    ] = "#6e"
    p: Probability = 0.5

    def _decide(self, draft, rows, place):
        limits = draft.in_bytes("RandomSolarizeAdd.add", kept(self.add))
        rows, uniform = acting(draft, rows, place, self.p, 1)
        add = magnitude(uniform[:, 0], np.resize(limits, 2), 0, draft.strength[rows])
        actions.solarize_add(draft, rows, np.round(add))


@dataclass(frozen=True, repr=False)
class RandomGamma(Op):
    """Raise each value to a power, with probability p. Equals torchvision's adjust_gamma, of bytes to a
    rounding. Where a value is 0, the gradient of a power below 1 is taken for 0.

    Args:
        gamma: Exponents (lowest, highest) in [0.001, 1000], drawn log-uniformly, or one number. Below 1
            the image becomes brighter.
        p: Probability in [0, 1].
        gain: Factor of the result in [0, 1000], which is then brought to within [0, 1].

    Example:
        >>> ae.Policy(ae.RandomGamma(0.5)).sample([0], [(32, 32)]).explain(0)
        'gamma 0.50'
    """

    gamma: Annotated[Limits, OneOrInterval(1e-3, 1e3)] = (0.8, 1.25)
    p: Probability = 1.0
    gain: Annotated[float, Number(0, 1e3)] = 1.0

    def _decide(self, draft, rows, place):
        rows, uniform = acting(draft, rows, place, self.p, 1)
        strength = draft.strength[rows]
        log_gamma = magnitude(uniform[:, 0], logs(*kept(self.gamma)), 0, strength)
        actions.gamma(draft, rows, exp(log_gamma), pulled(self.gain, 1, strength))
