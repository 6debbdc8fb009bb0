"""timm's strings for its auto-augmentation, such as "rand-m9-mstd0.5-inc1", as ops."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..policy.ops import AugMix, AutoAugment, RandAugment, ThreeAugment
from ..policy.ops.auto import TIMM_LEVELS
from ..policy.ops.op import Op

AUTO_AUGMENT = ("original", "originalr", "v0", "v0r")
TRANSFORM_SETS = ("3a", "3aw", "weights")
# What timm knows: the sections that may follow each beginning, and how their numbers are read.
SECTIONS: dict[str, dict[str, Callable[[str], Any]]] = {
    "rand": {"m": int, "n": int, "p": float, "mstd": float, "mmax": int, "inc": int, "t": str},
    "augmix": {"m": int, "w": int, "d": int, "a": float, "b": int, "mstd": float},
    **{kind: {"mstd": float} for kind in (*AUTO_AUGMENT, "3a")},
}
UNIFORM = 100  # a greater mstd of RandAugment asks for uniform magnitudes


def from_timm(config: str, *, image_mean=None) -> Op:
    """The op that says what one of timm's strings does, in timm's dialect and with its defaults.

    config: "rand-…", "augmix-…", "3a", or "original", "originalr", "v0", "v0r", perhaps with
    "-mstd…". image_mean: the fill, (r, g, b) or one number, 0 … 255; None is timm's grey, 128.
    (timm's create_transform passes its mean, in bytes.)

    As timm, it cuts a magnitude to mmax, 10 by default. timm adds mstd's noise before it cuts;
    that can be said where the noise does not matter, four deviations above mmax or more. A section
    that timm would pass over in silence, such as "inc" without a number, is an error here. timm's
    AugMix translates by 0.3 of the size, as in create_transform; timm's bare strings by 0.45.

    Raises ValueError for what timm does not know either, for its blended AugMix, and for mstd
    where the op has none.
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
    given = _read(config, kind, sections)
    if kind == "rand":
        return _rand_augment(config, given, image_mean)
    if kind == "augmix":
        return _aug_mix(config, given, image_mean)
    std = given.get("mstd", 0.0)
    if kind == "3a":
        if std:
            raise _cannot(config, "noise on 3-Augment", "its fixed magnitudes", "Leave mstd out")
        return ThreeAugment()
    if std > UNIFORM:
        # There timm means a normal spread as wide as that, which is 0 or 10 and little else.
        raise _cannot(config, f"a spread of {std:g} levels", "100 or less", "Pass less")
    return AutoAugment(kind, fill=image_mean, dialect="timm", magnitude_std=std)


def _rand_augment(config: str, given: dict[str, Any], fill) -> Op:
    magnitude, most = given.get("m", TIMM_LEVELS), given.get("mmax") or TIMM_LEVELS
    std = given.get("mstd", 0.0)
    if magnitude > most and std:
        if std > UNIFORM or magnitude - 4 * std < most:
            raise _cannot(
                config,
                f"magnitude {magnitude} above {most} with noise that reaches below it",
                "one or the other",
                f"Pass m{most}, or a greater mmax",
            )
        std = 0.0
    choices = given.get("t")
    if choices not in (None, *TRANSFORM_SETS):
        raise ValueError(
            f"from_timm: {config!r} has the transforms {choices!r}, expected one of "
            f"{', '.join(TRANSFORM_SETS)}. Leave t out for the usual fifteen."
        )
    return RandAugment(
        given.get("n", 2),
        min(magnitude, most),
        fill=fill,
        dialect="timm",
        p=given.get("p", 0.5),
        magnitude_std=std,
        max_magnitude=None if most == TIMM_LEVELS else most,
        increasing=bool(given.get("inc", 0)),
        choices=choices,
    )


def _aug_mix(config: str, given: dict[str, Any], fill) -> Op:
    severity = given.get("m", 3)
    if given.get("b"):
        raise _cannot(config, "blended chains (b1)", "chains that are mixed at the end", "Pass b0")
    if "mstd" in given:
        raise _cannot(config, "normal noise on AugMix (mstd)", "uniform levels", "Leave mstd out")
    return AugMix(
        severity,
        given.get("w", 3),
        given.get("d", -1) or -1,  # timm draws the depth for 0 as well
        given.get("a", 1.0),
        fill=fill,
        dialect="timm",
    )


def _read(config: str, kind: str, sections: list[str]) -> dict[str, Any]:
    """{section: number or word}."""
    known, given = SECTIONS[kind], {}
    for section in sections:
        if kind == "rand" and section.startswith("t"):
            key, text = "t", section[1:]
        else:
            key, text = (*re.split(r"(\d.*)", section), "")[:2]
        if key not in known or key in given:
            again = " after another" if key in given else ""
            raise ValueError(
                f"from_timm: {config!r} has the section {section!r}{again}, expected each of "
                f"{', '.join(known)} once at most. Leave it out."
            )
        try:
            given[key] = known[key](text)
        except ValueError:
            wanted = "a whole number" if known[key] is int else "a number"
            raise ValueError(
                f"from_timm: {config!r} has {section!r}, expected {wanted} after {key!r}. Write "
                "it so."
            ) from None
    return given


def _cannot(config: str, came: str, expected: str, remedy: str) -> ValueError:
    return ValueError(
        f"from_timm: {config!r} asks for {came}, which augengine does not have, expected "
        f"{expected}. {remedy}."
    )
