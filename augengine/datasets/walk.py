"""The files below a folder: which are images, and which are left out and why."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from typing import NamedTuple

from .suffixes import image_suffixes, is_hidden, suffix_of

HIDDEN, NOWHERE, LOOP, SPECIAL, OUTSIDE = (
    "hidden",
    "a link that leads nowhere",
    "a link to a folder that is read already",
    "no regular file",
    "a link out of the folder",
)


class LeftOut(NamedTuple):
    """A file or a folder that is not read.

    Args:
        name: Its path inside the root, with slashes.
        reason: Why, in a few words.
    """

    name: str
    reason: str


class Tree(NamedTuple):
    """What lies below a folder; names are paths inside it, with slashes.

    Args:
        files: Names of the images, sorted by folder and then by name.
        folders: Names of the folders, hidden ones left out, sorted.
        left_out: The rest.
    """

    files: list[str]
    folders: list[str]
    left_out: list[LeftOut]


def walk(
    root: str,
    extensions: Collection[str] | None = None,
    is_valid_file: Callable[[str], bool] | None = None,
    outside: bool = True,
) -> Tree:
    """Look through a folder and all folders below it, links to folders included.

    Args:
        root: Folder.
        extensions: Suffixes of images, with their dots, in any case; None is all that Pillow decodes.
        is_valid_file: Function that says of a path whether it is an image, in the suffixes' place.
        outside: Whether links are followed that lead out of the folder.

    Raises:
        OSError: A folder cannot be read.
    """
    wanted = image_suffixes() if extensions is None else {e.lower() for e in extensions}
    tree = Tree([], [], [])
    # A class may be a link to another's folder, and is then read twice. Below it each folder is read
    # once, so that links in circles, or ladders of links, come to an end.
    seen: set[tuple[str, int, int]] = set()
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        with os.scandir(os.path.join(root, folder)) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if is_hidden(entry.name):
                    tree.left_out.append(LeftOut(name, HIDDEN))
                elif not outside and entry.is_symlink() and not _is_inside(root, name):
                    tree.left_out.append(LeftOut(name, OUTSIDE))
                elif entry.is_dir():
                    status = entry.stat()
                    place = ("/".join(name.split("/")[:2]), status.st_dev, status.st_ino)
                    if place in seen or (entry.is_symlink() and _is_above(root, name)):
                        tree.left_out.append(LeftOut(name, LOOP))
                        continue
                    seen.add(place)
                    tree.folders.append(name)
                    waiting.append(name)
                else:
                    reason = _reason(entry, wanted, is_valid_file)
                    if reason is None:
                        tree.files.append(name)
                    else:
                        tree.left_out.append(LeftOut(name, reason))
    tree.files.sort(key=os.path.split)
    tree.folders.sort()
    tree.left_out.sort()
    return tree


def _is_above(root: str, name: str) -> bool:
    """Whether a folder, which is a link, is one of those that it lies in."""
    target = os.path.realpath(os.path.join(root, name))
    home = os.path.realpath(os.path.join(root, os.path.dirname(name)))
    return os.path.commonpath([target, home]) == target


def _is_inside(root: str, name: str) -> bool:
    """Whether what a name leads to lies in the folder."""
    target, home = os.path.realpath(os.path.join(root, name)), os.path.realpath(root)
    return os.path.commonpath([target, home]) == home


def _reason(
    entry: os.DirEntry[str],
    wanted: Collection[str],
    is_valid_file: Callable[[str], bool] | None,
) -> str | None:
    """Why a file is left out; None if it is not."""
    if not entry.is_file():
        return NOWHERE if entry.is_symlink() and not os.path.exists(entry.path) else SPECIAL
    if is_valid_file is not None:
        return None if is_valid_file(entry.path) else "refused by is_valid_file"
    suffix = suffix_of(entry.name)
    return None if suffix in wanted else suffix or "no suffix"


def reasons(left_out: Collection[LeftOut]) -> str:
    """How many are left out for which reason, in words: '3 hidden, 12 .txt'."""
    counts: dict[str, int] = {}
    for _, reason in left_out:
        counts[reason] = counts.get(reason, 0) + 1
    return ", ".join(f"{n:,} {reason}" for reason, n in sorted(counts.items(), key=lambda c: -c[1]))
