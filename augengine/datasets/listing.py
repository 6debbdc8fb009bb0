"""The parts and classes of a folder of images, read from its files' paths."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

from .walk import LeftOut, reasons, walk

TRAIN, VAL, TEST, UNLABELLED = "train", "val", "test", "unlabelled"
SPLITS = {
    "train": TRAIN, "training": TRAIN,
    "val": VAL, "valid": VAL, "validation": VAL,
    "test": TEST, "testing": TEST,
}  # fmt: skip
_WITHOUT_LABELS = {"unlabelled", "unlabeled"}
NO_CLASS, NO_SPLIT = "in no class folder", "beside the folders train, val and test"
NAMED = 12  # classes that are counted one by one


class Entry(NamedTuple):
    """An image of a folder.

    Args:
        name: Its path inside the root, with slashes: its id.
        label: Name of its class, or None.
    """

    name: str
    label: str | None


@dataclass(frozen=True)
class Listing:
    """What a folder of images holds.

    Args:
        root: Folder.
        classes: Names of the classes that have an image, sorted.
        splits: Images by split, train, val, test and unlabelled, of those that are there. A folder without
            such parts is all train.
        empty: Class folders without an image.
        left_out: Files and folders that are not read.
    """

    root: str
    classes: tuple[str, ...]
    splits: dict[str, list[Entry]]
    empty: tuple[str, ...]
    left_out: list[LeftOut]

    def summary(self) -> str:
        """Classes and counts, and what was left out and why, in a few lines."""
        sizes = [f"{len(entries):,} in {split}" for split, entries in self.splits.items()]
        if list(self.splits) == [TRAIN]:
            sizes = [f"{len(self.splits[TRAIN]):,} images"]
        classes = f"{len(self.classes):,} classes" if self.classes else "no classes"
        lines = [f"{self.root}: {classes}, {', '.join(sizes) or 'no images'}"]
        by_class = Counter(e.label for e in self.splits.get(TRAIN, ()) if e.label is not None)
        counts = {name: by_class[name] for name in self.classes}
        if 0 < len(counts) <= NAMED:
            lines.append(", ".join(f"{name} {n:,}" for name, n in counts.items()))
        elif counts:
            fewest, most = (extreme(counts, key=counts.__getitem__) for extreme in (min, max))
            lines.append(
                f"from {counts[fewest]:,} images ({fewest}) to {counts[most]:,} ({most}) in a class"
            )
        for n, said in ((0, "without an image to train on"), (1, "of a single image to train on")):
            if few := [name for name, count in counts.items() if count == n]:
                lines.append(f"classes {said}: {_some(few)}")
        if self.empty:
            lines.append(f"folders without an image: {_some(self.empty)}")
        if self.left_out:
            lines.append(f"left out: {reasons(self.left_out)}")
        return "\n  ".join(lines)


def _some(names: Collection[str]) -> str:
    first = ", ".join(list(names)[:NAMED])
    return first if len(names) <= NAMED else f"{first} and {len(names) - NAMED:,} more"


def list_folder(
    root: str | os.PathLike[str],
    extensions: Collection[str] | None = None,
    is_valid_file: Callable[[str], bool] | None = None,
) -> Listing:
    """What a folder holds: CLASS/…, or train/CLASS/… beside val/CLASS/… or test/CLASS/…, or images alone.

    Args:
        root: Folder.
        extensions: As of `walk`.
        is_valid_file: As of `walk`.

    Raises:
        OSError: There is no such folder, or one cannot be read.
        ValueError: Two of its folders are the same part, train and training, say.
    """
    root = os.fspath(root)
    if not os.path.isdir(root):
        raise FileNotFoundError(
            f"Folder: there is no folder {root!r}, expected one that holds images. Check the path."
        )
    tree = walk(root, extensions, is_valid_file)
    homes = _homes(root, [name for name in tree.folders if "/" not in name])
    class_folders = {home: _class_folders(home, tree.folders) for home in homes}
    splits: dict[str, list[Entry]] = {}
    left_out = list(tree.left_out)
    for name in tree.files:
        place = _place(name, homes, class_folders)
        if isinstance(place, str):
            left_out.append(LeftOut(name, place))
        else:
            splits.setdefault(place[0], []).append(Entry(name, place[1]))
    for entries in splits.values():  # by class first, as torchvision has it
        entries.sort(key=lambda entry: (entry.label or "", *os.path.split(entry.name)))
    labels = {entry.label for entries in splits.values() for entry in entries}
    full = {
        folder
        for home, folders in class_folders.items()
        for folder in folders
        if any(e.name.startswith(f"{folder}/") for e in splits.get(homes[home], ()))
    }
    return Listing(
        root,
        tuple(sorted(label for label in labels if label is not None)),
        {split: splits[split] for split in (TRAIN, VAL, TEST, UNLABELLED) if split in splits},
        tuple(sorted({f for folders in class_folders.values() for f in folders} - full)),
        sorted(left_out),
    )


def _place(
    name: str, homes: dict[str, str], class_folders: dict[str, list[str]]
) -> tuple[str, str | None] | str:
    """The split and the class of a file, or why it has none."""
    *folders, _ = name.split("/")
    if folders and folders[0].lower() in _WITHOUT_LABELS:
        return UNLABELLED, None
    home = "" if "" in homes else folders[0] if folders else None
    if home is None or home not in homes:
        return NO_SPLIT
    inside = folders if home == "" else folders[1:]
    if inside and inside[0].lower() in _WITHOUT_LABELS:
        return UNLABELLED, None
    if not class_folders[home]:
        return homes[home], None
    return (homes[home], inside[0]) if inside else NO_CLASS


def _homes(root: str, top: list[str]) -> dict[str, str]:
    """{folder: split} of the folders whose folders are classes; {"": train} if a folder has no parts.

    Folders are parts and not classes if they are two at least, training beside validation or test, or if
    nothing else is there. A lone `train` beside other folders is a class, of vehicles, say.
    """
    found: dict[str, str] = {}
    for name in top:
        split = SPLITS.get(name.lower())
        if split in found.values():
            raise ValueError(
                f"Folder: {root} has {name} and another folder for {split}, expected one. Move one elsewhere, "
                "or pass the folder that is meant."
            )
        if split is not None:
            found[name] = split
    others = [name for name in top if name not in found and name.lower() not in _WITHOUT_LABELS]
    beside = len(found) > 1 and (TRAIN in found.values() or not others)
    return found if beside or (found and not others) else {"": TRAIN}


def _class_folders(home: str, folders: list[str]) -> list[str]:
    """The folders right below a part's folder, unlabelled ones left out."""
    prefix = f"{home}/" if home else ""
    inside = [n for n in folders if n.startswith(prefix) and n.count("/") == prefix.count("/")]
    return [n for n in inside if n.removeprefix(prefix).lower() not in _WITHOUT_LABELS]
