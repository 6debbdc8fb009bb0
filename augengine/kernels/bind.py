"""Compile `pixel` for an executor: the same formulas, with its own names given."""

from __future__ import annotations

from types import FunctionType, SimpleNamespace

from .. import random_numbers
from . import pixel

_ROOT_OF_HALF = 0x3F3504F3  # the bits of √½ as a float32

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
    "EIGHT": 8.0,
    "SIXTH": 1 / 6,
    "THIRTEENTH": 1 / 13,
    "MAX_BYTE": 255.0,
    "PER_BYTE": 1 / 255,
    "CUT_BYTES": 255.999,
    "BYTES": 256.0,
    "PER_BYTES": 1 / 256,
    "TINY": 1e-6,
    "FAR_AWAY": -1e9,
    "HORIZON": 2.0**-64,
    "LEAST_SPREAD": 2.0**-100,
    "TO_UNIT": 2.0**-32,
    "QUARTER": 0.25,
    # A float32 is 1.fraction · 2^(exponent − bias), and its exponent begins at bit 23.
    "BIAS": 127.0,
    "PER_EXPONENT": 2.0**-23,
    "TO_EXPONENT": 2.0**23,
    "LEAST_NORMAL": 2.0**-126,
    "TO_NORMAL": 2.0**24,
    "NORMAL_SHIFT": 24.0,
    "LEAST_LOG": -126.0,
    "TO_RADIUS": -1.3862943611198906,  # −2 ln 2
    # Polynomials of least error, relative to the function: log2(1 + x) / x on [√½ − 1, √2 − 1], the sine
    # of turns up to a quarter, by odd powers, and 2^x on [−½, ½] but for its 1.
    "LOG_8": 0.129264305,
    "LOG_7": -0.20893383,
    "LOG_6": 0.21521226,
    "LOG_5": -0.23867568,
    "LOG_4": 0.2879391,
    "LOG_3": -0.36071625,
    "LOG_2": 0.48091027,
    "LOG_1": -0.7213472,
    "LOG_0": 1.442695,
    "SIN_9": 39.56633,
    "SIN_7": -76.55434,
    "SIN_5": 81.60125,
    "SIN_3": -41.34166,
    "SIN_1": 6.283185,
    "EXP_6": 0.00015345812,
    "EXP_5": 0.0013399931,
    "EXP_4": 0.009618489,
    "EXP_3": 0.055503286,
    "EXP_2": 0.24022646,
    "EXP_1": 0.6931472,
}
WORDS = {
    "PHILOX_M0": random_numbers.PHILOX_M0,
    "PHILOX_M1": random_numbers.PHILOX_M1,
    "PHILOX_W0": random_numbers.PHILOX_W0,
    "PHILOX_W1": random_numbers.PHILOX_W1,
    "EXPONENT_BITS": 0xFF800000,
    "FRACTION_BITS": 0x007FFFFF,
    "ROOT_OF_HALF": _ROOT_OF_HALF,
    "FROM_ROOT": 0x3F800000 - _ROOT_OF_HALF,
    "BACK_A_QUARTER": 0xC0000000,
}


def bind(names: dict, compiled=lambda function: function) -> SimpleNamespace:
    """The functions of `pixel`, and `philox_round`, over `names`, which come first, each passed through
    `compiled` (a jit decorator)."""
    formulas = {
        name: function
        for name, function in (vars(pixel) | {"philox_round": random_numbers.philox_round}).items()
        if isinstance(function, FunctionType) and name not in names
    }
    namespace = {"__name__": pixel.__name__, **names}
    for name, function in formulas.items():
        namespace[name] = compiled(FunctionType(function.__code__, namespace, name))
    return SimpleNamespace(**{name: namespace[name] for name in formulas})
