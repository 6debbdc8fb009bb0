"""Building a cache: read, decode and shrink in threads, write in order, the whole file or none."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from .. import systems
from .cache_file import ALIGNMENT, HEADER, ROW, Kept, Writer
from .cache_identity import spread
from .cache_samples import Recipe, channels_of

_MOST_DAMAGED = 1000  # samples, after which the others are not looked at
_MOST_SHOWN = 20
# What Pillow raises at damaged files, and the system at missing ones. What else is raised is no damage.
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError)


@contextmanager
def building(file: Path, standing: Callable[[], bool]) -> Iterator[BinaryIO | None]:
    """A new empty file beside `file`, which takes its place at the end of the block.

    One process at a time has it; others wait, and get None if `file` is there by then. A process that is
    killed leaves a file of another name, which the next one overwrites.

    Args:
        file: File that is to be.
        standing: Function that says whether `file` is there already.

    Raises:
        OSError: When the file cannot be made or written, for want of room, say.
    """
    partial = file.with_name(f"{file.name}.partial")
    stream = _locked(partial)
    with stream:
        try:
            if standing():
                partial.unlink()
                yield None
                return
            stream.truncate(0)
            yield stream
            partial.replace(file)
        except BaseException as error:
            partial.unlink(missing_ok=True)
            with suppress(OSError):  # what is still in the buffer need not be written
                stream.close()
            if isinstance(error, OSError) and error.errno is not None:  # else it is one of ours
                raise OSError(
                    f"cache: {file} could not be written ({error}). No cache was written: make room, or name "
                    "a file elsewhere."
                ) from error
            raise
    systems.sync(file.parent)


def _locked(partial: Path) -> BinaryIO:
    """A file, open for writing, that no other process has; it may wait for one that does."""
    while True:
        try:
            flags = os.O_RDWR | os.O_CREAT | systems.flags("O_NOFOLLOW", "O_CLOEXEC")
            descriptor = os.open(partial, flags, 0o666)
        except OSError as error:
            if not partial.is_symlink():
                raise OSError(
                    f"cache: {partial} cannot be made ({error}). Name a file that can."
                ) from error
            partial.unlink()  # the link, not what it leads to
            continue
        stream = os.fdopen(descriptor, "w+b")
        systems.fcntl.flock(stream, systems.fcntl.LOCK_EX)
        try:
            # Who had it before has renamed or removed it.
            if os.path.samestat(os.fstat(stream.fileno()), os.lstat(partial)):
                return stream
        except FileNotFoundError:
            pass
        stream.close()


def build(
    stream: BinaryIO,
    file: Path,
    dataset: Any,
    recipe: Recipe,
    about: dict[str, Any],
    name_of: Callable[[int], str],
    threads: int | None,
    progress: bool | None,
) -> None:
    """Write all samples of a dataset.

    Args:
        stream: File, open for writing, empty.
        file: The file that it will be.
        dataset: Map-style dataset.
        recipe: How its samples are kept.
        about: What the header says of the dataset.
        name_of: Function that gives the name of a sample for messages.
        threads: Number of threads that ask for samples too; None asks in this one, and decodes in threads.
        progress: Whether to show a bar; None shows one on a terminal.

    Raises:
        TypeError: A sample is none that a cache keeps, or comes otherwise when it is asked for again.
        ValueError: Samples cannot be read, with the names of all of them.
        OSError: The disk has no room.
    """
    count = len(dataset)
    looks = _look(dataset, recipe, name_of)
    _check_room(file, looks, count)
    writer, damaged = Writer(stream, count), {}
    channels = next((look.channels for look in looks.values()), None)
    workers = threads or systems.cores()
    with _bar(count, progress) as advance, ThreadPoolExecutor(workers, "augengine-cache") as pool:
        try:
            for i, result in enumerate(_kept(pool, 2 * workers, dataset, recipe, name_of, threads)):
                advance()
                if isinstance(result, Exception):
                    damaged[i] = result
                    if len(damaged) == _MOST_DAMAGED:
                        break
                elif not damaged:
                    look = _Look.at(result)
                    if look.channels != channels:
                        raise TypeError(_words_on_channels(name_of(i), look.channels, channels))
                    if looks.get(i, look) != look:
                        raise TypeError(_words_on_chance(name_of(i)))
                    writer.add(result)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    if damaged:
        raise ValueError(_words_on_damage(damaged, name_of, count))
    writer.finish(about)


class _Look(NamedTuple):
    """What one look at a sample found."""

    check: int
    nbytes: int
    channels: int

    @classmethod
    def at(cls, kept: Kept) -> _Look:
        nbytes = kept.pixels.nbytes + len(kept.rest)
        return cls(kept.check, nbytes, channels_of(kept.pixels, kept.kind))


def _look(dataset: Any, recipe: Recipe, name_of: Callable[[int], str]) -> dict[int, _Look]:
    """A first look at some samples, those left out that cannot be read."""
    looks = {}
    for i in spread(len(dataset)):
        with suppress(*_DAMAGE):
            looks[i] = _Look.at(recipe.keep(dataset[i], name_of(i)))
    return looks


def _check_room(file: Path, looks: dict[int, _Look], count: int) -> None:
    if not looks:
        return
    each = sum(look.nbytes for look in looks.values()) / len(looks) + ALIGNMENT / 2 + ROW.itemsize
    needed, status = int(HEADER + count * each), os.statvfs(file.parent)
    free = status.f_bavail * status.f_frsize
    if needed > free:
        raise OSError(
            f"cache: {file} needs about {needed:,} bytes for {count:,} samples, and the disk has {free:,}. "
            "Name a file on another disk, or pass size=, which keeps smaller images."
        )


def _kept(
    pool: ThreadPoolExecutor,
    ahead: int,
    dataset: Any,
    recipe: Recipe,
    name_of: Callable[[int], str],
    threads: int | None,
) -> Iterator[Kept | Exception]:
    """What is kept of each sample, in order, or why it cannot be read."""

    def keep(i: int, sample: Any) -> Kept:
        return recipe.keep(sample, name_of(i))

    def read_and_keep(i: int) -> Kept:
        return keep(i, dataset[i])

    waiting: deque[Future[Kept] | Exception] = deque()
    for i in range(len(dataset)):
        if threads is not None:
            waiting.append(pool.submit(read_and_keep, i))
        else:
            try:
                waiting.append(pool.submit(keep, i, dataset[i]))
            except _DAMAGE as error:
                waiting.append(error)
        if len(waiting) >= ahead:
            yield _result(waiting.popleft())
    while waiting:
        yield _result(waiting.popleft())


def _result(future: Future[Kept] | Exception) -> Kept | Exception:
    if isinstance(future, Exception):
        return future
    try:
        return future.result()
    except _DAMAGE as error:
        return error


def _words_on_channels(name: str, channels: int, others: int | None) -> str:
    return (
        f"cache: {name} has {channels} channel(s), and others have {others}, expected the same for all, as in "
        "a batch. Pass mode='RGB' or mode='L' for PIL images, or convert arrays in the dataset. No cache was "
        "written."
    )


def _words_on_chance(name: str) -> str:
    return (
        f"cache: {name} came otherwise when it was asked for again, expected the same each time. Take random "
        "transforms out of the dataset: a policy draws them anew each epoch. If it has none, it cannot be "
        "called from several threads: leave threads= out. No cache was written."
    )


def _words_on_damage(
    damaged: dict[int, Exception], name_of: Callable[[int], str], count: int
) -> str:
    shown = [f"{name_of(i)} ({error})" for i, error in list(damaged.items())[:_MOST_SHOWN]]
    if len(damaged) > _MOST_SHOWN:
        shown.append(f"and {len(damaged) - _MOST_SHOWN:,} more")
    stopped = " and the rest was not looked at" if len(damaged) == _MOST_DAMAGED else ""
    return (
        f"cache: {len(damaged):,} of {count:,} samples cannot be read{stopped}: {'; '.join(shown)}. Write "
        "their files anew, or leave them out of the dataset. No cache was written."
    )


@contextmanager
def _bar(count: int, progress: bool | None) -> Iterator[Callable[[], None]]:
    if not (sys.stderr.isatty() if progress is None else progress):
        yield lambda: None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("cache"), bars.BarColumn(), bars.MofNCompleteColumn(), bars.TimeRemainingColumn(),
    )  # fmt: skip
    with bars.Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("cache", total=count)
        yield lambda: bar.advance(task)
