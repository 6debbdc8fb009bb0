"""augengine: augmentation decided as data, drawn in one pass over memory.

    Policy ──sample(keys, sizes)──▶ Plan ──execute(images)──▶ Batch

`Policy` says what may happen and how strongly; a `Plan` says what will happen to each sample of a
batch; `execute` draws it. `Engine` and `Collate` do both at once.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .api import *  # noqa: F403
    from .api import __all__ as __all__
    from .policy.ops import *  # noqa: F403  (mypy reads no list that is added to another)
else:
    # torch takes a second, so that it is imported with the first public name that is used, and not by
    # programs that only print their help. Type checkers read the names above: beside a function
    # __getattr__ they would pass any name.
    def __getattr__(name):
        special = name.startswith("__") and name != "__all__"
        # A module of ours is imported alone, because those that `api` imports name each other this way.
        if not special and "." not in name and find_spec(f"{__name__}.{name}") is not None:
            return import_module(f"{__name__}.{name}")
        if not special:
            api = import_module(f"{__name__}.api")
            for public in ("__all__", *api.__all__):
                globals().setdefault(public, getattr(api, public))
            if name in globals():
                return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        __getattr__("__all__")
        return sorted(globals())
