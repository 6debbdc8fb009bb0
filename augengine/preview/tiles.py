"""A policy on images, tile by tile: each a picture, and what the plan says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..aliases import Layout, StrengthSchedule
from ..checks import whole_number
from ..loading.batch import Batch
from ..loading.engine import Engine
from ..plan import Finish, Plan
from ..policy import ops
from ..policy.ops.op import Op
from ..policy.policy import Policy
from ..policy.views import Views
from ..targets.follow import Target
from .drawing import needs_batch
from .subjects import Pictures, Subjects, subjects

# A part of what `Plan.explain` says: it ends at a comma that stands in no brackets.
_HOW = "turned after an upright shrink"
_PART = re.compile(r",\s+(?![^()]*\))")


@dataclass(frozen=True)
class Tile:
    """A picture that was drawn.

    Args:
        picture: Array uint8 (H, W, 3), as it is shown: normalisation undone.
        caption: What was done to it, in short: what the plan says.
        heading: What it is: the sample and the epoch, or the level.
        plan: Plan of the batch that it is of; None of an image as it came.
        row: Its row in that plan, for `plan.explain(row)`.
        output: Tensor (C, H, W) as a training gets it; None of an image as it came.
        target: What came to lie on it of a target, or None.
    """

    picture: np.ndarray
    caption: str
    heading: str = ""
    plan: Plan | None = None
    row: int = 0
    output: torch.Tensor | None = None
    target: Any = None


def tiles(
    policy: Policy | Views | Op | Sequence[Op],
    images: Pictures,
    *,
    draws: int = 4,
    seed: int = 0,
    epoch: int = 0,
    strength: StrengthSchedule = 1.0,
    ids: Sequence[int | str | bytes] | None = None,
    shown: int | None = None,
    layout: Layout | None = None,
    targets: Sequence[Target] | None = None,
    originals: bool = True,
    titles: Sequence[str] | None = None,
) -> Iterator[list[Tile]]:
    """What a policy makes of images, a row of tiles for each sample.

    Each draw is an epoch, as in a training: the first is `epoch`, the next the one after it. All images are
    one batch, in which mixes find their partners.

    Args:
        policy: Policy, Views or ops.
        images: Images, as `subjects` takes them.
        draws: Number of draws, 1 … 1000.
        seed: Whole number of 64 bits.
        epoch: First epoch, 0 or more.
        strength: Share in [0, 1] of every magnitude, or a function (epoch, ids) that gives it.
        ids: Identities, ints or names; None is the images' positions.
        shown: How many of the images are shown; the others only lend themselves to mixes. None is all.
        layout: "NCHW" or "NHWC", where it cannot be seen in the images.
        targets: A target for each image, as `Engine` takes them, which follows it into `Tile.target`.
        originals: Whether a row begins with the image as it came.
        titles: What stands above each image; None is its identity.

    Yields:
        The tiles of one sample: the image as it came, then its draws; of Views such a row for each draw, with a
        tile for each look.

    Raises:
        TypeError: Images or numbers are of another type.
        ValueError: They do not fit each other, or the policy.

    Example:
        >>> from augengine.preview import tiles
        >>> image = np.zeros((40, 48, 3), np.uint8)
        >>> (row,) = tiles(ae.RandomResizedCrop(32), [image], draws=2)
        >>> [tile.heading for tile in row]
        ['sample 0', 'epoch 0', 'epoch 1']
        >>> row[1].caption
        'crop 38×38 at (1, 4) → 32×32'
    """
    draws = whole_number("preview: draws", draws, 1, 1000)
    epoch = whole_number("preview: epoch", epoch, 0, 2**63 - 1 - draws)
    chosen = policy if isinstance(policy, Views) else Policy(policy)
    several = subjects(images, ids=ids, layout=layout)
    count = len(several) if shown is None else min(shown, len(several))
    engine: Engine[Any] = Engine(chosen, seed=seed, strength=strength)
    epochs = range(epoch, epoch + draws)
    batches: dict[int, Any] = {}
    together = _together(chosen)
    for k in range(count):
        title = titles[k] if titles else f"sample {several.names[k]}"
        first = [original(several, k, title, _of(targets, k))] if originals else []
        row = list(first)
        for at in epochs:
            if together:
                if at not in batches:
                    batches[at] = engine(several.batch, ids=several.ids, epoch=at, targets=targets)
                drawn, number = batches[at], k
            else:
                own = None if targets is None else [targets[k]]
                drawn = engine(several.each[k], ids=several.ids[k : k + 1], epoch=at, targets=own)
                number = 0
            row += [
                _tile(batch, own_policy, number, f"{name}epoch {at}")
                for name, own_policy, batch in looks(chosen, drawn)
            ]
            if isinstance(chosen, Views):
                yield row
                row = list(first)
        if isinstance(chosen, Policy):
            yield row


def looks(policy: Policy | Views, drawn: Any) -> list[tuple[str, Policy, Batch]]:
    """(name and a separator, policy, batch) of each look in what an engine drew."""
    if isinstance(policy, Policy):
        return [("", policy, drawn)]
    return [
        (
            name + ("" if at is None else f"[{at}]") + ", ",
            own,
            drawn[name] if at is None else drawn[name][at],
        )
        for name, at, own in policy.each()
    ]


def original(several: Subjects, k: int, heading: str, target: Any = None) -> Tile:
    """The tile of an image as it came."""
    height, width = several.each[k].sizes[0]
    return Tile(several.pixels(k), f"{height}×{width}, as it came", heading, target=target)


def picture_of(output: torch.Tensor, finish: Finish, policy: Policy | None = None) -> np.ndarray:
    """What an engine made of one image, as it is shown: uint8 (H, W, 3). A normalisation is undone, that
    behind an unfused op too, for which the policy is asked."""
    from ..sheet import displayed

    normalize = [op for op in policy.top if isinstance(op, ops.Normalize)] if policy else []
    if not finish.mean and normalize:
        channels = len(output)
        mean, std = (_each_channel(v, channels) for v in (normalize[0].mean, normalize[0].std))
        finish = Finish(finish.size, channels, mean, std, finish.dtype)
    return displayed(output[None], finish)[0]


def parts_of(words: str) -> list[str]:
    """What `Plan.explain` says, in its parts, without how a turn is drawn that shrinks."""
    parts = [] if words == "unchanged" else _PART.split(words)
    return [part for part in parts if not part.startswith(_HOW)]


def words_of(plan: Plan, row: int) -> str:
    """What `Plan.explain` says, in short."""
    return ", ".join(parts_of(plan.explain(row))) or "unchanged"


def _tile(batch: Batch, policy: Policy, row: int, heading: str) -> Tile:
    plan, output = batch.plan, batch.images[row]
    target = None if batch.targets is None else _of(batch.targets, row)
    return Tile(
        picture_of(output, plan.finish, policy),
        words_of(plan, row),
        heading,
        plan,
        row,
        output,
        target,
    )


def _together(policy: Policy | Views) -> bool:
    """Whether images must be drawn in one batch. What is drawn alone may end at a size of its own."""
    policies = [policy] if isinstance(policy, Policy) else [own for _, _, own in policy.each()]
    return any(needs_batch(one) for one in policies)


def _of(targets: Any, k: int) -> Any:
    """The target of one image; padded ones are tensors in a dict."""
    if targets is None:
        return None
    if isinstance(targets, dict):
        return {name: value[k] for name, value in targets.items()}
    return targets[k]


def _each_channel(value: Any, channels: int) -> tuple[float, ...]:
    numbers = tuple(float(v) for v in np.atleast_1d(np.asarray(value, float)))
    return numbers * channels if len(numbers) == 1 else numbers
