"""An arm: a policy, and how much of its magnitudes is used. And the policy that says both in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from ..checks import number
from ..policy.ops import Normalize, Scheduled
from ..policy.ops.choosing import check_extent
from ..policy.ops.op import FINISHED, Op
from ..policy.policy import Policy
from ..policy.strengths import Uniform

NONE = "none"
UNIFORM: Literal["uniform"] = "uniform"
STRENGTHS: tuple[float | Literal["uniform"], ...] = (1 / 8, 1 / 4, 1 / 2, UNIFORM, 1.0)


# What an arm says of its strength, and what an engine takes.
Level = float | Literal["uniform"]
EngineStrength = float | Uniform


@dataclass(frozen=True)
class Arm:
    """A policy at a strength.

    Args:
        name: Name that tells it from the other arms.
        policy: Policy at full strength.
        level: Share in [0, 1] of every magnitude, or "uniform".
        of: Name of its policy.
    """

    name: str
    policy: Policy
    level: Level
    of: str

    @property
    def strength(self) -> EngineStrength:
        """What an engine takes, which keys it by its own seed."""
        return Uniform() if self.level == UNIFORM else self.level

    @property
    def mean_level(self) -> float:
        """The strength of a sample in the mean: a half where it is uniform."""
        return 0.5 if self.level == UNIFORM else self.level

    @property
    def scaled(self) -> Policy:
        """One policy that says its strength too."""
        return at_strength(self.policy, self.level)


def arm(of: str, policy: Policy, level: Level) -> Arm:
    """The arm of a policy at a strength."""
    return Arm(of if of == NONE else f"{of}, {level_name(level)}", policy, level, of)


def level_name(level: Level) -> str:
    """A strength in words: 1/4, 0.3, U(0, 1)."""
    if level == UNIFORM:
        return "U(0, 1)"
    return str(Fraction(level)) if (64 * level).is_integer() else repr(level)


def arms_of(none: Policy, policies: Mapping[str, Policy], levels: Sequence[Level]) -> list[Arm]:
    """All arms, the plainest first: none, then the policies in their order, each ever stronger.

    Args:
        none: Policy that augments nothing.
        policies: Policies by name, the plainest first.
        levels: Strengths of each.

    Raises:
        ValueError: A policy's strength cannot be written down, or a strength is no share.
    """
    checked = [_checked_level(level) for level in levels]
    if len(set(checked)) < len(checked) or not checked:
        raise ValueError(
            f"tune: got the strengths {list(levels)}, expected one or more, each once. Leave out the doubles."
        )
    if not policies or NONE in policies:
        raise ValueError(
            f"tune: got the policies {list(policies)}, expected one or more by names other than {NONE!r}. "
            "Rename it, or leave it out: what is not augmented is tried in any case."
        )
    in_order = sorted(
        checked, key=lambda level: (0.5 if level == UNIFORM else level, level == UNIFORM)
    )
    arms = [arm(NONE, none, 1.0)]
    for name, policy in policies.items():
        try:
            at_strength(policy, 0.5)
        except ValueError as error:
            raise ValueError(f"tune: the policy {name!r}: {error}") from None
        arms += [arm(name, policy, level) for level in in_order]
    return arms


def _checked_level(level: Level) -> Level:
    if level == UNIFORM:
        return UNIFORM
    if isinstance(level, str):
        raise ValueError(
            f"tune: got the strength {level!r}, expected numbers in [0, 1] or {UNIFORM!r}. Pass one."
        )
    return number("tune: strength", level, 0, 1)


def at_strength(policy: Policy, level: Level) -> Policy:
    """The policy that draws what `Engine(policy, strength=level)` would, for one number to the bit.

    The ops stand in a `Scheduled` of that magnitude, but for those that a whole batch shares: Normalize and
    what changes the dtype.

    Args:
        policy: Policy at full strength.
        level: Share in [0, 1] of every magnitude, or "uniform".

    Raises:
        ValueError: An op is done to the finished batch, where no strength can be written.
    """
    if level == 1.0:
        return policy
    parts: list[Op] = []
    inside: list[Op] = []
    for op in (*policy.top, None):
        if op is not None and op.stages[1] == FINISHED and not op.finishes:
            raise ValueError(
                f"{type(op).__name__} is done to the finished batch, expected fused ops alone, since a policy "
                "cannot say its strength. Leave it out, and add it to the policy that comes out."
            )
        alone = op is None or isinstance(op, Normalize) or getattr(op, "converts_to", None)
        if not alone:
            assert op is not None
            inside.append(op)
            continue
        if inside:
            parts.append(Scheduled(inside, magnitude=level))
            inside = []
        if op is not None:
            parts.append(op)
    check_extent("tune", tuple(parts))
    return Policy(parts)
