"""timm's strings for its auto-augmentation, such as "rand-m9-mstd0.5-inc1", as ops."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from ..policy.ops import AugMix, AutoAugment, RandAugment, ThreeAugment
from ..policy.ops.auto import TIMM_LEVELS
from ..policy.ops.op import Op

AUTO_AUGMENT = ("original", "originalr", "v0", "v0r")
TRANSFORM_SETS = ("3a", "3aw", "weights")
# The sections that timm takes after each beginning, and how the number of each is read.
SECTIONS: dict[str, dict[str, Callable[[str], Any]]] = {
    "rand": {"m": int, "n": int, "p": float, "mstd": float, "mmax": int, "inc": int, "t": str},
    "augmix": {"m": int, "w": int, "d": int, "a": float, "b": int, "mstd": float},
    **{kind: {"mstd": float} for kind in (*AUTO_AUGMENT, "3a")},
}
UNIFORM = 100  # a greater mstd of RandAugment means uniform magnitudes

Colour = float | Sequence[float]


def from_timm(config: str, *, image_mean: Colour | None = None) -> Op:
    """The op that does what one of timm's strings does, in timm's dialect and with its defaults.

    The grammar and the defaults are those of timm.data.auto_augment (timm 1.0). As timm, it cuts a
    magnitude to mmax, 10 by default. The op differs from the string in this:

    - timm adds the noise of mstd before it cuts. An op says that where the noise does not matter: four
      deviations above mmax or more.
    - A section that timm passes over in silence, such as "inc" without a number, is an error here.
    - timm's AugMix translates by 0.3 of the size, as in timm's create_transform; timm's bare strings
      translate by 0.45.

    Args:
        config: "rand-…", "augmix-…", "3a", or "original", "originalr", "v0", "v0r", each of the four
            perhaps with "-mstd…".
        image_mean: Fill, (r, g, b) or one number, in [0, 255]; None is timm's grey, 128. timm's
            create_transform passes the mean of its images, in bytes.

    Returns:
        A RandAugment, AugMix, ThreeAugment or AutoAugment.

    Raises:
        ValueError: When timm does not know the string either, for its blended AugMix, and for mstd
            where the op has none.
        TypeError: When `config` is no string.

    Example:
        >>> op = ae.from_timm("rand-m9-n3-mstd0.5-inc1")
        >>> type(op).__name__, op.num_ops, op.magnitude_std
        ('RandAugment', 3, 0.5)
        >>> policy = ae.Policy([ae.RandomResizedCrop(32), op])
        >>> policy.sample(ids=range(4), sizes=[(60, 80)] * 4).shape
        (4, 3, 32, 32)
    """
    if not isinstance(config, str):
        raise TypeError(
            f"from_timm: got {config!r}, expected a string. Pass one like 'rand-m9-mstd0.5-inc1'."
        )
    kind, *sections = config.split("-")
    if kind not in SECTIONS:
        raise ValueError(
            f"from_timm: {config!r} begins with {kind!r}, expected one of {', '.join(SECTIONS)}. "
            "Begin with one of these."
        )
    values = _read(config, kind, sections)
    if kind == "rand":
        return _rand_augment(config, values, image_mean)
    if kind == "augmix":
        return _aug_mix(config, values, image_mean)
    std = values.get("mstd", 0.0)
    if kind == "3a":
        if std:
            raise _cannot(config, "noise on 3-Augment", "its fixed magnitudes", "Leave mstd out")
        return ThreeAugment()
    if std > UNIFORM:
        # There timm means a normal spread as wide as that, which is 0 or 10 and little else.
        raise _cannot(config, f"a spread of {std:g} levels", "100 or less", "Pass less")
    return AutoAugment(kind, fill=image_mean, dialect="timm", magnitude_std=std)


def _rand_augment(config: str, values: dict[str, Any], fill: Colour | None) -> Op:
    magnitude, most = values.get("m", TIMM_LEVELS), values.get("mmax") or TIMM_LEVELS
    std = values.get("mstd", 0.0)
    if magnitude > most and std:
        if std > UNIFORM or magnitude - 4 * std < most:
            raise _cannot(
                config,
                f"magnitude {magnitude} above {most} with noise that reaches below it",
                "one or the other",
                f"Pass m{most}, or a greater mmax",
            )
        std = 0.0
    choices = values.get("t")
    if choices not in (None, *TRANSFORM_SETS):
        raise ValueError(
            f"from_timm: {config!r} has the transforms {choices!r}, expected one of "
            f"{', '.join(TRANSFORM_SETS)}. Leave t out for the usual fifteen."
        )
    return RandAugment(
        values.get("n", 2),
        min(magnitude, most),
        fill=fill,
        dialect="timm",
        p=values.get("p", 0.5),
        magnitude_std=std,
        max_magnitude=None if most == TIMM_LEVELS else most,
        increasing=bool(values.get("inc", 0)),
        choices=choices,
    )


def _aug_mix(config: str, values: dict[str, Any], fill: Colour | None) -> Op:
    severity = values.get("m", 3)
    if values.get("b"):
        raise _cannot(config, "blended chains (b1)", "chains that are mixed at the end", "Pass b0")
    if "mstd" in values:
        raise _cannot(config, "normal noise on AugMix (mstd)", "uniform levels", "Leave mstd out")
    return AugMix(
        severity,
        values.get("w", 3),
        values.get("d", -1) or -1,  # timm draws the depth for 0 as well
        values.get("a", 1.0),
        fill=fill,
        dialect="timm",
    )


def _read(config: str, kind: str, sections: list[str]) -> dict[str, Any]:
    """The sections of a string: {name: number or word}."""
    known = SECTIONS[kind]
    values: dict[str, Any] = {}
    for section in sections:
        if kind == "rand" and section.startswith("t"):
            name, text = "t", section[1:]
        else:
            name, text = (*re.split(r"(\d.*)", section), "")[:2]
        if name not in known or name in values:
            again = " after another" if name in values else ""
            raise ValueError(
                f"from_timm: {config!r} has the section {section!r}{again}, expected each of "
                f"{', '.join(known)} once at most. Leave it out."
            )
        try:
            values[name] = known[name](text)
        except ValueError:
            expected = "a whole number" if known[name] is int else "a number"
            raise ValueError(
                f"from_timm: {config!r} has {section!r}, expected {expected} after {name!r}. Write "
                "it so."
            ) from None
    return values


def _cannot(config: str, came: str, expected: str, remedy: str) -> ValueError:
    """The error of a string that no op does."""
    return ValueError(
        f"from_timm: {config!r} asks for {came}, which augengine does not have, expected "
        f"{expected}. {remedy}."
    )
