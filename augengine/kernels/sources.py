"""Sources: the images that an executor reads, where they lie, without a copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..aliases import Image, Images, Layout, PILImage
from .allocate import memory_errors_for
from .flat import Flat, Pointers

DTYPES = (torch.uint8, torch.float32, torch.float16, torch.bfloat16)
_CHANNEL_COUNTS = (1, 3, 4)  # sizes that look like channels


@dataclass(frozen=True)
class Sources:
    """B images of one dtype, number of channels and device, where they lie.

    `Sources.of` makes them. Values are uint8 in 0 … 255, or float32, float16, bfloat16 in [0, 1].

    Args:
        dense: Tensor (B, H, W, C) of any strides; None where the images have sizes of their own.
        ragged: B tensors (H, W, C), which may lie in one buffer; empty beside a dense tensor.
        sizes: Array [B, 2] int32, height and width of each image in pixels.
        more: Tensors (n, H, W, C) behind these: a second batch, or pictures that an executor drew on
            its way. `sizes` counts them in.

    Example:
        >>> sources = ae.Sources.of(np.zeros((4, 32, 48, 3), np.uint8))
        >>> len(sources), sources.channels, sources.dtype
        (4, 3, torch.uint8)
    """

    dense: torch.Tensor | None
    ragged: tuple[torch.Tensor, ...] | Flat
    sizes: np.ndarray
    more: tuple[torch.Tensor, ...] = ()

    @classmethod
    def of(cls, images: Images | Sources, layout: Layout | None = None) -> Sources:
        """Take the images that users have, without a copy where that is possible.

        Tensors are read as channels first and arrays as channels last, unless only the other reading
        has 1, 3 or 4 channels.

        Args:
            images: Tensor or array (B, C, H, W) or (B, H, W, C); or a list or tuple of images, each a
                tensor, an array or a PIL image of its own size, grey ones (H, W) included. uint8 in
                0 … 255, or float32, float16, bfloat16 in [0, 1]. Sources are returned as they are.
            layout: "NCHW" or "NHWC", which says outright where the channels stand.

        Returns:
            The sources: views of the images' own memory, where torch takes it.

        Raises:
            TypeError: When the images are of another type or dtype.
            ValueError: When shapes, channels or devices do not fit together, floats lie outside of
                [0, 1], or no image came.

        Example:
            >>> small, large = np.zeros((20, 30, 3), np.uint8), np.zeros((40, 30, 3), np.uint8)
            >>> ae.Sources.of([small, large]).sizes.tolist()
            [[20, 30], [40, 30]]
            >>> ae.Sources.of(torch.zeros(4, 3, 32, 48)).channels
            3
        """
        if isinstance(images, Sources):
            return images
        if layout not in (None, "NCHW", "NHWC"):
            raise ValueError(
                f"images: got layout {layout!r}, expected 'NCHW' or 'NHWC'. Leave it out where the "
                "shapes tell."
            )
        if isinstance(images, (torch.Tensor, np.ndarray)):
            if images.ndim != 4:
                raise ValueError(
                    f"images: got shape {tuple(images.shape)}, expected (B, C, H, W) or (B, H, W, C). "
                    "Add the batch or channel dimension, or pass a list of images."
                )
            dense = channels_last(images, layout)
            check_pixels(dense, "images")
            sizes = np.tile(np.array(dense.shape[1:3], np.int32), (len(dense), 1))
            return cls(dense, (), _checked_sizes(sizes))
        if not isinstance(images, (list, tuple)):
            fix = "Pass [image]" if hasattr(images, "mode") else "Pass one of these"
            raise TypeError(
                f"images: got {type(images).__name__}, expected a tensor, an array or a list of "
                f"images. {fix}."
            )
        ragged = tuple(channels_last(image, layout) for image in images)
        for i, image in enumerate(ragged):
            if image.ndim != 3:
                raise ValueError(
                    f"images[{i}]: got a batch in a list, expected single images (C, H, W) or "
                    "(H, W, C). Pass the batch itself, or its images."
                )
            check_pixels(image, f"images[{i}]")
            if image.shape[2] != ragged[0].shape[2] or image.dtype != ragged[0].dtype:
                raise ValueError(
                    f"images[{i}]: got {image.shape[2]} channel(s) of {image.dtype}, images[0] has "
                    f"{ragged[0].shape[2]} of {ragged[0].dtype}, expected the same for all. Convert "
                    "them first, such as image.convert('RGB')."
                )
            if image.device != ragged[0].device:
                raise ValueError(
                    f"images[{i}]: is on {image.device}, images[0] on {ragged[0].device}."
                )
        sizes = np.array([image.shape[:2] for image in ragged], np.int32).reshape(-1, 2)
        return cls(None, ragged, _checked_sizes(sizes))

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def first(self) -> torch.Tensor:
        """The first image (H, W, C)."""
        return self.ragged[0] if self.dense is None else self.dense[0]

    @property
    def channels(self) -> int:
        """C, the number of channels of each image."""
        return self.first.shape[2]

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of all images."""
        return self.first.dtype

    @property
    def device(self) -> torch.device:
        """The device that all images are on."""
        return self.first.device

    @property
    def requires_grad(self) -> bool:
        """Whether any image requires a gradient."""
        if self.dense is not None:
            return self.dense.requires_grad
        if isinstance(self.ragged, Flat):
            return self.ragged.buffer.requires_grad
        return any(image.requires_grad for image in self.ragged)

    def map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Sources:
        """The same images after `function`, which keeps their sizes and channels."""
        assert not self.more
        if self.dense is not None:
            return Sources(function(self.dense), (), self.sizes)
        if isinstance(self.ragged, Flat):
            return Sources(None, self.ragged.map(function), self.sizes)
        return Sources(None, tuple(map(function, self.ragged)), self.sizes)

    def to(self, device: torch.device) -> Sources:
        """The images on a device. From pinned memory they go there while the host goes on.

        Raises:
            torch.OutOfMemoryError: When the device's memory runs out; it names the bytes.
        """
        with memory_errors_for("the source images", self.nbytes, device):
            # Towards the host nothing may be read before it has come.
            return self.map(lambda image: image.to(device, non_blocking=device.type != "cpu"))

    @property
    def nbytes(self) -> int:
        """Bytes that the images' values take."""
        return (
            int(self.sizes.prod(axis=1, dtype=np.int64).sum()) * self.channels * self.dtype.itemsize
        )

    def followed_by(self, others: Sources) -> Sources:
        """These images, then others.

        Raises:
            ValueError: When their dtype, channels or device are not the same.
        """
        for name in ("dtype", "channels", "device"):
            own, theirs = getattr(self, name), getattr(others, name)
            if own != theirs:
                raise ValueError(
                    f"partners: got images with {name} {theirs}, the batch's have {own}, expected the "
                    "same. Convert them first."
                )
        sizes = np.concatenate([self.sizes, others.sizes])
        if others.dense is not None:
            return Sources(self.dense, self.ragged, sizes, (*self.more, others.dense))
        images = tuple(self.image(b) for b in range(len(self)))
        return Sources(None, (*images, *others.ragged), sizes)

    def and_more(self, pictures: torch.Tensor) -> Sources:
        """These images, then `pictures` (n, H, W, C)."""
        size = np.array(pictures.shape[1:3], np.int32)
        sizes = np.concatenate([self.sizes, np.tile(size, (len(pictures), 1))])
        return Sources(self.dense, self.ragged, sizes, (*self.more, pictures))

    def share_memory_with(self, tensor: torch.Tensor) -> bool:
        """Whether an image may lie, wholly or in part, where the tensor lies: whether the memory that
        one spans meets the memory that the other spans."""
        if self.dense is not None:
            images: Sequence[torch.Tensor] = (self.dense,)
        else:
            images = (self.ragged.buffer,) if isinstance(self.ragged, Flat) else self.ragged
        first, end = _span(tensor)
        return any(low < end and first < high for low, high in map(_span, (*images, *self.more)))

    def image(self, b: int) -> torch.Tensor:
        """Image number b, (H, W, C)."""
        images = self.ragged if self.dense is None else self.dense
        row = b - len(images)
        if row < 0:
            return images[b]
        for batch in self.more:
            if row < len(batch):
                return batch[row]
            row -= len(batch)
        raise IndexError(f"images: there is no image {b}, there are {len(self)}.")

    def pointers(self) -> Pointers:
        """Where each image lies."""
        batches = self.more if self.dense is None else (self.dense, *self.more)
        parts = [] if self.dense is not None else [_pointers_of(self.ragged)]
        parts += [_pointers_into(batch) for batch in batches]
        pointers = Pointers(*(np.concatenate(part) for part in zip(*parts, strict=True)))
        last = np.append(self.sizes, np.full((len(self), 1), self.channels), axis=1) - 1
        steps = (last * pointers.stride).sum(axis=1) + 1
        if (pointers.address + steps * self.dtype.itemsize > pointers.limit).any():
            raise ValueError(
                "Sources: an image's sizes and strides reach behind its memory, expected those of a tensor. "
                "Make sources by Sources.of."
            )
        return pointers


