"""What the page can begin with: our presets, each view of those that have several."""

from __future__ import annotations

from ..policy.policy import Policy
from ..policy.views import Views
from ..recipes.named import PRESETS, named

EMPTY = "an empty policy"


def choices() -> list[str]:
    """The names of all beginnings: of presets, and "simclr: views" for a view of one."""
    found = [EMPTY]
    for name in PRESETS:
        policy = named(name).policy
        if isinstance(policy, Policy):
            found.append(name)
        else:
            found += [f"{name}: {view}" for view in views_of(policy)]
    return found


def views_of(views: Views) -> dict[str, Policy]:
    """The views that are policies of their own, by name; of several alike the first."""
    found: dict[str, Policy] = {}
    for name, at, policy in views.each():
        own = views.policies[name] if at is None else views.policies[name][at]  # type: ignore[index]
        if isinstance(own, Policy) and policy not in found.values():
            found[name if at in (None, 0) else f"{name}[{at}]"] = policy
    return found


def policy_of(name: str) -> Policy:
    """The policy of a beginning.

    Raises:
        ValueError: There is none of that name.
    """
    if name == EMPTY:
        return Policy([])
    preset, _, view = name.partition(": ")
    if name not in choices():
        raise ValueError(
            f"play: got {name!r:.80}, expected one of {', '.join(choices())}. Choose one."
        )
    policy = named(preset).policy
    return policy if isinstance(policy, Policy) else views_of(policy)[view]
