"""The executors' own new memory, poisoned and between guard pages.

numba takes the memory of an array from a function of its runtime, which compiled code calls by name. Here
another function gets that name, before any kernel is loaded. It is compiled by numba as well, so it needs
no GIL. torch.empty is replaced for tensors of the CPU.
"""

from __future__ import annotations

import ctypes
import math
import mmap

import torch

from . import guard
from .guard import PAGE, Block

# What the functions below read at every call: whether memory lies at the end of its pages, the byte that
# fills them, and how many arrays came from here.
_settings = (ctypes.c_int64 * 3)(1, 0xFF, 0)
_torch_empty, _torch_empty_like = torch.empty, torch.empty_like
_kept: list = []


class _Api(ctypes.Structure):
    """What numba's runtime offers to others (numba/core/runtime/nrt_external.h)."""

    _fields_ = [
        ("allocate", ctypes.c_void_p),
        ("allocate_external", ctypes.c_void_p),
        ("manage_memory", ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)),
    ]


def poison(at_end: bool, byte: int) -> None:
    """What new memory is like from here on."""
    _settings[0], _settings[1] = int(at_end), byte


def count() -> int:
    """How many arrays kernels have taken from here."""
    return _settings[2]


def install() -> None:
    """From here on: whatever numba loads, and torch.empty, take memory between guard pages."""
    if not _kept:
        _install_for_numba()
    install_for_torch()


def install_for_torch() -> None:
    """From here on torch.empty takes memory between guard pages."""
    torch.empty, torch.empty_like = _empty, _empty_like


def _install_for_numba() -> None:
    import numpy as np
    from llvmlite import binding
    from numba import cfunc, types
    from numba.core.registry import cpu_target
    from numba.core.runtime import _nrt_python, rtsys

    from augengine.kernels.cpu.memory import values

    rtsys.initialize(cpu_target.target_context)
    libc = ctypes.CDLL(None)
    a, i = ctypes.c_int64, ctypes.c_int
    map_pages = ctypes.CFUNCTYPE(a, a, a, i, i, i, a)(("mmap", libc))
    unmap_pages = ctypes.CFUNCTYPE(i, a, a)(("munmap", libc))
    protect = ctypes.CFUNCTYPE(i, a, a, i)(("mprotect", libc))
    fill = ctypes.CFUNCTYPE(a, a, i, a)(("memset", libc))
    get_api = ctypes.CFUNCTYPE(ctypes.POINTER(_Api))(_nrt_python.c_helpers["get_api"])
    manage = get_api().contents.manage_memory
    settings = ctypes.addressof(_settings)
    no_access, read_write = guard.NO_ACCESS, guard.READ_WRITE
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS

    # Pages: one that remembers how many there are, a guard, the memory, a guard.
    @cfunc(types.void(types.int64))
    def release(data):
        first = data // PAGE * PAGE
        base = first - 2 * PAGE
        unmap_pages(base, values(base, 1, np.int64(0))[0])

    freed = release.address

    @cfunc(types.int64(types.int64, types.uint32))
    def allocate(nbytes, align):
        chosen = values(settings, 3, np.int64(0))
        if nbytes < 0 or nbytes > 1 << 40:
            return 0
        inner = (max(nbytes, 1) + PAGE - 1) // PAGE * PAGE
        base = map_pages(0, inner + 3 * PAGE, read_write, private, -1, 0)
        if base == -1:
            return 0
        values(base, 1, np.int64(0))[0] = inner + 3 * PAGE
        first = base + 2 * PAGE
        protect(base + PAGE, PAGE, no_access)
        protect(first + inner, PAGE, no_access)
        fill(first, chosen[1], inner)
        chosen[2] += 1
        return manage(first + (inner - nbytes) * chosen[0] if nbytes > 0 else first, freed)

    binding.add_symbol("NRT_MemInfo_alloc_safe_aligned", allocate.address)
    binding.add_symbol("NRT_MemInfo_alloc_aligned", allocate.address)
    _kept.extend([libc, release, allocate, map_pages, unmap_pages, protect, fill, manage])


def _empty(*size, **how) -> torch.Tensor:
    """torch.empty, of memory between guard pages where it is the CPU's."""
    shape = tuple(
        how.pop("size", size[0] if len(size) == 1 and not isinstance(size[0], int) else size)
    )
    dtype = how.get("dtype") or torch.get_default_dtype()
    device = torch.device(how.get("device") or "cpu")
    layout = how.get("memory_format", torch.contiguous_format)
    known = set(how) <= {"dtype", "device", "memory_format"}
    if not known or device.type != "cpu" or not math.prod(shape):
        return _torch_empty(shape, **how)
    strides = _torch_empty(shape, device="meta", memory_format=layout).stride()
    try:
        block = Block(math.prod(shape) * dtype.itemsize, bool(_settings[0]), int(_settings[1]))
    except MemoryError:
        return _torch_empty(shape, **how)  # which says it in its own words
    return block.tensor(dtype).as_strided(shape, strides)


def _empty_like(tensor: torch.Tensor, **how) -> torch.Tensor:
    if how or tensor.device.type != "cpu" or not tensor.is_contiguous():
        return _torch_empty_like(tensor, **how)
    return _empty(tensor.shape, dtype=tensor.dtype)
