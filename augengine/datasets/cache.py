"""A dataset whose images are decoded once, and then lie in one file that is mapped into memory."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from torch.utils.data import Dataset

from ..checks import MOST_PIXELS, flag, shown, whole_number
from ..decoding.options import Mode
from ..loading.samples import Sample
from ..policy.ops.op import Op
from ..policy.policy import Policy
from ..policy.views import Views
from ..systems import needs_posix
from .cache_build import build, building
from .cache_file import CacheFile, begins_as_cache
from .cache_identity import identity, spread
from .cache_samples import Recipe, channels_of, sides
from .cache_size import size_needed
from .cache_values import read_values

_ANEW = "Name another file, or pass rebuild=True to make this one anew."
# What the header says of the dataset and the arguments, in words for where it differs.
_ABOUT = {
    "samples": "is of another dataset: it has {kept} samples, the dataset {now}",
    "files": "is of other files, or of files that were changed since: their names, sizes or times differ "
    "(cp -p and rsync -a keep times)",
    "labels": "is of another dataset, or its labels were changed since",
    "size": "was made with size={kept}, and size={now} is asked for",
    "mode": "was made with mode={kept}, and mode={now} is asked for",
    "image": "was made with image={kept}, and image={now} is asked for",
}


class CachedDataset(Dataset[Sample]):
    """A dataset in a cache: its samples, the images views of the file.

    An image is an array (H, W, C) or (H, W) uint8, and a tensor (C, H, W) where it was one. A write to it stays
    in the process, and the file as it is. What else the samples hold is as the dataset gave it. It is
    pickled as the file's name, and opened when it is first used.

    Args:
        file: File that `cache` has written.

    Attributes:
        file: The file's path.
        header: What the file says of itself.

    Raises:
        ValueError: When the file is no cache, cut short or damaged.
        OSError: When it cannot be opened.
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self.file = Path(file)
        self._open: CacheFile | None = _opened(self.file)
        self.header = self._open.header

    def __len__(self) -> int:
        return self.header["samples"]

    def __getitem__(self, index: int) -> Sample:
        place = i = operator.index(index)
        if i < 0:
            i += len(self)
        if not 0 <= i < len(self):
            raise IndexError(f"cache: there is no sample {place}, there are {len(self):,}.")
        opened = self._file()
        try:
            return read_values(opened.rest(i), opened.image(i))
        except ValueError as error:
            raise ValueError(
                f"cache: {self.file} is damaged in sample {i} ({error}). {_ANEW}"
            ) from None

    @property
    def nbytes(self) -> int:
        """Number of bytes of the file."""
        return self._file().nbytes

    def verify(self) -> None:
        """Read the whole file, and compare every sample with its checksum.

        Raises:
            ValueError: Samples are not as they were written, with their numbers.
        """
        try:
            wrong = self._file().damaged(self.file)
        except ValueError as error:
            raise ValueError(f"cache: {self.file} was changed ({error}). {_ANEW}") from None
        if wrong:
            first = ", ".join(map(str, wrong[:20])) + (", …" if len(wrong) > 20 else "")
            raise ValueError(
                f"cache: {self.file} is damaged in {len(wrong):,} of {len(self):,} samples: {first}. {_ANEW}"
            )

    def _check(
        self, dataset: Any, recipe: Recipe, about: dict[str, Any], name_of: Callable[[int], str]
    ) -> None:
        """Raise ValueError unless the file was made of this dataset, as the recipe has it."""

        def refuse(what: str) -> NoReturn:
            raise ValueError(f"cache: {self.file} {what}. {_ANEW}")

        for name, words in _ABOUT.items():
            if self.header.get(name) != about[name]:
                refuse(words.format(kept=shown(self.header.get(name)), now=shown(about[name])))
        opened = self._file()
        for i in spread(len(self)):
            kept = recipe.keep(dataset[i], name_of(i))
            if not opened.matches(i, kept):
                shape = tuple(np.asarray(opened.image(i)).shape)
                what = "labels or other values"
                if shape != kept.pixels.shape:
                    what = f"an image of shape {shape} where the dataset has {kept.pixels.shape}"
                elif opened.rest(i) == kept.rest:
                    what = "other pixels"
                refuse(
                    f"is of another dataset, or of one that was changed: {name_of(i)} has {what}"
                )

    def _file(self) -> CacheFile:
        if self._open is None:
            opened = _opened(self.file)
            if opened.header != self.header:
                raise ValueError(
                    f"cache: {self.file} has been made anew since this dataset was opened, expected the same "
                    "file in all processes. Open it again: ae.cache(dataset, file)."
                )
            self._open = opened
        return self._open

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_open": None}

    def __repr__(self) -> str:
        return f"CachedDataset({len(self):,} samples, {str(self.file)!r})"


