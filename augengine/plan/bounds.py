"""The gate before memory: every number that an executor follows, bounded.

Whichever way a plan came to be, it has passed here before anybody sees it. So executors follow its
numbers without a look: they name what there is, stay finite in float32, lie inside what they are of, and
ask for work and memory in proportion to the images. The ranges of single fields stand in the plan's
table; here are those that depend on other fields.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ..checks import all_true, any_true
from ..compiled import twin
from .fields import array_fields
from .kinds import (
    CONSTANT,
    CURVE,
    CURVE_ROW,
    DISC,
    FILTER_ALIAS,
    FILTER_ANGLE,
    FILTER_DIRECTION,
    FILTER_GAIN,
    FILTER_KIND,
    FILTER_LENGTH,
    FILTER_OFFSET,
    FILTER_RADIUS,
    FILTER_REACH_X,
    FILTER_REACH_Y,
    FILTER_SIGMA,
    GAINS,
    GAMMA,
    GAMMA_EXPONENT,
    GAUSSIAN,
    HUE,
    IMPULSE,
    IMPULSE_AMOUNT,
    IMPULSE_KEY,
    IMPULSE_SALT,
    LEAST_EXPONENT,
    MATRIX,
    MOST_ALIAS,
    MOST_DEPTH,
    MOST_EXPONENT,
    MOST_LINE,
    MOST_RADIUS,
    MOST_SIDE,
    MOST_TURN,
    MOTION,
    NO_FILTER,
    NO_STATISTIC,
    NO_VIEW,
    NOISE,
    NOISE_KEY,
    NONE,
    PLAIN_COLOUR,
    SHADE,
    SHARPNESS,
    SMOOTH_MOTION,
    TONE,
    TONE_INVERSE_STEP,
    TONE_SCALE,
    TONE_STEP,
)

if TYPE_CHECKING:
    from . import Plan

FIX = "Take plans from Policy.sample, Plan.load, select and concatenate."

# What a plan may ask for: so much in any case, and so much for each value of its images and outputs. An
# antialiased shrink weighs each value of an image four times along either axis; these are wide of it.
_STEPS, _STEPS_A_VALUE = 2**31, 2**12  # of arithmetic
_PICTURES, _PICTURES_A_VALUE = 2**28, 2**10  # values of pictures that are filtered
_ROW_WEIGHTS = 2**28  # weights of one row of an output, which a thread keeps at hand
MOST_PASSES = 4096  # pictures of one size are drawn together
_KEY_WORDS = 2.0**24
_LEAST_SUPPORT = 0.75  # a half-width of ½ may reach no pixel's centre
_LEAST_CUBIC = 2
_LEAST_SCALE, _LEAST_INVERSE = 2.0**-20, 2.0**-64


def check(plan: Plan, known: Extremes | None = None) -> None:
    """Raise ValueError, with the field's name, for the first number that is out of bounds. The plan's
    arrays have the right shapes and dtypes.

    known: the extremes of those fields that are `neutral`, made for this plan's lengths and finish, and of
    any others.
    """
    known = known or {}
    extremes = {**known, **extremes_of(plan, known)}
    _check_ranges(plan, extremes)
    if not {"view", "box", "alpha", "extent"} <= known.keys():
        _check_layers(plan, extremes)
    looks_at_views = extremes["source"][1] >= len(plan.ids)
    filters = looks_at_views or any(extremes["filter"]) or any(extremes["frame"])
    size = plan.sizes if "source" in known else plan.source_sizes()
    if filters:
        _check_filters(plan, size, extremes["filter"][0])
    _check_clips(plan, size, extremes)
    if any(extremes["statistic"]) or extremes["step_kind"][1] > MATRIX:
        _check_steps(plan, size)
    _check_costs(plan, size, filters, extremes)


# The lowest and the highest number of each array: most bounds are seen to hold from these alone, and to
# find all of them at once takes a few calls. Of an array that is empty they are 0.
Extremes = dict[str, tuple[float, float]]


@cache
def _fields(plan_class: Any) -> tuple[tuple, dict[str, tuple[float, float]]]:
    """(kind of number, names) of the arrays, and their ranges, from the plan's table."""
    # Whole numbers that are smaller are taken for int32.
    groups: dict[type, list[str]] = {np.float32: [], np.int32: []}
    limits = {}
    for field in array_fields(plan_class):
        dtype = field.metadata["dtype"]
        if dtype != np.int64:
            groups[np.float32 if dtype == np.float32 else np.int32].append(field.name)
        if field.metadata["within"] is not None:
            limits[field.name] = field.metadata["within"]
    return tuple((dtype, tuple(names)) for dtype, names in groups.items()), limits


