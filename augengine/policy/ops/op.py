"""What an op is."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

import numpy as np

from ...checks import flag
from .. import calls
from .arguments import arguments_of

if TYPE_CHECKING:
    from ..draft import Draft

# Where in a policy an op may stand: views are decided first, then layered and normalised; last comes
# what is not fused.
VIEW, LAYER, FINISHED = 0, 1, 2
T = TypeVar("T")


@dataclass(frozen=True, repr=False)
class Op:
    """One step of a policy: a frozen description of what may happen, and how strongly.

    An op decides and draws nothing by itself: a policy is made of it, and an engine draws. Called with an
    image, it does both at once. To write one, subclass it as a frozen dataclass, declare its
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
    finishes: ClassVar[bool] = False  # whether it can be done behind an unfused op too, unfused

    stratify: bool = field(default=False, kw_only=True)

    def __new__(cls, *args: object, **arguments: object) -> Self:
        """As `object` makes one; a keyword that is no argument is answered by the nearest."""
        known = [part.name for part in dataclasses.fields(cls) if part.init]
        if not arguments.keys() <= set(known):
            import difflib
            import inspect

            taken = inspect.signature(cls.__init__).parameters
            name = next(name for name in arguments if name not in known)
            if name not in taken and not any(p.kind is p.VAR_KEYWORD for p in taken.values()):
                raise TypeError(
                    f"{cls.__name__}: got the keyword {name!r}, expected some of {', '.join(known)}. The "
                    f"nearest is {difflib.get_close_matches(name, known, 1, 0)[0]!r}."
                )
        return super().__new__(cls)

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

    def __call__(self, image: T, *beside: object) -> T:
        """Decide and draw at once, as torchvision's transforms do; `Policy.__call__` says how.

        Args:
            image: Image or batch, as a tensor, an array or a PIL image.
            beside: Nothing: targets are refused.

        Returns:
            The same kind of thing.

        Raises:
            TypeError: It is no image, or more came beside it.
            ValueError: The op cannot be applied to it, or depends on boxes or on the epoch.

        Example:
            >>> ae.RandomHorizontalFlip(p=1)(torch.tensor([[[1, 2, 3]]], dtype=torch.uint8))
            tensor([[[3, 2, 1]]], dtype=torch.uint8)
        """
        return calls.draw(self, image, beside)

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
