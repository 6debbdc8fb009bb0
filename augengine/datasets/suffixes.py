"""Which files are images by their names, as Pillow's registry has it."""

from __future__ import annotations

import os
from functools import cache

# Formats that Pillow knows and cannot decode: they need another program or library.
_NEED_MORE = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}

# Folders of file servers and systems, whose files are thumbnails or rests.
_SYSTEM = {"__macosx", "@eadir", "lost+found", "$recycle.bin", "system volume information"}


@cache
def _formats() -> dict[str, str]:
    """{suffix in lower case: Pillow's name of the format} of all that Pillow decodes."""
    from PIL import Image

    # Of MPO, several JPEGs in one file, JPEG's reader takes the first.
    return {
        suffix: format
        for suffix, format in Image.registered_extensions().items()
        if (format in Image.OPEN and format not in _NEED_MORE) or format == "MPO"
    }


def suffix_of(name: str) -> str:
    """The suffix of a file's name in lower case, with its dot; "" where there is none."""
    return os.path.splitext(name)[1].lower()


def image_suffixes() -> frozenset[str]:
    """The suffixes of all formats that Pillow decodes, in lower case, with their dots."""
    return frozenset(_formats())


def suffix_lies(name: str, format: str) -> bool:
    """Whether a file's suffix is that of another format than the one that it has.

    Args:
        name: Name of the file.
        format: Pillow's name of its format.
    """
    said = _formats().get(suffix_of(name))
    jpegs = {"JPEG", "MPO"}
    return said is not None and said != format and not {said, format} <= jpegs


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or a system's own."""
    return name.startswith(".") or name.lower() in _SYSTEM
