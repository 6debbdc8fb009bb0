"""The grid: samples from top to bottom, draws from left to right, each with the plan's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..aliases import Layout, StrengthSchedule
from ..checks import whole_number
from ..policy.ops.op import Op
from ..policy.policy import Policy
from ..policy.views import Views
from ..targets.follow import Target
from .sheets import sheet_of
from .subjects import Pictures
from .tiles import tiles

if TYPE_CHECKING:
    from PIL import Image


def grid(
    policy: Policy | Views | Op | Sequence[Op],
    images: Pictures,
    *,
    draws: int = 4,
    seed: int = 0,
    epoch: int = 0,
    strength: StrengthSchedule = 1.0,
    size: int = 224,
    ids: Sequence[int | str | bytes] | None = None,
    shown: int | None = None,
    layout: Layout | None = None,
    targets: Sequence[Target] | None = None,
    names: Sequence[str] | Mapping[int, str] | None = None,
    titles: Sequence[str] | None = None,
    title: str = "",
) -> Image.Image:
    """Draw what a policy makes of images: a row for each sample, with the image as it came and its draws.

    Args:
        policy: Policy, Views or ops.
        images: Images, as `tiles` takes them.
        draws: Number of draws, each an epoch of its own.
        seed: Whole number of 64 bits.
        epoch: First epoch, 0 or more.
        strength: Share in [0, 1] of every magnitude, or a function (epoch, ids) that gives it.
        size: Pixels a side of the square that each picture is fitted into, 16 … 2048.
        ids: Identities, ints or names; None is the images' positions.
        shown: How many of the images are shown; the others only lend themselves to mixes. None is all.
        layout: "NCHW" or "NHWC", where it cannot be seen in the images.
        targets: A target for each image, which follows it and is drawn on.
        names: Names of the targets' classes, by number.
        titles: What stands above each image; None is its identity.
        title: Text of the title.

    Returns:
        The picture.

    Raises:
        TypeError: Images or numbers are of another type.
        ValueError: They do not fit each other, or the policy.

    Example:
        >>> from augengine.preview import grid
        >>> images = [np.zeros((40, 48, 3), np.uint8)] * 2
        >>> grid(ae.RandomResizedCrop(32), images, draws=3, size=64).width
        368
    """
    size = whole_number("preview: size", size, 16, 2048)
    rows = tiles(
        policy, images, draws=draws, seed=seed, epoch=epoch, strength=strength, ids=ids, shown=shown,
        layout=layout, targets=targets, titles=titles,
    )  # fmt: skip
    return sheet_of(
        title or "What the policy makes of images", [head(policy, seed)], rows, size, names=names
    )


def head(policy: Policy | Views | Op | Sequence[Op], seed: int) -> str:
    """What stands below a title: the policy in a line, and the seed."""
    if isinstance(policy, Views):
        names = ", ".join(policy.policies)
        return f"Views of {names}; seed {seed}."
    policy = Policy(policy)
    steps = " → ".join(map(repr, policy.top)) or "no ops"
    return f"{steps}. Seed {seed}."
