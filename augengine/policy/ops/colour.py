"""Ops on colour, and the normalisation that ends a policy. Values are in [0, 1].

Names and arguments are torchvision's. Every step clamps to [0, 1]; nothing is rounded in between.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Annotated, Any

import numpy as np

from ...checks import any_true, interval, number, several
from ...plan.kinds import GREY
from . import actions
from .actions import Operation
from .arguments import (
    BOUNDLESS,
    Custom,
    Limits,
    Number,
    OneOrInterval,
    Probability,
    Spread,
    ends,
    kept,
)
from .op import LAYER, Op
from .strength import acting, chosen, magnitude
from .unfused import Finishing, Normalized, Unfused


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


_Factors = Annotated[Limits | None, Custom(_factors, "0 or more", of=ends(Number(0)))]
_Numbers = Annotated[float | Sequence[float], Custom(_numbers, "one number, or one a channel")]


@dataclass(frozen=True, repr=False)
class ColorJitter(Op):
    """Change brightness, contrast, saturation and hue, in a random order for every sample. Equals
    torchvision's ColorJitter for the same factors and order, but for its rounding to whole numbers
    between steps on bytes. Contrast's mean is taken over the part of the source in the frame: of the
    luma in RGB, otherwise each channel's own.

    Args:
        brightness: Factors (lowest, highest), 0 or more, or a number f for [max(0, 1 − f), 1 + f].
            None leaves the brightness as it is.
        contrast: Factors, as for brightness.
        saturation: Factors, as for brightness. Grey images stay as they are.
        hue: Turns of the colour circle within ±0.5, (lowest, highest), or a number h for [−h, h].
            None leaves the hue as it is. Grey images stay as they are.

    Raises:
        ValueError: A factor is negative, or a hue outside ±0.5; when it is sampled: saturation or hue of
            images that are neither RGB nor grey.

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
        does = [
            (k, act, magnitude(uniform[:, k], limits, neutral, strength))
            for k, (limits, act, neutral) in enumerate(steps)
            if limits is not None
        ]
        for now in order.T:  # what each sample does first, then what it does second …
            operations = []
            for k, act, amount in does:
                which = (now == k).nonzero()[0]
                operations.append(Operation(act, rows.take(which), (amount.take(which),)))
            actions.carry_out(draft, operations)


