"""The encoded images of a batch: their sizes now, and their pixels when it is known which are looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from ..aliases import Encoded
from ..plan.parts import Needs
from ..threads import spread
from .errors import DecodeError
from .files import bytes_of, name_of
from .header import File, file_of
from .options import DecodeOptions
from .pixels import decode_into, scales, turn_of


class Decoded(NamedTuple):
    """Parts of B images in one buffer, and where the images' points lie in them."""

    buffer: torch.Tensor  # [values] uint8
    shape: (
        np.ndarray
    )  # [B, 3] int64, height, width and channels of each part, upright but for flips
    offset: np.ndarray  # [B] int64, where each begins
    stride: np.ndarray  # [B, 3] int64, along y, x and channel
    factor: np.ndarray  # [B, 2] of y and x: a part's point is factor · the image's + shift
    shift: np.ndarray  # [B, 2]


@dataclass(frozen=True, eq=False)
class Files:
    """B encoded images in memory.

    Args:
        files: The images with their headers.
        options: How they are decoded.
    """

    files: tuple[File, ...]
    options: DecodeOptions

    @classmethod
    def of(cls, images: Sequence[Encoded], options: DecodeOptions) -> Files:
        """Read the files and their headers.

        Raises:
            DecodeError: A header cannot be read; the error tells which images are so.
            OSError: A file cannot be read.
        """
        files: list[File] = []
        errors: dict[int, DecodeError] = {}
        for b, image in enumerate(images):
            name = name_of(image)
            name = f"images[{b}]" if name == "image" else name
            try:
                files.append(file_of(bytes_of(image, name), name))
            except DecodeError as error:
                errors[b] = error
        _raise_first(errors)
        return cls(tuple(files), options)

    def __len__(self) -> int:
        return len(self.files)

    @property
    def sizes(self) -> np.ndarray:
        """[B, 2] int32, height and width of each upright image."""
        sizes = [(file.header.height, file.header.width) for file in self.files]
        return np.array(sizes, np.int32).reshape(-1, 2)

    def decode(
        self, needs: Needs | None, empty: Callable[..., torch.Tensor] = torch.empty
    ) -> Decoded:
        """Decode what is needed of each image, on several threads.

        Args:
            needs: What is looked at of each, and how finely; None is all, upright, in full size.
            empty: Function `empty(count, dtype=)` that makes the buffer.

        Raises:
            DecodeError: Some cannot be decoded; the error tells which.
        """
        sizes = self.sizes.astype(np.int64)
        turns = [turn_of(file) for file in self.files]
        flips = np.array([turn[1:] for turn in turns], bool).reshape(-1, 2)
        if needs is None:
            box = np.concatenate([np.zeros_like(sizes), sizes], axis=1)
            scale, turned = np.ones(len(self), np.int64), np.ones(len(self), bool)
        else:
            box, turned = needs.box, needs.upright
            scale = np.where([scales(file) for file in self.files], needs.scale, 1)
        each = scale[:, None]
        # Points of the stored picture, its axes swapped, as parts of the image's: low edge, high edge.
        low = np.where(flips, sizes - box[:, 2:], box[:, :2]) // each
        high = -(-np.where(flips, sizes - box[:, :2], box[:, 2:]) // each)
        size = high - low
        mirrored = flips & ~turned[:, None]
        factor = np.where(mirrored, -1, 1) / each
        # What is turned by a copy begins where the stored picture's part ends.
        ends = flips & turned[:, None]
        shift = np.where(mirrored, sizes / each, 0) - np.where(ends, sizes / each - high, low)
        channels = self.options.channels
        count = size.prod(axis=1) * channels
        end = np.cumsum(count)
        buffer = empty(int(end[-1]) if len(self) else 0, dtype=torch.uint8)
        values = buffer.numpy()
        swaps = np.array([turn.swaps for turn in turns], bool) & ~turned
        stride = np.empty((len(self), 3), np.int64)
        stride[:, 2] = 1
        stride[:, 0] = np.where(swaps, channels, size[:, 1] * channels)
        stride[:, 1] = np.where(swaps, size[:, 0] * channels, channels)
        offset = end - count
        errors: dict[int, DecodeError] = {}

        def work(b: int, _: int) -> None:
            height, width = size[b].tolist()
            memory = values[offset[b] : end[b]]
            stored_box = (*low[b].tolist(), *high[b].tolist())
            turn = turns[b]
            if turned[b]:
                part = memory.reshape(height, width, channels)
                part = part[:: -1 if turn.flips_y else 1, :: -1 if turn.flips_x else 1]
                part = part.swapaxes(0, 1) if turn.swaps else part
            elif turn.swaps:
                part = memory.reshape(width, height, channels)
            else:
                part = memory.reshape(height, width, channels)
            if turn.swaps:
                y0, x0, y1, x1 = stored_box
                stored_box = (x0, y0, x1, y1)
            try:
                decode_into(part, self.files[b], self.options.mode, stored_box, int(scale[b]))
            except DecodeError as error:
                errors[b] = error

        spread(work, range(len(self) + 1), self.options.threads or torch.get_num_threads())
        _raise_first(errors)
        shape = np.concatenate([size, np.full((len(self), 1), channels)], axis=1)
        return Decoded(buffer, shape, offset, stride, factor, shift)


def _raise_first(errors: dict[int, DecodeError]) -> None:
    if errors:
        at = tuple(sorted(errors))
        first = errors[at[0]]
        raise DecodeError(first.name, first.reason, at) from first.__cause__
