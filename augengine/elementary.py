"""log, exp, cosine and sine in plain IEEE operations, so that a draw has the same bits on every machine.

NumPy's own come from a vector library or from the C library. In the last place those differ from one
processor, operating system or version to another. Here each +, −, ×, ÷ and rounding is a call of its own:
IEEE 754 says every bit of its result, and no compiler can fuse two of them. The reductions and the
constants are those of fdlibm (Sun Microsystems, 1993).

All take a number or an array, in float64, and compute element by element: an element's bits do not depend
on how many there are nor on how they lie in memory. The tests hold the errors that are stated here; a ulp
is the distance to the next float64.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .compiled import twin

# A float64 is 1.fraction · 2^(exponent − bias); its exponent begins at this bit.
EXPONENT_AT, _BIAS = 52, 1023
ROOT_OF_HALF = 0x3FE6A09E667F3BCD  # the bits of √½


def _numbers(*numbers: float) -> tuple[np.ndarray, ...]:
    """Numbers as arrays without a dimension, which NumPy takes sooner than Python's."""
    return tuple(map(np.array, numbers))


# ln 2 in two parts, of which the first ends in 32 zeros: a whole multiple of it is exact.
LN2_HIGH, LN2_LOW, PER_LN2 = _numbers(
    0.6931471803691238, 1.9082149292705877e-10, 1.4426950408889634
)
LARGEST_EXPONENT = 708.0  # exp of it, and of its negative, are normal float64
_LARGEST, _LEAST = _numbers(LARGEST_EXPONENT, -LARGEST_EXPONENT)
_HALF, _ONE, _TWO = _numbers(0.5, 1.0, 2.0)

# Polynomials, highest power first.
LOG = _numbers(
    0.14798198605116586,
    0.15313837699209373,
    0.1818357216161805,
    0.22222198432149784,
    0.2857142874366239,
    0.3999999999940942,
    0.6666666666666735,
)
EXP = _numbers(
    4.1381367970572385e-08,
    -1.6533902205465252e-06,
    6.613756321437934e-05,
    -0.0027777777777015593,
    0.16666666666666602,
)
SIN = _numbers(
    1.58969099521155e-10,
    -2.5050760253406863e-08,
    2.7557313707070068e-06,
    -0.0001984126982985795,
    0.00833333333332249,
    -0.16666666666666632,
)
COS = _numbers(
    -1.1359647557788195e-11,
    2.087572321298175e-09,
    -2.7557314351390663e-07,
    2.480158728947673e-05,
    -0.001388888888887411,
    0.0416666666666666,
)


def _polynomial(coefficients, x):
    """Without a constant term."""
    value = coefficients[0] * x
    for coefficient in coefficients[1:]:
        value += coefficient
        value *= x
    return value


@twin
def log(x):
    """The natural logarithm, to 1 ulp. x: positive and normal, 2.3e-308 or more."""
    bits = np.asarray(x, np.float64).view(np.int64)
    # x is 2^exponent · (1 + part), where 1 + part lies in [√½, √2).
    exponent = (bits - ROOT_OF_HALF) >> EXPONENT_AT
    part = (bits - (exponent << EXPONENT_AT)).view(np.float64) - _ONE
    # log(1 + part) = log((1 + s) / (1 − s)), a series in s.
    s = part / (part + _TWO)
    half_square = part * part * _HALF
    series = s * (half_square + _polynomial(LOG, s * s))
    return exponent * LN2_HIGH - (half_square - (series + exponent * LN2_LOW) - part)


@lru_cache(maxsize=256)
def logs(*numbers: float) -> tuple[float, ...]:
    """`log` of numbers that come again and again, such as an op's limits."""
    return tuple(log(numbers).tolist())


@twin
def exp(x):
    """e to the power of x, to 1 ulp; x is first brought to within ±708, where the result is normal."""
    x = np.minimum(np.maximum(x, _LEAST), _LARGEST)
    # e^x is 2^exponent · e^(high − low), where high − low lies within ± ln 2 / 2.
    exponent = np.rint(x * PER_LN2)
    high, low = x - exponent * LN2_HIGH, exponent * LN2_LOW
    rest = high - low
    c = rest - _polynomial(EXP, rest * rest)
    fraction = _ONE - (low - rest * c / (_TWO - c) - high)
    return fraction * ((exponent.astype(np.int64) + _BIAS) << EXPONENT_AT).view(np.float64)


@twin
def cos_sin(angle, quarter):
    """Cosine and sine of an angle, to 2 ulp; exact at whole quarter turns.

    quarter: what a quarter turn is in the angle's unit, 90 for degrees and 0.25 for turns. angle: less
    than 2^50 quarters.
    """
    angle = np.asarray(angle, np.float64)
    quarters = np.rint(angle / quarter)
    # Within an eighth of a turn, and exact: both are near each other.
    x = (angle - quarters * quarter) * (np.pi / 2 / quarter)
    square = x * x
    half = square * _HALF
    rough = _ONE - half
    cos = rough + ((_ONE - rough - half) + square * _polynomial(COS, square))
    sin = x + x * _polynomial(SIN, square)
    quarters = quarters.astype(np.int64)
    swapped = (quarters & 1).astype(bool)
    # Half turns change the sign; of the cosine from one quarter turn on, of the sine from two.
    cosine = np.where(swapped, sin, cos) * (1.0 - ((quarters + 1) & 2))
    return cosine, np.where(swapped, cos, sin) * (1.0 - (quarters & 2))
