"""Compile `pixel` for an executor: the same formulas, with that executor's names given."""

from __future__ import annotations

from types import FunctionType, SimpleNamespace

import numpy as np

from . import pixel

# To numba a literal such as 255.0 is float64, which makes a float32 loop three times slower: the
# formulas name their constants, and each executor binds them in its own type.
FLOATS = {
    "ZERO": 0.0,
    "HALF": 0.5,
    "ONE": 1.0,
    "TWO": 2.0,
    "FOUR": 4.0,
    "SIX": 6.0,
    "SIXTH": 1 / 6,
    "THIRTEENTH": 1 / 13,
    "MINUS_TWO": -2.0,
    "MAX_BYTE": 255.0,
    "PER_BYTE": 1 / 255,
    "TINY": 1e-6,
    "FAR_AWAY": -1e9,
    "TO_UNIT": 2.0**-32,
    "TO_TURN": 2 * np.pi * 2.0**-32,
}
WORDS = {"PHILOX_M0": 0xD2511F53, "PHILOX_M1": 0xCD9E8D57}


def bind(names: dict, compiled=lambda function: function) -> SimpleNamespace:
    """Every function of `pixel`, over `names`, passed through `compiled` (a jit decorator)."""
    namespace = {"__name__": pixel.__name__, **names}
    for name, function in vars(pixel).items():
        if isinstance(function, FunctionType):
            namespace[name] = compiled(FunctionType(function.__code__, namespace, name))
    return SimpleNamespace(**{k: v for k, v in namespace.items() if hasattr(pixel, k)})
