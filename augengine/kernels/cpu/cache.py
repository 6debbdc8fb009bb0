"""The kernels as numba compiled them: on which disk they lie, who compiles them, what is said meanwhile."""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

from ... import random_numbers
from ...plan import kinds
from .. import bind, pixel
from .originals import original_builtins

# What is compiled for each dtype of sources: its words in a message, and the seconds that it takes.
PARTS = {
    "draw": ("the CPU kernel", 20),
    "filter": ("the CPU kernel's filters", 5),
    "measure": ("the CPU kernel's statistics", 5),
}
# Held while numba is imported, loads or compiles.
loading = threading.RLock()
_kernels: list[SimpleNamespace] = []
_noted: set[tuple[str, str]] = set()
# When numba's index of each part was last changed, as `load_cached` saw it.
_indices: dict[str, int] = {}


def load_kernels() -> SimpleNamespace:
    """The functions that numba compiles at their first call, or takes from its cache then."""
    if not _kernels:
        with loading, original_builtins():
            if not _kernels:
                _kernels.append(_import_kernels())
    return _kernels[0]


def _import_kernels() -> SimpleNamespace:
    import numba

    # numba keeps what it compiled beside the file that asked for it, and does not see a change
    # in the functions that were inlined. So its cache lies in a folder named by their source.
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(cache_folder())
    try:
        from .draw import draw
        from .filter import _filter, filtered
        from .finish import OUT_KINDS, Out
        from .statistics import _measure, measured
    finally:
        numba.config.CACHE_DIR = before
    return SimpleNamespace(
        draw=draw,
        filtered=filtered,
        measured=measured,
        Out=Out,
        OUT_KINDS=OUT_KINDS,
        compiled={"draw": draw, "filter": _filter, "measure": _measure},
    )


def load_cached() -> None:
    """Load all that numba's cache holds of the kernels for this machine, and compile nothing."""
    with loading, original_builtins():
        for part, function in load_kernels().compiled.items():
            cache = function._cache
            index = Path(cache._cache_file._index_path)
            changed = index.stat().st_mtime_ns if index.exists() else 0
            if _indices.get(part) == changed:
                continue
            function.targetctx.refresh()
            codegen = function.targetctx.codegen()
            for key in cache._cache_file._load_index():
                # Other keys are of another kind of CPU.
                if key == cache._index_key(key[0], codegen):
                    function.compile(key[0])
            _indices[part] = changed


@contextmanager
def first_call(part: str, dtype: str) -> Iterator[None]:
    """Around a call of a kernel, in whose first numba loads it, or compiles it if nobody has.

    Of several processes one compiles and says so; the others wait for it. A process that ends while it
    compiles leaves no note that it has.

    part: one of PARTS. dtype: the sources'.
    """
    if (part, dtype) in _noted:
        yield
        return
    with loading, original_builtins(), ExitStack() as stack:
        mark = _mark(part, dtype)
        if not mark.exists():
            stack.enter_context(_only_process())
            if not mark.exists():
                _announce(part, dtype)
        yield
        mark.touch()
        _noted.add((part, dtype))


def _announce(part: str, dtype: str) -> None:
    words, seconds = PARTS[part]
    print(
        f"augengine: compiling {words} for {dtype} images, once on this machine (some {seconds} s) …",
        file=sys.stderr,
        flush=True,
    )


@contextmanager
def _only_process() -> Iterator[None]:
    """A context that one process of this machine is in at a time. The lock is one on the cache's folder,
    which goes with the process that holds it."""
    folder = os.open(cache_folder(), os.O_RDONLY)
    try:
        # A file system without locks: every process then compiles for itself.
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        # A process that was forked meanwhile has the folder open too, so closing it is not enough.
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_UN)
        os.close(folder)


def _mark(part: str, dtype: str) -> Path:
    """An empty file beside numba's own, which say nothing of dtypes."""
    return cache_folder() / (f"{dtype}.compiled" if part == "draw" else f"{dtype}.{part}.compiled")


def cache_folder() -> Path:
    """Where numba keeps these very sources compiled. The folder exists."""
    digest, here = hashlib.sha256(), Path(__file__).parent
    also = [str(module.__file__) for module in (kinds, random_numbers, bind, pixel)]
    for path in [*sorted(here.glob("*.py")), *map(Path, also)]:
        digest.update(path.read_bytes())
    root = (
        os.environ.get("NUMBA_CACHE_DIR")
        or os.environ.get("XDG_CACHE_HOME")
        or Path.home() / ".cache"
    )
    folder = Path(root) / "augengine" / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a home that cannot be written; what is compiled is then kept until a restart
        folder = Path(tempfile.gettempdir()) / f"augengine-{os.getuid()}" / folder.name
        folder.mkdir(parents=True, exist_ok=True)
    return folder
