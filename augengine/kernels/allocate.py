"""New memory for a batch, in large pages where the system has them to give.

The first write to each page of fresh memory costs a fault. A batch of 128 × 3 × 224² floats is 19,000
pages of 4 kB, whose faults take three times as long as drawing it, and 37 of 2 MB.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

_LARGE = 4 << 20  # bytes from which asking for large pages is worth its call
_PAGE = 4096  # bytes of a small page
_MADV_HUGEPAGE = 14  # <sys/mman.h> of Linux
_OUT_OF_MEMORY = (torch.OutOfMemoryError, MemoryError)
# In torch's words: more than there is, or more than 64 bits can say.
_NO_MEMORY = re.compile("can't allocate memory|not enough memory|calculation overflowed")


def empty(
    shape: Sequence[int],
    dtype: torch.dtype,
    device: torch.device | str,
    memory_format: torch.memory_format,
) -> torch.Tensor:
    """A new tensor with nothing written, as torch.empty gives it."""
    tensor = torch.empty(shape, dtype=dtype, device=device, memory_format=memory_format)
    nbytes = tensor.numel() * tensor.element_size()
    if tensor.device.type == "cpu" and nbytes >= _LARGE and sys.platform == "linux":
        first = -(-tensor.data_ptr() // _PAGE) * _PAGE
        length = (tensor.data_ptr() + nbytes - first) // _PAGE * _PAGE
        # Advice: where the system declines it, the pages are small ones, and all else is the same.
        ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(length), _MADV_HUGEPAGE)
    return tensor


@contextmanager
def memory_errors_for(
    purpose: str | Callable[[], str],
    nbytes: int,
    device: torch.device,
    others: Callable[[], str] = str,
) -> Iterator[None]:
    """A context that makes the error, where memory runs out, one of one kind that says what it was for.
    On a CPU torch raises a plain RuntimeError, and NumPy and numba a MemoryError.

    Args:
        purpose: Noun for what the memory is for, such as "the source images", or a function that says it.
        nbytes: Bytes that it takes.
        device: Device whose memory it is.
        others: Function that says what else lies in that memory, and how large it is.

    Raises:
        torch.OutOfMemoryError: In place of torch's own.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not (isinstance(error, _OUT_OF_MEMORY) or _NO_MEMORY.search(str(error))):
            raise
        purpose = purpose() if callable(purpose) else purpose
        raise torch.OutOfMemoryError(
            f"augengine: {device} is out of memory for {purpose}, {nbytes:,} bytes{others()}, expected that "
            "much to be free. Draw smaller batches, write float16 or bfloat16, pass out= to reuse "
            "memory, or lower the prefetch of a DeviceLoader."
        ) from error
