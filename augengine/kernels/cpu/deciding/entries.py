"""What is compiled of the twins: functions for a call from Python, each for one signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit, types

# Called from other compiled functions only.
part = njit(error_model="numpy", nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
ENTRIES: list[tuple[Any, tuple]] = []
TWINS: dict[str, Callable[..., Any]] = {}

# Arrays whose numbers lie side by side, of one and two dimensions; OF_ANY: of any strides.
FLOATS, FLOATS_2 = types.float64[::1], types.float64[:, ::1]
WHOLE, WHOLE_2 = types.int64[::1], types.int64[:, ::1]
WORDS, WORDS_2 = types.uint64[::1], types.uint64[:, ::1]
SINGLE, SINGLE_2 = types.float32[::1], types.float32[:, ::1]
ANY_FLOATS, ANY_FLOATS_2, ANY_FLOATS_3 = (
    types.float64[:],
    types.float64[:, :],
    types.float64[:, :, :],
)
ANY_WHOLE, ANY_WHOLE_2 = types.int64[:], types.int64[:, :]
# The same, which may be read-only.
READ_FLOATS, READ_WHOLE = (
    types.Array(of, 1, "C", readonly=True) for of in (types.float64, types.int64)
)
READ_ANY_2, READ_ANY_3 = (types.Array(types.float64, ndim, "A", readonly=True) for ndim in (2, 3))
FLAGS = types.boolean[::1]
FLOAT, INT = types.float64, types.int64


def entry(*signature: Any) -> Callable[[Callable], Any]:
    """A decorator: compile a function for arguments of these types, to be called from Python."""

    def decorate(function: Callable) -> Any:
        compiled = njit(error_model="numpy", nogil=True)(function)
        ENTRIES.append((compiled, signature))
        return compiled

    return decorate


def twin(function: Callable) -> Callable:
    """A decorator: this runs in the place of the definition of its name."""
    TWINS[function.__name__] = function
    return function
