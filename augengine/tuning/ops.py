"""The parts of policies, each of which can be left in alone, or left out alone."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from ..policy.ops import (
    CenterCrop,
    ColorJitter,
    RandomAffine,
    RandomCrop,
    RandomResizedCrop,
    Resize,
    Scheduled,
)
from ..policy.ops.members import Less, Member, can_leave_out, members
from ..policy.ops.op import Op
from ..policy.policy import Policy

# Arguments that are operations of their own, what they are called, and what leaves them out.
_ARGUMENTS: dict[type[Op], tuple[tuple[str, str, Any], ...]] = {
    RandomAffine: (
        ("degrees", "rotation", 0), ("translate", "shift", None), ("scale", "scale", None),
        ("shear", "shear", None),
    ),
    ColorJitter: (
        ("brightness", "brightness", None), ("contrast", "contrast", None),
        ("saturation", "saturation", None), ("hue", "hue", None),
    ),
}  # fmt: skip
_NOTHING = (None, 0, (0.0, 0.0), (0.0,) * 4, (1.0, 1.0))


@dataclass(frozen=True)
class Part:
    """One operation of a policy, or one argument of such as have several operations in them.

    Args:
        name: What it is called: RandomHorizontalFlip, or RandomAffine's shear.
        at: Index of the op in the policy's top.
        argument: Name of the argument, or None for the whole op.
        member: Name of the operation in a published policy's table, such as RandAugment's Rotate, or None.
    """

    name: str
    at: int
    argument: str | None = None
    member: str | None = None


def parts_of(policy: Policy, inside: bool = False) -> list[Part]:
    """The parts of a policy that are left to chance, in order.

    Args:
        policy: Policy.
        inside: Whether RandAugment and TrivialAugmentWide are taken apart: they stand there themselves, and
            after them the operations in them.
    """
    parts: list[Part] = []
    for at, op in enumerate(policy.top):
        if not _draws(op):
            continue
        name = type(op).__name__
        arguments = [
            (argument, word)
            for argument, word, _ in _ARGUMENTS.get(type(op), ())
            if getattr(op, argument) not in _NOTHING
        ]
        if len(arguments) > 1:
            parts += [Part(f"{name}: {word}", at, argument) for argument, word in arguments]
        else:
            parts.append(Part(name, at))
            if inside and can_leave_out(op):
                parts += [Part(f"{name}: {word}", at, member=word) for word in members(op)]
    names = [part.name for part in parts]
    return [
        dataclasses.replace(part, name=f"{part.name} ({names[: i + 1].count(part.name)})")
        if names.count(part.name) > 1
        else part
        for i, part in enumerate(parts)
    ]


def without(policy: Policy, part: Part) -> Policy:
    """The policy with a part left out. All draws of the other parts stay what they are.

    Args:
        policy: Policy.
        part: Part of it.
    """
    top = list(policy.top)
    op = top[part.at]
    if part.member:
        top[part.at] = Less(op, part.member)
        return Policy(top)
    # Of an op that gives the image its size, that stays. Any other is there and never happens.
    top[part.at] = (
        _less(op, {part.argument}) if part.argument else _plain(op) or Scheduled(op, p=0.0)
    )
    return Policy(top)


def alone(policy: Policy, part: Part | None) -> Policy:
    """The policy with all parts left out but one, or with all for None. An operation in a published policy
    then happens to every sample, at the magnitudes that the policy draws for it.

    Args:
        policy: Policy.
        part: Part of it.
    """
    parts = parts_of(policy)
    top: list[Op] = []
    for at, op in enumerate(policy.top):
        if _never(op):
            continue
        out = {other.argument for other in parts if other.at == at and other != part}
        if not out:
            top.append(op)
        elif part is None or part.at != at:
            top += [plain] if (plain := _plain(op)) else []
        elif part.member:
            top.append(Member(op, part.member))
        elif part.argument is None:
            top.append(op)
        else:
            top.append(_less(op, out))
    return Policy(top)


def _draws(op: Op) -> bool:
    return Policy(op).draws and not _never(op)


def _never(op: Op) -> bool:
    """Whether an op stands there and never happens, as what `without` leaves out."""
    return isinstance(op, Scheduled) and op.p == 0


def _less(op: Op, arguments: set[str | None]) -> Op:
    """An op without some of its arguments."""
    neutral = {argument: value for argument, _, value in _ARGUMENTS[type(op)]}
    return dataclasses.replace(op, **{name: neutral[name] for name in arguments if name})


def _plain(op: Op) -> Op | None:
    """What gives the image its size in place of an op that does, without chance; None for any other."""
    if isinstance(op, RandomResizedCrop):
        return Resize(op.size)
    return CenterCrop(op.size) if isinstance(op, RandomCrop) else None
