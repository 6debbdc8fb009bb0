"""timm's strings for its auto-augmentation, such as "rand-m9-mstd0.5-inc1", as ops.

`from_timm` says what it means; its objects come here too, as the values that a string would have.
"""

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


def read_string(config: str, image_mean: Colour | None) -> Op:
    """The op that does what a string does."""
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
    std = noise_within(magnitude, values.get("mstd", 0.0), most)
    if std is None:
        raise _cannot(
            config,
            f"magnitude {magnitude} above {most} with noise that reaches below it",
            "one or the other",
            f"Pass m{most}, or a greater mmax",
        )
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


def noise_within(magnitude: float, std: float, most: float) -> float | None:
    """The noise of a magnitude that is cut to `most`; None where the cut comes after noise that matters,
    which no op says."""
    if magnitude <= most or not std:
        return std
    return None if std > UNIFORM or magnitude - 4 * std < most else 0.0


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
