"""What a plan must be before an executor follows it: the right shapes and dtypes, numbers that name what
there is, boxes and windows inside what they are of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .fields import array_fields
from .kinds import (
    CONSTANT,
    CURVE,
    CURVE_ROW,
    GAUSSIAN,
    HISTOGRAM,
    NO_FILTER,
    NO_STATISTIC,
    NONE,
    PLAIN_COLOUR,
    SHARPNESS,
    SYMMETRIC,
    TONE,
)

if TYPE_CHECKING:
    from . import Plan

_FIX = "Take plans from Policy.sample, Plan.load, select and concatenate."


def check(plan: Plan) -> None:
    """Check all fields, and make the arrays contiguous and read-only.

    Raises ValueError for the first field that is wrong, with its name.
    """
    extent = {"C": plan.finish.channels}
    for field in array_fields(plan):
        value = np.ascontiguousarray(getattr(plan, field.name))
        dims, dtype = field.metadata["dims"], field.metadata["dtype"]
        if value.dtype != dtype or value.ndim != len(dims):
            raise ValueError(
                f"Plan.{field.name}: got {value.dtype} {list(value.shape)}, expected "
                f"{np.dtype(dtype)} [{', '.join(dims)}]. {_FIX}"
            )
        for dim, size in zip(dims, value.shape, strict=True):
            expected = int(dim) if dim.isdigit() else extent.setdefault(dim, size)
            if size != expected:
                raise ValueError(
                    f"Plan.{field.name}: {dim} is {size} here and {expected} in earlier "
                    f"fields; it is [{', '.join(dims)}]. {_FIX}"
                )
        if value.flags.writeable:
            value = value.view()
            value.flags.writeable = False
        object.__setattr__(plan, field.name, value)
    _check_numbers(plan)


def _check_numbers(plan: Plan) -> None:
    """An executor follows these without looking: a plan that lies never reaches one."""
    for name, least, end in [
        ("source", 0, len(plan.ids) + len(plan.source)),
        ("view", PLAIN_COLOUR, len(plan.source)),
        ("log_op", -1, len(plan.log_text)),
        ("step_kind", NONE, TONE + 1),
        ("statistic", NO_STATISTIC, HISTOGRAM + 1),
        ("border", CONSTANT, SYMMETRIC + 1),
    ]:
        value = getattr(plan, name)
        if value.size and not (least <= value.min() and value.max() < end):
            raise ValueError(f"Plan.{name}: holds a value outside [{least}, {end}). {_FIX}")
    for field in array_fields(plan):
        value = getattr(plan, field.name)
        if value.dtype == np.float32 and not np.isfinite(value).all():
            raise ValueError(
                f"Plan.{field.name}: holds a NaN or an infinity, expected finite numbers. {_FIX}"
            )
    height, width = plan.finish.size
    y0, x0, y1, x1 = np.moveaxis(plan.box, -1, 0)
    if (
        not ((0 <= y0) & (y0 <= y1) & (y1 <= height)).all()
        or not ((0 <= x0) & (x0 <= x1) & (x1 <= width)).all()
    ):
        raise ValueError(
            f"Plan.box: is reversed or reaches outside the output of {height}×{width}. {_FIX}"
        )
    curve = plan.step_arg[..., CURVE_ROW][
        (plan.step_kind == CURVE) & (plan.statistic == NO_STATISTIC)
    ]
    if curve.size and not (0 <= curve.min() and curve.max() < len(plan.curves)):
        raise ValueError(f"Plan.step_arg: names a curve outside [0, {len(plan.curves)}). {_FIX}")
    if plan.sizes.size and plan.sizes.min() < 1:
        raise ValueError(f"Plan.sizes: has an image without pixels. {_FIX}")
    if (plan.frame < 0).any() or (plan.source_sizes() < 1).any():
        raise ValueError(f"Plan.frame: a view looks at one that shows no pixels. {_FIX}")
    if not np.isin(plan.filter[:, 0], (NO_FILTER, GAUSSIAN, SHARPNESS)).all():
        raise ValueError(f"Plan.filter: holds an unknown kind. {_FIX}")
    if (plan.filter[:, 1:] < 0).any():
        raise ValueError(f"Plan.filter: holds a number below 0. {_FIX}")
    if (plan.roots() >= len(plan.ids)).any():
        raise ValueError(f"Plan.source: views look at each other in a circle. {_FIX}")
    if plan.support.size and plan.support.min() < 0:
        raise ValueError(f"Plan.support: is negative somewhere. {_FIX}")
    size = plan.source_sizes()
    low, high = plan.clip[:, :2], plan.clip[:, 2:]
    beyond = ((low < 0) | (high > size)).any(axis=1)
    if (beyond & (low < high).all(axis=1)).any():
        raise ValueError(f"Plan.clip: reaches outside its source. {_FIX}")
    # A statistic reads at least one pixel of its window, so the window must start on one.
    low, high = plan.window[..., :2], plan.window[..., 2:]
    lies = (low < 0) | (low >= size[:, None]) | (high < low) | (high > size[:, None])
    if (lies.any(axis=-1) & (plan.statistic != NO_STATISTIC)).any():
        raise ValueError(f"Plan.window: reaches outside its source. {_FIX}")
