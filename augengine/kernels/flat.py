"""Images of many sizes one after the other in one buffer: one copy takes them all to a device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

import numpy as np
import torch


class Pointers(NamedTuple):
    """Where B images lie in memory, for executors that read it by address."""

    address: np.ndarray  # [B] int64, of each image's first value
    stride: np.ndarray  # [B, 3] int64, in values along y, x and channel
    limit: np.ndarray  # [B] int64, the end of the memory that may be read


@dataclass(frozen=True, eq=False)
class Flat(Sequence[torch.Tensor]):
    """B images (H, W, C), as a sequence of tensors that are views of one buffer."""

    buffer: torch.Tensor  # one-dimensional, of the images' dtype, the whole of its memory
    shape: np.ndarray  # [B, 3] int64, height, width and channels
    offset: np.ndarray  # [B] int64, where each image begins, in values
    stride: np.ndarray  # [B, 3] int64, in values along y, x and channel

    @classmethod
    def of(
        cls, images: Sequence[torch.Tensor], empty: Callable[..., torch.Tensor] = torch.empty
    ) -> Flat:
        """A copy of images. Those whose pixels are packed stay so, others become planes: executors
        read the two in other instructions, on which a last bit may depend.

        Args:
            images: One or more tensors (H, W, C) of one dtype and number of channels.
            empty: Function `empty(count, dtype=)` that makes the buffer.
        """
        shape = np.array([image.shape for image in images], np.int64)
        height, width, channels = shape.T
        one, area = np.ones_like(width), height * width
        in_pixels = np.array([image.stride()[1:] for image in images], np.int64)
        packed = (in_pixels == np.stack([channels, one], axis=1)).all(axis=1)
        stride = np.where(
            packed[:, None],
            np.stack([width * channels, channels, one], axis=1),
            np.stack([width, one, area], axis=1),
        )
        end = np.cumsum(area * channels)
        buffer = empty(int(end[-1]), dtype=images[0].dtype)
        flat = cls(buffer, shape, end - area * channels, stride)
        for copy, image in zip(flat, images):
            copy.copy_(image)
        return flat

    def __len__(self) -> int:
        return len(self.shape)

    @overload
    def __getitem__(self, b: int) -> torch.Tensor: ...
    @overload
    def __getitem__(self, b: slice) -> tuple[torch.Tensor, ...]: ...
    def __getitem__(self, b: int | slice) -> torch.Tensor | tuple[torch.Tensor, ...]:
        if isinstance(b, slice):
            return tuple(self[i] for i in range(*b.indices(len(self))))
        return self.buffer.as_strided(
            self.shape[b].tolist(), self.stride[b].tolist(), int(self.offset[b])
        )

    def map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Flat:
        """The same images after `function`, which keeps the buffer's length."""
        return Flat(function(self.buffer), self.shape, self.offset, self.stride)

    def as_rgb(self) -> Flat:
        """Grey images as three channels that lie in the same memory."""
        shape, stride = self.shape.copy(), self.stride.copy()
        shape[:, 2], stride[:, 2] = 3, 0
        return Flat(self.buffer, shape, self.offset, stride)

    def pointers(self) -> Pointers:
        """Where each image lies."""
        storage = self.buffer.untyped_storage()
        address = self.buffer.data_ptr() + self.offset * self.buffer.element_size()
        limit = np.full(len(self), storage.data_ptr() + storage.nbytes())
        return Pointers(address, self.stride, limit)


def span_of(tensor: torch.Tensor) -> tuple[int, int]:
    """The addresses of a tensor's first byte and behind its last. (No stride is negative.)"""
    if tensor.is_contiguous():
        return tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes
    steps = sum(step * (size - 1) for step, size in zip(tensor.stride(), tensor.shape, strict=True))
    return tensor.data_ptr(), tensor.data_ptr() + (steps + 1) * tensor.element_size()


def pointers_of(images: Sequence[torch.Tensor]) -> Pointers:
    """Where each image of a sequence lies."""
    if isinstance(images, Flat):
        return images.pointers()
    storages = [image.untyped_storage() for image in images]
    return Pointers(
        np.array([image.data_ptr() for image in images], np.int64),
        np.array([image.stride() for image in images], np.int64),
        np.array([storage.data_ptr() + storage.nbytes() for storage in storages], np.int64),
    )


def pointers_into(batch: torch.Tensor) -> Pointers:
    """Where each image of a batch lies."""
    storage, steps = batch.untyped_storage(), batch.stride()
    numbers = np.empty((len(batch), 5), np.int64)
    numbers[:] = (batch.data_ptr(), *steps[1:], storage.data_ptr() + storage.nbytes())
    numbers[:, 0] += np.arange(len(batch)) * (steps[0] * batch.element_size())
    return Pointers(numbers[:, 0], numbers[:, 1:4], numbers[:, 4])
