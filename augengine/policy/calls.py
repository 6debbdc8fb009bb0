"""What a call of an op or a policy with an image does: `draw`, which a wing above gives.

To decide is this wing's part and to draw is another's, which it does not know. `loading.at_once` has both,
and says here how it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_draw: Callable[[Any, Any, tuple[object, ...]], Any] | None = None


def draw_by(function: Callable[[Any, Any, tuple[object, ...]], Any]) -> None:
    """Have calls answered by function(op or policy, image, what else was passed)."""
    global _draw
    _draw = function


def draw(called: Any, image: Any, beside: tuple[object, ...]) -> Any:
    """The image after an op or a policy."""
    if _draw is None:
        raise TypeError(
            f"{type(called).__name__}: was called, and what draws is not imported, expected it to be. "
            "Run import augengine."
        )
    return _draw(called, image, beside)