def _span(tensor: torch.Tensor) -> tuple[int, int]:
    """The addresses of a tensor's first byte and behind its last. (No stride is negative.)"""
    steps = sum(step * (size - 1) for step, size in zip(tensor.stride(), tensor.shape, strict=True))
    return tensor.data_ptr(), tensor.data_ptr() + (steps + 1) * tensor.element_size()


def _pointers_of(images: Sequence[torch.Tensor]) -> Pointers:
    if isinstance(images, Flat):
        return images.pointers()
    storages = [image.untyped_storage() for image in images]
    return Pointers(
        np.array([image.data_ptr() for image in images], np.int64),
        np.array([image.stride() for image in images], np.int64),
        np.array([storage.data_ptr() + storage.nbytes() for storage in storages], np.int64),
    )


def _pointers_into(batch: torch.Tensor) -> Pointers:
    storage, n = batch.untyped_storage(), len(batch)
    step = batch.stride(0) * batch.element_size()
    return Pointers(
        batch.data_ptr() + np.arange(n, dtype=np.int64) * step,
        np.tile(np.array(batch.stride()[1:], np.int64), (n, 1)),
        np.full(n, storage.data_ptr() + storage.nbytes()),
    )


def channels_last(image: Image, layout: Layout | None = None) -> torch.Tensor:
    """One image or a batch as a tensor (…, H, W, C): a view where that is possible."""
    is_tensor = isinstance(image, torch.Tensor)
    tensor = image if isinstance(image, torch.Tensor) else _tensor(image)
    if tensor.ndim == 2:
        tensor = tensor[None] if is_tensor else tensor[..., None]
    if tensor.ndim not in (3, 4):
        raise ValueError(
            f"images: got an image of shape {tuple(tensor.shape)}, expected (H, W), (C, H, W) or "
            "(H, W, C). Add or drop dimensions."
        )
    if layout is not None:
        channels_first = layout == "NCHW"
    else:
        first, last = (tensor.shape[axis] in _CHANNEL_COUNTS for axis in (-3, -1))
        channels_first = is_tensor if first == last else first
    tensor = tensor.movedim(-3, -1) if channels_first else tensor
    # Compiled code reads floats where floats may lie.
    return tensor.clone() if tensor.data_ptr() % tensor.element_size() else tensor


