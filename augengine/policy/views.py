"""Many looks at each sample: several policies, drawn in one call."""

from __future__ import annotations

from collections.abc import Sequence

from .ops.op import Op
from .policy import Policy


class Views:
    """Named policies that all look at the same samples, each with random numbers of its own.

    Sizes may differ; what has one size, dtype and normalisation is drawn in one launch. Looks are
    numbered in order, and random numbers are keyed by that number: a policy that is added at the end
    changes none of the others.

    Args:
        policies: Policies by name: a Policy or ops to make one of, or a list of policies for several
            looks under one name.

    Raises:
        ValueError: There are none.

    Example:
        >>> small = ae.Policy(ae.RandomResizedCrop(96))
        >>> len(ae.Views(weak=ae.presets.cifar(), crops=[small] * 6))
        7
    """

    def __init__(self, **policies: Policy | Op | Sequence[Policy | Op | Sequence[Op]]) -> None:
        if not policies:
            raise ValueError(
                "Views: got no policies, expected at least one. Pass them by name: Views(weak=…, "
                "strong=…)."
            )
        self.policies: dict[str, Policy | tuple[Policy, ...]] = {}
        for name, value in policies.items():
            if isinstance(value, (list, tuple)) and any(
                isinstance(item, (Policy, list, tuple)) for item in value
            ):
                self.policies[name] = tuple(Policy(item) for item in value)
            else:
                self.policies[name] = Policy(value)  # type: ignore[arg-type]

    def each(self) -> list[tuple[str, int | None, Policy]]:
        """(name, index under that name or None, policy) of every look, in order."""
        listed: list[tuple[str, int | None, Policy]] = []
        for name, policy in self.policies.items():
            if isinstance(policy, Policy):
                listed.append((name, None, policy))
            else:
                listed += [(name, i, one) for i, one in enumerate(policy)]
        return listed

    def __len__(self) -> int:
        return len(self.each())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Views) and self.policies == other.policies

    def __hash__(self) -> int:
        return hash(tuple(self.policies.items()))

    def __repr__(self) -> str:
        lines = "".join(f"    {name}={policy!r},\n" for name, policy in self.policies.items())
        return f"Views(\n{lines})"
