"""The published search spaces, as tables: which operations, how strong at which level.

torchvision's dialect counts in bins: level i of `bins` is entry i of linspace(low, high, bins). timm's
counts in tenths: level 10 is the strongest. The others draw a share of a range. The tests read the
installed torchvision and timm and compare.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from . import actions


@dataclass(frozen=True, eq=False)
class Entry:
    """An operation at a level.

    act: of `actions`. value(level, bins, sign, frame): the magnitude, arrays [n], for sign −1 or 1
    and frames [n, 2]; None for an operation that has none. neutral: the magnitude at which
    nothing happens, towards which strength pulls. signed: whether the sign is drawn. whole: whether
    the magnitude is a whole number of bits or bytes.
    """

    act: actions.Action | None
    value: Callable | None = None
    neutral: float = 0.0
    signed: bool = False
    whole: bool = False


IDENTITY = Entry(None)
AUTOCONTRAST, EQUALIZE = Entry(actions.autocontrast), Entry(actions.equalize)
INVERT = Entry(actions.invert)


# torchvision


def linspace(low, high, bins, level):
    """torch.linspace(low, high, bins)[level], to the bit; levels between two bins lie on the line.

    low, high: numbers or arrays [n]; level: [n] in [0, bins − 1].
    """
    if level.dtype == np.int64 and not isinstance(high, np.ndarray):
        return _table(low, high, bins)[level]
    return _on_line(low, high, bins, level)


@cache
def _table(low, high, bins):
    return _on_line(low, high, bins, np.arange(bins))


def _on_line(low, high, bins, level):
    low, high = np.float32(low), np.float32(high)
    last = np.float32(bins - 1)
    step = (high - low) / last
    # torch counts the second half down from the end.
    up = (low + step * level.astype(np.float64)).astype(np.float32)
    down = (high - step * (last - level).astype(np.float64)).astype(np.float32)
    return np.where(level < bins // 2, up, down).astype(np.float64)


def _signed(act, high, of=None, cut=False):
    """0 … high, to both sides; of: 0 or 1, the frame's height or width, of which it is a share."""

    def value(level, bins, sign, frame):
        most = high if of is None else high * frame[:, of]
        if of is not None and (frame[:, of] == frame[0, of]).all():
            most = float(most[0])  # of one size, as most batches are
        size = linspace(0.0, most, bins, level)
        return sign * (np.trunc(size) if cut else size) + 0.0  # so that none is −0

    return Entry(act, value, signed=True)


def _enhance(act, most):
    """A factor 1 ± 0 … most."""
    return Entry(
        act, lambda level, bins, sign, frame: 1 + sign * linspace(0, most, bins, level), 1, True
    )


def _posterize(most, least):
    """most … least bits are kept."""

    def value(level, bins, sign, frame):
        per_bit = np.float32((bins - 1) / (most - least))
        return np.round(most - level.astype(np.float32) / per_bit).astype(np.float64)

    return Entry(actions.posterize, value, 8, whole=True)


_SOLARIZE = Entry(
    actions.solarize, lambda level, bins, sign, frame: 255 * linspace(1, 0, bins, level), 256
)


def _torchvision(shear, translate, rotate, enhance, bits, **more):
    """translate: (horizontal, vertical) entries."""
    return {
        "ShearX": _signed(actions.shear_x, shear),
        "ShearY": _signed(actions.shear_y, shear),
        "TranslateX": translate[0],
        "TranslateY": translate[1],
        "Rotate": _signed(actions.rotate, rotate),
        "Brightness": _enhance(actions.brightness, enhance),
        "Color": _enhance(actions.saturation, enhance),
        "Contrast": _enhance(actions.contrast, enhance),
        "Sharpness": _enhance(actions.sharpness, enhance),
        "Posterize": _posterize(*bits),
        "Solarize": _SOLARIZE,
        "AutoContrast": AUTOCONTRAST,
        "Equalize": EQUALIZE,
        **more,
    }


def _shares(share):
    return (
        _signed(actions.translate_x, share, of=1, cut=True),
        _signed(actions.translate_y, share, of=0, cut=True),
    )


_32_PIXELS = (
    _signed(actions.translate_x, 32.0, cut=True),
    _signed(actions.translate_y, 32.0, cut=True),
)
_OF_331 = _shares(150.0 / 331.0)

RAND_AUGMENT = {"Identity": IDENTITY, **_torchvision(0.3, _OF_331, 30, 0.9, (8, 4))}
TRIVIAL_AUGMENT_WIDE = {
    "Identity": IDENTITY,
    **_torchvision(0.99, _32_PIXELS, 135, 0.99, (8, 2)),
}
AUTO_AUGMENT = _torchvision(0.3, _OF_331, 30, 0.9, (8, 4), Invert=INVERT)
AUG_MIX = _torchvision(0.3, _shares(1 / 3), 30, 0.9, (4, 0))
ENHANCEMENTS = ("Brightness", "Color", "Contrast", "Sharpness")