def _tensor(image: np.ndarray | PILImage) -> torch.Tensor:
    """An array or a PIL image as a tensor, without a copy where torch takes its memory."""
    mode = getattr(image, "mode", None)
    if mode in ("P", "PA"):
        raise ValueError(
            f"images: got a PIL image of mode {mode!r}, whose values are numbers of a palette, "
            "expected 'L', 'RGB' or another mode of plain values. Call image.convert('RGB')."
        )
    array = np.asarray(image)
    if array.dtype.kind not in "buifc" or not array.dtype.isnative:
        raise TypeError(
            f"images: got an array of {array.dtype.str}, "
            "expected uint8 or floats. Convert it, such as array.astype(np.uint8)."
        )
    if min(array.strides, default=0) < 0 or not array.flags.writeable:
        array = array.copy()  # torch takes neither negative strides nor read-only memory
    return torch.from_numpy(array)


def check_pixels(image: torch.Tensor, name: str) -> None:
    """Raise for pixels of a dtype that no executor reads, and for floats outside of [0, 1]. The range is
    not looked at where that would wait for a device. name: text that messages begin with."""
    if image.dtype not in DTYPES:
        raise TypeError(
            f"{name}: got {image.dtype}, expected uint8 in 0 … 255 or float32, float16, bfloat16 in "
            "[0, 1]. Convert them, such as images.to(torch.uint8)."
        )
    if image.shape[-1] == 0:
        raise ValueError(f"{name}: has no channels, expected 1 or more. Leave it out.")
    if image.dtype.is_floating_point and image.device.type == "cpu" and image.numel():
        # In memory order: a reduction over permuted strides takes six times as long.
        order = sorted(range(image.ndim), key=image.stride, reverse=True)
        low, high = (v.item() for v in image.detach().permute(order).aminmax())
        if not (low >= 0 and high <= 1):
            fix = "Mend what makes the NaN" if np.isnan(low) else "Divide by 255, or pass uint8"
            raise ValueError(
                f"{name}: got float values from {low:g} to {high:g}, expected [0, 1]. {fix}; "
                "normalised images come out of the engine, not into it."
            )


def _checked_sizes(sizes: np.ndarray) -> np.ndarray:
    if len(sizes) == 0:
        raise ValueError("images: got an empty batch, expected at least one image. Skip the batch.")
    if sizes.min() < 1:
        b = int(sizes.min(axis=1).argmin())
        raise ValueError(
            f"images[{b}]: is {sizes[b, 0]}×{sizes[b, 1]}, expected at least 1×1. Leave it out of the "
            "batch."
        )
    return sizes
