"""Many looks at each sample: several policies, drawn in one call."""

from __future__ import annotations

from .policy import Policy


class Views:
    """Named policies that all see the same samples, each with draws of its own.

        ae.Views(weak=weak, strong=strong)        FixMatch
        ae.Views(globals=[crop] * 2, locals=[small] * 6)        DINO

    A value is a Policy or ops to make one of, or a list of policies for several views under one
    name. Sizes may differ; what has one size, dtype and normalisation is drawn in one launch. Views
    are numbered in order, and a draw is keyed by that number: adding one at the end changes none.
    """

    def __init__(self, **policies):
        if not policies:
            raise ValueError(
                "Views: got no policies, expected at least one. Pass them by name: Views(weak=…, "
                "strong=…)."
            )
        self.policies: dict[str, Policy | tuple[Policy, ...]] = {}
        for name, given in policies.items():
            several = isinstance(given, (list, tuple)) and any(
                isinstance(item, (Policy, list, tuple)) for item in given
            )
            self.policies[name] = tuple(map(Policy, given)) if several else Policy(given)

    def each(self) -> list[tuple[str, int | None, Policy]]:
        """(name, number under that name or None, policy) of every view, in order."""
        listed: list[tuple[str, int | None, Policy]] = []
        for name, policy in self.policies.items():
            if isinstance(policy, Policy):
                listed.append((name, None, policy))
            else:
                listed += [(name, i, one) for i, one in enumerate(policy)]
        return listed

    def __len__(self) -> int:
        return len(self.each())

    def __eq__(self, other):
        return isinstance(other, Views) and self.policies == other.policies

    def __hash__(self):
        return hash(tuple(self.policies.items()))

    def __repr__(self):
        lines = "".join(f"    {name}={policy!r},\n" for name, policy in self.policies.items())
        return f"Views(\n{lines})"
