"""The kernels as numba compiled them: on which disk they lie, and what is said while they are compiled."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

from ... import random_numbers
from ...plan import kinds
from .. import bind, pixel

_kernels: list[SimpleNamespace] = []
_announced: set[str] = set()
_noted: set[str] = set()


def load_kernels() -> SimpleNamespace:
    """The functions that numba compiles at their first call, or takes from its cache then."""
    if not _kernels:
        import numba

        # numba keeps what it compiled beside the file that asked for it, and does not see a change
        # in the functions that were inlined. So its cache lies in a folder named by their source.
        before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(cache_folder())
        try:
            from .draw import draw
            from .filter import filtered
            from .finish import OUT_KINDS, Out
            from .statistics import measured
        finally:
            numba.config.CACHE_DIR = before
        _kernels.append(
            SimpleNamespace(
                draw=draw, filtered=filtered, measured=measured, Out=Out, OUT_KINDS=OUT_KINDS
            )
        )
    return _kernels[0]


def announce(dtype: str) -> None:
    """Say that the kernels are compiled for sources of this dtype, unless they have been before."""
    if dtype in _announced:
        return
    _announced.add(dtype)
    if not _mark(dtype).exists():
        print(
            f"augengine: compiling the CPU kernel for {dtype} images, once on this machine "
            "(some 20 s) …",
            file=sys.stderr,
            flush=True,
        )


def note_compiled(dtype: str) -> None:
    """Keep for later processes that the kernels are compiled for sources of this dtype. To be called
    when they have drawn: a process that ends while it compiles leaves no such note."""
    if dtype not in _noted:
        _noted.add(dtype)
        _mark(dtype).touch()


def _mark(dtype: str) -> Path:
    """An empty file beside numba's own, which say nothing of dtypes."""
    return cache_folder() / f"{dtype}.compiled"


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