@dataclass(frozen=True, repr=False)
class RandomPhotometricDistort(Op):
    """Change brightness, contrast, saturation and hue, each with probability p, and put the channels in a
    random order with probability p (Liu et al. 2016, SSD). Contrast comes before saturation and hue, or
    after them, as often. Equals torchvision's RandomPhotometricDistort, but for its rounding to whole
    numbers between steps on bytes. Grey images keep their one channel, which has no saturation or hue.

    Args:
        brightness: Factors (lowest, highest), 0 or more, or a number f for [max(0, 1 − f), 1 + f].
        contrast: Factors, as for brightness: 0 or more.
        saturation: Factors, as for brightness: 0 or more.
        hue: Turns of the colour circle within ±0.5, (lowest, highest), or a number h for [−h, h].
        p: Probability in [0, 1] of each change.

    Raises:
        ValueError: A factor is negative, or a hue outside ±0.5; when it is sampled: images are neither
            RGB nor grey.

    Example:
        >>> ae.Policy(ae.RandomPhotometricDistort()).sample([0], [(32, 32)]).explain(0)
        'saturation ×1.37, hue -0.04, channels 1, 0, 2'
    """

    brightness: Annotated[Limits, Custom(_factors, "0 or more", of=ends(Number(0)))] = (
        0.875,
        1.125,
    )
    contrast: Annotated[Limits, Custom(_factors, "0 or more", of=ends(Number(0)))] = (0.5, 1.5)
    saturation: Annotated[Limits, Custom(_factors, "0 or more", of=ends(Number(0)))] = (0.5, 1.5)
    hue: Annotated[Limits, Spread(-0.5, 0.5, unit="turns")] = (-0.05, 0.05)
    p: Probability = 0.5

    def _decide(self, draft, rows, place):
        actions.needs_rgb(draft, "RandomPhotometricDistort")
        uniform, strength = draft.uniform(place, 13, rows), draft.strength[rows]
        acts, first = uniform[:, :4] < self.p, uniform[:, 8] < 0.5
        for k, limits, act, neutral, turn in (
            (0, self.brightness, actions.brightness, 1, True),
            (1, self.contrast, actions.contrast, 1, first),
            (2, self.saturation, actions.saturation, 1, True),
            (3, self.hue, actions.hue, 0, True),
            (1, self.contrast, actions.contrast, 1, ~first),
        ):
            now = acts[:, k] & turn
            if any_true(now):
                factor = magnitude(uniform[now, 4 + k], limits, neutral, strength[now])
                act(draft, rows[now], factor)
        now = uniform[:, 9] < self.p * strength
        actions.permute(draft, rows[now], *np.argsort(uniform[now, 10:], axis=1, kind="stable").T)


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
    """Turn all channels into the luma 0.2989 R + 0.587 G + 0.114 B, with probability p. Grey images stay
    as they are. Equals torchvision's.

    Args:
        p: Probability in [0, 1].

    Raises:
        ValueError: When it is sampled: images are neither RGB nor grey.

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
    """Take a share of the colour away, with probability p. Grey images stay as they are. (timm's
    Desaturate.)

    Args:
        amount: Share in [0, 1], one number or (lowest, highest); 1 gives grey.
        p: Probability in [0, 1].

    Raises:
        ValueError: When it is sampled: images are neither RGB nor grey.

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
    """Put the colour channels in a random order, with probability p. Grey images stay as they are.
    (torchvision's has no p.)

    Args:
        p: Probability in [0, 1].

    Raises:
        ValueError: When it is sampled: images are neither RGB nor grey.

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
class Normalize(Finishing):
    """Turn values in [0, 1], as bytes are by then too, into (x − mean) / std, the last thing done to an
    output. Only CutMix, MixUp and RandomErasing may follow it in a policy, and a Stage; a RandomErasing
    that does takes its value in normalised units. It may follow what is not fused, as JPEG, and is then
    not fused either.

    Args:
        mean: Mean, one number, or one for each channel. Of grey images three are taken too: their luma
            0.2989 R + 0.587 G + 0.114 B.
        std: Standard deviation above 0, one number, or one for each channel, as for mean.
        inplace: Whether torchvision would write into its input. It changes nothing here.

    Raises:
        ValueError: There are not as many of each, a std is not above 0, or a mean is above 1, which is one
            of bytes; when it is sampled: images have another number of channels.

    Example:
        >>> normalize = ae.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        >>> ae.Policy([ae.Resize((8, 8)), normalize]).sample([0], [(32, 32)]).finish.std
        (0.229, 0.224, 0.225)
    """

    mean: _Numbers
    std: _Numbers
    inplace: bool = False
    stages = (LAYER, LAYER)

    def _check(self) -> None:
        mean, std = kept(self.mean), kept(self.std)
        if len(mean) != len(std) or min(std, default=0) < 1 / BOUNDLESS:
            raise ValueError(
                f"Normalize: got mean {_in_words(mean)} and std {_in_words(std)}, expected as many "
                "of each, and std above 0. Pass one number, or one for each channel."
            )
        if max(mean) > 1:
            raise ValueError(
                f"Normalize.mean: got {_in_words(mean)}, expected means of values in [0, 1], which they are by "
                "then, of byte images too. Divide mean and std by 255, or by what is 1 in your images."
            )

    def _decide(self, draft, rows, place):
        mean, std = kept(self.mean), kept(self.std)
        if (draft.channels, len(mean)) == (1, 3):
            mean, std = ((sum(w * v for w, v in zip(GREY, of, strict=True)),) for of in (mean, std))
        if len(mean) not in (1, draft.channels_left):
            raise ValueError(
                f"Normalize: got {len(mean)} means, the images have {draft.channels_left} channels. "
                f"Pass {draft.channels_left} or one."
            )
        draft.normalized = True
        if not draft.unfused:
            times = draft.channels // len(mean)
            draft.mean, draft.std = mean * times, std * times

    def _unfused(self) -> Unfused:
        return Normalized(kept(self.mean), kept(self.std))
