"""The kernels as numba compiled them: taken from disk, or compiled and kept there, and what is said of it."""

from __future__ import annotations

import hashlib
import pickle
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from ... import compiled, elementary, random_numbers
from . import folder
from .folder import DamagedError, Turn, say
from .originals import original_builtins

if TYPE_CHECKING:
    from numba.core.base import BaseContext
    from numba.core.codegen import Codegen
    from numba.core.compiler import CompileResult
    from numba.core.types import Type

# What is compiled for each dtype of sources: its words in a message, and the seconds that it takes.
PARTS = {
    "draw": ("the CPU kernel", 20),
    "filter": ("the CPU kernel's filters", 5),
    "measure": ("the CPU kernel's statistics", 5),
}
TWINS_SECONDS = 10
# Held while numba is imported, loads or compiles.
loading = threading.RLock()
_kernels: list[SimpleNamespace] = []
_noted: set[tuple[str, str]] = set()
_turn = Turn()


def load_kernels() -> SimpleNamespace:
    """The functions that numba compiles at their first call, or takes from disk then."""
    if not _kernels:
        with loading, original_builtins():
            if not _kernels:
                _kernels.append(_import_kernels())
    return _kernels[0]


def _import_kernels() -> SimpleNamespace:
    from numba import config

    if config.DISABLE_JIT:
        raise ValueError(
            "execute: NUMBA_DISABLE_JIT is set, and the cpu executor is compiled code, expected it unset. "
            "Unset it, or pass executor='torch'."
        )
    from .draw import draw
    from .filter import SPARE, filter_pictures
    from .finish import OUT_KINDS, Out
    from .shaped import longest_of, shapes_of
    from .statistics import _measure, measured

    compiled = {"draw": draw, "filter": filter_pictures, "measure": _measure}
    for part, function in compiled.items():
        function._cache = Kept(part)
    return SimpleNamespace(
        draw=draw,
        filter_pictures=filter_pictures,
        SPARE=SPARE,
        shapes_of=shapes_of,
        longest_of=longest_of,
        measured=measured,
        Out=Out,
        OUT_KINDS=OUT_KINDS,
        compiled=compiled,
    )


def load_cached() -> None:
    """Load all that is on disk of the kernels for this machine, and compile nothing."""
    with loading, original_builtins():
        for function in load_kernels().compiled.values():
            function.targetctx.refresh()
            for signature in function._cache.new_signatures(function.targetctx.codegen()):
                function.compile(signature)
    load_twins(compile=False)


def load_twins(compile: bool = True) -> None:
    """Decide by compiled code from now on: by `deciding`, from disk, or compiled and kept there.

    compile: whether they are compiled where nobody has; if not, the definitions go on running.
    """
    if compiled.in_use():
        return
    with loading, original_builtins():
        from numba import config

        if config.DISABLE_JIT:  # the definitions do as well
            return
        from .deciding import drafts, entries, numbers, plans, tables  # noqa: F401

        kept = Together([function for function, _ in entries.ENTRIES])
        if not kept.load() and compile:
            _turn.take()
            try:
                if not kept.load():  # meanwhile another process may have
                    say(f"compiling the sampler, once on this machine (some {TWINS_SECONDS} s) …")
                    kept.compile([signature for _, signature in entries.ENTRIES])
            finally:
                _turn.end()
        if all(function.overloads for function, _ in entries.ENTRIES):
            for function, _ in entries.ENTRIES:
                function.disable_compile()  # numbers that are converted would be compiled for anew
            compiled.use(entries.TWINS)


@contextmanager
def first_call(part: str, dtype: str) -> Iterator[bool]:
    """Around a call of a kernel, in whose first numba loads it, or compiles it if nobody has.

    Of several processes one compiles and says so; the others wait for it.

    part: one of PARTS. dtype: the sources'. It yields whether this is the first call.
    """
    if (part, dtype) in _noted:
        yield False
        return
    with loading, original_builtins():
        try:
            yield True
        finally:
            _turn.end()
        _noted.add((part, dtype))