@twin
def extremes_of(plan: Plan, known: Extremes) -> Extremes:
    """Those of the arrays that are not known."""
    groups, _ = _fields(cast(Any, type(plan)))
    extremes: Extremes = {}
    arrays = vars(plan)
    for dtype, names in groups:
        names = [name for name in names if name not in known]
        values = [arrays[name].reshape(-1) for name in names]
        values = [value if len(value) else _NOTHING for value in values]
        starts = np.array([0, *accumulate(map(len, values[:-1]))])
        together = np.concatenate(values, dtype=dtype)
        # A NaN is the lowest and the highest of all.
        low = np.minimum.reduceat(together, starts).tolist()
        high = np.maximum.reduceat(together, starts).tolist()
        extremes.update(zip(names, zip(low, high, strict=True), strict=True))
    return extremes


_NOTHING = np.zeros(1, np.int8)


def _check_ranges(plan: Plan, extremes: Extremes) -> None:
    _, limits = _fields(cast(Any, type(plan)))
    for name, (least, most) in limits.items():
        low, high = extremes[name]
        # Written so that a NaN does not pass.
        if not (least <= low and high <= most) and (value := getattr(plan, name)).size:
            wrong = value[~((least <= value) & (value <= most))]
            raise ValueError(
                f"Plan.{name}: holds {wrong[0]!s}, expected numbers in [{least}, {most}]. {FIX}"
            )
    # What names a row of something else.
    for name, least, end in (
        ("source", 0, len(plan.ids) + len(plan.source)),
        ("view", PLAIN_COLOUR, len(plan.source)),
        ("log_op", -1, len(plan.log_text)),
    ):
        low, high = extremes[name]
        if not (least <= low and high < end) and getattr(plan, name).size:
            raise ValueError(f"Plan.{name}: holds a value outside [{least}, {end}). {FIX}")


def _check_layers(plan: Plan, extremes: Extremes) -> None:
    """Boxes lie in the output, and of each output something shows in every pixel."""
    height, width = plan.finish.size
    size = np.array([height, width], np.int32)
    several = plan.view.shape[1] != 1
    if several:
        low, high = plan.box[..., :2], plan.box[..., 2:]
        if not (all_true(low <= high) and all_true(high <= size)):
            raise ValueError(
                f"Plan.box: is reversed or reaches outside the output of {height}×{width}. {FIX}"
            )
    if not len(plan):
        return
    if several:
        covers = plan.view.shape[1] > 0 and all_true(plan.view[:, 0] != NO_VIEW)
        covers = covers and all_true(plan.alpha[:, 0] == 1)
    else:
        covers = extremes["alpha"] == (1, 1) and (
            extremes["view"][0] >= 0 or all_true(plan.view != NO_VIEW)
        )
    if not covers:
        raise ValueError(
            "Plan.view: an output has no first layer, or one that is blended over nothing, expected a "
            f"first layer with alpha 1. {FIX}"
        )
    if not all_true(plan.box[:, 0] == np.array([0, 0, height, width], np.int32)):
        raise ValueError(
            f"Plan.box: an output's first layer does not cover it, expected [0, 0, {height}, {width}]. "
            f"{FIX}"
        )
    if extremes["extent"][1] > min(height, width) and (plan.extent > size).any():
        raise ValueError(f"Plan.extent: reaches outside the output of {height}×{width}. {FIX}")


def _check_filters(plan: Plan, size: np.ndarray, lowest: float) -> None:
    """Views that others look at: each shows a picture that the filter can be applied to."""
    if size.min(initial=1) < 1:
        raise ValueError(f"Plan.frame: a view looks at one that shows no pixels. {FIX}")
    kind = plan.filter[:, FILTER_KIND]
    if not all_true((kind >= NO_FILTER) & (kind <= SHADE) & (kind == np.floor(kind))):
        raise ValueError(f"Plan.filter: holds an unknown kind. {FIX}")
    if lowest < 0 and any_true(plan.filter[kind <= SHARPNESS, FILTER_SIGMA:] < 0):
        raise ValueError(f"Plan.filter: holds a number below 0. {FIX}")
    if kind.max(initial=NO_FILTER) > SHARPNESS:
        _check_shaped_filters(plan.filter, kind)
    if len(plan.frame) > MOST_PASSES and len(np.unique(plan.frame, axis=0)) > MOST_PASSES:
        raise ValueError(f"Plan.frame: has more than {MOST_PASSES} different sizes. {FIX}")
    if any_true(plan.roots() >= len(plan.ids)):
        raise ValueError(
            "Plan.source: views look at each other in a circle, or through more than "
            f"{MOST_DEPTH} filters. {FIX}"
        )


