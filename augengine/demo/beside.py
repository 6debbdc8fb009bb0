"""A policy beside the same in torchvision: pictures, and not times. Each draws its own random numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..plan import Finish
from ..policy.policy import Policy
from ..preview.subjects import subjects
from ..preview.tiles import Tile, original, picture_of, tiles
from . import peers

LIBRARY = "torchvision v2"


def beside(
    policy: Policy,
    images: Sequence[np.ndarray],
    *,
    draws: int = 4,
    seed: int = 0,
    epoch: int = 0,
    ids: Sequence[int] | None = None,
    titles: Sequence[str] | None = None,
    shown: int | None = None,
) -> list[list[Tile]]:
    """Two rows of tiles for each image: a policy's draws, and those of the same pipeline in
    torchvision.transforms.v2, translated op by op.

    Args:
        policy: Policy.
        images: Arrays uint8 (H, W, 3).
        draws: Number of draws.
        seed: Whole number of 64 bits; torch's generator has it too while torchvision draws.
        epoch: First epoch.
        ids: Identities; None is the images' positions.
        titles: What stands above each image.
        shown: How many images are shown; the others only lend themselves to mixes. None is all.

    Raises:
        Untranslated: When torchvision has no op of that meaning.
        ImportError: When torchvision is not installed.
    """
    work = peers.PEERS[LIBRARY].translate(policy)
    several = subjects(list(images), ids=ids)
    given = peers.given(images, work.takes)
    ours = tiles(
        policy,
        several.each,
        draws=draws,
        seed=seed,
        epoch=epoch,
        ids=ids,
        titles=titles,
        shown=shown,
    )
    theirs: list[list[Tile]] = [[] for _ in images]
    with torch.random.fork_rng([]):
        for draw in range(draws):
            torch.manual_seed((seed + draw) % 2**63)
            # What mixes takes the batch; the rest may end at sizes of their own.
            outputs = list(work(given)) if policy.mixes else [work([one])[0] for one in given]
            for k, output in enumerate(outputs):
                finish = Finish((output.shape[1], output.shape[2]), len(output))
                theirs[k].append(Tile(picture_of(output, finish, policy), "", f"draw {draw}"))
    rows = []
    for k, row in enumerate(ours):
        notes = "; ".join(work.notes) or "the same ops and ranges, with its own random numbers"
        first = original(several, k, LIBRARY)
        rows += [row, [Tile(first.picture, notes, LIBRARY), *theirs[k]]]
    return rows