class Kept:
    """The compiled code of one kernel on disk, a file for each signature: what a numba function asks as
    its `_cache`.

    numba's own keeps a pickled index, which two processes can spoil, and loads machine code unseen: a
    damaged file ends the process.
    """

    def __init__(self, part: str):
        self._part = part
        self._seen: set[str] = set()

    @property
    def cache_path(self) -> Path | None:
        return folder.cache_folder()

    def load_overload(
        self, signature: tuple[Type, ...], context: BaseContext
    ) -> CompileResult | None:
        """What was compiled for the signature; None where numba is to compile it now."""
        context.refresh()
        name = self._name(signature, context.codegen())
        found, _ = self._load(name, context)
        if found is None:
            _turn.take()
            found, damage = self._load(name, context)  # meanwhile another process may have
            if found is None:
                self._announce(signature, name, damage)
            else:
                _turn.end()
        return found

    def save_overload(self, signature: tuple[Type, ...], compiled: CompileResult) -> None:
        """Keep what numba has compiled. Where that fails, say so: this process has it anyway."""
        from numba.core.serialize import dumps

        assert not compiled.library.has_dynamic_globals  # addresses of this process
        name = self._name(signature, compiled.library.codegen)
        try:
            folder.write(name, dumps((signature, compiled._reduce())))
        except OSError as error:
            say(
                f"got no room for {PARTS[self._part][0]} in {folder.cache_folder()} ({error.strerror}), "
                "expected a folder that keeps it. This process has it, the next compiles it again. Free "
                "some space, or set NUMBA_CACHE_DIR to another folder."
            )
        finally:
            _turn.end()

    def new_signatures(self, codegen: Codegen) -> Iterator[tuple[Type, ...]]:
        """The signatures of the whole files for this machine that this process has not been told yet."""
        for name in folder.names(self._machine(codegen)):
            if name not in self._seen:
                self._seen.add(name)
                try:
                    contents = folder.read(name)
                    if contents is not None:
                        yield pickle.loads(contents)[0]
                except DamagedError:  # whoever needs it compiles it, and says so
                    continue

    def _load(self, name: str, context: BaseContext) -> tuple[CompileResult | None, str]:
        """(what was compiled or None, the damage that the file has or an empty text)."""
        from numba.core.compiler import CompileResult

        try:
            contents = folder.read(name)
            if contents is None:
                return None, ""
            return CompileResult._rebuild(context, *pickle.loads(contents)[1]), ""
        except DamagedError as error:
            return None, str(error)

    def _announce(self, signature: tuple[Type, ...], name: str, damage: str) -> None:
        words, seconds = PARTS[self._part]
        what = f"{words} for {signature[2]} images"  # the third argument is one of their values
        if damage:
            path = (folder.cache_folder() or Path()) / name
            say(f"compiling {what} anew (some {seconds} s), since {path} is damaged: {damage} …")
        else:
            say(f"compiling {what}, once on this machine (some {seconds} s) …")

    def _machine(self, codegen: Codegen) -> str:
        """The beginning of the names of all files that this machine and this numba can load."""
        return f"{self._part}-{_machine(codegen)}-"

    def _name(self, signature: tuple[Type, ...], codegen: Codegen) -> str:
        return f"{self._machine(codegen)}{_short(signature)}.compiled"


class Together:
    """The compiled code of many small functions in one file: each of its own would be slower to load."""

    def __init__(self, functions: list) -> None:
        self._functions = functions
        context = functions[0].targetctx
        context.refresh()
        sources = sorted(Path(__file__).parent.glob("deciding/*.py"))
        sources += [Path(str(module.__file__)) for module in (elementary, random_numbers)]
        of_sources = [path.read_bytes() for path in sources]
        self._name = f"decide-{_machine(context.codegen())}-{_short(of_sources)}.compiled"

    def load(self) -> bool:
        """Take them from disk, if they are there and whole."""
        from numba.core.compiler import CompileResult

        try:
            contents = folder.read(self._name)
        except DamagedError:  # who compiles them writes the file anew
            return False
        if contents is None:
            return False
        for function, of_it in zip(self._functions, pickle.loads(contents), strict=True):
            function.add_overload(CompileResult._rebuild(function.targetctx, *of_it))
        return True

    def compile(self, signatures: list[tuple]) -> None:
        """Compile them, and keep them where there is room."""
        from numba.core.serialize import dumps

        reduced = []
        for function, signature in zip(self._functions, signatures, strict=True):
            function.compile(signature)
            reduced.append(function.overloads[signature]._reduce())
        with suppress(OSError):  # this process has them; of no room the kernels tell
            folder.write(self._name, dumps(reduced))


def _machine(codegen: Codegen) -> str:
    import numba

    return _short((numba.__version__, sys.implementation.cache_tag, *codegen.magic_tuple()))


def _short(parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
