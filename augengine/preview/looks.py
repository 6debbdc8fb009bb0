"""What there is to see of a batch, a plan or a policy, within bounds: a few small pictures, soon drawn."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ..kernels import Sources, execute
from ..loading.batch import Batch, BatchOfViews
from ..plan import Finish, Plan
from ..plan.fields import fields_of
from ..plan.parts import on_parts
from ..policy.policy import Policy
from ..policy.views import Views
from .card import card
from .html import html
from .overlay import overlay
from .tiles import Tile, picture_of, words_of

# Of what a notebook shows unasked: pictures, pixels a side of each, seconds after which no more are drawn,
# characters of the text below, pixels of a source's longer side, and pixels of what is blurred and the like.
SHOWN, SIDE, SECONDS, MOST_TEXT, MOST_SOURCE, MOST_FILTERED = 8, 112, 0.35, 4000, 256, 400_000
_CARD = (96, 128)  # of a policy that takes any size


def html_of(shown: Any) -> str | None:
    """What a notebook shows of a Batch, BatchOfViews, Plan, Policy or Views, or None for its text.

    Args:
        shown: One of these.
    """
    # A notebook shows whatever a cell ends with: nothing here may fail, as on a batch of odd parts.
    try:
        rows = [row for row in _rows(shown) if row]
    except Exception:
        return None
    if not rows:
        return None
    text = repr(shown)
    return html(rows, SIDE, text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + " …")


def batch_tiles(batch: Batch, most: int, heading: str = "", most_side: int = 2048) -> list[Tile]:
    """Tiles of a batch's images, with labels and the plan's words.

    Args:
        batch: Batch.
        most: Number of tiles, at most.
        heading: Text before each heading.
        most_side: Pixels a side from which on of an image only every so many are shown.
    """
    images = batch.images
    if images.ndim == 5:  # clips: the first frame
        images = images[:, 0]
    plan = batch._plan
    tiles = []
    for i, output in enumerate(images[:most].detach()):
        picture, note = _picture(output.cpu(), plan.finish if plan is not None else None, most_side)
        name = f"{heading}output {i}" if plan is None else f"{heading}sample {_id(plan, i)}"
        words = [part for part in (_label(batch.labels, i), note) if part]
        words.append("" if plan is None else words_of(plan, i))
        target = _target(batch.targets, i)
        if target is not None and picture.shape[:2] != output.shape[-2:]:
            target = None  # which is in pixels that are not shown
        tiles.append(Tile(picture, "; ".join(filter(None, words)), name, plan, i, output, target))
    return tiles


def _rows(shown: Any) -> Iterator[list[Tile]]:
    if isinstance(shown, Batch):
        yield _bounded(batch_tiles(shown, SHOWN, most_side=3 * SIDE))
    elif isinstance(shown, BatchOfViews):
        for name, batch in list(shown.items())[:SHOWN]:
            several = batch if isinstance(batch, list) else [batch]
            tiles = [
                tile
                for at, one in enumerate(several[:SHOWN])
                for tile in batch_tiles(
                    one, SHOWN if len(several) == 1 else 1, _view(name, at, several)
                )
            ]
            yield _bounded(tiles[:SHOWN])
    elif isinstance(shown, Plan):
        yield _plan_tiles(shown)
    elif isinstance(shown, (Policy, Views)):
        yield _policy_tiles(shown)


def _bounded(tiles: list[Tile]) -> list[Tile]:
    """Tiles with their targets drawn on, if Pillow is there to do it."""
    drawn = []
    for tile in tiles:
        if tile.target is not None:
            try:
                picture = overlay(tile.picture, tile.target, side=2 * SIDE, words=False)
                tile = replace(tile, picture=picture, target=None)
            except ImportError:
                tile = replace(tile, target=None)
        drawn.append(tile)
    return drawn


def _view(name: str, at: int, several: list[Batch]) -> str:
    return f"{name}, " if len(several) == 1 else f"{name}[{at}], "


def _id(plan: Plan, i: int) -> int:
    view = int(plan.view[i, 0])
    return int(plan.ids[plan.roots()[view]] if view >= 0 else plan.ids[0])


def _picture(output: torch.Tensor, finish: Finish | None, most_side: int) -> tuple[np.ndarray, str]:
    """(an output as it is shown, what must be said of it)."""
    height, width = output.shape[-2:]
    step = max(1, max(height, width) // most_side)
    output = output[:, ::step, ::step]
    size = (output.shape[1], output.shape[2])
    if finish is not None:
        finish = replace(finish, size=size)
    else:
        dtype = "uint8" if output.dtype == torch.uint8 else "float32"
        finish = Finish(size, len(output), dtype=dtype)
    note = ""
    if not finish.mean and output.dtype != torch.uint8:
        values = output.float()
        low, high = float(values.min()), float(values.max())
        if not (-0.01 <= low and high <= 1.01):
            output = (values - low) / max(high - low, 1e-6)
            note = f"values {low:.2g} … {high:.2g}, stretched to be seen"
    return picture_of(output, finish), note


def _label(labels: Any, i: int) -> str:
    if not isinstance(labels, torch.Tensor) or labels.ndim not in (1, 2) or i >= len(labels):
        return ""
    label = labels[i].detach().cpu()
    if label.ndim == 0:
        return f"label {label.item():g}"
    order = label.argsort(descending=True)[:3].tolist()
    return "label " + ", ".join(
        f"{k}: {100 * float(label[k]):.0f} %" for k in order if label[k] > 0.005
    )


def _target(targets: Any, i: int) -> Any:
    if targets is None:
        return None
    return (
        {name: value[i] for name, value in targets.items()}
        if isinstance(targets, dict)
        else targets[i]
    )


def _plan_tiles(plan: Plan) -> list[Tile]:
    """A plan's first outputs, its sources being our card."""
    rows = range(min(len(plan), SHOWN))
    return _drawn([(plan.select([i]), f"sample {_id(plan, i)}") for i in rows])


