"""griffe's extension: our docstrings have a section `Example:`, which Google's style calls `Examples:`."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Example(griffe.Extension):
    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = re.sub(
                r"^Example:$", "Examples:", obj.docstring.value, flags=re.M
            )
