"""Images of many sizes one after the other in one buffer: one copy takes them all to a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True, eq=False)
class Flat(Sequence):
    """B images (H, W, C), as a sequence of tensors that are views of `buffer`.

    buffer: one-dimensional, of the images' dtype, the whole of its memory. In its values: shape,
    [B, 3] height, width, channels; offset, [B] int64, where each image begins; stride, [B, 3] int64
    along y, x and channel.
    """

    buffer: torch.Tensor
    shape: np.ndarray
    offset: np.ndarray
    stride: np.ndarray

    @classmethod
    def of(cls, images, empty=torch.empty) -> Flat:
        """A copy of images (H, W, C). Those whose pixels are packed stay so, others become planes:
        executors read the two in other instructions, on which a last bit may depend.

        empty(count, dtype=): what the buffer is made by.
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
        for mine, image in zip(flat, images):
            mine.copy_(image)
        return flat

    def __len__(self) -> int:
        return len(self.shape)

    def __getitem__(self, b):
        if isinstance(b, slice):
            return tuple(self[i] for i in range(*b.indices(len(self))))
        return self.buffer.as_strided(
            self.shape[b].tolist(), self.stride[b].tolist(), int(self.offset[b])
        )

    def map(self, function) -> Flat:
        """The same images after `function`, which keeps the buffer's length."""
        return Flat(function(self.buffer), self.shape, self.offset, self.stride)

    def pointers(self):
        """As `Sources.pointers`."""
        storage = self.buffer.untyped_storage()
        address = self.buffer.data_ptr() + self.offset * self.buffer.element_size()
        return address, self.stride, np.full(len(self), storage.data_ptr() + storage.nbytes())
