"""Many looks at each sample: several policies, drawn in one call, and looks that follow from others."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, cast

from ..checks import flag, size_pair, whole_number
from ..plan import Plan, html
from .ops.five_crop import SeveralCrops
from .ops.op import Op
from .policy import Policy


class Sample(Protocol):
    """What samples a look: a plan by its policy and its number. frame: height and width of what it
    looks at, where that is another look and not the images."""

    def __call__(
        self, policy: Policy, number: int, frame: tuple[int, int] | None = None
    ) -> Plan: ...


@dataclass(frozen=True)
class Tied:
    """Another look's very geometry: same crop, flips, mixes and erased boxes, at a size of its own and
    with or without its colours. It draws no random numbers.

    A `Stage` of the other look's policy is not applied to it.

    Args:
        to: Name of the other look, which stands before this one in `Views`.
        size: Height and width in pixels, or one number for both; None is the other's.
        colour: Whether the other's colours, noise, blurs and sharpness are this one's too.
        at: Index of the other look, 0 or more, where its name has several.

    Raises:
        TypeError: An argument is of another type.
        ValueError: A number is outside its range.

    Example:
        >>> student = ae.Policy([ae.RandomResizedCrop(32), ae.RandAugment()])
        >>> views = ae.Views(student=student, teacher=ae.Tied("student", size=16, colour=False))
        >>> batch = ae.Engine(views)(torch.zeros(1, 3, 40, 40, dtype=torch.uint8), ids=[0])
        >>> batch["student"].images.shape, batch["teacher"].images.shape
        (torch.Size([1, 3, 32, 32]), torch.Size([1, 3, 16, 16]))
    """

    to: str
    size: int | tuple[int, int] | None = None
    colour: bool = True
    at: int = 0

    def __post_init__(self) -> None:
        _check_name("Tied", self.to)
        whole_number("Tied: at", self.at, 0, 2**31 - 1)
        object.__setattr__(self, "colour", flag("Tied: colour", self.colour))
        if self.size is not None:
            object.__setattr__(self, "size", size_pair("Tied: size", self.size))

    def of(self, plan: Plan) -> Plan:
        """The plan of this look, from the other's, whose stages are not applied to it."""
        plan = dataclasses.replace(plan, after=()) if plan.after else plan
        if not self.colour:
            plan = plan.without_colour()
        return plan if self.size is None else plan.resized(self.size)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Inside:
    """A look at what another look's frame shows: a policy drawn within it, by one resampling of the image.

    Of the other look the geometry alone is taken: colours, mixes and erased boxes are this policy's.
    `batch["local"].plan.box_in(batch["global"].plan)` says where it lies.

    Args:
        to: Name of the other look, which stands before this one in `Views` and does not mix samples.
        policy: Policy, or ops to make one of, for images of the other look's size.
        at: Index of the other look, 0 or more, where its name has several.

    Raises:
        TypeError: An argument is of another type.
        ValueError: A number is outside its range, or the policy is none.

    Example:
        >>> crop = ae.Policy(ae.RandomResizedCrop(32))
        >>> views = ae.Views(globals=[crop] * 2, local=ae.Inside("globals", ae.CenterCrop(8), at=1))
        >>> plans = ae.Engine(views).plan([(40, 40)], ids=[0], epoch=0)
        >>> plans["local"].box_in(plans["globals"][1]).round(3).tolist()
        [[12.0, 12.0, 20.0, 20.0]]
    """

    to: str
    policy: Policy | Op | Sequence[Op]
    at: int = 0

    def __post_init__(self) -> None:
        _check_name("Inside", self.to)
        whole_number("Inside: at", self.at, 0, 2**31 - 1)
        object.__setattr__(self, "policy", Policy(self.policy))


Look: TypeAlias = Policy | Tied | Inside
_NOTHING = Policy([])


