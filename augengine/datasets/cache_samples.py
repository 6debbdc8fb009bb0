"""What a cache keeps of a sample: its image as bytes, shrunk where that was asked for, and all else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..checks import shown
from ..decoding import decode, is_encoded
from ..decoding.options import Mode
from ..loading.samples import split
from .cache_file import ARRAY, TENSOR, Kept
from .cache_values import IMAGE, write_values


@dataclass(frozen=True)
class Recipe:
    """How samples are kept.

    Args:
        size: Number of pixels that the shorter side has at most; None keeps every size.
        mode: Colours of what is decoded and of PIL images; None is RGB for the former, and leaves the latter.
        image: Name of the image's field in dicts.
    """

    size: int | None
    mode: Mode | None
    image: str

    def full(self, sample: Any, name: str) -> tuple[np.ndarray, int]:
        """The image of a sample at its full size, and which kind it is of.

        Raises:
            TypeError: When there is none, or none that a cache keeps, with the sample's name.
            ValueError: When it cannot be decoded.
        """
        image = self.image_of(sample, name)
        if is_encoded(image):
            image = decode(image, mode=self.mode or "RGB", name=name)
        colours = getattr(image, "mode", None)
        if isinstance(colours, str):
            image = self._of_pil(image, colours, name)
        elif not isinstance(image, (np.ndarray, torch.Tensor)):
            raise TypeError(
                f"cache: {name} has an image of {type(image).__name__}, expected a path, bytes of a file, a "
                "PIL image, an array or a tensor. Return one of these from the dataset."
            )
        kind = TENSOR if isinstance(image, torch.Tensor) else ARRAY
        if isinstance(image, torch.Tensor):
            image = image.detach().cpu()
        if str(image.dtype).removeprefix("torch.") != "uint8":
            raise TypeError(
                f"cache: {name} has an image of {image.dtype}, expected uint8, which is what a cache keeps. "
                "Take conversions to floats, ToTensor, say, out of the dataset's transform."
            )
        if image.ndim not in (2, 3) or 0 in image.shape:
            raise ValueError(
                f"cache: {name} has an image of shape {tuple(image.shape)}, expected (H, W), (H, W, C), or of "
                "a tensor (C, H, W). Return single images that are not empty."
            )
        return np.ascontiguousarray(image), kind

    def keep(self, sample: Any, name: str) -> Kept:
        """What is kept of a sample; raises as `full`.

        Raises:
            TypeError: Also when there is something in the sample that cannot be written, or targets that
                would no longer fit the image.
        """
        pixels, kind = self.full(sample, name)
        rest = self.rest_of(sample, name)
        height, width = sides(pixels, kind)
        if self.size is not None and min(height, width) > self.size:
            self._refuse_targets(self._with(sample, pixels, name), name)
            pixels = shrunk(pixels, kind, self.size)
        return Kept.of(pixels, kind, rest)

    def image_of(self, sample: Any, name: str) -> Any:
        """The image of a sample, as it came."""
        return sample[self._place(sample, name)]

    def rest_of(self, sample: Any, name: str) -> bytes:
        """All else of a sample, as bytes; TypeError when it cannot be written."""
        around = self._with(sample, IMAGE, name)
        try:
            return write_values(around)
        except TypeError as error:
            raise TypeError(
                f"cache: {name} holds {error}, expected None, numbers, strings, bytes, tensors and arrays of "
                "numbers, or tuples, lists and dicts of them. Return one of these from the dataset."
            ) from None

    def _place(self, sample: Any, name: str) -> str | int:
        if isinstance(sample, Mapping):
            if self.image in sample:
                return self.image
            what = f"the fields {shown(list(sample))}"
            fix = f"Name the image's field: image={shown(next(iter(sample), 'image'))}, say."
        elif isinstance(sample, (tuple, list)) and len(sample):
            return 0
        else:
            what, fix = type(sample).__name__, "Return such tuples, or dicts, from the dataset."
        raise TypeError(
            f"cache: {name} is {what}, expected (image, label, …), or a dict with {self.image!r}. {fix}"
        )

    def _with(self, sample: Any, image: Any, name: str) -> Any:
        place = self._place(sample, name)
        if isinstance(sample, Mapping):
            return {**sample, place: image} if type(sample) is dict else sample
        changed = [image, *sample[1:]]
        return (
            changed if type(sample) is list else tuple(changed) if type(sample) is tuple else sample
        )

    def _of_pil(self, image: Any, colours: str, name: str) -> np.ndarray:
        if colours[0] in "IF":
            raise TypeError(
                f"cache: {name} is a PIL image of mode {colours!r}, expected one of 8 bits, which is what a "
                "cache keeps. Convert it in the dataset, where you know what is white."
            )
        if self.mode is not None and colours != self.mode:
            image = image.convert(self.mode)
        elif colours not in ("RGB", "L"):
            raise TypeError(
                f"cache: {name} is a PIL image of mode {colours!r}, expected 'RGB' or 'L'. Pass mode='RGB', "
                "which converts all."
            )
        return np.asarray(image)

    def _refuse_targets(self, sample: Any, name: str) -> None:
        parts = split("cache", [sample], self.image, "label", "id", "target")
        if parts.targets is not None:
            raise TypeError(
                f"cache: {name} has boxes, masks or keypoints, which lie in the pixels of the full image, "
                f"expected none beside an image that is shrunk to {self.size}. Pass size=None, or shrink both "
                "in the dataset."
            )


def sides(pixels: np.ndarray, kind: int) -> tuple[int, int]:
    """Height and width of an image."""
    shape = pixels.shape
    return shape[-2:] if kind == TENSOR else shape[:2]


def channels_of(pixels: np.ndarray, kind: int) -> int:
    """Number of channels of an image."""
    return 1 if pixels.ndim == 2 else pixels.shape[0 if kind == TENSOR else 2]


def shrunk(pixels: np.ndarray, kind: int, size: int) -> np.ndarray:
    """An image whose shorter side becomes `size`, by Pillow's triangle filter, antialiased: what
    torchvision's Resize(size) makes of a PIL image."""
    from PIL import Image

    height, width = sides(pixels, kind)
    short = min(height, width)
    target = (
        (size if width == short else size * width // short),
        (size if height == short else size * height // short),
    )

    def resized(plane: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(plane).resize(target, Image.Resampling.BILINEAR))

    if pixels.ndim == 2 or (kind == ARRAY and pixels.shape[2] == 3):
        return resized(pixels)
    axis = 0 if kind == TENSOR else 2
    planes = np.moveaxis(pixels, axis, 0)
    return np.stack([resized(np.ascontiguousarray(plane)) for plane in planes], axis=axis)
