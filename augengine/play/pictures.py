"""What the page draws: the grid of tiles, one tile step by step, and how many images a second it would be."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch

from ..demo.measure import machine
from ..kernels import Sources, execute
from ..policy.ops.unfused import run_all
from ..policy.policy import Policy
from ..preview.drawing import needs_batch
from ..preview.tiles import Tile, tiles
from ..preview.trace import Step, trace
from .album import Album

MOST_SHOWN, MOST_DRAWS = 12, 8
MOST_OUTPUT = 1 << 26  # pixels of all tiles together: a quarter of a gigabyte for each channel
_BATCH, _ROUNDS, _SECONDS = 32, 9, 0.5  # of measuring
_BATCH_PIXELS = 1 << 25  # of the images of a batch that is measured


@dataclass(frozen=True)
class View:
    """What of the images is looked at.

    Args:
        first: Position of the first image that is shown.
        shown: Number of images that are shown.
        draws: Number of draws of each, in epochs that follow each other.
        seed: Whole number of 64 bits.
        epoch: First epoch, 0 or more.
        strength: Share in [0, 1] of every magnitude.
    """

    first: int = 0
    shown: int = 4
    draws: int = 4
    seed: int = 0
    epoch: int = 0
    strength: float = 1.0


def grid(policy: Policy, album: Album, view: View) -> list[list[Tile]]:
    """A row of tiles for each image that is shown: the image as it came, then its draws.

    Images that are not shown lend themselves to mixes.

    Raises:
        ValueError: As `Policy.sample` does, or the outputs would be larger than MOST_OUTPUT.
    """
    sources, names = ordered(policy, album, view)
    count = min(view.shown, len(album))
    check_outputs(policy, sources, names, view, count)
    # No image here has a target; an op that looks at boxes is told so.
    targets = (
        [{"boxes": np.zeros((0, 4), np.float32)}] * len(sources) if policy.needs_boxes else None
    )
    return list(
        tiles(
            policy, list(sources), draws=view.draws, seed=view.seed, epoch=view.epoch,
            strength=view.strength, ids=list(names), shown=count, targets=targets,
        )
    )  # fmt: skip


def ordered(
    policy: Policy, album: Album, view: View
) -> tuple[tuple[Sources, ...], tuple[str, ...]]:
    """(images, names), those that are shown first, and where the policy mixes the others behind them."""
    count = len(album)
    order = [(view.first + k) % count for k in range(count)]
    if not needs_batch(policy):
        order = order[: view.shown]
    return tuple(album.sources[k] for k in order), tuple(album.names[k] for k in order)


def check_outputs(
    policy: Policy, sources: Sequence[Sources], names: Sequence[str], view: View, count: int
) -> None:
    """Raise ValueError if what is drawn would not fit into memory. No pixel is read for that."""
    sizes = np.concatenate([one.sizes for one in sources])
    together = needs_batch(policy)
    total = 0
    for epoch in range(view.epoch, view.epoch + view.draws):
        groups = [slice(None)] if together else [slice(k, k + 1) for k in range(count)]
        for group in groups:
            boxes = [np.zeros((0, 4))] * len(sizes[group]) if policy.needs_boxes else None
            plan = policy.sample(
                list(names[group]), sizes[group], seed=view.seed, epoch=epoch, strength=view.strength,
                boxes=boxes,
            )  # fmt: skip
            total += int(plan.shape[0]) * int(plan.shape[2]) * int(plan.shape[3])
            if total > MOST_OUTPUT:
                height, width = plan.shape[2:]
                raise ValueError(
                    f"play: got outputs of {height:,}×{width:,}, with which the tiles have {total:,} pixels, "
                    f"expected {MOST_OUTPUT:,} at most. Make them smaller, or show fewer images or draws."
                )


def steps_of_tile(
    policy: Policy, album: Album, view: View, row: int, draw: int, *, timed: bool = True
) -> list[Step]:
    """One tile step by step: its picture after each op, and the time that the op takes.

    Args:
        policy: Policy.
        album: Images.
        view: What is shown.
        row: Number of the image among those that are shown.
        draw: Number of the draw.
        timed: Whether the steps are timed, which takes some 0.6 s.

    Raises:
        ValueError: There is no such tile.
    """
    sources, names = ordered(policy, album, view)
    if not (0 <= row < min(view.shown, len(album)) and 0 <= draw < view.draws):
        raise ValueError("play: got a tile that is not shown, expected one of the grid. Click one.")
    # In a mix the partners depend on the batch's order, so the batch is the grid's own.
    others = [k for k in range(len(sources)) if k != row]
    return trace(
        policy, sources[row], seed=view.seed, epoch=view.epoch + draw, id=names[row],
        strength=view.strength, partners=[sources[k] for k in others],
        partner_ids=[names[k] for k in others], timed=timed,
    )  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """How fast a policy is.

    Args:
        images_per_second: Images a second, of whole batches.
        batch: Number of images in a batch.
        size: Height and width of an output.
        threads: Number of threads.
        spread: Quartiles of the rounds, in images a second.
        machine: Name of the processor.
    """

    images_per_second: float
    batch: int
    size: tuple[int, int]
    threads: int
    spread: tuple[float, float]
    machine: str

    def __str__(self) -> str:
        low, high = self.spread
        return (
            f"{self.images_per_second:,.0f} images/s (half of the rounds {low:,.0f} … {high:,.0f}): decided "
            f"and drawn to float32 {self.size[0]}×{self.size[1]} in batches of {self.batch}, images in memory, "
            f"on {self.threads} thread{'s' * (self.threads > 1)} of this machine ({self.machine})"
        )


def cost(policy: Policy, album: Album, view: View) -> Cost | None:
    """Measure how many images a second are decided and drawn, some half a second long.

    The images come as they are in the album, by turns; each round has draws of its own. Nothing is decoded.

    Args:
        policy: Policy.
        album: Images.
        view: Seed and strength, and the first epoch.

    Returns:
        The cost; None where the images end at sizes of their own, so that they make no batch.
    """
    largest = max(int(source.sizes.prod(axis=1).max()) for source in album.sources)
    count = max(1, min(_BATCH, _BATCH_PIXELS // largest))
    chosen = [album.sources[(view.first + k) % len(album)] for k in range(count)]
    batch = chosen[0]
    for source in chosen[1:]:
        batch = batch.followed_by(source)
    ids = np.arange(count)

    def draw(epoch: int) -> tuple[int, int]:
        plan = policy.sample(
            ids, batch.sizes, seed=view.seed, epoch=epoch, strength=view.strength,
            boxes=[np.zeros((0, 4))] * count if policy.needs_boxes else None,
        )  # fmt: skip
        if len(plan) * plan.shape[2] * plan.shape[3] > MOST_OUTPUT:
            raise ValueError("the outputs are too large")
        run_all(policy.after, execute(plan, batch), plan)
        return int(plan.shape[2]), int(plan.shape[3])

    try:
        size = draw(view.epoch)  # compiles, and touches memory
        seconds: list[float] = []
        end = time.perf_counter() + _SECONDS
        while len(seconds) < _ROUNDS and (len(seconds) < 3 or time.perf_counter() < end):
            start = time.perf_counter()
            draw(view.epoch + len(seconds))
            seconds.append(time.perf_counter() - start)
    except ValueError:
        return None
    low, high = np.quantile(seconds, [0.25, 0.75])
    return Cost(
        count / median(seconds), count, size, torch.get_num_threads(),
        (count / float(high), count / float(low)), machine(),
    )  # fmt: skip
