"""Where a batch goes: memory between guard pages, of any strides, poisoned, with gaps that must stay."""

from __future__ import annotations

from random import Random

import torch

from .guard import Block, span_of


class Output:
    """A tensor (N, C, H, W) to draw into, in a block of its own.

    Args:
        rng: Source of its strides.
        shape: Shape of the batch.
        dtype: Dtype of the batch.
        at_end: Whether it ends with a page; otherwise it begins with one.
        poison: Byte that fills its memory.
    """

    def __init__(self, rng: Random, shape: tuple, dtype: torch.dtype, at_end: bool, poison: int):
        order = rng.choice(((0, 1, 2, 3), (0, 2, 3, 1), tuple(rng.sample(range(4), 4))))
        strides, step = [0] * 4, 1
        for axis in reversed(order):
            strides[axis] = step
            step *= shape[axis]
            if rng.random() < 0.2:
                step += rng.choice((1, 2, 16))
        lead = rng.choice((0, 0, 1, 5))
        self.words = f"out strides {strides} offset {lead}"
        self.block = Block((lead + span_of(shape, strides)[1]) * dtype.itemsize, at_end, poison)
        self.tensor = self.block.tensor(dtype).as_strided(shape, strides, lead)
        self.poison = poison

    def gaps_are_whole(self) -> bool:
        """Whether nothing was written but the tensor, whose values are poison again afterwards."""
        dtype = {1: torch.uint8, 2: torch.int16, 4: torch.int32}[self.tensor.element_size()]
        poison = torch.frombuffer(bytearray([self.poison] * dtype.itemsize), dtype=dtype).item()
        self.tensor.view(dtype).fill_(poison)
        return self.block.copy() == bytes([self.poison]) * self.block.inner
