"""The sweep: an operation from its weakest to its strongest."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..aliases import Layout
from ..checks import number
from ..kernels import Sources
from ..plan import Plan
from ..policy import ops
from ..policy.apart import take_apart
from ..policy.ops.op import VIEW, Op
from ..policy.policy import MIXES, Policy
from ..policy.views import Views
from .drawing import drawn, new_parts
from .subjects import subjects
from .tiles import Tile, parts_of, picture_of

if TYPE_CHECKING:
    from PIL import Image

LEVELS = (0.2, 0.4, 0.6, 0.8, 1.0)
_PARTNER = re.compile(r"sample -?\d+")
TRIES, MOST_PIXELS = (
    24,
    8_000_000,
)  # draws of which the strongest is taken, and pixels of all of them


@dataclass(frozen=True)
class Row:
    """An operation at several strengths.

    Args:
        name: The operation, with its arguments.
        op: It as an op, which happens to every image.
        tiles: The picture without it, then a tile for each level; of an operation that is there or not, one
            tile beside it.
        graded: Whether strength says how far it goes. If not, it says how many images meet it, or nothing.
        drawn: Share of images that meet it under the policy, in [0, 1].
    """

    name: str
    op: Op
    tiles: tuple[Tile, ...]
    graded: bool
    drawn: float = 1.0


def sweep(
    op_or_policy: Op | Policy | Views | Sequence[Op],
    image: Any,
    *,
    levels: Sequence[float] = LEVELS,
    seed: int = 0,
    epoch: int = 0,
    partners: Sequence[Any] = (),
    layout: Layout | None = None,
    boxes: Any = None,
    progress: Callable[[int, int], object] | None = None,
) -> list[Row]:
    """Each operation of a policy alone, from its weakest to its strongest, on one image.

    Of each operation one draw is taken, the one of 24 that changes the image most, and pulled towards
    nothing: a level is the strength that an engine would have. Other operations of the policy are left out,
    but for what sizes the image.

    Args:
        op_or_policy: An op, which makes one row; or a policy, whose operations are taken apart: RandAugment
            into its operations, ColorJitter into brightness, contrast, saturation and hue. Mixes in a policy
            are left out, as is code.
        image: Image, as `tiles` takes one.
        levels: Strengths in [0, 1].
        seed: Whole number of 64 bits.
        epoch: Epoch, 0 or more.
        partners: Other images, with which a lone mix mixes it; without any, it is mixed with our test card.
        layout: "NCHW" or "NHWC", where it cannot be seen in the image.
        boxes: Boxes [k, 4] of the image, for ops that look at them; None is a box in its middle.
        progress: Function that is called with the number of rows drawn, and of all.

    Returns:
        A row for each operation.

    Raises:
        TypeError: The image or a number is of another type.
        ValueError: They do not fit each other, or the policy.

    Example:
        >>> from augengine.preview import sweep
        >>> image = np.zeros((40, 48, 3), np.uint8)
        >>> (row,) = sweep(ae.RandomRotation(30), image, levels=(0.5, 1))
        >>> [tile.caption for tile in row.tiles]
        ['without it', 'rotated −14.6°', 'rotated −29.2°']
    """
    levels = [number("preview: levels", level, 0, 1) for level in levels]
    if not levels:
        raise ValueError("preview: got no levels, expected one at least. Pass (0.2, 0.6, 1), say.")
    several = subjects([image, *partners], layout=layout)
    source = several.each[0]
    if isinstance(op_or_policy, Op):
        others = several.each[1:] or (_card(source),)
        alone = _always(op_or_policy)
        mixed = any(isinstance(op, MIXES) for op in alone.with_children())
        size = ops.Resize(tuple(int(n) for n in source.sizes[0]))
        base: tuple[Op, ...] = (size,) if mixed else ()
        sources = source
        for other in others if mixed else ():
            sources = sources.followed_by(other)
        work = _Work(sources, seed, epoch, boxes)
        return [_row(work, repr(op_or_policy), alone, base, (), levels, 1.0)]
    chosen = op_or_policy if isinstance(op_or_policy, Views) else Policy(op_or_policy)
    work = _Work(source, seed, epoch, boxes)
    rows = []
    parts = take_apart(chosen)[0]
    for part in parts:
        before, after = part.before, part.after
        if part.op.stages[1] != VIEW:
            before, after = (*before, *after), ()
        rows.append(_row(work, part.name, part.op, before, after, levels, part.drawn))
        if progress is not None:
            progress(len(rows), len(parts))
    return rows


def sweep_sheet(rows: Sequence[Row], *, size: int = 160, title: str = "") -> Image.Image:
    """A picture of a sweep.

    Args:
        rows: What `sweep` gave.
        size: Pixels a side of the square that each picture is fitted into.
        title: Text of the title.
    """
    from .sheets import sheet_of

    if not rows:
        raise ValueError(
            "preview: the policy has no operation that a sweep shows, expected one at least: mixes and code "
            "are left out. Look at its grid."
        )
    cells = []
    for row in rows:
        first = dataclasses.replace(row.tiles[0], heading=row.name)
        cells.append([first, *row.tiles[1:]])
    line = (
        "Each row is one operation alone: without it, then the strongest of 24 draws, at the share of its "
        "magnitude that stands above it."
    )
    return sheet_of(title or "From weakest to strongest", [line], cells, size)


@dataclass(frozen=True)
class _Work:
    """An image, the first of its sources, and what its draws are keyed by."""

    sources: Sources
    seed: int
    epoch: int
    boxes: Any

    def draw(self, policy: Policy, first: int, strength: float) -> tuple[Plan, np.ndarray]:
        """(plan, picture) of the image with the id `first`."""
        ids = first + np.arange(len(self.sources)) * TRIES
        boxes = None
        if policy.needs_boxes:
            height, width = self.sources.sizes[0]
            middle = [[width / 4, height / 4, 3 * width / 4, 3 * height / 4]]
            own = np.asarray(middle if self.boxes is None else self.boxes, float)
            boxes = [own] + [np.zeros((0, 4))] * (len(self.sources) - 1)
        plan, outputs = drawn(
            policy,
            self.sources,
            ids,
            seed=self.seed,
            epoch=self.epoch,
            strength=strength,
            boxes=boxes,
        )
        return plan, picture_of(outputs[0], plan.finish, policy)


def _row(
    work: _Work, name: str, op: Op, before: tuple[Op, ...], after: tuple[Op, ...], levels: Sequence[float],
    share: float,
) -> Row:  # fmt: skip
    policy = Policy([*before, op, *after])
    base_plan, base = work.draw(Policy([*before, *after]), 0, 1.0)
    said = parts_of(base_plan.explain(0))
    first = _strongest(work, policy, base)
    full = work.draw(policy, first, 1.0)
    pictures = [full if level == 1 else work.draw(policy, first, level) for level in levels]
    nothing = work.draw(policy, first, 0.0)[1]
    graded = any(not _same(p, full[1]) and not _same(p, nothing) for _, p in pictures)
    without = Tile(nothing if graded else base, "without it", "")
    if not graded:
        shown = [(full, "with it")]
    else:
        shown = [
            (drawn, f"{100 * level:g} %") for drawn, level in zip(pictures, levels, strict=True)
        ]
    cells = [Tile(picture, _words(plan, said), heading, plan) for (plan, picture), heading in shown]
    return Row(name, op, (without, *cells), graded, share)


def _words(plan: Plan, before: Sequence[str]) -> str:
    """What a plan says beyond what was said before, without the identity of a partner, which is made up."""
    words = ", ".join(new_parts(parts_of(plan.explain(0)), before))
    return _PARTNER.sub("another image", words) or "no change"


def _strongest(work: _Work, policy: Policy, base: np.ndarray) -> int:
    """The id whose draw changes the image most."""
    pixels = int(work.sources.sizes[0].prod())
    tries = max(1, min(TRIES, MOST_PIXELS // max(1, pixels)))
    best, most = 0, -1.0
    for first in range(tries):
        picture = work.draw(policy, first, 1.0)[1]
        change = float(np.abs(_as_large(picture, base).astype(np.int16) - base).mean())
        if change > most:
            best, most = first, change
    return best


def _as_large(picture: np.ndarray, base: np.ndarray) -> np.ndarray:
    """The picture at the size of another, by its nearest pixels."""
    if picture.shape == base.shape:
        return picture
    rows, columns = (np.arange(base.shape[k]) * picture.shape[k] // base.shape[k] for k in (0, 1))
    return picture[rows][:, columns]


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.array_equal(a, b)


def _always(op: Op) -> Op:
    """The op with probability 1."""
    own: Any = op
    if isinstance(getattr(op, "p", None), Real):
        own = dataclasses.replace(own, p=1.0)
    if getattr(own, "alternate", False):
        own = dataclasses.replace(own, alternate=False)
    return own


def _card(like: Sources) -> Sources:
    """Our test card, of the same channels and dtype."""
    from .card import card

    height, width = (int(n) for n in like.sizes[0])
    pixels = card(height, width).astype(np.float32) / 255
    if like.channels != 3:
        pixels = np.repeat(pixels.mean(axis=2, keepdims=True), like.channels, axis=2)
    if like.dtype == torch.uint8:
        return Sources.of([(pixels * 255).round().astype(np.uint8)])
    made = Sources.of([pixels])
    return dataclasses.replace(made.map(lambda t: t.to(like.dtype)), given=like.given)
