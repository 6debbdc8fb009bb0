"""Sources: the images that an executor reads, where they lie, without a copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch

from ..aliases import Encoded, Image, Images, Layout
from ..checks import any_true
from ..decoding import Decode, DecodeOptions, Files
from ..plan import Plan
from ..plan.parts import needs_of, on_parts
from .allocate import memory_errors_for
from .flat import Flat, Pointers, pointers_into, pointers_of, span_of
from .images import all_encoded, bytes_of, channels_last, given_dtype, value_range


@dataclass(frozen=True)
class Sources:
    """B images of one dtype, number of channels and device, where they lie.

    `Sources.of` makes them. Values are uint8 in 0 … 255, or float32, float16, bfloat16, of which 0 is
    black and 1 is white.

    Args:
        dense: Tensor (B, H, W, C) of any strides; None where the images have sizes of their own.
        ragged: B tensors (H, W, C), which may lie in one buffer; empty beside a dense tensor.
        sizes: Array [B, 2] int32, height and width of each image in pixels.
        more: Tensors (n, H, W, C) behind these: a second batch, or pictures that an executor drew on
            its way. `sizes` counts them in.
        low: Lowest value of floats, as far as it was looked at; 0 otherwise.
        high: Highest value of floats; 1 where nobody looked, and of bytes.
        given: Dtype in which the images came, by which fills and thresholds are read; None is `dtype`.

    Example:
        >>> sources = ae.Sources.of(np.zeros((4, 32, 48, 3), np.uint8))
        >>> len(sources), sources.channels, sources.dtype
        (4, 3, torch.uint8)
    """

    dense: torch.Tensor | None
    ragged: tuple[torch.Tensor, ...] | Flat
    sizes: np.ndarray
    more: tuple[torch.Tensor, ...] = ()
    low: float = 0.0
    high: float = 1.0
    given: torch.dtype | None = None

    @classmethod
    def of(
        cls,
        images: Images | Sources,
        layout: Layout | None = None,
        decode: Decode | DecodeOptions | None = None,
    ) -> Sources:
        """Take the images that users have, without a copy where that is possible.

        Tensors are channels first, arrays are channels last. What then has more than 64 channels, or more
        than four and more than it is wide (as tensor) or high (as array), may lie the other way round: it
        is refused, and `layout` says what it is.

        0 is black. White is 255 for uint8, 65535 for uint16, 32767 for int16, True for bool and 1 for
        floats. What lies outside is kept where a plan changes no colours; `execute` refuses it elsewhere.
        uint16, int16 and float64 are read as float32, bool as bytes, in copies.

        Args:
            images: Tensor (B, C, H, W) or array (B, H, W, C); or a list or tuple of images, each a
                tensor (C, H, W), an array (H, W, C) or a PIL image of its own size, grey ones (H, W)
                included. PIL's modes 1, L, RGB, I;16 and F are taken. Or a list of encoded images: bytes,
                paths, tensors or arrays [n] of bytes, or dicts of bytes and path; their headers are read
                now, and their pixels when a plan says which are looked at. A batch may be empty. Sources
                are returned as they are.
            layout: "NCHW" or "NHWC", which says outright where the channels of tensors and arrays stand.
            decode: How encoded images are decoded; None is "scaled". Others do not read it.

        Returns:
            The sources: views of the images' own memory, where torch and the executors take it.

        Raises:
            TypeError: When the images are of another type or dtype.
            ValueError: When shapes, channels or devices do not fit together, a shape contradicts the
                layout, a PIL image is of another mode, a float is not finite, or an empty list came, which
                does not say how many channels there are; `DecodeError`, when it is an encoded image whose
                header is damaged.
            OSError: When a file cannot be read.

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
                f"images: got layout {layout!r}, expected 'NCHW' or 'NHWC'. Leave it out for tensors "
                "(B, C, H, W) and arrays (B, H, W, C)."
            )
        if isinstance(images, (torch.Tensor, np.ndarray)):
            if images.ndim != 4:
                raise ValueError(
                    f"images: got shape {tuple(images.shape)}, expected (B, C, H, W) or (B, H, W, C). "
                    "Add the batch or channel dimension, or pass a list of images."
                )
            dense = channels_last(images, layout)
            low, high = value_range(dense, "images")
            sizes = np.empty((len(dense), 2), np.int32)
            sizes[:] = dense.shape[1:3]
            if 0 in dense.shape[1:3]:
                _check_sizes(np.array([dense.shape[1:3]]))
            return cls(dense, (), sizes, (), low, high, given_dtype(images))
        if not isinstance(images, (list, tuple)):
            fix = "Pass [image]" if hasattr(images, "mode") else "Pass one of these"
            raise TypeError(
                f"images: got {type(images).__name__}, expected a tensor, an array or a list of "
                f"images. {fix}."
            )
        if not images:
            raise ValueError(
                "images: got an empty list, expected at least one image, or a tensor (0, C, H, W), which says "
                "how many channels and pixels there are. Skip the batch."
            )
        if all_encoded(images):
            options = DecodeOptions.of("images", decode)
            return EncodedSources.read(cast(Sequence[Encoded], images), options)
        plain = None if layout == "NCHW" else bytes_of(images)
        if plain is not None:
            return cls(None, plain, np.array([image.shape[:2] for image in images], np.int32))
        ragged, low, high = [], 0.0, 1.0
        for i, given in enumerate(cast(Sequence[Image], images)):
            name = f"images[{i}]"
            image = channels_last(given, layout, name)
            if image.ndim != 3:
                raise ValueError(
                    f"{name}: got a batch in a list, expected single images (C, H, W) or "
                    "(H, W, C). Pass the batch itself, or its images."
                )
            lowest, highest = value_range(image, name)
            low, high = min(low, lowest), max(high, highest)
            ragged.append(image)
            if image.shape[2] != ragged[0].shape[2] or image.dtype != ragged[0].dtype:
                raise ValueError(
                    f"{name}: got {image.shape[2]} channel(s) of {image.dtype}, images[0] has "
                    f"{ragged[0].shape[2]} of {ragged[0].dtype}, expected the same for all. Convert "
                    "them first, such as image.convert('RGB')."
                )
            if image.device != ragged[0].device:
                raise ValueError(
                    f"{name}: is on {image.device}, images[0] on {ragged[0].device}, expected one device. "
                    "Move them there."
                )
        sizes = np.array([image.shape[:2] for image in ragged], np.int32)
        _check_sizes(sizes)
        return cls(None, tuple(ragged), sizes, (), low, high, given_dtype(cast(Image, images[0])))

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def some(self) -> torch.Tensor:
        """What has the images' channels, dtype and device: the first of them, or all, (…, H, W, C)."""
        return self.ragged[0] if self.dense is None else self.dense

    @property
    def channels(self) -> int:
        """C, the number of channels of each image."""
        return self.some.shape[-1]

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of all images."""
        return self.some.dtype

    @property
    def image_dtype(self) -> torch.dtype:
        """The dtype in which the images came: uint16 and such are read as another."""
        return self.given or self.dtype

    @property
    def device(self) -> torch.device:
        """The device that all images are on."""
        return self.some.device

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
            return replace(self, dense=function(self.dense))
        if isinstance(self.ragged, Flat):
            return replace(self, ragged=self.ragged.map(function))
        return replace(self, ragged=tuple(map(function, self.ragged)))

    def in_one_buffer(self, empty: Callable[..., torch.Tensor] = torch.empty) -> Sources:
        """A copy of the images in one buffer. empty: function `empty(count, dtype=)` that makes it."""
        images = [self.image(b) for b in range(len(self))]
        return replace(self, dense=None, ragged=Flat.of(images, empty), more=())

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
        if isinstance(others, EncodedSources):
            raise ValueError(
                "partners: got encoded images, the batch's are decoded, expected both of one kind. Decode "
                "them: ae.decode(image)."
            )
        for name in ("dtype", "channels", "device"):
            own, theirs = getattr(self, name), getattr(others, name)
            if own != theirs:
                raise ValueError(
                    f"partners: got images with {name} {theirs}, the batch's have {own}, expected the "
                    "same. Convert them first."
                )
        sizes = np.concatenate([self.sizes, others.sizes])
        low, high = min(self.low, others.low), max(self.high, others.high)
        both = replace(self, sizes=sizes, low=low, high=high)
        if others.dense is not None:
            return replace(both, more=(*self.more, others.dense))
        images = tuple(self.image(b) for b in range(len(self)))
        return replace(both, dense=None, ragged=(*images, *others.ragged), more=())

    def and_more(self, pictures: torch.Tensor) -> Sources:
        """These images, then `pictures` (n, H, W, C)."""
        size = np.array(pictures.shape[1:3], np.int32)
        sizes = np.concatenate([self.sizes, np.tile(size, (len(pictures), 1))])
        return replace(self, sizes=sizes, more=(*self.more, pictures))

    def as_rgb(self) -> Sources:
        """Grey images as three channels that lie in the same memory."""
        more = tuple(_as_rgb(batch) for batch in self.more)
        if self.dense is not None:
            return replace(self, dense=_as_rgb(self.dense), more=more)
        if isinstance(self.ragged, Flat):
            return replace(self, ragged=self.ragged.as_rgb(), more=more)
        return replace(self, ragged=tuple(map(_as_rgb, self.ragged)), more=more)

    def share_memory_with(self, tensor: torch.Tensor) -> bool:
        """Whether an image may lie, wholly or in part, where the tensor lies: whether the memory that
        one spans meets the memory that the other spans."""
        first, end = span_of(tensor)
        if self.dense is not None:
            images: Sequence[torch.Tensor] = (self.dense,)
        else:
            images = (self.ragged.buffer,) if isinstance(self.ragged, Flat) else self.ragged
        return any(low < end and first < high for low, high in map(span_of, (*images, *self.more)))

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
        parts = [] if self.dense is not None else [pointers_of(self.ragged)]
        parts += [pointers_into(batch) for batch in batches]
        pointers = parts[0]
        if len(parts) > 1:
            pointers = Pointers(*(np.concatenate(part) for part in zip(*parts, strict=True)))
        if self.dense is not None and not self.more:
            # They lie where the tensor does, if they are as large as it says.
            if not any_true(self.sizes > self.dense.shape[1:3]):
                return pointers
        (height, width), (step_y, step_x, step_c) = self.sizes.T, pointers.stride.T
        steps = (height - 1) * step_y + (width - 1) * step_x + ((self.channels - 1) * step_c + 1)
        if any_true(pointers.address + steps * self.dtype.itemsize > pointers.limit):
            raise ValueError(
                "Sources: an image's sizes and strides reach behind its memory, expected those of a tensor. "
                "Make sources by Sources.of."
            )
        return pointers


def _as_rgb(images: torch.Tensor) -> torch.Tensor:
    return images.expand(*images.shape[:-1], 3)


def _check_sizes(sizes: np.ndarray) -> None:
    if sizes.min() < 1:
        b = int(sizes.min(axis=1).argmin())
        raise ValueError(
            f"images[{b}]: is {sizes[b, 0]}×{sizes[b, 1]}, expected at least 1×1. Leave it out of the "
            "batch."
        )


_NO_FILES, _CPU = Files((), DecodeOptions()), torch.device("cpu")


@dataclass(frozen=True)
class EncodedSources(Sources):
    """B encoded images, of which sizes, channels and dtype are known, and no pixel yet.

    `Sources.of` makes them. `decoded_for` gives the pixels that plans look at.
    """

    files: Files = _NO_FILES
    place: torch.device = _CPU  # where they are once they are decoded

    @classmethod
    def read(cls, images: Sequence[Encoded], options: DecodeOptions) -> EncodedSources:
        """Read files and headers of a list of encoded images."""
        files = Files.of(images, options)
        return cls(None, (), files.sizes, files=files)

    def decoded_for(
        self, plans: Sequence[Plan], empty: Callable[..., torch.Tensor] = torch.empty
    ) -> tuple[Sources, list[Plan]]:
        """Decode what plans look at.

        Args:
            plans: Plans over these images.
            empty: Function `empty(count, dtype=)` that makes the buffer of the pixels.

        Returns:
            The parts that they look at, as sources, and the same plans over those.

        Raises:
            DecodeError: An image cannot be decoded.
        """
        needs = None if self.files.options.decode == "exact" else needs_of(plans)
        with memory_errors_for("the decoded images", self.nbytes, torch.device("cpu")):
            decoded = self.files.decode(needs, empty)
        sizes = decoded.shape[:, :2].astype(np.int32)
        flat = Flat(decoded.buffer, decoded.shape, decoded.offset, decoded.stride)
        sources = Sources(None, flat, sizes)
        if self.place.type != "cpu":
            sources = sources.to(self.place)
        return sources, [on_parts(plan, decoded.factor, decoded.shift, sizes) for plan in plans]

    @property
    def some(self) -> torch.Tensor:
        """An image of their channels, dtype and device; it has no pixels."""
        return torch.empty(
            (0, 0, self.files.options.channels), dtype=torch.uint8, device=self.place
        )

    @property
    def requires_grad(self) -> bool:
        return False

    def map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> Sources:
        raise TypeError(
            "Sources: got encoded images where pixels are needed, expected decoded ones. Draw them by "
            "execute(plan, images), or decode them first: ae.decode(image)."
        )

    def in_one_buffer(self, empty: Callable[..., torch.Tensor] = torch.empty) -> Sources:
        """All of the images in one buffer, decoded in full."""
        decoded = self.files.decode(None, empty)
        flat = Flat(decoded.buffer, decoded.shape, decoded.offset, decoded.stride)
        return Sources(None, flat, self.sizes)

    def to(self, device: torch.device) -> Sources:
        return replace(self, place=torch.device(device))

    def followed_by(self, others: Sources) -> Sources:
        if not isinstance(others, EncodedSources):
            raise ValueError(
                "partners: got decoded images, the batch's are encoded, expected both of one kind. Decode "
                "the batch's: ae.decode(image)."
            )
        if others.files.options != self.files.options:
            raise ValueError("partners: got other decode options than the batch's. Pass the same.")
        files = Files((*self.files.files, *others.files.files), self.files.options)
        return replace(self, files=files, sizes=files.sizes)

    def share_memory_with(self, tensor: torch.Tensor) -> bool:
        return False

    def image(self, b: int) -> torch.Tensor:
        one = Files(self.files.files[b : b + 1], self.files.options).decode(None)
        return one.buffer.view(*one.shape[0].tolist())

    def as_rgb(self) -> Sources:
        """The same as three channels, which a grey image is decoded to."""
        options = replace(self.files.options, mode="RGB")
        return replace(self, files=replace(self.files, options=options))
