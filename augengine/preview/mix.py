"""The strip of a mix: what was mixed, where it lies, what came of it, and the label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..aliases import Layout
from ..plan import Plan
from ..policy.ops.op import Op
from ..policy.policy import MIXES, Policy
from ..policy.prefix import channels_of, prefix
from .drawing import drawn
from .overlay import COLOURS
from .subjects import Pictures, subjects
from .tiles import Tile, picture_of, words_of

if TYPE_CHECKING:
    from PIL import Image

MOST_SOURCES = 6  # of one output that are shown


def mix(
    policy: Policy | Op | Sequence[Op],
    images: Pictures,
    *,
    seed: int = 0,
    epoch: int = 0,
    strength: float = 1.0,
    ids: Sequence[int | str | bytes] | None = None,
    shown: int = 4,
    layout: Layout | None = None,
) -> list[list[Tile]]:
    """How a policy mixes samples: for each, what it and its partners were before, the boxes in which they
    lie, what came of it, and the shares of the label.

    Args:
        policy: Policy or ops, of which one mixes.
        images: Images of the batch, two or more, as `tiles` takes them.
        seed: Whole number of 64 bits.
        epoch: Epoch, 0 or more.
        strength: Share in [0, 1] of every magnitude.
        ids: Identities, ints or names; None is the images' positions.
        shown: How many samples are shown, of those that were mixed.
        layout: "NCHW" or "NHWC", where it cannot be seen in the images.

    Returns:
        A row of tiles for each sample: the sources, the boxes, the result, the label.

    Raises:
        TypeError: Images or numbers are of another type.
        ValueError: No op of the policy mixes, or there are too few images.

    Example:
        >>> from augengine.preview import mix
        >>> images = [np.full((32, 32, 3), value, np.uint8) for value in (0, 255)]
        >>> row = mix(ae.CutMix(), images)[0]
        >>> [tile.heading for tile in row]
        ['sample 0', 'sample 1', 'where they lie', 'sample 0, mixed', 'its label']
        >>> row[-1].caption
        '63 % of sample 0, 37 % of sample 1'
    """
    whole = Policy(policy)
    at = next(
        (k for k, op in enumerate(whole.top) if any(isinstance(o, MIXES) for o in op.with_children())),
        None,
    )  # fmt: skip
    if at is None:
        raise ValueError(
            "preview: got a policy that mixes nothing, expected one with a CutMix, MixUp, MixUpOrCutMix or "
            "Mosaic. Look at its grid."
        )
    several = subjects(images, ids=ids, layout=layout)
    if len(several) < 2:
        raise ValueError(
            "preview: got one image, expected two at least, since a mix takes its partner from the batch. Pass "
            "more."
        )
    sources = several.batch
    channels = channels_of(whole, sources.channels)
    how = {"seed": seed, "epoch": epoch, "strength": strength, "channels": channels}
    before_plan, before = drawn(prefix(whole, at), sources, several.ids, **how)  # type: ignore[arg-type]
    plan, after = drawn(whole, sources, several.ids, **how)  # type: ignore[arg-type]
    mixed = [i for i in range(len(plan)) if len(_shares(plan, i)) > 1]
    if not mixed:
        raise ValueError(
            f"preview: no sample of epoch {epoch} was mixed, as chance has it, expected one. Look at another "
            "epoch or seed, or pass more images."
        )
    rows = []
    for i in mixed[:shown]:
        shares = _shares(plan, i)
        name = f"sample {several.names[i]}"
        row = [
            Tile(
                _bordered(picture_of(before[s], before_plan.finish), k),
                words_of(before_plan, s), f"sample {several.names[s]}", before_plan, s, before[s],
            )
            for k, s in enumerate(list(shares)[:MOST_SOURCES])
        ]  # fmt: skip
        result = picture_of(after[i], plan.finish, whole)
        words = ", ".join(
            f"{100 * share:.0f} % of sample {several.names[s]}" for s, share in shares.items()
        )
        row += [
            Tile(
                _boxes(plan, i, result, list(shares)),
                _where(plan, i, several.names),
                "where they lie",
            ),
            Tile(result, words_of(plan, i), f"{name}, mixed", plan, i, after[i]),
            Tile(_label(result.shape, list(shares.values())), words, "its label"),
        ]
        rows.append(row)
    return rows


def mix_sheet(rows: Sequence[Sequence[Tile]], *, size: int = 176, title: str = "") -> Image.Image:
    """A picture of strips.

    Args:
        rows: What `mix` gave.
        size: Pixels a side of the square that each picture is fitted into.
        title: Text of the title.
    """
    from .sheets import sheet_of

    most = max(map(len, rows))
    # The last three stand below each other, however many sources an output has.
    aligned = [[*row[:-3], *[_nothing(row)] * (most - len(row)), *row[-3:]] for row in rows]
    line = "The frame of each sample has the colour that its box and its share of the label have."
    return sheet_of(title or "How samples are mixed", [line], aligned, size)


def _nothing(row: Sequence[Tile]) -> Tile:
    from ..sheet import PAPER

    colour = np.array([int(PAPER[k : k + 2], 16) for k in (1, 3, 5)], np.uint8)
    return replace(Tile(np.broadcast_to(colour, row[0].picture.shape).copy(), ""))


def _shares(plan: Plan, i: int) -> dict[int, float]:
    """{source: its share of the label} of an output, its own source first."""
    roots = plan.roots()
    shares: dict[int, float] = {}
    for view, weight in zip(plan.view[i].tolist(), plan.weight[i].tolist(), strict=True):
        if view >= 0:
            source = int(roots[view])
            shares[source] = shares.get(source, 0.0) + weight
    return {s: share for k, (s, share) in enumerate(shares.items()) if share > 0 or k == 0}


def _layers(plan: Plan, i: int) -> list[tuple[int, tuple[int, ...], float]]:
    """(source, box, alpha) of each view that lies on an output."""
    roots = plan.roots()
    parts = zip(plan.view[i].tolist(), plan.box[i].tolist(), plan.alpha[i].tolist(), strict=True)
    return [(int(roots[v]), tuple(box), alpha) for v, box, alpha in parts if v >= 0 and alpha > 0]


def _where(plan: Plan, i: int, names: Sequence[str]) -> str:
    height, width = plan.finish.size
    words = []
    for source, (y0, x0, y1, x1), alpha in _layers(plan, i):
        if (y1 - y0) * (x1 - x0) <= 0:
            continue
        of = f"sample {names[source]}"
        whole = (y0, x0, y1, x1) == (0, 0, height, width)
        if alpha < 1:
            words.append(
                f"{of} over {'all' if whole else 'a box'} with {100 * alpha:.0f} % of its colour"
            )
        elif not whole:
            words.append(f"{of} in {y1 - y0}×{x1 - x0} at ({y0}, {x0})")
    return ", ".join(words)


def _boxes(plan: Plan, i: int, result: np.ndarray, order: list[int]) -> np.ndarray:
    """The output's boxes as areas in the sources' colours, over the result in grey."""
    grey = result.astype(np.float32).mean(axis=2, keepdims=True)
    values = 0.35 * grey + 0.65 * 255 + np.zeros_like(result, np.float32)
    for source, (y0, x0, y1, x1), alpha in _layers(plan, i):
        colour = np.array(
            COLOURS[order.index(source) % len(COLOURS)] if source in order else (128,) * 3
        )
        area = values[y0:y1, x0:x1]
        area += alpha * (0.45 * grey[y0:y1, x0:x1] + 0.55 * colour - area)
    return values.clip(0, 255).astype(np.uint8)


def _bordered(picture: np.ndarray, k: int) -> np.ndarray:
    wide = max(2, max(picture.shape) // 40)
    framed = picture.copy()
    for edge in (np.s_[:wide], np.s_[-wide:], np.s_[:, :wide], np.s_[:, -wide:]):
        framed[edge] = COLOURS[k % len(COLOURS)]
    return framed


def _label(shape: tuple[int, ...], shares: list[float]) -> np.ndarray:
    """A bar for each share, on a pale ground."""
    height, width = shape[:2]
    picture = np.full((height, width, 3), 239, np.uint8)
    step = width / max(1, len(shares))
    for k, share in enumerate(shares):
        top = round(height * (1 - share / max(1.0, sum(shares))))
        left, right = round(step * (k + 0.18)), round(step * (k + 0.82))
        picture[top:, left:right] = COLOURS[k % len(COLOURS)]
    return picture