# timm


def _timm(act, value, **how):
    """value(level / 10, sign)."""
    return Entry(act, lambda level, bins, sign, frame: value(level / 10, sign), **how)


def _timm_share(act, share, of):
    return Entry(
        act, lambda level, bins, sign, frame: sign * share * level / 10 * frame[:, of], signed=True
    )


def _timm_enhance(act, name):
    """Level 5 is neutral; "increasing": level 0 is, and both sides grow from there."""
    return {
        name: _timm(act, lambda t, sign: 0.1 + 1.8 * t, neutral=1),
        f"{name}Increasing": _timm(
            act, lambda t, sign: np.maximum(0.1, 1 + 0.9 * sign * t), neutral=1, signed=True
        ),
    }


def _bits(act_value):
    return _timm(actions.posterize, act_value, neutral=8, whole=True)


def _threshold(act_value):
    return _timm(actions.solarize, act_value, neutral=256, whole=True)


def _minmax(low, high):
    """A level of ten as a magnitude between two, clamped."""
    return lambda t, sign: np.clip(low + (high - low) * t, low, high)


TIMM = {
    "AutoContrast": AUTOCONTRAST,
    "Equalize": EQUALIZE,
    "Invert": INVERT,
    "Rotate": _timm(actions.rotate, lambda t, sign: 30 * sign * t, signed=True),
    "Posterize": _bits(lambda t, sign: np.trunc(4 * t)),
    "PosterizeIncreasing": _bits(lambda t, sign: 4 - np.trunc(4 * t)),
    "PosterizeOriginal": _bits(lambda t, sign: 4 + np.trunc(4 * t)),
    "Solarize": _threshold(lambda t, sign: np.minimum(256, np.trunc(256 * t))),
    "SolarizeIncreasing": _threshold(lambda t, sign: 256 - np.minimum(256, np.trunc(256 * t))),
    "SolarizeAdd": _timm(
        actions.solarize_add, lambda t, sign: np.minimum(128, np.trunc(110 * t)), whole=True
    ),
    **_timm_enhance(actions.saturation, "Color"),
    **_timm_enhance(actions.contrast, "Contrast"),
    **_timm_enhance(actions.brightness, "Brightness"),
    **_timm_enhance(actions.sharpness, "Sharpness"),
    "ShearX": _timm(actions.shear_x, lambda t, sign: 0.3 * sign * t, signed=True),
    "ShearY": _timm(actions.shear_y, lambda t, sign: 0.3 * sign * t, signed=True),
    "TranslateXRel": _timm_share(actions.translate_x, 0.45, of=1),
    "TranslateYRel": _timm_share(actions.translate_y, 0.45, of=0),
    # The magnitude is the share of colour that is left.
    "Desaturate": _timm(
        actions.saturation, lambda t, sign: np.clip(1 - _minmax(0.5, 1)(t, sign), 0, 1), neutral=1
    ),
    "GaussianBlur": _timm(actions.blur, _minmax(0.1, 2.0)),
}

_TIMM_RAND = (
    *("AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize", "SolarizeAdd"),
    *("Color", "Contrast", "Brightness", "Sharpness"),
    *("ShearX", "ShearY", "TranslateXRel", "TranslateYRel"),
)
_GROWS = ("Posterize", "Solarize", "Color", "Contrast", "Brightness", "Sharpness")

