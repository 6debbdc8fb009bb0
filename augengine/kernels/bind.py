"""Compile `pixel` and `random_numbers` for an executor: the same formulas, with its own names given."""

from __future__ import annotations

from types import FunctionType, SimpleNamespace

import numpy as np

from .. import random_numbers
from . import pixel

# To numba a literal such as 255.0 is float64, which makes a float32 loop three times slower: the
# formulas name their constants, and each executor binds them in its own type.
FLOATS = {
    "ZERO": 0.0,
    "HALF": 0.5,
    "ONE": 1.0,
    "TWO": 2.0,
    "THREE": 3.0,
    "FOUR": 4.0,
    "FIVE": 5.0,
    "SIX": 6.0,
    "SIXTH": 1 / 6,
    "THIRTEENTH": 1 / 13,
    "MINUS_TWO": random_numbers.MINUS_TWO,
    "MAX_BYTE": 255.0,
    "PER_BYTE": 1 / 255,
    "TINY": 1e-6,
    "FAR_AWAY": -1e9,
    "HORIZON": 2.0**-64,
    "LEAST_SPREAD": 2.0**-100,
    "TO_UNIT": 2.0**-32,
    "TO_TURN": 2 * np.pi * 2.0**-32,
}
WORDS = {
    "PHILOX_M0": random_numbers.PHILOX_M0,
    "PHILOX_M1": random_numbers.PHILOX_M1,
    "PHILOX_W0": random_numbers.PHILOX_W0,
    "PHILOX_W1": random_numbers.PHILOX_W1,
}


def bind(names: dict, compiled=lambda function: function) -> SimpleNamespace:
    """The functions of `random_numbers` and `pixel` over `names`, which come first, each passed through
    `compiled` (a jit decorator)."""
    formulas = {
        name: function
        for module in (random_numbers, pixel)
        for name, function in vars(module).items()
        if isinstance(function, FunctionType) and name not in names
    }
    namespace = {"__name__": pixel.__name__, **names}
    for name, function in formulas.items():
        namespace[name] = compiled(FunctionType(function.__code__, namespace, name))
    return SimpleNamespace(**{name: namespace[name] for name in formulas})
