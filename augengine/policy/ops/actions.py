"""What each named operation means: a magnitude in, a matrix, a step or a filter out.

Ops and published policies decide how strongly; what "Color 0.7" then is, is said here, once, with the
words that a plan's log has for it. Definitions are torchvision's functional ones, which are PIL's;
`benchmarks.parity` measures the differences. `rotate(draft, rows, angle_deg)` tells a draft; many
samples that each do something else are told at once by `carry_out`, at a fraction of the price.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...plan.kinds import (
    ADD_BELOW,
    DISC,
    FILTER_ARGS,
    FILTER_KIND,
    GAMMA,
    GAUSSIAN,
    HISTOGRAM,
    HUE,
    IMPULSE,
    LOG_ARGS,
    MATRIX,
    MEAN,
    MOTION,
    NO_STATISTIC,
    NOISE,
    RANGE,
    SHADE,
    SHARPNESS,
    SMOOTH_MOTION,
    STEP_ARGS,
    TONE,
)
from .. import colour, geometry

if TYPE_CHECKING:
    from ..draft import Draft


class Operation(NamedTuple):
    """What some rows of a draft meet: an action at magnitudes, arrays [len(rows)]."""

    action: Any  # an Action; its kind says which fields it has
    rows: np.ndarray
    magnitude: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Action:
    """What an operation means. text: for the log, with a %-field for each number of the magnitude that it
    says. tell(draft, operations): tell a draft operations of one kind."""

    text: str

    @cached_property
    def fields(self) -> int:
        """The number of its text's %-fields."""
        return self.text.count("%")

    def __call__(self, draft: Draft, rows: np.ndarray, *magnitude: np.ndarray) -> None:
        """Tell the draft. magnitude: arrays [len(rows)], as the action wants."""
        if len(rows):
            operations = [Operation(self, rows, magnitude)]
            self.tell(draft, operations)
            _log(draft, operations)

    @staticmethod
    def tell(draft: Draft, operations: list[Operation]) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Warp(Action):
    """inverse(magnitude, frame [n, 2]) → inv_matrix [n, 3, 3]. turns: whether its linear part scales or
    turns; a shear does neither, so it widens no filter."""

    inverse: Callable
    turns: bool = False

    @staticmethod
    def tell(draft, operations):
        rows, parts = _joined(operations)
        frame, matrix = draft.frame[rows], np.empty((len(rows), 3, 3))
        footprint = np.empty((len(rows), 2, 2))
        footprint[:] = np.eye(2)
        for (action, _, magnitude), part in zip(operations, parts, strict=True):
            matrix[part] = action.inverse(*magnitude, frame[part])
            if action.turns:
                footprint[part] = matrix[part, :2, :2]
        draft.warp(rows, matrix, footprint)


@dataclass(frozen=True)
class Step(Action):
    """arg(*magnitude) → [n, up to 12], of a colour step of this kind. rgb: it mixes the channels."""

    kind: int
    arg: Callable
    statistic: int = NO_STATISTIC
    rgb: bool = False

    @staticmethod
    def tell(draft, operations):
        if draft.channels == 1:
            operations = [operation for operation in operations if not operation.action.rgb]
            if not operations:
                return
        rows, parts = _joined(operations)
        arg, kind = np.zeros((len(rows), STEP_ARGS)), np.empty(len(rows), np.int8)
        statistic = np.empty(len(rows), np.int8)
        for (action, _, magnitude), part in zip(operations, parts, strict=True):
            if action.rgb:
                needs_rgb(draft, action.text.split()[0])
            columns = action.arg(*magnitude)
            arg[part, : columns.shape[-1]] = columns
            kind[part], statistic[part] = action.kind, action.statistic
        draft.step(rows, kind, arg, statistic)


@dataclass(frozen=True)
class Filter(Action):
    """args(*magnitude): the numbers of a filter of this kind, arrays [n]."""

    kind: int
    args: Callable

    @staticmethod
    def tell(draft, operations):
        rows, parts = _joined(operations)
        filters = np.zeros((len(rows), FILTER_ARGS))
        for (action, _, magnitude), part in zip(operations, parts, strict=True):
            filters[part, FILTER_KIND] = action.kind
            for column, values in enumerate(action.args(*magnitude), FILTER_KIND + 1):
                filters[part, column] = values
        draft.apply_filter(rows, filters)