# {operation: weight}, by the names of timm's `t` section
TIMM_CHOICES = {
    "rand": dict.fromkeys(_TIMM_RAND, 1.0),
    "increasing": dict.fromkeys(
        [f"{name}Increasing" if name in _GROWS else name for name in _TIMM_RAND], 1.0
    ),
    "3a": dict.fromkeys(["SolarizeIncreasing", "Desaturate", "GaussianBlur"], 1.0),
    "3aw": {
        **dict.fromkeys(["SolarizeIncreasing", "Desaturate", "GaussianBlur"], 6.0),
        **{"Rotate": 3.0, "ShearX": 2.0, "ShearY": 2.0},
        **dict.fromkeys(["PosterizeIncreasing", "AutoContrast", "ColorIncreasing"], 1.0),
        **dict.fromkeys(["SharpnessIncreasing", "ContrastIncreasing"], 1.0),
        **dict.fromkeys(["BrightnessIncreasing", "Equalize", "Invert"], 1.0),
    },
    "weights": {
        **{"Rotate": 3.0, "ShearX": 2.0, "ShearY": 2.0, "TranslateXRel": 1.0, "TranslateYRel": 1.0},
        **dict.fromkeys(["ColorIncreasing", "SharpnessIncreasing", "AutoContrast"], 0.25),
        **dict.fromkeys(["SolarizeIncreasing", "SolarizeAdd", "ContrastIncreasing"], 0.05),
        **dict.fromkeys(["BrightnessIncreasing", "Equalize"], 0.05),
        **dict.fromkeys(["PosterizeIncreasing", "Invert"], 0.05),
    },
}
# With a translation of its own (timm's create_transform; its bare function has 0.45 here too).
TIMM_AUG_MIX = {
    **{
        name: TIMM[name]
        for name in (
            *("AutoContrast", "ColorIncreasing", "ContrastIncreasing", "BrightnessIncreasing"),
            *("SharpnessIncreasing", "Equalize", "Rotate", "PosterizeIncreasing"),
            *("SolarizeIncreasing", "ShearX", "ShearY"),
        )
    },
    "TranslateXRel": _timm_share(actions.translate_x, 0.3, of=1),
    "TranslateYRel": _timm_share(actions.translate_y, 0.3, of=0),
}


# A share of a range: FixMatch's RandAugment and UniformAugment's (Fast AutoAugment's) operations


def _between(act, low, high, **how):
    return Entry(act, lambda level, bins, sign, frame: low + (high - low) * level, **how)


def _between_share(act, share, of):
    return Entry(act, lambda level, bins, sign, frame: share * (2 * level - 1) * frame[:, of])


def _uniform(enhance, translate, **more):
    return {
        "AutoContrast": AUTOCONTRAST,
        "Brightness": _between(actions.brightness, *enhance, neutral=1),
        "Color": _between(actions.saturation, *enhance, neutral=1),
        "Contrast": _between(actions.contrast, *enhance, neutral=1),
        "Equalize": EQUALIZE,
        "Posterize": Entry(
            actions.posterize,
            lambda level, bins, sign, frame: np.trunc(4 + 4 * level),
            8,
            whole=True,
        ),
        "Rotate": _between(actions.rotate, -30.0, 30.0),
        "Sharpness": _between(actions.sharpness, *enhance, neutral=1),
        "ShearX": _between(actions.shear_x, -0.3, 0.3),
        "ShearY": _between(actions.shear_y, -0.3, 0.3),
        "Solarize": _between(actions.solarize, 0.0, 256.0, neutral=256),
        "TranslateX": _between_share(actions.translate_x, translate, of=1),
        "TranslateY": _between_share(actions.translate_y, translate, of=0),
        **more,
    }


FIX_MATCH = _uniform((0.05, 0.95), 0.3, Identity=IDENTITY)
UNIFORM_AUGMENT = _uniform((0.1, 1.9), 0.45, Invert=INVERT)


# AutoAugment's sub-policies: operation, probability, level where there is one. A sub-policy a line;
# some stand in the published lists twice.


def _sub_policies(text):
    """((operation, probability, level), …) for each line."""
    read = []
    for line in text.strip().splitlines():
        parts = (part.split() for part in line.split(","))
        read.append(
            tuple((name, float(p), float(level[0]) if level else 0.0) for name, p, *level in parts)
        )
    return tuple(read)


