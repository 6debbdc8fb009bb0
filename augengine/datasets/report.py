"""What a check of images found, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..decoding import Header
from .suffixes import suffix_lies
from .walk import LeftOut

NAMED = 20  # files that are named one by one


@dataclass(frozen=True)
class ImageReport:
    """What `check_images` found.

    Args:
        count: Number of images.
        damaged: Name and reason of each that cannot be decoded.
        modes: Number of images by Pillow's mode: 'RGB', 'L', 'CMYK' or 'I;16', say.
        formats: Number of images by format.
        sizes: Height and width of the smallest, the median and the largest, by area; empty without images.
        turned: Number of images that EXIF turns or mirrors.
        mislabelled: Name and format of each whose suffix is that of another format.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> Image.new("L", (40, 30)).save(file := io.BytesIO(), "PNG")
        >>> report = ae.check_images([(file.getvalue(), 0, "cat/0.jpg"), (b"GIF89a", 0, "cat/1.gif")])
        >>> report.damaged[0].name, report.modes, report.mislabelled[0].reason
        ('cat/1.gif', {'L': 1}, 'PNG')
    """

    count: int
    damaged: list[LeftOut]
    modes: dict[str, int]
    formats: dict[str, int]
    sizes: list[tuple[int, int]]
    turned: int
    mislabelled: list[LeftOut]

    @classmethod
    def of(cls, names: Iterable[str], found: Iterable[Header | str]) -> ImageReport:
        """The report of images.

        Args:
            names: Name of each.
            found: Header of each, or why it cannot be decoded.

        Returns:
            The report.
        """
        damaged: list[LeftOut] = []
        mislabelled: list[LeftOut] = []
        headers: list[Header] = []
        for name, header in zip(names, found, strict=True):
            if isinstance(header, str):
                damaged.append(LeftOut(name, header))
                continue
            headers.append(header)
            if suffix_lies(name, header.format):
                mislabelled.append(LeftOut(name, header.format))
        by_area = sorted(((h.height, h.width) for h in headers), key=lambda size: size[0] * size[1])
        places = sorted({0, len(by_area) // 2, len(by_area) - 1}) if by_area else []
        return cls(
            count=len(damaged) + len(headers),
            damaged=damaged,
            modes=dict(Counter(header.mode for header in headers).most_common()),
            formats=dict(Counter(header.format for header in headers).most_common()),
            sizes=[by_area[at] for at in places],
            turned=int(np.sum([header.orientation > 1 for header in headers])),
            mislabelled=mislabelled,
        )

    @property
    def colours(self) -> str:
        """Number of images by mode, in words."""
        others = set(self.modes) - {"RGB"}
        return _counts(self.modes) + (" (all are read as RGB)" if others else "")

    def __str__(self) -> str:
        whole = self.count - len(self.damaged)
        lines = [f"{self.count:,} images decoded, {len(self.damaged):,} damaged"]
        lines += _named(self.damaged)
        if whole:
            lines.append(f"formats: {_counts(self.formats)}")
            lines.append(f"colours: {self.colours}")
            sizes = [f"{width}×{height}" for height, width in self.sizes]
            named = ("smallest", "median", "largest")
            lines.append(
                f"sizes: {', '.join(f'{n} {s}' for n, s in zip(named, sizes, strict=True))}"
                if len(sizes) == 3
                else f"sizes: {', '.join(sizes)}"
            )
            if self.turned:
                lines.append(f"turned by EXIF: {self.turned:,} (they are read upright)")
        if self.mislabelled:
            lines.append(
                f"suffix of another format: {len(self.mislabelled):,} (they are read as what they are)"
            )
            lines += _named(self.mislabelled, "is ")
        return "\n".join(lines)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items())


def _named(files: list[LeftOut], before: str = "") -> list[str]:
    lines = [f"  {name}: {before}{reason}" for name, reason in files[:NAMED]]
    if len(files) > NAMED:
        lines.append(f"  … and {len(files) - NAMED:,} more")
    return lines
