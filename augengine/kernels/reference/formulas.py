"""`pixel`'s formulas over torch tensors."""

from __future__ import annotations

import torch

from ...random_numbers import WORD
from ..bind import FLOATS, WORDS, bind


def _wide_product(a, b):
    """The high and low words of a 32×32-bit product, in int64 without overflow."""
    high = ((a >> 16) * b + (((a & 0xFFFF) * b) >> 16)) >> 16
    return high, (a * b) & WORD


def _power(base, exponent):
    """base ** exponent, which has a derivative, unlike that by bits. At 0 a root's is not finite: it is
    taken for 0, since what a mask hides would otherwise make a NaN of it."""
    plain = (base > 0) | (exponent >= 1)
    return torch.where(plain, torch.where(plain, base, 1) ** exponent, 0)


def _sqrt(value):
    """Rounded to nearest, of float32: torch's own is off by one place in six, where it is a library's."""
    return value.double().sqrt().to(value.dtype)


def _clamp(value):
    """A value at a limit, as black and white are, keeps its gradient: torch's clamp drops or keeps it by
    torch's version, minimum and maximum halve it."""
    if not value.requires_grad:
        return value.clamp(0, 1)
    return torch.where(value < 0, 0, torch.where(value > 1, 1, value))


px = bind(
    {
        **{name: torch.tensor(value, dtype=torch.float64) for name, value in FLOATS.items()},
        **WORDS,
        "floor": torch.floor,
        "where": torch.where,
        "minimum": torch.minimum,
        "maximum": torch.maximum,
        "absolute": torch.abs,
        "divide": torch.divide,
        "sqrt": _sqrt,
        "power": _power,
        "clamp": _clamp,
        # A word is an int64 in [0, 2³²).
        "to_float": lambda word: word.to(torch.float32),
        "to_signed_float": lambda word: (word - ((word >> 31) << 32)).to(torch.float32),
        "float_bits": lambda value: value.view(torch.int32).to(torch.int64),
        "bits_float": lambda bits: bits.to(torch.int32).view(torch.float32),
        "wide_product": _wide_product,
        "add_word": lambda a, b: (a + b) & WORD,
        "xor": torch.bitwise_xor,
    }
)
px.clamp = _clamp  # a name that is given is not among those that bind returns
