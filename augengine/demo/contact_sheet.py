"""The picture of the demo: each photograph, versions of it, and what the plans say of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import Batch, Engine, Plan, Policy, sheet
from .photographs import Photograph

if TYPE_CHECKING:
    from PIL import Image

VERSIONS = 4  # of each photograph


class Version(NamedTuple):
    """A batch of photographs in one epoch.

    plan: what was done to them. pixels: uint8 (n, H, W, 3).
    """

    plan: Plan
    pixels: np.ndarray


def draw_versions(
    engine: Engine[Batch], photographs: Sequence[Photograph], epoch: int
) -> list[Version]:
    """VERSIONS epochs of one batch of photographs.

    Args:
        engine: Engine that augments them.
        photographs: Photographs of the batch; the ids are their positions.
        epoch: First epoch.
    """
    batches = (
        engine(
            [photograph.pixels for photograph in photographs],
            ids=np.arange(len(photographs)),
            epoch=epoch + number,
        )
        for number in range(VERSIONS)
    )
    return [
        Version(batch.plan, sheet.displayed(batch.images, batch.plan.finish)) for batch in batches
    ]


def contact_sheet(
    engine: Engine[Batch], photographs: Sequence[Photograph], versions: Sequence[Version]
) -> Image.Image:
    """A row for each photograph: the original, then its versions with what their plans say.

    Args:
        engine: Engine that augmented them, for the policy and the seed.
        photographs: Original photographs.
        versions: Versions of all photographs, an epoch each.
    """
    rows = []
    for i, photograph in enumerate(photographs):
        height, width = photograph.pixels.shape[:2]
        row = [
            sheet.Tile(photograph.pixels, f"sample {i}, {height}×{width}", heading=photograph.name)
        ]
        for plan, pixels in versions:
            row.append(sheet.Tile(pixels[i], plan.explain(i), heading=f"epoch {plan.epoch}"))
        rows.append(row)
    first, last = versions[0].plan.epoch, versions[-1].plan.epoch
    policy = engine.policy
    assert isinstance(policy, Policy), "the demo has no Views"
    lines = [
        " → ".join(map(repr, policy.transforms)),
        f"seed {engine.seed}, epochs {first} … {last}, policy {policy.fingerprint}. "
        "Crops are height×width at (top, left) of the photograph; shifts are (right, down), pastes at "
        "(top, left), in pixels of the result.",
    ]
    return sheet.draw("One batch of photographs, augmented in one pass", lines, rows)