def _check_shaped_filters(filters: np.ndarray, kind: np.ndarray) -> None:
    """Lines, discs and shadows lie within what an executor has room for."""
    lines = filters[(kind == MOTION) | (kind == SMOOTH_MOTION)]
    length, discs, shades = lines[:, FILTER_LENGTH], filters[kind == DISC], filters[kind == SHADE]
    for what, values, low, high in (
        ("a line of a length", length, 1, MOST_LINE),
        ("a line at an angle", lines[:, FILTER_ANGLE], -MOST_TURN, MOST_TURN),
        ("a line with a direction", lines[:, FILTER_DIRECTION], -1, 1),
        ("a disc of a radius", discs[:, FILTER_RADIUS], 0, MOST_RADIUS),
        ("a disc with an edge", discs[:, FILTER_ALIAS], 0, MOST_ALIAS),
        ("a shadow with a gain", shades[:, FILTER_GAIN], 0, 1),
        ("a shadow at an angle", shades[:, FILTER_ANGLE], -MOST_TURN, MOST_TURN),
        ("a shadow with an offset", shades[:, FILTER_OFFSET], -2 * MOST_SIDE, 2 * MOST_SIDE),
    ):
        if ((values < low) | (values > high)).any():
            raise ValueError(f"Plan.filter: {what} outside [{low}, {high}]. {FIX}")
    if (length % 2 != 1).any():
        raise ValueError(f"Plan.filter: a line whose length is not an odd number. {FIX}")


def _check_clips(plan: Plan, size: np.ndarray, extremes: Extremes) -> None:
    """Clips lie in what is looked at, and filters weigh the pixel that a point falls on."""
    clip, sight = plan.clip, plan.sight
    # From each to the next it never goes back.
    edges = np.concatenate([sight[:, :2], clip, sight[:, 2:], size], axis=1)
    if not all_true(edges[:, :-2] <= edges[:, 2:]):
        low, high = clip[:, :2], clip[:, 2:]
        if not (all_true(low <= high) and all_true(high <= size)):
            raise ValueError(f"Plan.clip: is reversed or reaches outside its source. {FIX}")
        raise ValueError(
            f"Plan.sight: reaches outside its source, or does not hold the clip. {FIX}"
        )
    support = plan.support
    if any(extremes["slope"]) and (support[plan.slope != 0] < _LEAST_CUBIC).any():
        raise ValueError(
            f"Plan.support: holds a number below {_LEAST_CUBIC} for a cubic, by which weights may add up to 0. "
            f"{FIX}"
        )
    narrow = extremes["support"][0] < _LEAST_SUPPORT
    if narrow and ((support < _LEAST_SUPPORT) & (support != 0)).any():
        raise ValueError(
            f"Plan.support: holds a number between 0 and {_LEAST_SUPPORT}, by which no pixel may be weighed. "
            f"{FIX}"
        )


def _check_steps(plan: Plan, size: np.ndarray) -> None:
    """Colour steps have arguments of their kind, and statistics a window to be measured in."""
    measures = plan.statistic != NO_STATISTIC
    views, steps = np.nonzero(measures)
    if len(views):
        # At least one pixel of a window is read, so the window must start on one.
        window, extent = plan.window[views, steps], size[views]
        low, high = window[:, :2], window[:, 2:]
        if not all_true((low < extent) & (low <= high) & (high <= extent)):
            raise ValueError(f"Plan.window: reaches outside its source. {FIX}")
    # A statistic completes its step, whose kind and arguments are then others.
    kind = np.where(measures, NONE, plan.step_kind)
    count = np.bincount(kind.reshape(-1), minlength=MATRIX + 1).tolist()
    for of_kind in range(MATRIX + 1, len(count)):
        if count[of_kind]:
            _check_arguments(plan, of_kind, plan.step_arg[kind == of_kind])


