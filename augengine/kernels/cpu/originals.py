"""Python's own builtins, while numba looks at them.

numba files what it compiles by the builtin objects: it asks for `print`, `range`, `len` … as it is imported
and as it loads its first function. A program that has put another `print` there, as many
training scripts do to silence all ranks but the first, makes its import fail; another `len` would be
taken for the true one.
"""

from __future__ import annotations

import builtins
import gc
import io
from collections.abc import Iterator
from contextlib import contextmanager
from types import BuiltinFunctionType

_HEAP_TYPE = 1 << 9  # the flag of a class that a program made
_found: dict[str, object] = {}  # originals by name; None where a name has none


@contextmanager
def original_builtins() -> Iterator[None]:
    """A context in which each replaced builtin is Python's own again. Other threads see it too.

    Behind it the replacements are back, but for what another thread has replaced meanwhile. Contexts
    must not overlap in several threads: whoever enters one holds a lock.
    """
    names = [name for name, value in vars(builtins).items() if _is_replaced(name, value)]
    _search([name for name in names if name not in _found])
    theirs = {name: getattr(builtins, name) for name in names if _found[name] is not None}
    try:
        for name in theirs:
            setattr(builtins, name, _found[name])
        yield
    finally:
        for name, value in theirs.items():
            if getattr(builtins, name, None) is _found[name]:
                setattr(builtins, name, value)


def _is_replaced(name: str, value: object) -> bool:
    """Whether a builtin is not Python's own. What no program calls by name counts as Python's: constants,
    names that begin with an underscore, and what `site` adds."""
    if name.startswith("_") or not callable(value) or value is io.open:
        return False
    if isinstance(value, type):
        return value.__module__ != "builtins"
    return not _is_function(value, name) and type(value).__module__ != "_sitebuiltins"


def _is_function(value: object, name: str) -> bool:
    return (
        type(value) is BuiltinFunctionType and value.__self__ is builtins and value.__name__ == name
    )


def _search(names: list[str]) -> None:
    """Find the originals of these names: the interpreter keeps them alive, under whatever name."""
    if not names:
        return
    _found.update(dict.fromkeys(names))
    for value in gc.get_objects():
        # The type first: to ask an object for an attribute may run its code.
        if type(value) is BuiltinFunctionType and value.__self__ is builtins:
            if value.__name__ in names:
                _found[value.__name__] = value
    classes: list[type] = [object]
    for each in classes:
        if not each.__flags__ & _HEAP_TYPE and each.__module__ == "builtins":
            if each.__name__ in names:
                _found[each.__name__] = each
            # A class of Python's own derives from nothing else.
            classes += type.__subclasses__(each)