def _over_small(plan: Plan) -> Plan:
    """The plan over those of its sources alone that it looks at, which are shrunk where they are large."""
    used = np.unique(plan.source[plan.source < len(plan.ids)])
    if len(used) < len(plan.ids):
        new = np.searchsorted(used, plan.source)
        further = len(used) + plan.source - len(plan.ids)  # views that others look at
        source = np.where(plan.source < len(plan.ids), new, further).astype(np.int32)
        fields = {name: getattr(plan, name)[used] for name in fields_of(plan, "B")}
        plan = replace(plan, source=source, **fields)
    scale = np.minimum(1, MOST_SOURCE / plan.sizes.max(axis=1, keepdims=True))
    sizes = np.maximum(1, np.round(plan.sizes * scale)).astype(np.int64)
    if not np.array_equal(sizes, plan.sizes):
        plan = on_parts(plan, sizes / plan.sizes, np.zeros((len(sizes), 2)), sizes)
        support = np.where(plan.support > 0, np.maximum(plan.support, 1), 0).astype(np.float32)
        plan = replace(plan, support=support)
    return plan


def _policy_tiles(policy: Policy | Views) -> list[Tile]:
    """What a policy makes of our card, in its first epochs; of Views a tile for each look."""
    epochs = range(4 if isinstance(policy, Policy) else 1)
    plans = [plan for epoch in epochs for plan in _plans(policy, epoch)]
    return _drawn(plans[:SHOWN])


def _plans(policy: Policy | Views, epoch: int) -> list[tuple[Plan, str]]:
    """(plan of one output, its heading) of each look."""

    def sample(policy: Policy, number: int, frame: tuple[int, int] | None = None) -> Plan:
        sizes = [frame or _CARD] * (2 if policy.mixes else 1)
        boxes = None
        if policy.needs_boxes:
            boxes = [np.array([[0.19, 0.24, 0.59, 0.8]]) * np.tile(_CARD[::-1], 2)] * len(sizes)
        return policy.sample(range(len(sizes)), sizes, epoch=epoch, look=number, boxes=boxes)

    if isinstance(policy, Policy):
        return [(sample(policy, 0).select([0]), f"epoch {epoch}")]
    found = []
    for name, plans in policy.plans(sample).items():
        several = plans if isinstance(plans, list) else [plans]
        found += [
            (plan.select([0]), name if len(several) == 1 else f"{name}[{at}]")
            for at, plan in enumerate(several)
        ]
    return found


def _drawn(plans: list[tuple[Plan, str]]) -> list[Tile]:
    """Plans of one output each on our card, by the executor that compiles nothing, until the time is up."""
    end = time.perf_counter() + SECONDS
    tiles: dict[int, Tile] = {}
    # What is blurred comes last: for that the executor imports a package, which takes as long as all the rest.
    blurred = [bool(plan.filter[:, 0].any()) for plan, _ in plans]
    for number in sorted(range(len(plans)), key=lambda k: blurred[k]):
        plan, heading = plans[number]
        if tiles and (
            time.perf_counter() > end or (blurred[number] and "kornia" not in sys.modules)
        ):
            break
        words = words_of(plan, 0)
        if plan.frame.prod(axis=1, dtype=np.int64).sum() > MOST_FILTERED:
            continue
        if "not fused" in words:
            words += "; what is not fused is not drawn here"
        scale = SIDE / max(plan.finish.size)
        if scale < 1:
            height, width = (max(1, round(n * scale)) for n in plan.finish.size)
            plan = plan.resized((height, width))
        plan = _over_small(plan)
        images = [_like(card(int(h), int(w)), plan.finish.channels) for h, w in plan.sizes]
        output = execute(plan, Sources.of(images), executor="torch")[0]
        tiles[number] = Tile(picture_of(output, plan.finish), words, heading)
    return [tiles[number] for number in sorted(tiles)]


def _like(picture: np.ndarray, channels: int) -> np.ndarray:
    """The card with another number of channels."""
    if channels == 3:
        return picture
    grey = picture.mean(axis=2, keepdims=True).round().astype(np.uint8)
    return np.repeat(grey, channels, axis=2)
