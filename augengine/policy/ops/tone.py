"""Ops on tones: curves over the 256 bytes, and what is measured from the image itself.

Names and arguments are torchvision's where it has the op. Strength acts on how often they happen
where there is no magnitude to pull.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from ...checks import whole
from ...elementary import exp, logs
from . import actions
from .arguments import Custom, Limits, Number, OneOrInterval, Probability, kept
from .op import Op
from .strength import acting, chosen, magnitude, pulled


def _bits(where: str, value: Any) -> int:
    if not whole(value) or not 0 <= value <= 8:
        raise ValueError(
            f"{where}: got {value!r}, expected a whole number 0 … 8. Pass how many of the eight bits to "
            "keep."
        )
    return int(value)


@dataclass(frozen=True, repr=False)
class RandomAutocontrast(Op):
    """Stretch each channel's range to the full one, with probability p. Of bytes in whole numbers, as
    torchvision and PIL; the range is that of the part of the source in the frame.

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
    """Level each channel's histogram, with probability p. It is PIL's, in whole numbers, over the part
    of the source in the frame.

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
    """Keep the upper bits of each byte, with probability p. Equals torchvision's.

    Args:
        bits: Whole number of bits to keep of eight, 0 … 8; 0 leaves black.
        p: Probability in [0, 1].

    Example:
        >>> ae.Policy(ae.RandomPosterize(4, p=1)).sample([0], [(32, 32)]).explain(0)
        'posterized to 4 bits'
    """

    bits: Annotated[int, Custom(_bits, "whole, 0 … 8", unit="bits")]
    p: Probability = 0.5

    def _decide(self, draft, rows, place):
        rows, _ = acting(draft, rows, place, self.p, 0)
        actions.posterize(draft, rows, np.round(pulled(self.bits, 8, draft.strength[rows])))


@dataclass(frozen=True, repr=False)
class RandomSolarize(Op):
    """Invert what is at least as bright as a threshold, with probability p. Equals torchvision's, which
    takes the threshold of float images in [0, 1].

    Args:
        threshold: Brightness in bytes, in [0, 256], of float images too; 256 inverts nothing.
        p: Probability in [0, 1].

    Example:
        >>> ae.Policy(ae.RandomSolarize(128, p=1)).sample([0], [(32, 32)]).explain(0)
        'solarized from 128.0'
    """

    threshold: Annotated[float, Number(0, 256, unit="bytes")]
    p: Probability = 0.5

    def _decide(self, draft, rows, place):
        rows, _ = acting(draft, rows, place, self.p, 0)
        actions.solarize(draft, rows, pulled(self.threshold, 256, draft.strength[rows]))


@dataclass(frozen=True, repr=False)
class RandomSolarizeAdd(Op):
    """Add to what is darker than 128, with probability p (timm, after TensorFlow's EfficientNet).

    Args:
        add: Bytes to add in [-255, 255], one number or (lowest, highest).
        p: Probability in [0, 1].

    Example:
        >>> ae.Policy(ae.RandomSolarizeAdd(110, p=1)).sample([0], [(32, 32)]).explain(0)
        'dark tones +110'
    """

    add: Annotated[Limits, OneOrInterval(-255, 255, unit="bytes")] = 110
    p: Probability = 0.5

    def _decide(self, draft, rows, place):
        rows, uniform = acting(draft, rows, place, self.p, 1)
        add = magnitude(uniform[:, 0], self.add, 0, draft.strength[rows])
        actions.solarize_add(draft, rows, np.round(add))


@dataclass(frozen=True, repr=False)
class RandomGamma(Op):
    """Raise each value to a power, with probability p. Equals torchvision's adjust_gamma.

    Args:
        gamma: Exponents (lowest, highest) in [0.001, 1000], drawn log-uniformly, or one number. Below 1
            the image becomes brighter.
        p: Probability in [0, 1].

    Example:
        >>> ae.Policy(ae.RandomGamma(0.5)).sample([0], [(32, 32)]).explain(0)
        'gamma 0.50'
    """

    gamma: Annotated[Limits, OneOrInterval(1e-3, 1e3)] = (0.8, 1.25)
    p: Probability = 1.0

    def _decide(self, draft, rows, place):
        rows, uniform = acting(draft, rows, place, self.p, 1)
        log_gamma = magnitude(uniform[:, 0], logs(*kept(self.gamma)), 0, draft.strength[rows])
        actions.gamma(draft, rows, exp(log_gamma))
