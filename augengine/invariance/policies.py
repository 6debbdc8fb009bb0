"""The policy of a check: one's own, or by a name that a command takes."""

from __future__ import annotations

from collections.abc import Sequence

from ..pipelines.data import Data
from ..pipelines.policies import default_policy, training_policy
from ..policy.ops import Op
from ..policy.policy import Policy
from ..policy.views import Views
from ..recipes.named import named

TRAINED = ("randaugment", "trivialaugment")  # names that augengine train takes


def read_policy(
    policy: Policy | Views | Op | Sequence[Op] | str | None, data: Data
) -> tuple[Policy | Views, str]:
    """A policy, and what it is called.

    Args:
        policy: Policy, Views or ops as they are; or by a name, as `named` takes it, or randaugment or
            trivialaugment; None is the data's usual policy.
        data: Data set, for the policies that follow from it.

    Raises:
        ValueError: When text is none of these.
        OSError: When a file cannot be read.
    """
    if policy is None:
        return default_policy(data), "the data's usual"
    if isinstance(policy, str) and policy in TRAINED:
        return training_policy(policy, data), policy
    chosen = named(policy, "--policy", also=TRAINED)
    return chosen.policy, chosen.name