def _check_arguments(plan: Plan, kind: int, arg: np.ndarray) -> None:
    """arg: [n, 12], the arguments of all steps of a kind."""
    channels = plan.finish.channels
    if kind in (CURVE, GAINS):
        rows = arg[:, CURVE_ROW]
        if not (0 <= rows.min() and rows.max() < len(plan.curves)):
            raise ValueError(f"Plan.step_arg: names a curve outside [0, {len(plan.curves)}). {FIX}")
        if kind == CURVE and not (0 <= plan.curves.min() and plan.curves.max() <= 1):
            looked_up = plan.curves[rows.astype(np.int64)]
            if not all_true((looked_up >= 0) & (looked_up <= 1)):
                raise ValueError(
                    f"Plan.curves: a tone curve holds numbers outside [0, 1], expected values. {FIX}"
                )
        if kind == GAINS and channels == 3:
            raise ValueError(
                f"Plan.step_kind: GAINS came for 3 channels, expected a MATRIX, which says as much. {FIX}"
            )
    elif kind == HUE and channels != 3:
        raise ValueError(
            f"Plan.step_kind: HUE turns colours, and there are {channels} channel(s), expected 3. {FIX}"
        )
    elif kind == NOISE:
        _check_keys("a NOISE", arg[:, NOISE_KEY : NOISE_KEY + 2])
    elif kind == IMPULSE:
        _check_keys("an IMPULSE", arg[:, IMPULSE_KEY : IMPULSE_KEY + 2])
        salt, amount = arg[:, IMPULSE_SALT], arg[:, IMPULSE_AMOUNT]
        if not ((salt >= 0) & (salt <= amount) & (amount <= 1)).all():
            raise ValueError(
                f"Plan.step_arg: the shares of an IMPULSE are not 0 ≤ white ≤ white and black ≤ 1. {FIX}"
            )
    elif kind == TONE:
        scale, step = arg[:, TONE_SCALE : TONE_SCALE + 3], arg[:, TONE_STEP]
        inverse = arg[:, TONE_INVERSE_STEP]
        divides = (np.abs(step * inverse - 1) < 1e-3) & (inverse >= _LEAST_INVERSE)
        if any_true(scale < _LEAST_SCALE) or not all_true(divides):
            raise ValueError(
                f"Plan.step_arg: a TONE divides by 0, or its steps are not 1 / its inverse steps. {FIX}"
            )
    elif kind == GAMMA:
        exponent = arg[:, GAMMA_EXPONENT]
        if ((exponent < LEAST_EXPONENT) | (exponent > MOST_EXPONENT)).any():
            raise ValueError(
                f"Plan.step_arg: the exponent of a GAMMA lies outside [2^-20, 2^20]. {FIX}"
            )


def _check_keys(what: str, keys: np.ndarray) -> None:
    if any_true((keys < 0) | (keys >= _KEY_WORDS)):
        raise ValueError(f"Plan.step_arg: the key of {what} lies outside [0, 2^24). {FIX}")


def _check_costs(plan: Plan, size: np.ndarray, filters: bool, extremes: Extremes) -> None:
    """A plan asks for work and memory in proportion to its images and outputs."""
    channels, (height, width) = plan.finish.channels, plan.finish.size
    (layers, steps), outputs = (plan.view.shape[1], plan.step_kind.shape[1]), float(len(plan))
    taps = max(2 * math.ceil(extremes["support"][1]), 2)
    widest = max(width, int(plan.frame[:, 1].max(initial=0))) if filters else width
    # A cubic also keeps rows that it has sampled, of all channels.
    rows = layers + 2 + (layers * channels if any(extremes["slope"]) else 0)
    if taps * rows * widest > _ROW_WEIGHTS:
        taps = min(taps, int(size.max(initial=1)))
        if taps * rows * widest > _ROW_WEIGHTS:
            raise ValueError(
                f"Plan.support: a filter of {taps:,} pixels for {layers} layer(s) of a row of {widest:,} "
                f"pixels takes more than {_ROW_WEIGHTS:,} weights at a time, expected fewer. Shrink in "
                "two plans, one after the other."
            )
    # Most plans ask for so little that what each view asks for need not be worked out.
    frames = channels * float(plan.frame.prod(axis=1, dtype=np.float64).sum()) if filters else 0.0
    shown = channels * outputs * layers * height * width + frames
    most = shown * (float(taps) ** 2 + steps)
    if filters:
        longest = extremes["frame"][1]
        # The most that any of them takes: a disc, a line or a blur of the largest number that there is.
        largest = extremes["filter"][1]
        steps_of_filter = (2 * largest + 5) ** 2 + 8
        if most + frames * steps_of_filter > _STEPS:
            steps_of_filter = float(_filter_steps(plan.filter, longest, longest).max(initial=0))
        most += frames * steps_of_filter
    most += outputs * height * float(layers) ** 2
    if any(extremes["statistic"]):
        measured = float(np.count_nonzero(plan.statistic))
        most += measured * (1 + steps) * channels * float(size.prod(axis=1, dtype=np.float64).max())
    if most <= _STEPS and frames <= _PICTURES:
        return
    area = plan.sizes.prod(axis=1, dtype=np.float64).sum()
    values = channels * (area + outputs * height * width)
    if frames > _PICTURES + _PICTURES_A_VALUE * values:
        raise ValueError(
            f"Plan.frame: the pictures that are filtered have {frames:.3g} values, and the images and "
            f"outputs {values:.3g}, expected at most {_PICTURES_A_VALUE} times as many. Filter before "
            "images grow so large."
        )
    work = channels * _work(plan, size)
    if work.sum() + outputs * height * float(layers) ** 2 > _STEPS + _STEPS_A_VALUE * values:
        v = int(work.argmax()) if len(work) else 0
        raise ValueError(
            f"Plan: takes {work.sum():.3g} steps of arithmetic, and its images and outputs have "
            f"{values:.3g} values, expected at most {_STEPS_A_VALUE} times as many. Most are view {v}'s, "
            f"with a filter of half-widths {plan.support[v : v + 1].tolist()}. Shrink the images first, or "
            "less."
        )


