"""The gate before memory: every number that an executor follows, bounded.

Whichever way a plan came to be, it has passed here before anybody sees it. So executors follow its
numbers without a look: they name what there is, stay finite in float32, lie inside what they are of, and
ask for work and memory in proportion to the images. The ranges of single fields stand in the plan's
table; here are those that depend on other fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .fields import array_fields
from .kinds import (
    CONSTANT,
    CURVE,
    CURVE_ROW,
    FILTER_KIND,
    FILTER_REACH_X,
    FILTER_REACH_Y,
    FILTER_SIGMA,
    GAUSSIAN,
    HUE,
    MATRIX,
    MOST_DEPTH,
    NO_FILTER,
    NO_STATISTIC,
    NO_VIEW,
    NOISE,
    NOISE_KEY,
    NONE,
    PLAIN_COLOUR,
    SHARPNESS,
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
_LEAST_SCALE, _LEAST_INVERSE = 2.0**-20, 2.0**-64


def check(plan: Plan) -> None:
    """Raise ValueError, with the field's name, for the first number that is out of bounds. The plan's
    arrays have the right shapes and dtypes."""
    _check_ranges(plan)
    _check_numbers(plan, "source", 0, len(plan.ids) + len(plan.source))
    _check_numbers(plan, "view", PLAIN_COLOUR, len(plan.source))
    _check_numbers(plan, "log_op", -1, len(plan.log_text))
    _check_layers(plan)
    looks_at_views = plan.source.max(initial=0) >= len(plan.ids)
    filters = bool(looks_at_views or plan.filter.any() or plan.frame.any())
    if filters:
        _check_filters(plan)
    size = plan.source_sizes()
    _check_clips(plan, size)
    if plan.step_kind.any() or plan.statistic.any():
        _check_steps(plan, size)
    _check_costs(plan, size, filters)


_groups: list[tuple[tuple[str, ...], float, float]] = []


def _ranges(plan: Plan) -> list[tuple[tuple[str, ...], float, float]]:
    """Fields of one dtype that have the same range: NumPy costs by the call, not by the number."""
    if not _groups:
        groups: dict[tuple, list[str]] = {}
        for field in array_fields(plan):
            if field.metadata["within"] is not None:
                key = (field.metadata["dtype"], *field.metadata["within"])
                groups.setdefault(key, []).append(field.name)
        _groups.extend((tuple(names), low, high) for (_, low, high), names in groups.items())
    return _groups


def _check_ranges(plan: Plan) -> None:
    for names, low, high in _ranges(plan):
        values = [getattr(plan, name).reshape(-1) for name in names]
        several = np.concatenate(values) if len(values) > 1 else values[0]
        # Written so that a NaN, which is the lowest and the highest of all, does not pass.
        if len(several) and not (low <= several.min() and several.max() <= high):
            for name, value in zip(names, values, strict=True):
                wrong = value[~((low <= value) & (value <= high))]
                if len(wrong):
                    raise ValueError(
                        f"Plan.{name}: holds {wrong[0]!s}, expected numbers in [{low}, {high}]. {FIX}"
                    )


def _check_numbers(plan: Plan, name: str, low: int, end: int) -> None:
    """What names a row of something else."""
    value = getattr(plan, name)
    if value.size and not (low <= value.min() and value.max() < end):
        raise ValueError(f"Plan.{name}: holds a value outside [{low}, {end}). {FIX}")


def _check_layers(plan: Plan) -> None:
    """Boxes lie in the output, and of each output something shows in every pixel."""
    size = np.array(plan.finish.size, np.int32)
    low, high = plan.box[..., :2], plan.box[..., 2:]
    if not ((low <= high).all() and (high <= size).all()):
        raise ValueError(
            f"Plan.box: is reversed or reaches outside the output of {size[0]}×{size[1]}. {FIX}"
        )
    if not len(plan):
        return
    covers = plan.view.shape[1] > 0 and (plan.view[:, 0] != NO_VIEW).all()
    if not (covers and (plan.alpha[:, 0] == 1).all()):
        raise ValueError(
            "Plan.view: an output has no first layer, or one that is blended over nothing, expected a "
            f"first layer with alpha 1. {FIX}"
        )
    if low[:, 0].any() or not (high[:, 0] == size).all():
        raise ValueError(
            f"Plan.box: an output's first layer does not cover it, expected [0, 0, {size[0]}, {size[1]}]. "
            f"{FIX}"
        )


def _check_filters(plan: Plan) -> None:
    """Views that others look at: each shows a picture that the filter can be applied to."""
    if (plan.source_sizes() < 1).any():
        raise ValueError(f"Plan.frame: a view looks at one that shows no pixels. {FIX}")
    kind = plan.filter[:, FILTER_KIND]
    if not ((kind == NO_FILTER) | (kind == GAUSSIAN) | (kind == SHARPNESS)).all():
        raise ValueError(f"Plan.filter: holds an unknown kind. {FIX}")
    if (plan.filter[:, FILTER_SIGMA:] < 0).any():
        raise ValueError(f"Plan.filter: holds a number below 0. {FIX}")
    if len(plan.frame) > MOST_PASSES and len(np.unique(plan.frame, axis=0)) > MOST_PASSES:
        raise ValueError(f"Plan.frame: has more than {MOST_PASSES} different sizes. {FIX}")
    if (plan.roots() >= len(plan.ids)).any():
        raise ValueError(
            "Plan.source: views look at each other in a circle, or through more than "
            f"{MOST_DEPTH} filters. {FIX}"
        )


def _check_clips(plan: Plan, size: np.ndarray) -> None:
    """Clips lie in what is looked at, and filters weigh the pixel that a point falls on."""
    low, high = plan.clip[:, :2], plan.clip[:, 2:]
    if not ((low <= high).all() and (high <= size).all()):
        raise ValueError(f"Plan.clip: is reversed or reaches outside its source. {FIX}")
    support = plan.support
    if ((support < _LEAST_SUPPORT) & (support != 0)).any():
        raise ValueError(
            f"Plan.support: holds a number between 0 and {_LEAST_SUPPORT}, by which no pixel may be weighed. "
            f"{FIX}"
        )


def _check_steps(plan: Plan, size: np.ndarray) -> None:
    """Colour steps have arguments of their kind, and statistics a window to be measured in."""
    measures = plan.statistic != NO_STATISTIC
    if measures.any():
        # At least one pixel of a window is read, so the window must start on one.
        low, high = plan.window[..., :2], plan.window[..., 2:]
        lies = (low >= size[:, None]) | (high < low) | (high > size[:, None])
        if (lies.any(axis=-1) & measures).any():
            raise ValueError(f"Plan.window: reaches outside its source. {FIX}")
    # A statistic completes its step, whose kind and arguments are then others.
    kind = np.where(measures, NONE, plan.step_kind)
    if kind.max(initial=NONE) <= MATRIX:
        return
    rows = plan.step_arg[kind == CURVE, CURVE_ROW]
    if len(rows) and not (0 <= rows.min() and rows.max() < len(plan.curves)):
        raise ValueError(f"Plan.step_arg: names a curve outside [0, {len(plan.curves)}). {FIX}")
    if plan.finish.channels != 3 and (kind == HUE).any():
        raise ValueError(
            f"Plan.step_kind: HUE turns colours, and there are {plan.finish.channels} channel(s), expected "
            f"3. {FIX}"
        )
    noise = plan.step_arg[kind == NOISE]
    keys = noise[:, NOISE_KEY : NOISE_KEY + 2]
    if ((keys < 0) | (keys >= _KEY_WORDS)).any():
        raise ValueError(f"Plan.step_arg: the key of a NOISE lies outside [0, 2^24). {FIX}")
    tone = plan.step_arg[kind == TONE]
    scale, step = tone[:, TONE_SCALE : TONE_SCALE + 3], tone[:, TONE_STEP]
    inverse = tone[:, TONE_INVERSE_STEP]
    divides = (np.abs(step * inverse - 1) < 1e-3) & (inverse >= _LEAST_INVERSE)
    if (scale < _LEAST_SCALE).any() or not divides.all():
        raise ValueError(
            f"Plan.step_arg: a TONE divides by 0, or its steps are not 1 / its inverse steps. {FIX}"
        )


def _check_costs(plan: Plan, size: np.ndarray, filters: bool) -> None:
    """A plan asks for work and memory in proportion to its images and outputs."""
    channels, (height, width) = plan.finish.channels, plan.finish.size
    (layers, steps), outputs = (plan.view.shape[1], plan.step_kind.shape[1]), float(len(plan))
    taps = max(2 * int(np.ceil(plan.support.max(initial=0))), 2)
    widest = max(width, int(plan.frame[:, 1].max(initial=0)))
    if taps * (layers + 2) * widest > _ROW_WEIGHTS:
        taps = min(taps, int(size.max(initial=1)))
        if taps * (layers + 2) * widest > _ROW_WEIGHTS:
            raise ValueError(
                f"Plan.support: a filter of {taps:,} pixels for {layers} layer(s) of a row of {widest:,} "
                f"pixels takes more than {_ROW_WEIGHTS:,} weights at a time, expected fewer. Shrink in "
                "two plans, one after the other."
            )
    # Most plans ask for so little that what each view asks for need not be worked out.
    frames = channels * float(plan.frame.prod(axis=1, dtype=np.float64).sum()) if filters else 0.0
    shown = channels * outputs * layers * height * width + frames
    reach = min(
        float(plan.filter[:, FILTER_REACH_X:].max(initial=1)), float(plan.frame.max(initial=0))
    )
    most = shown * (float(taps) ** 2 + steps) + frames * 4 * (1 + reach)
    most += outputs * height * float(layers) ** 2
    if plan.statistic.any():
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
    extent = np.minimum(np.ceil(plan.clip[:, 2:]) - np.floor(plan.clip[:, :2]), size)
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
    reach = np.minimum(plan.filter[pictures][:, [FILTER_REACH_Y, FILTER_REACH_X]], frame - 1)
    blurs = plan.filter[pictures, FILTER_KIND] == GAUSSIAN
    work[pictures] += frame.prod(axis=1) * 2 * (1 + np.where(blurs, reach.sum(axis=1), 3))
    window = plan.window.astype(np.float64)
    measured = (window[..., 2] - window[..., 0] + 2) * (window[..., 3] - window[..., 1] + 2)
    before = 1 + np.arange(plan.step_kind.shape[1])
    return work + (measured * before * (plan.statistic != NO_STATISTIC)).sum(axis=1)


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
