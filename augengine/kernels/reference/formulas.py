"""`pixel`'s formulas over torch tensors."""

from __future__ import annotations

import torch

from ...random_numbers import WORD
from ..bind import FLOATS, WORDS, bind


def _wide_product(a, b):
    """The high and low words of a 32×32-bit product, in int64 without overflow."""
    high = ((a >> 16) * b + (((a & 0xFFFF) * b) >> 16)) >> 16
    return high, (a * b) & WORD


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
        "sqrt": torch.sqrt,
        "log": torch.log,
        "cos": torch.cos,
        "sin": torch.sin,
        "to_float": lambda word: word.to(torch.float32),
        "wide_product": _wide_product,
        "add_word": lambda a, b: (a + b) & WORD,
        "xor": torch.bitwise_xor,
    }
)
