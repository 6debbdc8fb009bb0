"""`ae.show`: whatever there is to see of what one has, in a notebook and in a file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..aliases import StrengthSchedule
from ..checks import shown as said
from ..checks import whole_number
from ..kernels import execute
from ..loading.batch import Batch, BatchOfViews
from ..plan import Plan
from ..plan.html import html_by
from ..policy.ops.op import Op
from ..policy.policy import Policy
from ..policy.views import Views
from ..recipes.named import named
from ..targets.follow import Target
from .card import card
from .grid import head
from .html import html
from .looks import batch_tiles, html_of
from .subjects import Pictures, subjects
from .tiles import Tile, original, picture_of, tiles, words_of

if TYPE_CHECKING:
    from PIL import Image

COLUMNS = 8  # pictures in a row, at most


class Shown:
    """Pictures with what was done to them, as `ae.show` gives them. A notebook shows them by itself; `save`
    writes them to a file.

    Args:
        rows: Rows of tiles.
        title: Text of the title.
        lines: Paragraphs below it, in a file.
        size: Pixels a side of the square that each picture is fitted into.
        names: Names of the classes of targets, by number.
    """

    def __init__(
        self,
        rows: Sequence[Sequence[Tile]],
        title: str,
        lines: Sequence[str] = (),
        size: int = 160,
        names: Sequence[str] | Mapping[int, str] | None = None,
    ) -> None:
        self.rows = tuple(tuple(row) for row in rows if row)
        self.title, self.lines, self.size, self.names = title, tuple(lines), size, names

    @property
    def image(self) -> Image.Image:
        """The sheet as one picture of Pillow's."""
        from .sheets import sheet_of

        return sheet_of(self.title, self.lines, self.rows, self.size, names=self.names)

    def save(self, path: str | Path) -> None:
        """Write the sheet, as a PNG or by the suffix; the whole file or none.

        Args:
            path: File to write.

        Raises:
            OSError: It cannot be written.
            ImportError: Pillow or matplotlib, whose fonts it uses, is not installed.
        """
        path = Path(path)
        partial = path.with_name(path.name + ".partial")
        from PIL import Image

        kind = Image.registered_extensions().get(path.suffix.lower(), "PNG")
        self.image.save(partial, kind)
        os.replace(partial, path)

    def _repr_html_(self) -> str:
        from .sheets import with_target

        rows = []
        for row in self.rows:
            drawn = [(tile, *with_target(tile, 2 * self.size, names=self.names)) for tile in row]
            rows.append([Tile(picture, words, tile.heading) for tile, picture, words in drawn])
        return html(rows, self.size, title=self.title)

    def __repr__(self) -> str:
        count = sum(map(len, self.rows))
        return f"Shown({count} picture{'s' * (count != 1)}; .save('look.png') writes them)"


