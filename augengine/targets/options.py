"""How targets are followed: `TargetOptions`."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from ..checks import number, whole
from .boxes import Clip
from .formats import format_name
from .keypoints import FlipPairs


@dataclass(frozen=True)
class TargetOptions:
    """How `follow`, an Engine and the loaders follow targets.

    Args:
        min_visible: Share in [0, 1] of an instance's area that must be seen, or it is left out.
        min_area: Area in square pixels of the output that must be seen of a box, 0 or more.
        min_size: Pixels that must be seen of a box along both sides, 0 or more.
        clip: What a box is cut to: 'visible', 'frame' or None, as in `boxes`.
        box_format: Name of the format of boxes that do not say theirs, as in `boxes`; None is 'XYXY'.
        flip_pairs: Pairs of keypoints, by number, that exchange places where a view mirrors.
        fill: Class of masks outside of the image, a whole number of their dtype; 255 is ignored by many
            losses.
        per_image: Names of further fields that belong to the image, and not to its instances.
        pad: Whether targets are padded to tensors [N, M, …], True for as many instances M as the batch has
            at most, or M itself. None leaves them a list.

    Raises:
        TypeError: A number is of another type.
        ValueError: A number is outside its range, or a name is unknown.

    Example:
        >>> ae.TargetOptions(min_visible=0.3, box_format="coco").box_format
        'XYWH'
    """

    min_visible: float = 0.1
    min_area: float = 0.0
    min_size: float = 1.0
    clip: Clip | None = "visible"
    box_format: str | None = None
    flip_pairs: FlipPairs = ()
    fill: int = 0
    per_image: Sequence[str] = ()
    pad: bool | int | None = None

    def __post_init__(self) -> None:
        where = "TargetOptions"
        checked = {
            "min_visible": number(f"{where}.min_visible", self.min_visible, 0, 1),
            "min_area": number(f"{where}.min_area", self.min_area, 0, 2**46),
            "min_size": number(f"{where}.min_size", self.min_size, 0, 2**23),
            "per_image": self._names(),
            "flip_pairs": self._pairs(),
        }
        if self.box_format is not None:
            checked["box_format"] = format_name(f"{where}.box_format", self.box_format)
        if self.clip not in (None, *get_args(Clip)):
            raise ValueError(
                f"{where}.clip: got {self.clip!r}, expected 'visible', 'frame' or None. Pass one of these."
            )
        if not whole(self.fill):
            raise TypeError(
                f"{where}.fill: got {self.fill!r}, expected a whole number. Pass the number of a class."
            )
        if not (
            self.pad is None or isinstance(self.pad, bool) or (whole(self.pad) and self.pad > 0)
        ):
            raise ValueError(
                f"{where}.pad: got {self.pad!r}, expected True, a whole number above 0, or None. Pass the "
                "most instances that an output may have."
            )
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def _names(self) -> tuple[str, ...]:
        given = self.per_image
        names = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else None
        if names is None or not all(isinstance(name, str) for name in names):
            raise TypeError(
                f"TargetOptions.per_image: got {given!r}, expected names of fields. Pass a list of them."
            )
        return names

    def _pairs(self) -> tuple[tuple[int, int], ...]:
        try:
            pairs = tuple((operator.index(a), operator.index(b)) for a, b in self.flip_pairs)
        except (TypeError, ValueError):
            raise TypeError(
                f"TargetOptions.flip_pairs: got {self.flip_pairs!r}, expected pairs of numbers of points. "
                "Pass a list such as [(0, 1)]."
            ) from None
        return pairs
