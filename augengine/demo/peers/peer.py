"""What the translations share: a peer's work, what it lacks, batches of any sizes, and mixes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ... import CutMix, Normalize, Op, Policy, RandomErasing
from ...checks import several
from ...policy.units import in_bytes

ARRAYS, TENSORS, BATCH, PICTURES = "arrays", "tensors", "batch", "pictures"
ENCODED = "encoded"


class Untranslated(ValueError):
    """The library has no op of that meaning."""


@dataclass(frozen=True)
class Work:
    """A policy in another library: work(images, out) → images (N, C, H, W) float32.

    Args:
        call: Function of the images and of the batch to write into, or None for a new one.
        takes: Form of the images that suits the library: ARRAYS, a list (H, W, C); TENSORS, a list
            (C, H, W); BATCH, one tensor (N, C, H, W), or a list of tensors where sizes differ; PICTURES,
            a list of PIL images. `given` makes them. ENCODED is a list of files' bytes, for libraries
            that decode themselves.
        notes: Where the library does less than the policy says, or something else.
    """

    call: Callable[[Any, torch.Tensor | None], torch.Tensor]
    takes: str
    notes: tuple[str, ...] = ()

    def __call__(self, images: Any, out: torch.Tensor | None = None) -> torch.Tensor:
        """The augmented images, in `out` if that is not None."""
        return self.call(images, out)


def given(images: Sequence[np.ndarray], takes: str) -> Any:
    """Images in the form that suits a peer.

    Args:
        images: Arrays (H, W, C) uint8 or float32.
        takes: Form, as a `Work` names it.

    Raises:
        Untranslated: When PIL has no such images.
    """
    if takes == ARRAYS:
        return list(images)
    if takes == PICTURES:
        return [_picture(image) for image in images]
    tensors = [torch.from_numpy(image).permute(2, 0, 1) for image in images]
    if takes == TENSORS:
        return tensors
    contiguous = [tensor.contiguous() for tensor in tensors]
    one_size = len({tensor.shape for tensor in tensors}) == 1
    return torch.stack(contiguous) if one_size else contiguous


def _picture(image: np.ndarray) -> Any:
    from PIL import Image

    channels = image.shape[2]
    if image.dtype != np.uint8 or channels not in (1, 3, 4):
        raise Untranslated(f"PIL has no pictures of {channels} channels of {image.dtype}")
    return Image.fromarray(image[..., 0] if channels == 1 else image)


def split(policy: Policy) -> tuple[list[Op], list[CutMix]]:
    """The policy's ops for one image, and its mixes. A mix is linear, so it may follow Normalize."""
    per_image: list[Op] = []
    mixes = []
    for op in policy.transforms:
        nearest = getattr(op, "interpolation", None) == "nearest"
        if nearest or getattr(op, "context", None) or getattr(op, "padding_mode", None):
            raise Untranslated(f"{op!r} has no equal elsewhere")
        if isinstance(op, CutMix):
            mixes.append(op)
        else:
            per_image.append(op)
    return per_image, mixes


def normalized_last(per_image: list[Op], notes: dict[str, None]) -> list[Op]:
    """The ops with Normalize at the end, for libraries that erase before it only; `notes` gets that."""
    if not isinstance(per_image[-1], RandomErasing):
        return per_image
    notes["erases before it normalises"] = None
    return sorted(per_image, key=lambda op: isinstance(op, Normalize))


def lacks(library: str, op: Op) -> Untranslated:
    """The error of a library that has no such op."""
    return Untranslated(f"{library} has no {type(op).__name__} of this kind")


def fill_of(op: Any) -> Any:
    """An op's fill in whole bytes."""
    if op.fill is None:
        return 0
    fill = several(in_bytes(f"{type(op).__name__}.fill", op.fill, "uint8"))
    return round(fill[0]) if len(fill) == 1 else tuple(map(round, fill))


def byte_of(op: Any) -> int:
    """An op's threshold in bytes."""
    return round(several(in_bytes(f"{type(op).__name__}.threshold", op.threshold, "uint8"))[0])


def taps_of(sigma: Any) -> int:
    """The taps of a blur that names none: four of the largest sigma to each side, as ours reaches."""
    return 2 * round(4 * several(sigma)[-1]) + 1


def gathered(results: Iterable[torch.Tensor], count: int, out: torch.Tensor | None) -> torch.Tensor:
    """Images (C, H, W), one after the other, in one batch: each is copied into its place."""
    for i, image in enumerate(results):
        if out is None:
            out = torch.empty(count, *image.shape)
        out[i] = image
    assert out is not None, "there are no images"
    return out


def on_batches(
    drawn: Callable[[torch.Tensor], torch.Tensor], mixes: list[CutMix]
) -> Callable[[Any, torch.Tensor | None], torch.Tensor]:
    """The call of a Work that takes a BATCH.

    Args:
        drawn: Function of images (N, C, H, W), of any dtype, that gives their batch.
        mixes: What is done to the whole batch.
    """

    def call(images: Any, out: torch.Tensor | None) -> torch.Tensor:
        if isinstance(images, list):
            singles = (drawn(image[None])[0] for image in images)
            return mix(gathered(singles, len(images), out), mixes)
        batch = drawn(images)
        return mix(batch if out is None else out.copy_(batch), mixes)

    return call


def mix(batch: torch.Tensor, mixes: list[CutMix]) -> torch.Tensor:
    """The batch after CutMix in place, in a loop that draws a box and a partner for every sample.

    torchvision's own CutMix draws one box for the batch, and the other libraries have none.
    """
    count, _, height, width = batch.shape
    random = np.random.default_rng()
    for each in mixes if count > 1 else []:
        pastes = []
        for i in np.flatnonzero(random.random(count) < each.p):
            half = 0.5 * np.sqrt(1 - random.beta(each.alpha, each.alpha))
            y, x = random.integers((height, width))
            dy, dx = int(half * height), int(half * width)
            box = np.s_[:, max(y - dy, 0) : y + dy, max(x - dx, 0) : x + dx]
            partner = (i + random.integers(1, count)) % count
            pastes.append((i, box, batch[partner][box].clone()))
        for i, box, piece in pastes:
            batch[i][box] = piece
    return batch


def uniform(low: float, high: float) -> float:
    """A number that torch's generator draws between two."""
    return float(torch.empty(()).uniform_(low, high))
