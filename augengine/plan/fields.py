"""How a plan's arrays are declared: each field carries its dimensions, dtype, meaning and range."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from .kinds import CURVE_ENTRIES


def array(dims: str, dtype, meaning: str, within: tuple[float, float] | None = None) -> Any:
    """A field of the plan. dims: names of lengths and numbers, such as "V 3 3". within: the lowest and
    the highest number that it may hold; None where executors follow none of them, or where that
    depends on other fields."""
    metadata = {"dims": dims.split(), "dtype": dtype, "meaning": meaning, "within": within}
    return dataclasses.field(metadata=metadata)


def array_fields(plan) -> list[dataclasses.Field]:
    """The arrays of a plan or of its class, in order."""
    return [field for field in dataclasses.fields(plan) if field.metadata]


def no_curves(channels: int) -> np.ndarray:
    """The curves [0, C, 256] of a plan that has none."""
    return np.zeros((0, channels, CURVE_ENTRIES), np.float32)


def fields_of(plan, length: str) -> tuple[str, ...]:
    """The names of the arrays whose first dimension is this length, such as "V" for those of views."""
    return tuple(f.name for f in array_fields(plan) if f.metadata["dims"][0] == length)
