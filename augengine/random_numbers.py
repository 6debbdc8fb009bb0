"""Random numbers as functions of keys: Philox4x32-10 and the normal distribution, written once.

As it stands the module computes in NumPy, on ints and uint64 arrays that hold 32-bit words.
`kernels.bind` compiles `philox_round` for each executor, with that executor's own `wide_product`, `xor`,
`add_word` and constants; normal numbers of pixels are by a formula of their own, in float32.
"""

from __future__ import annotations

from numpy import sqrt

from .elementary import log

# Multipliers and Weyl increments (Salmon et al., SC 2011).
PHILOX_M0, PHILOX_M1 = 0xD2511F53, 0xCD9E8D57
PHILOX_W0, PHILOX_W1 = 0x9E3779B9, 0xBB67AE85
PHILOX_ROUNDS = 10
MINUS_TWO = -2.0
WORD = 0xFFFFFFFF


def wide_product(a, b):
    """The high and the low word of a product of two words."""
    product = b * a
    return product >> 32, product & WORD


def xor(a, b):
    return a ^ b


def add_word(a, b):
    return (a + b) & WORD


def philox_round(c0, c1, c2, c3, k0, k1):
    """One of ten rounds of Philox4x32: the counter after it, and the key for the next."""
    high0, low0 = wide_product(PHILOX_M0, c0)
    high1, low1 = wide_product(PHILOX_M1, c2)
    c0, c2 = xor(xor(high1, c1), k0), xor(xor(high0, c3), k1)
    return c0, low1, c2, low0, add_word(k0, PHILOX_W0), add_word(k1, PHILOX_W1)


def normal_radius(uniform):
    """Box and Muller's radius, from a uniform number in (0, 1): the radius times the cosine, or the
    sine, of a uniform angle is a standard normal number."""
    return sqrt(MINUS_TWO * log(uniform))