def carry_out(draft: Draft, operations: Sequence[Operation]) -> None:
    """Tell the draft what happens to some of its rows, each of which stands in one operation at most."""
    operations = [operation for operation in operations if len(operation.rows)]
    for kind in (Warp, Step, Filter):
        of_kind = [operation for operation in operations if type(operation.action) is kind]
        if of_kind:
            kind.tell(draft, of_kind)
    if operations:
        _log(draft, operations)


def _joined(operations: Sequence[Operation]) -> tuple[np.ndarray, list[slice]]:
    """All rows of the operations, and which of those are each one's."""
    if len(operations) == 1:
        return operations[0].rows, [slice(None)]
    ends = accumulate((len(operation.rows) for operation in operations), initial=0)
    parts = [slice(begin, end) for begin, end in pairwise(ends)]
    return np.concatenate([operation.rows for operation in operations]), parts


def _log(draft, operations: Sequence[Operation]) -> None:
    rows, parts = _joined(operations)
    numbers, lines = np.zeros((len(rows), LOG_ARGS)), np.empty(len(rows), np.int64)
    for (action, _, magnitude), part in zip(operations, parts, strict=True):
        lines[part] = draft.line(action.text)
        for column, values in enumerate(magnitude[: action.fields]):
            numbers[part, column] = values
    draft.log_lines(rows, lines, numbers)


def needs_rgb(draft, name) -> None:
    """Refuse images that are neither RGB nor grey. Grey has no colours to mix, and is given back as it
    is, as PIL and torchvision do; of other channels nobody has said which are red, green and blue."""
    if draft.channels not in (1, 3):
        raise ValueError(
            f"{name}: mixes the colour channels and needs RGB or grey, the images have {draft.channels} "
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
light = Step("illuminant red ×%.2f, blue ×%.2f", MATRIX, colour.light, rgb=True)
invert = Step("inverted", MATRIX, lambda: colour.invert(1))
permute = Step(
    "channels %d, %d, %d", MATRIX, lambda *order: colour.permutation(np.stack(order, 1)), rgb=True
)
posterize = Step("posterized to %d bits", TONE, colour.posterized)
solarize = Step("solarized from %.1f", TONE, colour.solarized)  # a byte, 0 … 256
solarize_add = Step("dark tones %+d", ADD_BELOW, colour.solarized_add)  # bytes
gamma = Step("gamma %.2f", GAMMA, colour.gamma)
autocontrast = Step("autocontrast", MATRIX, lambda: np.zeros((1, 0)), RANGE)
equalize = Step("equalized", MATRIX, lambda: np.zeros((1, 0)), HISTOGRAM)


# What looks at neighbours, and noise


def _reaches(sigma, reach_x=None, reach_y=None):
    """How far the kernel goes, by default four sigma."""
    most = np.ceil(4 * sigma)
    return sigma, most if reach_x is None else reach_x, most if reach_y is None else reach_y


def _key(*words):
    """Random 32-bit words as the key of a noise."""
    return (np.asarray(word).astype(np.int64) >> 8 for word in words)


def _noise(sigma, mean, word0, word1):
    return np.stack([mean + 0 * sigma, sigma, *_key(word0, word1)], axis=1)


def _impulse(amount, salt_share, word0, word1):
    """amount: the share of the pixels that change. salt_share: of those, the share that becomes white."""
    return np.stack([amount * salt_share, amount, *_key(word0, word1)], axis=1)


sharpness = Filter("sharpness ×%.2f", SHARPNESS, lambda factor: (factor,))  # 0 smooths, 2 sharpens
blur = Filter("blurred σ %.2f", GAUSSIAN, _reaches)  # in pixels of the frame
noise = Step("noise σ %.2f", NOISE, _noise)
salt_and_pepper = Step("salt and pepper %.3f, of it white %.2f", IMPULSE, _impulse)
# An odd number of pixels, degrees counter-clockwise as seen, and −1 … 1 for the heavier end.
motion_blur = Filter("motion blur of %d px at %.1f°, direction %+.2f", MOTION, lambda *line: line)
smooth_motion_blur = Filter(motion_blur.text, SMOOTH_MOTION, lambda *line: line)
defocus = Filter("defocused by %.1f px", DISC, lambda radius, alias: (radius, alias))
# The gain in the shadow, degrees of the way into the light, and how far along it the edge lies, in pixels.
shade = Filter("shadow ×%.2f, light at %.1f°", SHADE, lambda *edge: edge)
