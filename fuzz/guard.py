"""Memory between guard pages: a read or a write one byte beyond its ends ends the process."""

from __future__ import annotations

import ctypes
import mmap
import weakref
from collections.abc import Sequence

import numpy as np
import torch

PAGE = mmap.PAGESIZE
NO_ACCESS, READ_ONLY, READ_WRITE = 0, mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = _libc.munmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_FAILED = ctypes.c_void_p(-1).value


class Block:
    """Some bytes, the rest of their pages, and a guard page at either end.

    Args:
        nbytes: Number of bytes.
        at_end: Whether the last byte lies at the end of a page; otherwise the first lies at the start
            of one.
        poison: Byte that fills all pages.
        shift: Bytes by which the block lies further inside, so that its addresses are odd.
    """

    def __init__(self, nbytes: int, at_end: bool = True, poison: int = 0xFF, shift: int = 0):
        self.inner = -(-max(nbytes + shift, 1) // PAGE) * PAGE
        base = _libc.mmap(
            None, self.inner + 2 * PAGE, READ_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0
        )
        if base == _FAILED:
            raise MemoryError(f"guard: no memory for a block of {nbytes:,} bytes.")
        self.first = base + PAGE
        _libc.mprotect(base, PAGE, NO_ACCESS)
        _libc.mprotect(self.first + self.inner, PAGE, NO_ACCESS)
        ctypes.memset(self.first, poison, self.inner)
        start = self.first + (self.inner - nbytes - shift if at_end else shift)
        self.bytes = (ctypes.c_ubyte * nbytes).from_address(start)
        # What is made from the bytes keeps them alive, and they keep the pages.
        weakref.finalize(self.bytes, _libc.munmap, base, self.inner + 2 * PAGE)
        self.pages = (ctypes.c_ubyte * self.inner).from_address(self.first)

    def array(self, dtype) -> np.ndarray:
        """The bytes as an array of one dimension, which owns nothing."""
        return np.frombuffer(self.bytes, dtype) if len(self.bytes) else np.empty(0, dtype)

    def tensor(self, dtype: torch.dtype) -> torch.Tensor:
        """The bytes as a tensor of one dimension, whose storage ends with them."""
        return torch.frombuffer(self.bytes, dtype=dtype)

    def protect(self) -> None:
        """From here on a write ends the process."""
        _libc.mprotect(self.first, self.inner, READ_ONLY)

    def copy(self) -> bytes:
        """All bytes of its pages."""
        return bytes(self.pages)


def span_of(shape: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """(values before the first one, values from there to the end) that a strided view touches."""
    steps = [(size - 1) * step for size, step in zip(shape, strides, strict=True)]
    before = -sum(step for step in steps if step < 0)
    return before, sum(step for step in steps if step > 0) + 1
