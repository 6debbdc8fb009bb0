"""Checks of arguments that only ops have."""

from __future__ import annotations

from numbers import Real

from ...checks import number, several
from .op import Op


def colour(where: str, value):
    """None, a number, or one number a channel, 0 … 255."""
    if value is None or isinstance(value, (Real, str)):
        return value if value is None else number(where, value, 0, 255)
    return tuple(number(where, v, 0, 255) for v in several(value))


def interpolation_name(where: str, value):
    """None, "bilinear" or "nearest"; torchvision's InterpolationMode is taken by its value."""
    name = getattr(value, "value", value)
    if name not in (None, "bilinear", "nearest"):
        raise ValueError(
            f"{where}: got {name!r}, expected 'bilinear' or 'nearest'. A view is sampled once, with "
            "an antialiased triangle filter, or by the nearest pixel."
        )
    return name


def ops(where: str, value) -> tuple[Op, ...]:
    """A non-empty sequence of ops."""
    value = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    for op in value:
        if not isinstance(op, Op):
            raise TypeError(
                f"{where}: got {op!r}, expected augengine ops. An op of another library cannot be "
                "fused; apply it to the finished batch."
            )
    if not value:
        raise ValueError(
            f"{where}: got no ops, expected at least one. Pass an op or a list of ops."
        )
    return value
