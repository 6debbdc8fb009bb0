"""Sources: the images that an executor reads, where they lie, without a copy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .allocate import explained
from .flat import Flat

DTYPES = (torch.uint8, torch.float32, torch.float16, torch.bfloat16)
_FEW = (1, 3, 4)  # sizes that look like channels


@dataclass(frozen=True)
class Sources:
    """B images: `dense`, a tensor (B, H, W, C) of any strides, or `ragged`, B tensors (H, W, C) of
    their own sizes, which may lie in one buffer. dtype uint8 in 0 … 255, or float32, float16,
    bfloat16 in [0, 1]. Behind them, in `more`, dense batches that an executor made on its way."""

    dense: torch.Tensor | None
    ragged: tuple[torch.Tensor, ...] | Flat
    sizes: np.ndarray  # [B, 2] int32 height and width
    more: tuple[torch.Tensor, ...] = ()

    @classmethod
    def of(cls, images, layout: str | None = None) -> Sources:
        """Take what users have.

        images: a tensor or array (B, C, H, W) or (B, H, W, C), or a sequence of images, each a
        tensor, array or PIL image of its own size. Tensors are read as channels first and arrays
        as channels last, unless only the other reading has 1, 3 or 4 channels; layout="NCHW" or
        "NHWC" says it outright. A Sources is returned as it is.
        Raises TypeError or ValueError for what is no batch of images.
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
        return self.ragged[0] if self.dense is None else self.dense[0]

    @property
    def channels(self) -> int:
        return self.first.shape[2]

    @property
    def dtype(self) -> torch.dtype:
        return self.first.dtype

    @property
    def device(self) -> torch.device:
        return self.first.device

    @property
    def requires_grad(self) -> bool:
        if self.dense is not None:
            return self.dense.requires_grad
        if isinstance(self.ragged, Flat):
            return self.ragged.buffer.requires_grad
        return any(image.requires_grad for image in self.ragged)

    def map(self, function) -> Sources:
        """The same images after `function`, which keeps their sizes and channels."""
        assert not self.more
        if self.dense is not None:
            return Sources(function(self.dense), (), self.sizes)
        if isinstance(self.ragged, Flat):
            return Sources(None, self.ragged.map(function), self.sizes)
        return Sources(None, tuple(map(function, self.ragged)), self.sizes)

    def to(self, device: torch.device) -> Sources:
        """The images on a device. From pinned memory they go there while the host goes on.
        Raises torch.OutOfMemoryError with the bytes that they take."""
        with explained("the source images", self.nbytes, device):
            # Towards the host nothing may be read before it has come.
            return self.map(lambda image: image.to(device, non_blocking=device.type != "cpu"))

    @property
    def nbytes(self) -> int:
        """What the images' values take, in bytes."""
        return (
            int(self.sizes.prod(axis=1, dtype=np.int64).sum()) * self.channels * self.dtype.itemsize
        )

    def followed_by(self, others: Sources) -> Sources:
        """These images, then others of the same dtype, channels and device."""
        for what in ("dtype", "channels", "device"):
            mine, theirs = getattr(self, what), getattr(others, what)
            if mine != theirs:
                raise ValueError(
                    f"partners: got images with {what} {theirs}, the batch's have {mine}, expected the "
                    "same. Convert them first."
                )
        sizes = np.concatenate([self.sizes, others.sizes])
        if others.dense is not None:
            return Sources(self.dense, self.ragged, sizes, (*self.more, others.dense))
        every = tuple(self.image(b) for b in range(len(self)))
        return Sources(None, (*every, *others.ragged), sizes)

    def and_more(self, pictures: torch.Tensor) -> Sources:
        """These images, then `pictures` (n, H, W, C)."""
        size = np.array(pictures.shape[1:3], np.int32)
        sizes = np.concatenate([self.sizes, np.tile(size, (len(pictures), 1))])
        return Sources(self.dense, self.ragged, sizes, (*self.more, pictures))

    def image(self, b: int) -> torch.Tensor:
        """(H, W, C)."""
        images = self.ragged if self.dense is None else self.dense
        at = b - len(images)
        if at < 0:
            return images[b]
        for batch in self.more:
            if at < len(batch):
                return batch[at]
            at -= len(batch)
        raise IndexError(f"images: there is no image {b}, there are {len(self)}.")

    def pointers(self):
        """Where each image lies: address [B] int64 of its first value, stride [B, 3] int64 in
        values along y, x and channel, and limit [B] int64, the end of readable memory."""
        batches = self.more if self.dense is None else (self.dense, *self.more)
        parts = [] if self.dense is not None else [_pointers_of(self.ragged)]
        parts += [_pointers_into(batch) for batch in batches]
        address, stride, limit = (np.concatenate(part) for part in zip(*parts, strict=True))
        return address, stride, limit


def _pointers_of(images):
    if isinstance(images, Flat):
        return images.pointers()
    address = np.array([image.data_ptr() for image in images], np.int64)
    stride = np.array([image.stride() for image in images], np.int64)
    storages = [image.untyped_storage() for image in images]
    return address, stride, np.array([s.data_ptr() + s.nbytes() for s in storages], np.int64)


def _pointers_into(batch: torch.Tensor):
    storage, n = batch.untyped_storage(), len(batch)
    step = batch.stride(0) * batch.element_size()
    address = batch.data_ptr() + np.arange(n, dtype=np.int64) * step
    stride = np.tile(np.array(batch.stride()[1:], np.int64), (n, 1))
    return address, stride, np.full(n, storage.data_ptr() + storage.nbytes())


def channels_last(image, layout: str | None = None) -> torch.Tensor:
    """One image or a batch as a tensor (…, H, W, C): a view where that is possible."""
    first_is_likelier = isinstance(image, torch.Tensor)
    if not first_is_likelier:
        image = _tensor(image)
    if image.ndim == 2:
        image = image[None] if first_is_likelier else image[..., None]
    if image.ndim not in (3, 4):
        raise ValueError(
            f"images: got an image of shape {tuple(image.shape)}, expected (H, W), (C, H, W) or "
            "(H, W, C). Add or drop dimensions."
        )
    first, last = image.shape[-3] in _FEW, image.shape[-1] in _FEW
    channels_first = first_is_likelier if first == last else first
    if layout is not None:
        channels_first = layout == "NCHW"
    return image.movedim(-3, -1) if channels_first else image


def _tensor(image) -> torch.Tensor:
    """An array or a PIL image as a tensor, without a copy where torch takes its memory."""
    mode = getattr(image, "mode", None)
    if mode in ("P", "PA"):
        raise ValueError(
            f"images: got a PIL image of mode {mode!r}, whose values are numbers of a palette, "
            "expected 'L', 'RGB' or another mode of plain values. Call image.convert('RGB')."
        )
    image = np.asarray(image)
    if image.dtype.kind not in "buifc" or not image.dtype.isnative:
        raise TypeError(
            f"images: got an array of {image.dtype.str}, "
            "expected uint8 or floats. Convert it, such as array.astype(np.uint8)."
        )
    if min(image.strides, default=0) < 0 or not image.flags.writeable:
        image = image.copy()  # torch takes neither negative strides nor read-only memory
    return torch.from_numpy(image)


def check_pixels(image: torch.Tensor, name: str) -> None:
    """dtype and, where that costs no device synchronisation, range."""
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
        at = int(sizes.min(axis=1).argmin())
        raise ValueError(
            f"images[{at}]: is {sizes[at, 0]}×{sizes[at, 1]}, expected at least 1×1. Leave it out of the "
            "batch."
        )
    return sizes