def _work(plan: Plan, size: np.ndarray) -> np.ndarray:
    """[V] the steps of arithmetic that each view takes for a channel, at most, to within a few."""
    extent = np.minimum(np.ceil(plan.sight[:, 2:]) - np.floor(plan.sight[:, :2]), size)
    taps = np.maximum(np.minimum(np.ceil(2.0 * plan.support[:, ::-1]), extent), 1)
    shows = _visible_pixels(plan)
    pixels = np.zeros(len(plan.source))
    rows, layers = np.nonzero(plan.view >= 0)
    views, box = plan.view[rows, layers], plan.box[rows, layers].astype(np.float64)
    area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    np.add.at(pixels, views, np.minimum(area, shows[views]))
    pictures = np.unique(plan.source[plan.source >= len(plan.ids)]) - len(plan.ids)
    frame = plan.frame[pictures].astype(np.float64)
    pixels[pictures] += np.minimum(frame.prod(axis=1), shows[pictures])
    work = pixels * (taps.prod(axis=1) + plan.step_kind.shape[1])
    filter_steps = _filter_steps(plan.filter[pictures], frame[:, 0] - 1, frame[:, 1] - 1)
    work[pictures] += frame.prod(axis=1) * filter_steps
    window = plan.window.astype(np.float64)
    measured = (window[..., 2] - window[..., 0] + 2) * (window[..., 3] - window[..., 1] + 2)
    before = 1 + np.arange(plan.step_kind.shape[1])
    return work + (measured * before * (plan.statistic != NO_STATISTIC)).sum(axis=1)


def _filter_steps(filters: np.ndarray, most_y, most_x) -> np.ndarray:
    """[n] the steps of arithmetic that each filter takes for a value, at most. most_y, most_x: how far a
    blur may reach."""
    kind = filters[:, FILTER_KIND]
    reach = np.minimum(filters[:, FILTER_REACH_Y], most_y, dtype=np.float64)
    reach += np.minimum(filters[:, FILTER_REACH_X], most_x)
    steps = np.where(kind == GAUSSIAN, 2 * (1 + reach), 8)
    # A line is drawn two pixels wide at most; a disc's edge is softened by two pixels.
    lines = (kind == MOTION) | (kind == SMOOTH_MOTION)
    steps = np.where(lines, 3 * (2 + filters[:, FILTER_LENGTH]), steps)
    return np.where(kind == DISC, (2 * filters[:, FILTER_RADIUS] + 5) ** 2, steps)


def _visible_pixels(plan: Plan) -> np.ndarray:
    """[V] how many pixels of an output can look into each view's clip, at most; infinite where a border
    shows something everywhere, or the clip reaches behind the horizon."""
    m = plan.inv_matrix.astype(np.float64)
    # The adjugate takes source points to outputs, up to a factor that the determinant gives its sign.
    a, b, c = m[:, 0], m[:, 1], m[:, 2]
    inverse = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=2)
    determinant = (a * np.cross(b, c)).sum(axis=1)
    y0, x0, y1, x1 = plan.clip.astype(np.float64).T
    ones = np.ones_like(y0)
    corners = np.stack([np.stack([x, y, ones], axis=1) for x in (x0, x1) for y in (y0, y1)], axis=2)
    with np.errstate(all="ignore"):
        points = inverse @ corners / determinant[:, None, None]  # [V, 3, 4]
        ahead = (points[:, 2] > 0).all(axis=1) & (plan.border == CONSTANT)
        across = points[:, :2] / points[:, 2:]
        extent = across.max(axis=2) - across.min(axis=2) + 2
        pixels = extent.prod(axis=1)
    return np.where(ahead & np.isfinite(pixels), pixels, np.inf)
