"""The policy of a check: one's own, or by a name that a command takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..checks import shown
from ..demo.policies import PRESETS, read_or_preset
from ..pipelines.data import Data
from ..pipelines.policies import default_policy, training_policy
from ..policy.ops import Op
from ..policy.policy import Policy
from ..policy.views import Views
from ..recipes.from_timm import from_timm

TRAINED = ("randaugment", "trivialaugment")  # names that augengine train takes
_TIMM = ("rand-", "augmix-", "original", "v0", "3a")


def read_policy(
    policy: Policy | Views | Op | Sequence[Op] | str | None, data: Data
) -> tuple[Policy | Views, str]:
    """A policy, and what it is called.

    Args:
        policy: Policy, Views or ops as they are; or a YAML file, the name of a preset, randaugment or
            trivialaugment, or a string of timm's; None is the data's usual policy.
        data: Data set, for the policies that follow from it.

    Raises:
        ValueError: When text is none of these.
        OSError: When a file cannot be read.
    """
    if policy is None:
        return default_policy(data), "the data's usual"
    if isinstance(policy, Views):
        return policy, "Views"
    if not isinstance(policy, str):
        return Policy(policy), "Policy"
    if policy in TRAINED:
        return training_policy(policy, data), policy
    if policy in PRESETS or Path(policy).is_file():
        return read_or_preset(policy)
    try:
        return Policy([from_timm(policy)]), policy
    except (ValueError, TypeError) as error:
        if policy.startswith(_TIMM):
            raise ValueError(f"--policy: {error}") from error
        raise ValueError(
            f"--policy: got {shown(policy)}, expected a YAML file that exists, one of "
            f"{', '.join((*PRESETS, *TRAINED))}, or a string of timm's such as rand-m9-mstd0.5-inc1."
        ) from None
