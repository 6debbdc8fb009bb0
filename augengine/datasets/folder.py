"""A folder of class folders as a dataset of paths."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection

import numpy as np
from torch.utils.data import Dataset

from ..policy.keyed import ids_of_names
from .check import check_images
from .listing import TRAIN, UNLABELLED, list_folder
from .report import ImageReport


class Folder(Dataset[tuple[str, "int | None", str]]):
    """A folder of class folders, whose images stay encoded: folder[i] is (path, label, id).

    The classes are the folders' names, in their order, as of torchvision's ImageFolder, and `classes`,
    `class_to_idx`, `samples` and `targets` are its. An image's id is its path inside the root, so that it
    keeps its draws when others come or go. Hidden files and folders, and suffixes that Pillow does not
    decode, are left out; `summary()` counts them. Images of class folders lie at any depth, and a link to a
    folder is followed.

    A root that holds `train` (or training) beside `val` (or valid, validation) or `test` (testing) has these
    parts, each of class folders. A folder `unlabelled` holds images without a class. A root of images alone
    has no classes: its labels are None.

    Args:
        root: Folder.
        split: Part that is read: 'train', 'val', 'test' or 'unlabelled'. A root without parts is all 'train'.
        target_transform: Function of the label, as torchvision has it; None leaves it.
        extensions: Suffixes of the images, with their dots; None is all that Pillow decodes.
        is_valid_file: Function that says of a path whether it is an image, in the suffixes' place.

    Raises:
        OSError: There is no such folder, or one in it cannot be read.
        ValueError: It holds no image of that split.

    Example:
        >>> import pathlib, tempfile
        >>> from PIL import Image
        >>> root = pathlib.Path(tempfile.mkdtemp())
        >>> for name in ("cat/a.jpg", "cat/b.bmp", "dog/a.webp", "dog/notes.txt", ".cache/a.png"):
        ...     (root / name).parent.mkdir(exist_ok=True)
        ...     Image.new("RGB", (40, 30)).save(root / name) if "txt" not in name else (
        ...         root / name).touch()
        >>> folder = ae.Folder(root)
        >>> folder[2] == (str(root / "dog/a.webp"), 1, "dog/a.webp")
        True
        >>> print(folder.summary().replace(str(root), "pets"))
        pets: 2 classes, 3 images
          cat 2, dog 1
          classes of a single image to train on: dog
          left out: 1 hidden, 1 .txt
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        split: str = TRAIN,
        *,
        target_transform: Callable[[int], int] | None = None,
        extensions: Collection[str] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
    ) -> None:
        listing = list_folder(root, extensions, is_valid_file)
        if split not in listing.splits:
            has = ", ".join(listing.splits) or "no image"
            raise ValueError(
                f"Folder: got split={split!r} of a folder that has {has}, expected one of its parts, train, "
                f"val, test or {UNLABELLED}. Pass one that is there.\n{listing.summary()}"
            )
        self.root, self.split, self.target_transform = os.fspath(root), split, target_transform
        self.listing = listing
        self.classes = list(listing.classes)
        self.class_to_idx = {name: at for at, name in enumerate(self.classes)}
        self.report: ImageReport | None = None
        entries = listing.splits[split]
        self.ids = [entry.name for entry in entries]
        self.targets = [None if e.label is None else self.class_to_idx[e.label] for e in entries]

    @property
    def samples(self) -> list[tuple[str, int | None]]:
        """(path, label) of each image, as torchvision has it."""
        paths = (os.path.join(self.root, name) for name in self.ids)
        return list(zip(paths, self.targets, strict=True))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> tuple[str, int | None, str]:
        label = self.targets[index]
        if label is not None and self.target_transform is not None:
            label = self.target_transform(label)
        return os.path.join(self.root, self.ids[index]), label, self.ids[index]

    def ids_of_indices(self) -> np.ndarray:
        """The ids [n] as numbers, int64: what `ae.keyed` counts, so that workers and ranks count alike."""
        return np.array(ids_of_names(self.ids), np.int64)

    def summary(self) -> str:
        """Classes and counts, and what was left out and why, in a few lines; after a `check` also the images'
        colours, and how many are damaged."""
        said = self.listing.summary()
        if self.report is not None:
            said += f"\n  colours of {self.split}: {self.report.colours or 'none'}"
            if self.report.damaged:
                said += f"\n  damaged: {len(self.report.damaged):,}"
        return said

    def check(self, threads: int | None = None) -> ImageReport:
        """Decode every image once: which are damaged, and what the others are like.

        Args:
            threads: Number of threads; None is one for each core.

        Returns:
            The report.

        Raises:
            OSError: A file cannot be read.
        """
        self.report = check_images(self, threads=threads)
        return self.report

    def __repr__(self) -> str:
        return f"Folder({self.root!r}, split={self.split!r}: {len(self)} images)"
