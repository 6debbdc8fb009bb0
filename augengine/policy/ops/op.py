"""What an op is."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...checks import flag
from .arguments import arguments_of

if TYPE_CHECKING:
    from ..draft import Draft

# Where in a policy an op may stand: views are decided first, then layered and normalised; last comes
# what is not fused.
VIEW, LAYER, FINISHED = 0, 1, 2


@dataclass(frozen=True, repr=False)
class Op:
    """One step of a policy: a frozen description of what may happen, and how strongly.

    An op decides and draws nothing. To write one, subclass it as a frozen dataclass, declare its
    arguments, and override `_decide`, which takes random numbers under its `place` and tells the draft
    what happens.

    Args:
        stratify: Whether, over the epochs, a sample's random numbers walk evenly through their ranges
            instead of falling where they will; for ops inside this one too. False by default.

    Raises:
        TypeError: An argument is of another type than its kind takes.
        ValueError: An argument is outside its range.

    Example:
        >>> ae.RandomRotation(15, stratify=True)
        RandomRotation(degrees=(-15.0, 15.0), stratify=True)
    """

    stages: ClassVar[tuple[int, int]] = (VIEW, VIEW)  # lowest and highest stage inside

    stratify: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        name = type(self).__name__
        for argument in arguments_of(type(self)):
            value = argument.check(name, getattr(self, argument.name))
            object.__setattr__(self, argument.name, value)
        for part in dataclasses.fields(self):
            if part.type in (bool, "bool"):
                value = flag(f"{name}.{part.name}", getattr(self, part.name))
                object.__setattr__(self, part.name, value)
        self._check()

    def _check(self) -> None:
        """Check what no argument says alone. Raises ValueError."""

    @property
    def places(self) -> int:
        """How many places, that is independent streams of random numbers, the op takes."""
        return 1

    @property
    def children(self) -> tuple[Op, ...]:
        """The ops inside this one."""
        return ()

    def with_children(self) -> Iterator[Op]:
        """This op and all ops inside it."""
        yield self
        for child in self.children:
            yield from child.with_children()

    def decide(self, draft: Draft, rows: np.ndarray, place: int) -> None:
        """Tell the draft what happens to some of its rows.

        Args:
            draft: The plan that is being decided.
            rows: Indices [n] of the draft's rows.
            place: The first of the op's places in its policy.
        """
        outer, draft.stratify = draft.stratify, draft.stratify or self.stratify
        self._decide(draft, rows, place)
        draft.stratify = outer

    def _decide(self, draft: Draft, rows: np.ndarray, place: int) -> None:
        """What an op overrides: `decide`, the kind of random numbers being set."""
        raise NotImplementedError

    def __repr__(self) -> str:
        """The op with the arguments that are not its default; `eval` reads it back."""
        name, kinds = type(self).__name__, {a.name: a for a in arguments_of(type(self))}
        arguments = []
        # What all ops have comes last.
        for part in sorted(dataclasses.fields(self), key=lambda part: part.name == "stratify"):
            value, default = getattr(self, part.name), part.default
            if part.name in kinds and default is not dataclasses.MISSING:
                default = kinds[part.name].check(name, default)
            if default is dataclasses.MISSING or value != default:
                arguments.append(f"{part.name}={value!r}")
        return f"{name}({', '.join(arguments)})"
