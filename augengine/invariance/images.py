"""The images of a check: a part of the training images that is learned, and one that is held out."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import torch

from ..decoding import DecodeError, DecodeOptions
from ..loading.engine import Engine
from ..pipelines.data import Data, Files
from ..policy.keyed import Keyed
from ..policy.ops import CenterCrop, Resize
from ..policy.policy import Policy

HELD_OUT = 0.3  # of each class
# Most images of files and of arrays: what fits into memory, and is enough for a narrow interval.
MOST_FILES, MOST_ARRAYS = 2000, 6000
LOOK = 2**31 + 1  # the number of the look that chooses, away from those that augment and shuffle


@dataclass(frozen=True)
class Pictures:
    """Images of one size in memory, in two parts.

    Args:
        pixels: (n, C, S, S) uint8.
        truth: [n] ints, their classes.
        ids: [n] ints, what their draws are keyed by.
        inner: Indices of the images that are learned.
        held_out: Indices of those that are not.
        names: Names of the images in messages.
        damaged: Name and reason of each image that could not be decoded and is left out.
    """

    pixels: torch.Tensor
    truth: np.ndarray
    ids: np.ndarray
    inner: np.ndarray
    held_out: np.ndarray
    names: tuple[str, ...]
    damaged: tuple[tuple[str, str], ...]


def hold_out(data: Data, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids of training images that are learned and held out: the labelled ones, drawn by key and class by
    class. Test images are in neither.

    Args:
        data: Data set.
        seed: Seed of the draw.

    Raises:
        ValueError: When no image could be held out, since each class has one image.
    """
    most = MOST_FILES if isinstance(data.images, Files) else MOST_ARRAYS
    share = min(1.0, most / len(data.labelled))
    inner: list[np.ndarray] = []
    held_out: list[np.ndarray] = []
    for c in range(len(data.classes)):
        ids = data.labelled[data.truth[data.labelled] == c]
        drawn = Keyed(seed, 0, ids, look=LOOK).uniform(0, 1)[:, 0]
        ids = ids[np.argsort(drawn, kind="stable")][: max(2, round(share * len(ids)))]
        count = max(1, round(HELD_OUT * len(ids))) if len(ids) > 1 else 0
        held_out.append(ids[:count])
        inner.append(ids[count:])
    if not any(map(len, held_out)):
        raise ValueError(
            "data: each class has a single image to train on, expected some, since one part is learned and "
            "another held out. Add images."
        )
    return np.sort(np.concatenate(inner)), np.sort(np.concatenate(held_out))


def prepare(
    data: Data, inner: np.ndarray, held_out: np.ndarray, side: int, say: Callable[[int], object]
) -> Pictures:
    """Images in memory: those of files decoded once, shrunk to squares; arrays as they are.

    Args:
        data: Data set.
        inner: Ids of the images that are learned.
        held_out: Ids of those that are held out.
        side: Pixels a side of the squares that files become: the shorter side is resized, and the middle kept.
        say: Function that is called with the number of images done.

    Raises:
        ValueError: When of a class no image can be decoded.
    """
    ids = np.concatenate([inner, held_out])
    is_inner = np.arange(len(ids)) < len(inner)
    damaged: list[tuple[str, str]] = []
    if isinstance(data.images, Files):
        square = Engine(
            Policy([Resize(side), CenterCrop(side)]), dtype=torch.uint8,
            decode=DecodeOptions(mode="L" if data.channels == 1 else "RGB"),
        )  # fmt: skip
        pixels = torch.zeros((len(ids), data.channels, side, side), dtype=torch.uint8)
        whole = np.ones(len(ids), bool)
        for k, id in enumerate(ids.tolist()):
            try:
                pixels[k] = square([data.images[id]], ids=[id], epoch=0).images[0]
            except DecodeError as error:
                whole[k] = False
                damaged.append((data.images.names[id], error.reason))
            say(k + 1)
        pixels, ids, is_inner = pixels[torch.from_numpy(whole)], ids[whole], is_inner[whole]
        names = tuple(data.images.names[id] for id in ids.tolist())
    else:
        pixels = torch.from_numpy(data.images[ids]).permute(0, 3, 1, 2).contiguous()
        names = tuple(str(id) for id in ids.tolist())
        say(len(ids))
    truth = data.truth[ids]
    inner_at, held_at = np.flatnonzero(is_inner), np.flatnonzero(~is_inner)
    _check_classes(data.classes, truth[inner_at], held_at, len(damaged))
    return Pictures(pixels, truth, ids, inner_at, held_at, names, tuple(damaged))


def _check_classes(
    classes: tuple[str, ...], truth: np.ndarray, held_out: Collection[int], damaged: int
) -> None:
    without = [name for c, name in enumerate(classes) if not (truth == c).any()]
    if without or not len(held_out):
        what = f"no image of {', '.join(without[:8])}" if without else "no held-out image"
        raise ValueError(
            f"data: {damaged:,} images are damaged, so that {what} is left, expected some of each class. "
            "augengine check --images FOLDER names them; write them anew."
        )
