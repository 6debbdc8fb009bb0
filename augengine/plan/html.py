"""What a notebook shows of a plan, a policy or a batch: HTML, which a wing above gives.

To draw pictures is another wing's part, which those that hold plans do not know. It says here how it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_html: Callable[[Any], str | None] | None = None


def html_by(function: Callable[[Any], str | None]) -> None:
    """Have notebooks shown what a function gives: HTML of an object, or None for its text."""
    global _html
    _html = function


def html_of(shown: Any) -> str | None:
    """HTML of an object; None, upon which notebooks show its text, where nothing is there to draw it."""
    return None if _html is None else _html(shown)
