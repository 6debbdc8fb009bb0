"""The beginning of a policy: what its first ops alone make, as they make it inside the whole."""

from __future__ import annotations

import dataclasses
from typing import Any

from .ops import Compose
from .ops.unfused import CountsChannels
from .policy import Policy


def prefix(policy: Policy, count: int) -> Policy:
    """The policy of the first ops, which draw the same random numbers as in the whole one, since these are
    keyed by an op's place; with the fill, the interpolation and the padding that all its ops agreed on.

    An `Engine` makes a policy of its ops alone, and so without these: sample it directly.

    Args:
        policy: Policy.
        count: Number of ops of `policy.top`, 0 … as many as there are.

    Returns:
        The policy; of all ops `policy` itself.
    """
    top = policy.top
    if count == len(top):
        return policy
    some = top[:count]
    inside: Any = policy.transforms[0] if len(policy.transforms) == 1 else None
    if some and isinstance(inside, Compose):  # which has a place of its own
        beginning = Policy(dataclasses.replace(inside, transforms=some))
    else:
        beginning = Policy(some)
    beginning._fills, beginning._interpolation = policy._fills, policy._interpolation
    beginning._border = policy._border
    return beginning


def channels_of(policy: Policy, channels: int) -> int:
    """How many channels an image has for a policy, and for each beginning of it: grey ones are read as
    three where an op of it wants three.

    Args:
        policy: The whole policy.
        channels: Number of channels of the image.
    """
    widens = any(isinstance(op, CountsChannels) and op.widens for op in policy.top)
    return 3 if channels == 1 and widens else channels
