"""Compiled twins: small functions that compute the same bits in one call.

NumPy costs by the call, some microsecond each, and deciding a batch is hundreds of calls on a few numbers.
Each function that is marked here is its own definition, in NumPy, and runs as it is in a process that never
draws with compiled code. Once numba is there anyway, with the first batch that the CPU or the GPU executor
draws, `use` puts the loops of `loops` in their place. This file imports no compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
_twins: dict[str, Callable[..., Any]] = {}


def twin(definition: F) -> F:
    """A function that runs its compiled twin of the same name, once there is one."""
    name = definition.__name__

    @wraps(definition)
    def either(*arguments: Any) -> Any:
        return _twins.get(name, definition)(*arguments)

    return either  # type: ignore[return-value]


def use(twins: Mapping[str, Callable[..., Any]]) -> None:
    """Run these from now on, in the place of the definitions of their names."""
    _twins.update(twins)


def in_use() -> bool:
    """Whether twins run."""
    return bool(_twins)
