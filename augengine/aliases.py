"""What users hand in, as types: names that several wings share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

import numpy as np
import torch


class PILImage(Protocol):
    """What is read of a PIL image. Pillow itself is not imported, and need not be installed."""

    @property
    def mode(self) -> str: ...

    @property
    def __array_interface__(self) -> Mapping[str, object]: ...


# One image (H, W), (C, H, W) or (H, W, C).
Image: TypeAlias = torch.Tensor | np.ndarray | PILImage

# One image that is still encoded: the bytes of its file, the file's path, a tensor or an array [n] of those
# bytes, or {"bytes": …, "path": …} as Hugging Face's undecoded images are.
Encoded: TypeAlias = (
    bytes
    | bytearray
    | memoryview
    | str
    | os.PathLike[str]
    | torch.Tensor
    | np.ndarray
    | Mapping[str, object]
)

# A tensor (B, C, H, W), an array (B, H, W, C), or a list or tuple of images of any sizes.
DecodedImages: TypeAlias = torch.Tensor | np.ndarray | Sequence[Image]

# The same, or a list or tuple of encoded images.
Images: TypeAlias = DecodedImages | Sequence[Encoded]

# Where the channels of images stand, if not first in tensors and last in arrays.
Layout: TypeAlias = Literal["NCHW", "NHWC"]

# The executors by their names.
Executor: TypeAlias = Literal["cpu", "torch", "gpu"]

# Identities of samples [n]: whole numbers of 64 bits, or names, which are hashed to such numbers.
Ids: TypeAlias = Sequence[int] | Sequence[str] | Sequence[bytes] | np.ndarray | torch.Tensor

# How often each sample's id [n] has come before in the epoch.
Occurrences: TypeAlias = Sequence[int] | np.ndarray

# Heights and widths [n, 2] of images, in pixels.
Sizes: TypeAlias = Sequence[Sequence[int]] | np.ndarray

# Boxes [k, 4] of one image: a tensor, an array, or a list of lists.
BoxArray: TypeAlias = torch.Tensor | np.ndarray | Sequence[Sequence[float]]

# Class numbers [n], or soft labels [n, num_classes].
Labels: TypeAlias = Sequence[int] | np.ndarray | torch.Tensor

# How much of every magnitude is used, in [0, 1]: one number, or one for each sample.
Strength: TypeAlias = float | Sequence[float] | np.ndarray

# The same, or a function (epoch, ids [n]) of which comes one number, or one for each id.
StrengthSchedule: TypeAlias = float | Callable[[int, np.ndarray], Strength]