IMAGENET = _sub_policies("""
Posterize 0.4 8, Rotate 0.6 9
Solarize 0.6 5, AutoContrast 0.6
Equalize 0.8, Equalize 0.6
Posterize 0.6 7, Posterize 0.6 6
Equalize 0.4, Solarize 0.2 4
Equalize 0.4, Rotate 0.8 8
Solarize 0.6 3, Equalize 0.6
Posterize 0.8 5, Equalize 1
Rotate 0.2 3, Solarize 0.6 8
Equalize 0.6, Posterize 0.4 6
Rotate 0.8 8, Color 0.4 0
Rotate 0.4 9, Equalize 0.6
Equalize 0, Equalize 0.8
Invert 0.6, Equalize 1
Color 0.6 4, Contrast 1 8
Rotate 0.8 8, Color 1 2
Color 0.8 8, Solarize 0.8 7
Sharpness 0.4 7, Invert 0.6
ShearX 0.6 5, Equalize 1
Color 0.4 0, Equalize 0.6
Equalize 0.4, Solarize 0.2 4
Solarize 0.6 5, AutoContrast 0.6
Invert 0.6, Equalize 1
Color 0.6 4, Contrast 1 8
Equalize 0.8, Equalize 0.6
""")
CIFAR10 = _sub_policies("""
Invert 0.1, Contrast 0.2 6
Rotate 0.7 2, TranslateX 0.3 9
Sharpness 0.8 1, Sharpness 0.9 3
ShearY 0.5 8, TranslateY 0.7 9
AutoContrast 0.5, Equalize 0.9
ShearY 0.2 7, Posterize 0.3 7
Color 0.4 3, Brightness 0.6 7
Sharpness 0.3 9, Brightness 0.7 9
Equalize 0.6, Equalize 0.5
Contrast 0.6 7, Sharpness 0.6 5
Color 0.7 7, TranslateX 0.5 8
Equalize 0.3, AutoContrast 0.4
TranslateY 0.4 3, Sharpness 0.2 6
Brightness 0.9 6, Color 0.2 8
Solarize 0.5 2, Invert 0
Equalize 0.2, AutoContrast 0.6
Equalize 0.2, Equalize 0.6
Color 0.9 9, Equalize 0.6
AutoContrast 0.8, Solarize 0.2 8
Brightness 0.1 3, Color 0.7 0
Solarize 0.4 5, AutoContrast 0.9
TranslateY 0.9 9, TranslateY 0.7 9
AutoContrast 0.9, Solarize 0.8 3
Equalize 0.8, Invert 0.1
TranslateY 0.7 9, AutoContrast 0.9
""")
SVHN = _sub_policies("""
ShearX 0.9 4, Invert 0.2
ShearY 0.9 8, Invert 0.7
Equalize 0.6, Solarize 0.6 6
Invert 0.9, Equalize 0.6
Equalize 0.6, Rotate 0.9 3
ShearX 0.9 4, AutoContrast 0.8
ShearY 0.9 8, Invert 0.4
ShearY 0.9 5, Solarize 0.2 6
Invert 0.9, AutoContrast 0.8
Equalize 0.6, Rotate 0.9 3
ShearX 0.9 4, Solarize 0.3 3
ShearY 0.8 8, Invert 0.7
Equalize 0.9, TranslateY 0.6 6
Invert 0.9, Equalize 0.6
Contrast 0.3 3, Rotate 0.8 4
Invert 0.8, TranslateY 0 2
ShearY 0.7 6, Solarize 0.4 8
Invert 0.6, Rotate 0.8 4
ShearY 0.3 7, TranslateX 0.9 3
ShearX 0.1 6, Invert 0.6
Solarize 0.7 2, TranslateY 0.6 7
ShearY 0.8 4, Invert 0.8
ShearX 0.7 9, TranslateY 0.8 3
ShearY 0.8 5, AutoContrast 0.7
ShearX 0.7 2, Invert 0.1
""")

# timm's: of TensorFlow's EfficientNet (v0, in which Posterize 2 leaves no bit: a black image), of the
# paper (original), and each with the research repository's Posterize (r).
_V0 = _sub_policies("""
Equalize 0.8, ShearY 0.8 4
Color 0.4 9, Equalize 0.6
Color 0.4 1, Rotate 0.6 8
Solarize 0.8 3, Equalize 0.4
Solarize 0.4 2, Solarize 0.6 2
Color 0.2 0, Equalize 0.8
Equalize 0.4, SolarizeAdd 0.8 3
ShearX 0.2 9, Rotate 0.6 8
Color 0.6 1, Equalize 1
Invert 0.4, Rotate 0.6 0
Equalize 1, ShearY 0.6 3
Color 0.4 7, Equalize 0.6
Posterize 0.4 6, AutoContrast 0.4
Solarize 0.6 8, Color 0.6 9
Solarize 0.2 4, Rotate 0.8 9
Rotate 1 7, TranslateYRel 0.8 9
ShearX 0 0, Solarize 0.8 4
ShearY 0.8 0, Color 0.6 4
Color 1 0, Rotate 0.6 2
Equalize 0.8, Equalize 0
Equalize 1, AutoContrast 0.6
ShearY 0.4 7, SolarizeAdd 0.6 7
Posterize 0.8 2, Solarize 0.6 10
Solarize 0.6 8, Equalize 0.6
Color 0.8 6, Rotate 0.4 5
""")


def _renamed(policies, old, new):
    return tuple(
        tuple((new if name == old else name, p, level) for name, p, level in sub)
        for sub in policies
    )


AUTO_AUGMENT_POLICIES = {
    "torchvision": {"imagenet": IMAGENET, "cifar10": CIFAR10, "svhn": SVHN},
    "timm": {
        "original": _renamed(IMAGENET, "Posterize", "PosterizeOriginal"),
        "originalr": _renamed(IMAGENET, "Posterize", "PosterizeIncreasing"),
        "v0": _V0,
        "v0r": _renamed(_V0, "Posterize", "PosterizeIncreasing"),
    },
}
