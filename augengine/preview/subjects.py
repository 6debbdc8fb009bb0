"""Images as users have them, each alone and all as a batch: what is drawn, and what is shown of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch

from ..aliases import Encoded, Image, Images, Layout
from ..checks import shown
from ..decoding import decode, is_encoded
from ..kernels import Sources
from ..plan import Finish

# One image or several, decoded, encoded, or as `Sources` already.
Pictures: TypeAlias = Images | Image | Encoded | Sources | Sequence[Sources]

_CHANNELS = (1, 3, 4)  # of an image that lies channels first beyond doubt


@dataclass(frozen=True)
class Subjects:
    """Images with their identities.

    Args:
        each: Sources of one image each.
        ids: Identities, which key the draws.
        names: What the identities are called.
    """

    each: tuple[Sources, ...]
    ids: np.ndarray
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.each)

    @property
    def batch(self) -> Sources:
        """All of them as one batch. Where some are grey and some are not, grey ones are three channels."""
        parts = self.each
        if {part.channels for part in parts} == {1, 3}:
            parts = tuple(part.as_rgb() if part.channels == 1 else part for part in parts)
        batch = parts[0]
        for k, part in enumerate(parts):
            if part.channels != batch.channels or part.image_dtype != batch.image_dtype:
                raise ValueError(
                    f"preview: image {k} has {part.channels} channels of {part.image_dtype}, image 0 has "
                    f"{batch.channels} of {batch.image_dtype}, expected the same for all, since this policy "
                    "mixes them. Convert them first."
                )
        for part in parts[1:]:
            batch = batch.followed_by(part)
        return batch

    def pixels(self, k: int) -> np.ndarray:
        """An image as it is shown, uint8 (H, W, 3)."""
        return displayed_source(self.each[k])


def subjects(
    images: Any, *, ids: Sequence[int | str | bytes] | None = None, layout: Layout | None = None
) -> Subjects:
    """Take the images that users have.

    Args:
        images: One image or several: PIL images of any mode, arrays (H, W), (H, W, C) or (C, H, W), tensors
            (C, H, W) or (H, W, C), a batch of either, or encoded images as bytes or paths. Where the
            channels stand is seen from their number, 1, 3 or 4, where one end alone has it.
        ids: Identities, ints or names, one for each image; None is their positions.
        layout: "NCHW" or "NHWC", where it cannot be seen.

    Raises:
        TypeError: They are no images.
        ValueError: There are none, or `Sources.of` refuses one.
        OSError: A file cannot be read.
    """
    from ..policy.keyed import ids_of_names

    listed = _listed(images)
    if not listed:
        raise ValueError("preview: got no images, expected one at least. Pass some.")
    each = tuple(_source(k, image, layout) for k, image in enumerate(listed))
    if ids is None:
        ids = range(len(each))
    numbers = np.asarray(ids_of_names(list(ids)), np.int64)
    if len(numbers) != len(each):
        raise ValueError(
            f"preview: got {len(numbers)} ids for {len(each)} images, expected one for each."
        )
    names = tuple(i.decode("utf-8", "replace") if isinstance(i, bytes) else str(i) for i in ids)
    return Subjects(each, numbers, names)


def displayed_source(source: Sources) -> np.ndarray:
    """A source of one image as it is shown, uint8 (H, W, 3)."""
    from ..sheet import displayed

    image = source.image(0)
    dtype = "uint8" if image.dtype == torch.uint8 else "float32"
    finish = Finish((image.shape[0], image.shape[1]), image.shape[-1], dtype=dtype)
    return displayed(image.movedim(-1, 0)[None], finish)[0]


def _listed(images: Any) -> list[Any]:
    """Single images, in a list."""
    if isinstance(images, Sources):
        return [replace(images, dense=None, ragged=(images.image(b),), sizes=images.sizes[b : b + 1], more=())
                for b in range(len(images))]  # fmt: skip
    if isinstance(images, (list, tuple)):
        return list(images)
    if isinstance(images, (np.ndarray, torch.Tensor)) and images.ndim == 4:
        return list(images)
    if is_encoded(images) or hasattr(images, "mode") or hasattr(images, "ndim"):
        return [images]
    raise TypeError(
        f"preview: got {shown(images)}, expected images: arrays, tensors, PIL images, bytes or paths. Pass a "
        "list of them."
    )


def _source(k: int, image: Any, layout: Layout | None) -> Sources:
    if isinstance(image, Sources):
        return image
    if is_encoded(image):
        return Sources.of([decode(image, name=f"image {k}")])
    mode = getattr(image, "mode", None)
    if isinstance(mode, str):
        # As a file's pixels are decoded: no image of transparency or of numbered colours is trained on.
        if mode not in ("1", "L", "RGB", "F") and not mode.startswith("I;16"):
            image = image.convert("RGB")
        return Sources.of([image])
    if layout is None and getattr(image, "ndim", 0) == 3:
        first, last = image.shape[0] in _CHANNELS, image.shape[-1] in _CHANNELS
        if first != last:
            layout = "NCHW" if first else "NHWC"
    return Sources.of([image], layout)