class Views:
    """Named policies that all look at the same samples, each with random numbers of its own.

    Sizes may differ; what has one size, dtype and normalisation is drawn in one launch. Looks are
    numbered in order, and random numbers are keyed by that number: a policy that is added at the end
    changes none of the others.

    A look may follow from one that stands before it: `Tied` is its geometry at another size or without
    its colours, `Inside` a policy within its frame. `Plan.map_to` and `Plan.box_in` say where one lies in
    the other.

    Args:
        policies: Policies by name: a Policy or ops to make one of, a Tied or an Inside, or a list of
            those for several looks under one name. A policy with a `FiveCrop` or `TenCrop` stands for five
            or ten.

    Raises:
        ValueError: There are none; or one follows from a look that does not stand before it, or lies
            inside one that mixes samples.

    Example:
        >>> small = ae.Policy(ae.RandomResizedCrop(96))
        >>> len(ae.Views(weak=ae.presets.cifar(), crops=[small] * 6))
        7
    """

    def __init__(
        self,
        **policies: Look | Op | Sequence[Look | Op | Sequence[Op]],
    ) -> None:
        if not policies:
            raise ValueError(
                "Views: got no policies, expected at least one. Pass them by name: Views(weak=…, "
                "strong=…)."
            )
        self.policies: dict[str, Look | tuple[Look, ...]] = {}
        for name, value in policies.items():
            if isinstance(value, (list, tuple)) and any(
                isinstance(item, (Policy, Tied, Inside, list, tuple)) for item in value
            ):
                self.policies[name] = tuple(look for item in value for look in _looks(item))
            else:
                looks = _looks(value)
                self.policies[name] = looks[0] if len(looks) == 1 else looks
        self._check_ties()

    def _looks(self) -> Iterator[tuple[str, int | None, Look]]:
        for name, looks in self.policies.items():
            if isinstance(looks, tuple):
                yield from ((name, at, look) for at, look in enumerate(looks))
            else:
                yield name, None, looks

    def each(self) -> list[tuple[str, int | None, Policy]]:
        """(name, index under that name or None, policy) of every look, in order. That of a `Tied` has no
        ops, since it draws nothing."""
        return [(name, at, _own_policy(look)) for name, at, look in self._looks()]

    def plans(self, sample: Sample) -> dict[str, Plan | list[Plan]]:
        """The plans of all looks by their names, a list where a name has several.

        Args:
            sample: Function that samples a policy by its number, for the images, or for pictures of the
                size `frame`.
        """
        plans: dict[tuple[str, int | None], Plan] = {}
        for number, (name, at, look) in enumerate(self._looks()):
            if isinstance(look, Policy):
                plans[name, at] = sample(look, number)
                continue
            several = isinstance(self.policies[look.to], tuple)
            other = plans[look.to, look.at if several else None]
            if isinstance(look, Tied):
                plans[name, at] = look.of(other)
            else:
                local = sample(_own_policy(look), number, other.finish.size)
                plans[name, at] = local.inside(other)
        named: dict[str, Plan | list[Plan]] = {}
        for (name, at), plan in plans.items():
            if at is None:
                named[name] = plan
            else:
                named.setdefault(name, []).append(plan)  # type: ignore[union-attr]
        return named

    def _check_ties(self) -> None:
        before: dict[tuple[str, int], Look] = {}
        for name, at, look in self._looks():
            if not isinstance(look, Policy):
                if (look.to, look.at) not in before:
                    listed = ", ".join(f"{to}[{k}]" for to, k in before) or "none"
                    raise ValueError(
                        f"Views: {name} follows from {look.to}[{look.at}], expected a look that stands "
                        f"before it, of which there are {listed}. Name one of them, or put {look.to} first."
                    )
                if isinstance(look, Inside) and self._mixes(before, look):
                    raise ValueError(
                        f"Views: {name} lies inside {look.to}, which mixes samples, expected one sample a "
                        "picture. Put the mix into the policy that lies inside."
                    )
            before[name, at or 0] = look

    @staticmethod
    def _mixes(before: dict[tuple[str, int], Look], look: Tied | Inside) -> bool:
        other = before[look.to, look.at]
        while isinstance(other, Tied):
            other = before[other.to, other.at]
        return _own_policy(other).mixes

    def __len__(self) -> int:
        return len(self.each())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Views) and self.policies == other.policies

    def __hash__(self) -> int:
        return hash(tuple(self.policies.items()))

    def _repr_html_(self) -> str | None:
        """What a notebook shows: what each look makes of a picture of ours, and the text."""
        return html.html_of(self)

    def __repr__(self) -> str:
        lines = "".join(f"    {name}={policy!r},\n" for name, policy in self.policies.items())
        return f"Views(\n{lines})"


def _looks(value) -> tuple[Look, ...]:
    """One look, or as many as a FiveCrop or TenCrop in it stands for."""
    if isinstance(value, (Tied, Inside)):
        return (value,)
    policy = Policy(value)
    several = [op for op in policy.top if isinstance(op, SeveralCrops) and op.stands_for_all]
    if not several:
        return (policy,)
    at = policy.top.index(several[0])
    before, after = policy.top[:at], policy.top[at + 1 :]
    return tuple(look for crop in several[0].each() for look in _looks([*before, crop, *after]))


def _own_policy(look: Look) -> Policy:
    """What a look draws by: nothing, where it is tied."""
    if isinstance(look, Policy):
        return look
    return _NOTHING if isinstance(look, Tied) else cast(Policy, look.policy)


def _check_name(where: str, name) -> None:
    if not isinstance(name, str):
        raise TypeError(
            f"{where}: got {type(name).__name__} for the other look, expected its name. Pass the name under "
            "which it stands in Views."
        )
