"""What the server keeps of a browser tab."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..policy.policy import Policy
from .album import Album
from .pictures import View
from .steps import Path, Step


@dataclass(frozen=True)
class Session:
    """What a browser tab holds.

    Args:
        steps: Steps, which may be wrong.
        path: Place of the step whose form is shown; empty for none.
        good: The last policy that was drawn.
        view: What of the images is looked at.
        album: Images that were sent to the page; None is the page's own.
        tile: (row, draw) of the tile that is explained, or None.
        form: Number of the form, which is made anew when it changes.
        as_text: Whether a form has lines of text in the place of sliders.
        measured: What the cost was measured for: fingerprint, seed, strength, images.
    """

    steps: tuple[Step, ...] = ()
    path: Path = ()
    good: Policy = field(default_factory=lambda: Policy([]))
    view: View = field(default_factory=View)
    album: Album | None = None
    tile: tuple[int, int] | None = None
    form: int = 0
    as_text: bool = False
    measured: tuple[Any, ...] = ()
