"""What the arrays of a plan must be: of the right shapes and dtypes, and nobody else's to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .bounds import FIX
from .fields import array_fields
from .finish import Finish

if TYPE_CHECKING:
    from . import Plan


def check(plan: Plan) -> None:
    """Check the shapes and dtypes of all fields, and make the arrays contiguous and read-only.

    Raises ValueError for the first field that is wrong, with its name.
    """
    if not isinstance(plan.finish, Finish):
        raise ValueError(f"Plan.finish: got {type(plan.finish).__name__}, expected a Finish. {FIX}")
    extent = {"C": plan.finish.channels}
    for field in array_fields(plan):
        value = np.asarray(getattr(plan, field.name))
        dims, dtype = field.metadata["dims"], field.metadata["dtype"]
        if value.dtype != dtype or value.ndim != len(dims):
            raise ValueError(
                f"Plan.{field.name}: got {value.dtype} {list(value.shape)}, expected "
                f"{np.dtype(dtype)} [{', '.join(dims)}]. {FIX}"
            )
        for dim, size in zip(dims, value.shape, strict=True):
            expected = int(dim) if dim.isdigit() else extent.setdefault(dim, size)
            if size != expected:
                raise ValueError(
                    f"Plan.{field.name}: {dim} is {size} here and {expected} in earlier "
                    f"fields; it is [{', '.join(dims)}]. {FIX}"
                )
        object.__setattr__(plan, field.name, _own(value))
    texts = plan.log_text
    if not isinstance(texts, tuple) or not all(isinstance(text, str) for text in texts):
        raise ValueError(
            f"Plan.log_text: got {type(texts).__name__}, expected a tuple of text. {FIX}"
        )
    names = plan.after
    if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"Plan.after: got {type(names).__name__}, expected a tuple of names. {FIX}"
        )
    for name in ("seed", "epoch", "look"):
        if type(getattr(plan, name)) is not int:
            raise ValueError(
                f"Plan.{name}: got {getattr(plan, name)!r:.80}, expected an int. {FIX}"
            )
    if not isinstance(plan.policy, str):
        raise ValueError(f"Plan.policy: got {type(plan.policy).__name__}, expected text. {FIX}")


def _own(value: np.ndarray) -> np.ndarray:
    """The array, read-only for whoever may hold it: itself if it is already, otherwise a copy. What
    was checked must not change afterwards."""
    owner = value
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    if owner.base is None and not owner.flags.writeable and value.flags.c_contiguous:
        return value
    copy = np.array(value, order="C")
    copy.flags.writeable = False
    return copy