def cache(
    dataset: Dataset[Sample] | Sequence[Sample],
    file: str | os.PathLike[str],
    *,
    size: int | None = None,
    policy: Policy | Op | Sequence[Op] | Views | None = None,
    mode: Mode | None = None,
    image: str = "image",
    threads: int | None = None,
    rebuild: bool = False,
    progress: bool | None = None,
) -> CachedDataset:
    """The dataset with its images decoded, in a file that is mapped into memory; the first call writes it.

    Images that are kept whole make the very batches that the dataset's own make. Shrunk ones do not: they
    have fewer pixels, and plans are sampled for their sizes.

    The file is written whole or not at all. Where it is there, it is checked against the dataset: length,
    names, sizes and times of the files, and labels, as far as the dataset says them; and 16 samples are read
    again and compared to the last bit. Of several processes one writes, and the others wait for it.

    Args:
        dataset: Map-style dataset of (image, label, …) or of dicts. Images are paths, bytes of a file, PIL
            images of 8 bits, or uint8 arrays or tensors; they must be the same each time, without a random
            transform.
        file: Path of the file.
        size: Number of pixels, 1 or more, to which the shorter side of larger images is shrunk; None keeps
            every size, or follows from the policy.
        policy: Policy, or ops to make one of, or Views of several, from which the size follows: the least at
            which the finest of 4,096 views is not magnified.
        mode: 'RGB' or 'L' (grey), to which encoded and PIL images are converted; None makes encoded ones RGB,
            and leaves PIL images.
        image: Name of the image's field in dicts.
        threads: Number of threads that call the dataset and decode, 1 or more, where the dataset can be
            called from several. None calls it from this thread alone, and decodes paths and bytes in as many
            as there are cores.
        rebuild: Whether to make the file anew where a cache is there.
        progress: Whether to show a bar; None shows one on a terminal.

    Returns:
        The dataset in the cache. `len`, indices, pickling and `verify()` are all that it has.

    Raises:
        TypeError: A sample has an image that is not of 8 bits, or holds what cannot be written.
        ValueError: Samples cannot be read, with all their names; or the file is of another dataset, of other
            arguments, or damaged. It is not touched then.
        OSError: The disk has no room; or this is Windows, which cannot map a file as this needs it.

    Example:
        >>> import tempfile
        >>> images = [(np.full((20 + i, 30, 3), i, np.uint8), i % 2) for i in range(8)]
        >>> cached = ae.cache(images, tempfile.mkdtemp() + "/images.cache")
        >>> image, label = cached[3]
        >>> image.shape, label, len(cached)
        ((23, 30, 3), 1, 8)
        >>> batch = ae.Collate(ae.CenterCrop(16))([cached[i] + (i,) for i in range(4)])
    """
    needs_posix("cache", "Give the dataset itself to the loader.")
    file = Path(file)
    flag("cache: rebuild", rebuild)
    _check_arguments(dataset, size, policy, mode, threads)
    recipe = Recipe(size, mode, image)
    about, paths = identity(dataset, recipe)

    def name_of(i: int) -> str:
        return f"sample {i}" if paths is None else f"sample {i}, {paths[i]}"

    if policy is not None:
        recipe = _sized(recipe, policy, dataset, name_of)
    about |= asdict(recipe)
    before = _stamp(file)
    if before is None or rebuild:
        if before is not None and not begins_as_cache(file):
            raise ValueError(
                f"cache: {file} is no cache, expected one where rebuild=True replaces it. Name another file."
            )
        with building(file, lambda: before != _stamp(file)) as stream:
            if stream is not None:
                build(stream, file, dataset, recipe, about, name_of, threads, progress)
        if stream is not None:
            return CachedDataset(file)
    cached = CachedDataset(file)
    cached._check(dataset, recipe, about, name_of)
    return cached


def _opened(file: Path) -> CacheFile:
    try:
        return CacheFile(file)
    except ValueError as error:
        raise ValueError(f"cache: {file} cannot be used: {error}. {_ANEW}") from None


def _stamp(file: Path) -> tuple[int, int, int] | None:
    """What changes when a file is made anew; None where there is none."""
    try:
        status = os.stat(file)
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _check_arguments(dataset: Any, size: Any, policy: Any, mode: Any, threads: Any) -> None:
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise TypeError(
            f"cache: got {type(dataset).__name__}, expected a map-style dataset with __getitem__ and __len__. "
            "Make a list of a stream's samples, if they are few."
        )
    if not len(dataset):
        raise ValueError(
            "cache: got a dataset without samples, expected one or more. Look at where it reads."
        )
    if size is not None:
        whole_number("cache: size", size, 1, MOST_PIXELS)
        if policy is not None:
            raise ValueError(
                "cache: got size and policy, expected one of them, since the size follows from a policy. "
                "Leave one out."
            )
    if threads is not None:
        whole_number("cache: threads", threads, 1, 1024)
    if mode not in (None, "RGB", "L"):
        raise ValueError(
            f"cache: got mode={shown(mode)}, expected 'RGB', 'L' or None. Pass one of them."
        )


def _sized(
    recipe: Recipe,
    policy: Policy | Op | Sequence[Op] | Views,
    dataset: Any,
    name_of: Callable[[int], str],
) -> Recipe:
    """The recipe with the size that follows from a policy and the sizes of some images."""
    sizes, channels = [], 3
    for i in spread(len(dataset)):
        pixels, kind = recipe.full(dataset[i], name_of(i))
        sizes.append(sides(pixels, kind))
        channels = channels_of(pixels, kind)
    return replace(recipe, size=size_needed(policy, np.array(sizes), channels))
