"""New memory for a batch, in large pages where the system has them to give.

The first write to each page of fresh memory costs a fault. A batch of 128 × 3 × 224² floats is 19,000
pages of 4 kB, whose faults take three times as long as drawing it, and 37 of 2 MB.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import contextmanager

import torch

_LARGE = 4 << 20  # bytes from which it is worth asking
_PAGE = 4096
_MADV_HUGEPAGE = 14  # <sys/mman.h> of Linux


def empty(shape, dtype: torch.dtype, device, memory_format) -> torch.Tensor:
    """As torch.empty."""
    made = torch.empty(shape, dtype=dtype, device=device, memory_format=memory_format)
    size = made.numel() * made.element_size()
    if made.device.type == "cpu" and size >= _LARGE and sys.platform == "linux":
        first = -(-made.data_ptr() // _PAGE) * _PAGE
        length = (made.data_ptr() + size - first) // _PAGE * _PAGE
        # Advice: where the system declines it, the pages are small ones, and all else is the same.
        ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(length), _MADV_HUGEPAGE)
    return made


@contextmanager
def explained(what: str, size: int, device, more: str = ""):
    """Where the device's memory runs out inside, torch's error becomes one that says what for.

    what: asked for `size` bytes. more: what else is there, and how large.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise torch.OutOfMemoryError(
            f"augengine: {device} is out of memory for {what}, {size:,} bytes{more}, expected that "
            "much to be free. Draw smaller batches, write float16 or bfloat16, pass out= to reuse "
            "memory, or lower the prefetch of a DeviceLoader."
        ) from error
