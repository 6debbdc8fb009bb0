"""How a model's weights expect their pixels: what they were normalised and resized with."""

from __future__ import annotations

from typing import Any, NamedTuple

import timm

from ..plan.kinds import GREY
from ..policy.ops import Normalize
from ..policy.policy import Policy
from . import models

INTERPOLATIONS = ("bilinear", "bicubic", "nearest")


class Inputs(NamedTuple):
    """Mean and standard deviation of each channel, of values in [0, 1], and the filter of a resize.

    Args:
        mean: One number for each channel.
        std: As many, above 0.
        interpolation: Filter's name; None is a policy's own, bilinear.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str | None = None

    def in_words(self) -> str:
        """What is expected, for people."""
        return f"mean {self.mean}, std {self.std} and a {self.interpolation or 'bilinear'} resize"

    def of(self, channels: int) -> Inputs | None:
        """The same for images of so many channels; None where nobody says what that would be.

        Of grey images three means are their luma. One mean is each channel's.
        """
        if len(self.mean) == channels:
            return self
        if len(self.mean) == 1:
            return self._replace(mean=self.mean * channels, std=self.std * channels)
        if (len(self.mean), channels) == (3, 1):
            return self._replace(mean=(_luma(self.mean),), std=(_luma(self.std),))
        return None


def _luma(values: tuple[float, ...]) -> float:
    """The luma of three numbers; of three alike it is that number to the bit."""
    red = values[0]
    return red + sum(w * (v - red) for w, v in zip(GREY, values, strict=True)) / sum(GREY)


def expected(spec: str) -> Inputs | None:
    """What the weights of a model expect, by what is known of them.

    Args:
        spec: Model, as `models.create` takes it.

    Returns:
        Of a file that a run wrote, what its policy says; of timm's weights, what timm's configuration of
        them says; None of random weights, and where neither says it.

    Raises:
        ValueError: When a run's file is damaged.
        OSError: When it is not there.
    """
    if models.is_random(spec):
        return None
    name, file = models.name_and_file(spec)
    said = models.notes_of(file).get("policy") if file is not None else None
    return _of_timm(name) if said is None else of_policy(said, spec)


def of_policy(text: str, where: str) -> Inputs | None:
    """What a policy says, as YAML; None where it does not normalise.

    Args:
        text: YAML, as `Policy.to_yaml` writes it.
        where: What holds it, for messages.

    Raises:
        ValueError: When it is no policy.
    """
    try:
        policy = Policy.from_yaml(text)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{where} holds a policy that cannot be read ({error}). Get the file anew, or name another."
        ) from None
    interpolations = [getattr(op, "interpolation", None) for op in policy.transforms]
    for op in policy.transforms:
        if isinstance(op, Normalize):
            mean, std = ((v,) if isinstance(v, (int, float)) else v for v in (op.mean, op.std))
            named = (str(i) for i in interpolations if i in INTERPOLATIONS)
            return Inputs(tuple(map(float, mean)), tuple(map(float, std)), next(named, None))
    return None


def _of_timm(name: str) -> Inputs | None:
    configuration: Any = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if configuration is None or not configuration.mean or not configuration.std:
        return None
    filter_name = configuration.interpolation
    # Bilinear is a policy's own, and is not said in it.
    named = filter_name if filter_name in INTERPOLATIONS and filter_name != "bilinear" else None
    return Inputs(tuple(configuration.mean), tuple(configuration.std), named)