def show(
    what: Batch | BatchOfViews | Plan | Policy | Views | Op | Sequence[Op] | str | torch.Tensor,
    images: Pictures | None = None,
    *,
    draws: int = 4,
    seed: int = 0,
    epoch: int = 0,
    strength: StrengthSchedule = 1.0,
    most: int = 16,
    size: int = 160,
    targets: Sequence[Target] | None = None,
    names: Sequence[str] | Mapping[int, str] | None = None,
) -> Shown:
    """See what a batch holds, or what a policy or a plan does: in a notebook the pictures appear, and
    `.save("look.png")` writes them.

    Normalisation is undone for the eye. Below each picture stands what the plan says.

    Args:
        what: Batch, such as a loader gives; a Plan; a Policy, Views or ops, or a policy by its name as the
            commands take it, such as "imagenet"; or a tensor (N, C, H, W).
        images: Images that a policy or a plan is shown on: PIL images, arrays, tensors, paths or bytes, one or
            several. None is a picture of ours. A batch has its own.
        draws: Number of draws of a policy for each image, each an epoch of its own.
        seed: Whole number of 64 bits, of a policy's draws.
        epoch: Epoch of a policy's first draw.
        strength: Share in [0, 1] of a policy's magnitudes, or a function (epoch, ids) that gives it.
        most: Number of images, or of a batch's outputs, that are shown, at most.
        size: Pixels a side of the square that each picture is fitted into, 16 … 2048.
        targets: A target for each image, which follows it and is drawn on. A batch has its own.
        names: Names of the classes of targets, by number.

    Returns:
        The pictures: `image` is the sheet as a picture of Pillow's, `save` writes it.

    Raises:
        TypeError: There is nothing to see of it, or images are of another type.
        ValueError: Images, targets and policy do not fit each other.

    Example:
        >>> policy = ae.Policy([ae.RandomResizedCrop(64), ae.RandomHorizontalFlip()])
        >>> ae.show(policy, np.zeros((80, 90, 3), np.uint8), draws=3)
        Shown(4 pictures; .save('look.png') writes them)
        >>> batch = ae.Engine(policy)([np.zeros((80, 90, 3), np.uint8)], ids=[0], epoch=0)
        >>> ae.show(batch)
        Shown(1 picture; .save('look.png') writes them)
    """
    most = whole_number("show: most", most, 1, 10_000)
    size = whole_number("show: size", size, 16, 2048)
    if isinstance(what, (Batch, BatchOfViews, torch.Tensor)):
        if images is not None or targets is not None:
            raise TypeError(
                f"show: got images beside a {type(what).__name__}, which has its own, expected none. Leave "
                "them out, or pass the policy."
            )
        return Shown(_of_batch(what, most), _title(what), (), size, names)
    several = subjects(card() if images is None else images)
    if isinstance(what, Plan):
        return Shown(_of_plan(what, several, images is None, most), _title(what), (), size, names)
    try:
        chosen = named(what, "show").policy
    except ValueError as error:
        if isinstance(what, str):
            raise
        raise TypeError(
            f"show: got {said(what)}, expected a Batch, a Plan, a Policy, Views, ops, the name of a policy or "
            "a tensor (N, C, H, W). Pass one of these."
        ) from error
    rows = tiles(
        chosen, several.each, draws=draws, seed=seed, epoch=epoch, strength=strength, shown=most,
        targets=targets,
    )  # fmt: skip
    title = f"{what}" if isinstance(what, str) else _title(chosen)
    return Shown([*rows], title, [head(chosen, seed)], size, names)


def _title(what: object) -> str:
    if isinstance(what, torch.Tensor):
        return f"Tensor {tuple(what.shape)}"
    return type(what).__name__


def _of_batch(what: Batch | BatchOfViews | torch.Tensor, most: int) -> list[list[Tile]]:
    if isinstance(what, torch.Tensor):
        if what.ndim == 3:
            what = what[None]
        if what.ndim != 4:
            raise TypeError(
                f"show: got a tensor of shape {tuple(what.shape)}, expected (N, C, H, W) or (C, H, W). Add or "
                "drop dimensions."
            )
        what = Batch(what)
    if isinstance(what, Batch):
        return _wrapped(batch_tiles(what, most))
    rows = []
    for name, batch in what.items():
        for at, one in enumerate(batch if isinstance(batch, list) else [batch]):
            rows += _wrapped(
                batch_tiles(one, most, f"{name}{f'[{at}]' * isinstance(batch, list)}, ")
            )
    return rows


def _of_plan(plan: Plan, several: Any, ours: bool, most: int) -> list[list[Tile]]:
    count = len(plan.ids)
    if ours:
        several = subjects([card(int(h), int(w)) for h, w in plan.sizes])
    if len(several) != count:
        raise ValueError(
            f"show: got {len(several)} images for a plan of {count} sources, expected one for each. Pass the "
            "images that it was made for."
        )
    outputs = execute(plan.select(np.arange(min(most, len(plan)))), several.batch)
    own = np.where(plan.view[:, 0] >= 0, plan.roots()[np.maximum(plan.view[:, 0], 0)], 0)
    rows = []
    for i, output in enumerate(outputs):
        name = f"sample {plan.ids[own[i]]}"
        drawn = Tile(picture_of(output, plan.finish), words_of(plan, i), name, plan, i, output)
        rows.append([original(several, int(own[i]), name), drawn])
    return rows


def _wrapped(row: list[Tile]) -> list[list[Tile]]:
    return [row[k : k + COLUMNS] for k in range(0, len(row), COLUMNS)]


html_by(html_of)
