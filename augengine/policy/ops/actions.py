"""What each named operation means: a magnitude in, a matrix, a step, a curve or a filter out.

Ops and published policies decide how strongly; what "Color 0.7" then is, is said here, once, with the
words that a plan's log has for it. Definitions are torchvision's functional ones, which are PIL's;
`benchmarks.parity` measures the differences. `rotate(draft, rows, angle_deg)` tells a draft; many
samples that each do something else are told at once by `carry_out`, at a fraction of the price.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...plan.kinds import (
    FILTER_ARGS,
    GAUSSIAN,
    HISTOGRAM,
    HUE,
    LOG_ARGS,
    MATRIX,
    MEAN,
    NO_STATISTIC,
    NOISE,
    RANGE,
    SHARPNESS,
    STEP_ARGS,
    TONE,
)
from .. import colour, geometry


@dataclass(frozen=True)
class Action:
    """text: for the log, with a %-field for each number of the magnitude that it says."""

    text: str

    def __call__(self, draft, rows, *magnitude) -> None:
        """Tell the draft. magnitude: arrays [len(rows)], as the action wants."""
        carry_out(draft, [(self, rows, magnitude)])


@dataclass(frozen=True)
class Warp(Action):
    """inverse(magnitude, frame [n, 2]) → inv_matrix [n, 3, 3]. turns: whether its linear part scales or
    turns; a shear does neither, so it widens no filter."""

    inverse: Callable
    turns: bool = False


@dataclass(frozen=True)
class Step(Action):
    """arg(*magnitude) → [n, up to 12], of a colour step of this kind. rgb: it mixes the channels."""

    kind: int
    arg: Callable
    statistic: int = NO_STATISTIC
    rgb: bool = False


@dataclass(frozen=True)
class Curve(Action):
    """formula(magnitudes [q]) → curves [q, 256]: one for each that is distinct."""

    formula: Callable


@dataclass(frozen=True)
class Filter(Action):
    """args(*magnitude): the numbers of a filter of this kind, arrays [n]."""

    kind: int
    args: Callable


def carry_out(draft, told) -> None:
    """Tell the draft what happens to some of its rows. told: (action, rows, magnitude) each, a row in
    one of them at most."""
    told = [one for one in told if len(one[1])]
    warps = [one for one in told if isinstance(one[0], Warp)]
    steps = [one for one in told if isinstance(one[0], Step)]
    if draft.channels == 1:
        # Grey has no colours to mix: PIL and torchvision give it back as it is.
        steps = [one for one in steps if not one[0].rgb]
    filters = [one for one in told if isinstance(one[0], Filter)]
    if warps:
        rows = np.concatenate([rows for _, rows, _ in warps])
        frame = draft.frame[rows]
        matrix, at = np.empty((len(rows), 3, 3)), 0
        footprint = np.empty((len(rows), 2, 2))
        footprint[:] = np.eye(2)
        for action, some, magnitude in warps:
            end = at + len(some)
            matrix[at:end] = action.inverse(*magnitude, frame[at:end])
            if action.turns:
                footprint[at:end] = matrix[at:end, :2, :2]
            at = end
        draft.warp(rows, matrix, footprint)
    if steps:
        rows = np.concatenate([rows for _, rows, _ in steps])
        arg, kind = np.zeros((len(rows), STEP_ARGS)), np.empty(len(rows), np.int8)
        statistic, at = np.empty(len(rows), np.int8), 0
        for action, some, magnitude in steps:
            if action.rgb:
                needs_rgb(draft, action.text.split()[0])
            end = at + len(some)
            made = action.arg(*magnitude)
            arg[at:end, : made.shape[-1]] = made
            kind[at:end], statistic[at:end] = action.kind, action.statistic
            at = end
        draft.step(rows, kind, arg, statistic)
    for action, rows, magnitude in told:
        if isinstance(action, Curve):
            distinct, which = np.unique(magnitude[0], return_inverse=True)
            draft.curve(rows, action.formula(distinct), which)
    if filters:
        rows = np.concatenate([rows for _, rows, _ in filters])
        numbers, at = np.zeros((len(rows), FILTER_ARGS)), 0
        for action, some, magnitude in filters:
            end = at + len(some)
            numbers[at:end, 0] = action.kind
            for k, values in enumerate(action.args(*magnitude)):
                numbers[at:end, 1 + k] = values
            at = end
        draft.apply_filter(rows, numbers)
    _log(draft, told)


def _log(draft, told) -> None:
    if not told:
        return
    rows = np.concatenate([rows for _, rows, _ in told])
    numbers, lines, at = np.zeros((len(rows), LOG_ARGS)), np.empty(len(rows), np.int64), 0
    for action, some, magnitude in told:
        end = at + len(some)
        lines[at:end] = draft.line(action.text)
        said = action.text.count("%")
        for k, values in enumerate(magnitude[:said]):
            numbers[at:end, k] = values
        at = end
    draft.log_lines(rows, lines, numbers)


def needs_rgb(draft, name) -> None:
    if draft.channels != 3:
        raise ValueError(
            f"{name}: mixes the colour channels and needs RGB, the images have {draft.channels} "
            "channel(s). Leave it out of this policy."
        )


# Geometry


def _shear_x(tangent, frame):
    """x_old = x + tangent · y, from the top left corner."""
    return geometry.matrix([[1, tangent, 0], [0, 1, 0], [0, 0, 1]])


def _shear_y(tangent, frame):
    """y_old = y + tangent · x, from the top left corner."""
    return geometry.matrix([[1, 0, 0], [tangent, 1, 0], [0, 0, 1]])


def _about_the_middle(angle_deg, frame):
    return geometry.about(frame[:, ::-1] / 2, geometry.inv_rotation(angle_deg))


shear_x = Warp("sheared %+.2f", _shear_x)
shear_y = Warp("sheared %+.2f vertically", _shear_y)
# The picture moves to the right, and down.
translate_x = Warp("shifted %+.1f px", lambda px, frame: geometry.inv_translate(px, 0 * px))
translate_y = Warp("shifted %+.1f px down", lambda px, frame: geometry.inv_translate(0 * px, px))
# Counter-clockwise as seen, about the middle.
rotate = Warp("rotated %+.1f°", _about_the_middle, turns=True)


# Colour

brightness = Step("brightness ×%.2f", MATRIX, colour.brightness)
add = Step("brightness %+.2f", MATRIX, colour.add)
contrast = Step("contrast ×%.2f", MATRIX, colour.contrast, MEAN)
saturation = Step("saturation ×%.2f", MATRIX, colour.saturation, rgb=True)
hue = Step("hue %+.2f", HUE, lambda turns: turns[:, None], rgb=True)
grey = Step("grey", MATRIX, lambda: colour.grey(1), rgb=True)
invert = Step("inverted", MATRIX, lambda: colour.invert(1))
permute = Step(
    "channels %d, %d, %d", MATRIX, lambda *order: colour.permutation(np.stack(order, 1)), rgb=True
)
posterize = Step("posterized to %d bits", TONE, colour.posterized)
solarize = Step("solarized from %.1f", TONE, colour.solarized)  # a byte, 0 … 256
solarize_add = Curve("dark tones %+d", colour.solarized_add)  # bytes
gamma = Curve("gamma %.2f", colour.gamma)
autocontrast = Step("autocontrast", MATRIX, lambda: np.zeros((1, 0)), RANGE)
equalize = Step("equalized", MATRIX, lambda: np.zeros((1, 0)), HISTOGRAM)


# What looks at neighbours, and noise


def _reaches(sigma, reach_x=None, reach_y=None):
    """How far the kernel goes, by default four sigma."""
    most = np.ceil(4 * sigma)
    return sigma, most if reach_x is None else reach_x, most if reach_y is None else reach_y


def _noise(sigma, mean, word0, word1):
    """word0, word1: random 32-bit words, the noise's key."""
    words = (np.asarray(word).astype(np.int64) >> 8 for word in (word0, word1))
    return np.stack([mean + 0 * sigma, sigma, *words], axis=1)


sharpness = Filter("sharpness ×%.2f", SHARPNESS, lambda factor: (factor,))  # 0 smooths, 2 sharpens
blur = Filter("blurred σ %.2f", GAUSSIAN, _reaches)  # in pixels of the frame
noise = Step("noise σ %.2f", NOISE, _noise)
