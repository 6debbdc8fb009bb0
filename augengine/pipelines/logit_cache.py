"""A teacher's answers on disk: a plan is a function of its key, so an answer need be computed once.

The file is a header, then a row for each (epoch, look, sample id). A row is zeros until it is written:

    check  uint32     a checksum of the rest and of where the row lies; 0: no row
    rest   float16    the logit of each class that is not kept, so that their share comes out right
    value  float16 [k]                 the logits of the classes that are kept
    which  uint16 or uint32 [k]        the numbers of these classes

Rows are written in place, each by itself. A kill can tear the rows that were under way: their checksums
are then wrong, and they count as not written. The file is not mapped into memory, so that a full disk or a
file that somebody cuts meanwhile is an error, and not the end of the process.
"""

from __future__ import annotations

import json
import os
import weakref
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch

from .. import systems
from ..aliases import Ids
from ..checks import number, shown, whole_number
from ..untrusted import opened, parse_json

HEADER = 4096
FORMAT = 1
# These are odd, so that no word can change a checksum by a multiple of 2³².
_MIX, _PLACE = 0x9E3779B1, 0x85EBCA6B


@dataclass(frozen=True)
class CacheKey:
    """What the answers depend on, besides epoch, sample id and look.

    Args:
        teacher: The `models.fingerprint` of the teacher.
        policy: The `Policy.fingerprint`.
        data: Hash of the images by id.
        seed: Seed of the engine.
        classes: Number of classes.
        samples: Number of samples; ids lie in [0, samples).
        top: Number of classes that are kept of each answer.
        temperature: Temperature at which the classes that are not kept have the right share. If
            all are kept it means nothing, and is 0.
        evaluation: Policy of test images as YAML, so that later students are tested as the teacher was;
            "" in files that do not say it.
    """

    teacher: str
    policy: str
    data: str
    seed: int
    classes: int
    samples: int
    top: int
    temperature: float = 0.0
    evaluation: str = ""


class LogitCache:
    """Answers by epoch, look and sample id, in a file; a `with` block flushes them at its end.

    Args:
        file: File, which is made if it does not exist.
        key: Key of what the answers depend on.
        looks: Number of looks at each sample, each of which has plans of its own.

    Attributes:
        torn_rows: Number of rows found on opening whose checksum is wrong.

    Raises:
        ValueError: When the file is of another key, or is no cache.
        OSError: When it cannot be made or written, for want of room, say.
    """

    def __init__(self, file: str | Path, key: CacheKey, *, looks: int = 1):
        systems.needs_posix("logit cache", "Train without one: the teacher then answers anew.")
        self.file, self.key, self.looks = Path(file), key, looks
        self.top = min(key.top, key.classes)
        self._allocated = 0  # rows that this process knows to have room
        index = "<u2" if key.classes <= 2**16 else "<u4"
        fields: list[Any] = [
            ("check", "<u4"), ("rest", "<f2"), ("value", "<f2", self.top), ("which", index, self.top),
        ]  # fmt: skip
        # Checksums go by words of four bytes; padding that is no field would not be copied along.
        spare = -np.dtype(fields).itemsize % 4
        self.row_type = np.dtype([*fields, ("spare", "u1", spare)])
        self._block = looks * key.samples * self.row_type.itemsize  # bytes of an epoch
        self._create()
        self._check_header()
        self._descriptor = os.open(self.file, os.O_RDWR | systems.flags("O_CLOEXEC"))
        weakref.finalize(self, os.close, self._descriptor)
        self._allocate(max(self._length(), 1))
        self.torn_rows = self._drop_torn()

    def read(self, epoch: int, ids: Ids, look: int = 0) -> tuple[torch.Tensor, np.ndarray]:
        """Answers, as far as there are any.

        Args:
            epoch: Epoch, 0 or more.
            ids: [n] ints in [0, samples).
            look: Number of the look at the samples, in [0, looks).

        Returns:
            Logits [n, classes] float32, NaN where there is no answer, and [n] bool, whether there is.

        Raises:
            ValueError: When a row holds what is no answer.
        """
        rows = self._read_rows(epoch, ids, look)
        present = rows["check"] != 0
        # Anybody can write a right checksum.
        if (rows["which"] >= self.key.classes).any() or not _finite(rows):
            raise ValueError(
                f"logit cache: {self.file} holds what is no answer for {self.key.classes} classes in epoch "
                f"{epoch}. Name another file, which is then computed."
            )
        logits = np.repeat(rows["rest"].astype(np.float32)[:, None], self.key.classes, axis=1)
        np.put_along_axis(logits, rows["which"].astype(np.int64), rows["value"], axis=1)
        logits[~present] = np.nan
        return torch.from_numpy(logits), present

    def write(self, epoch: int, ids: Ids, logits: torch.Tensor, look: int = 0) -> None:
        """Keep answers.

        Args:
            epoch: Epoch, 0 or more.
            ids: [n] ints in [0, samples).
            logits: [n, classes], of any float dtype and device.
            look: Number of the look at the samples, in [0, looks).

        Raises:
            ValueError: When a logit is not finite in float16.
            OSError: When the file cannot grow. What was written before is whole.
        """
        logits = logits.detach().float().cpu()
        value, which = logits.topk(self.top, dim=1)
        rows = np.zeros(len(logits), self.row_type)
        with np.errstate(over="ignore"):  # what does not fit is refused below
            rows["value"], rows["which"] = value.numpy(), which.numpy()
        if self.top < self.key.classes:
            t = self.key.temperature
            others = logits.scatter(1, which, -torch.inf)
            share = torch.logsumexp(others / t, dim=1) - np.log(self.key.classes - self.top)
            rows["rest"] = (t * share).numpy()
        if not _finite(rows):
            raise ValueError(
                "logit cache: got logits that are not finite in float16, expected |logit| < 65,504. Look at "
                "the teacher: it has diverged, or scale its logits."
            )
        places = self._places(epoch, ids, look)
        rows["check"] = self._checksums(rows, places)
        self._allocate(int(places.max(initial=0)) + 1)
        order, runs = _runs(places)
        ordered = rows[order]
        for first, begin, end in runs:
            self._write_at(first, ordered[begin:end])

    def missing(self, epochs: int, ids: Ids, look: int = 0) -> int:
        """How many answers for these ids the first `epochs` epochs lack."""
        return sum(int((~self.present(epoch, ids, look)).sum()) for epoch in range(epochs))

    def present(self, epoch: int, ids: Ids, look: int = 0) -> np.ndarray:
        """[n] bool: for which of the ids there is an answer; arguments as of `read`."""
        return self._read_rows(epoch, ids, look)["check"] != 0

    def flush(self) -> None:
        """Hand what was written to the disk."""
        os.fsync(self._descriptor)

    def __enter__(self) -> LogitCache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.flush()

    def _places(self, epoch: int, ids: Ids, look: int) -> np.ndarray:
        """[n] ints: the numbers of the rows in the file."""
        ids = np.asarray(ids, np.int64)
        if len(ids) and not (0 <= ids.min() and ids.max() < self.key.samples):
            raise ValueError(
                f"logit cache: got ids from {ids.min()} to {ids.max()}, expected them in [0, "
                f"{self.key.samples}). Make the cache for as many samples."
            )
        if not 0 <= look < self.looks:
            raise ValueError(
                f"logit cache: got look {look}, expected one below {self.looks}. Make the cache with looks=."
            )
        return (epoch * self.looks + look) * self.key.samples + ids

    def _read_rows(self, epoch: int, ids: Ids, look: int) -> np.ndarray:
        """Copies of the rows, of zeros where the file ends before."""
        places = self._places(epoch, ids, look)
        order, runs = _runs(places)
        ordered, rows = (np.zeros(len(places), self.row_type) for _ in range(2))
        for first, begin, end in runs:
            self._read_at(first, ordered[begin:end])
        rows[order] = ordered
        return rows

    def _read_at(self, first: int, into: np.ndarray) -> None:
        """Rows from the first on; those behind the file's end are left as they are."""
        size = self.row_type.itemsize
        done = os.preadv(self._descriptor, [into.view(np.uint8).data], HEADER + first * size)
        if done % size:  # somebody has cut a row
            into[done // size] = np.zeros((), self.row_type)

    def _write_at(self, first: int, rows: np.ndarray) -> None:
        data, at = rows.view(np.uint8).data, HEADER + first * self.row_type.itemsize
        while data:
            done = os.pwrite(self._descriptor, data, at)
            data, at = data[done:], at + done

    def _length(self) -> int:
        """The number of rows in the file, in whole epochs."""
        size = os.fstat(self._descriptor).st_size - HEADER
        return max(size, 0) // self._block * self.looks * self.key.samples

    def _allocate(self, rows: int) -> None:
        """Let the file have room on the disk for so many rows at least, in whole epochs.

        A file that is longer than what was written would have no room for it once the disk is full.
        """
        if rows <= self._allocated and rows <= self._length():
            return
        epoch = self.looks * self.key.samples
        size = HEADER + -(-rows // epoch) * self._block
        # One process at a time, so that what is cut off after a failure is nobody's.
        systems.fcntl.flock(self._descriptor, systems.fcntl.LOCK_EX)
        try:
            before = os.fstat(self._descriptor).st_size
            try:
                systems.reserve(self._descriptor, max(size, before))
            except OSError as error:
                os.ftruncate(self._descriptor, before)
                raise _no_room(self.file, size, error) from error
        finally:
            systems.fcntl.flock(self._descriptor, systems.fcntl.LOCK_UN)
        self._allocated = rows

    def _header(self) -> dict[str, Any]:
        """What the header of this cache says. `views` is the format's word for the looks."""
        return {"format": FORMAT, "views": self.looks, **asdict(self.key)}

    def _create(self) -> None:
        """Make the file with room for one epoch, if it does not exist: the whole file or none."""
        if self.file.exists():
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        partial = self.file.with_name(f"{self.file.name}.{os.getpid()}")
        partial.unlink(missing_ok=True)  # so that a link that lies there is not followed
        try:
            with open(partial, "xb") as stream:
                stream.write(json.dumps(self._header()).encode().ljust(HEADER))
                stream.flush()
                systems.reserve(stream.fileno(), HEADER + self._block)
                os.fsync(stream.fileno())
            os.link(partial, self.file)  # fails if another process was first
        except FileExistsError:
            pass
        except OSError as error:
            raise _no_room(self.file, HEADER + self._block, error) from error
        finally:
            partial.unlink(missing_ok=True)

    @staticmethod
    def key_of(file: str | Path) -> CacheKey:
        """The key that a cache was made for.

        Raises:
            ValueError: When the file is no cache.
            OSError: When there is no file.
        """
        header = _read_header(Path(file))
        return CacheKey(**{name: header[name] for name in CacheKey.__dataclass_fields__})

    def _check_header(self) -> None:
        header, expected = _read_header(self.file), self._header()
        if not header["evaluation"]:
            expected["evaluation"] = ""  # a file of an earlier version does not say it
        different = [name for name in expected if header.get(name) != expected[name]]
        if different:
            theirs = ", ".join(f"{name} {header.get(name)}" for name in different)
            ours = ", ".join(f"{name} {expected[name]}" for name in different)
            raise ValueError(
                f"logit cache: {self.file} holds answers for {theirs}, expected {ours}. Answers to other "
                "images are no answers; name another file."
            )
        if (os.path.getsize(self.file) - HEADER) % self._block:
            raise ValueError(
                f"logit cache: {self.file} has been cut short. Put a copy back, or name another file, which is "
                "then computed."
            )

    def _checksums(self, rows: np.ndarray, places: np.ndarray) -> np.ndarray:
        """[n] uint32, never 0."""
        words = (
            np.ascontiguousarray(rows).view("<u4").reshape(len(rows), -1)[:, 1:].astype(np.uint64)
        )
        total = (places.astype(np.uint64) * _PLACE + 1) & 0xFFFFFFFF
        for word in words.T:
            total = ((total ^ word) * _MIX) & 0xFFFFFFFF
            total ^= total >> 15
        return np.where(total == 0, 1, total).astype(np.uint32)

    def _drop_torn(self) -> int:
        """Blank the rows whose checksum is wrong. Returns how many those were."""
        count, block, length = 0, 1 << 16, self._length()
        for begin in range(0, length, block):
            rows = np.zeros(min(block, length - begin), self.row_type)
            self._read_at(begin, rows)
            places = begin + np.arange(len(rows))
            wrong = (rows["check"] != 0) & (rows["check"] != self._checksums(rows, places))
            for place in places[wrong]:
                self._write_at(int(place), np.zeros(1, self.row_type))
            count += int(wrong.sum())
        return count


def _finite(rows: np.ndarray) -> bool:
    return bool(np.isfinite(rows["value"]).all() and np.isfinite(rows["rest"]).all())


def _runs(places: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """The order that sorts places, and runs of neighbours in it: (the first place, begin, end)."""
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    begin = np.flatnonzero(np.diff(ordered, prepend=-2) != 1)
    end = np.append(begin[1:], len(places))
    return order, list(zip(ordered[begin].tolist(), begin.tolist(), end.tolist(), strict=False))


def _no_room(file: Path, size: int, error: OSError) -> OSError:
    return OSError(
        f"logit cache: {file} needs {size:,} bytes, which could not be had ({error.strerror}). What was "
        "written before is whole; make room, or name a file on another disk."
    )


def _read_header(file: Path) -> dict[str, Any]:
    """What the file says that its answers depend on."""
    fix = "Name another file."
    stream, _ = opened(file)
    with stream:
        text = stream.read(HEADER)
    if len(text) < HEADER:
        raise ValueError(
            f"logit cache: {file} is no cache of this format, or has been cut short. {fix}"
        )
    try:
        header = parse_json(text)
    except ValueError:
        header = None
    names = {"format", "views", *CacheKey.__dataclass_fields__}
    if isinstance(header, dict):
        header = {"evaluation": ""} | header
    if not isinstance(header, dict) or set(header) != names or header["format"] != FORMAT:
        raise ValueError(f"logit cache: {file} is no cache of this format. {fix}")
    try:
        for name in ("teacher", "policy", "data", "evaluation"):
            if not isinstance(header[name], str):
                raise TypeError(f"{name}: got {shown(header[name])}, expected text.")
        for name in ("views", "classes", "samples", "top"):
            whole_number(name, header[name], 1, 2**48)
        whole_number("seed", header["seed"], -(2**63), 2**64 - 1)
        number("temperature", header["temperature"], 0)
    except (TypeError, ValueError) as error:
        raise ValueError(f"logit cache: {file} has a damaged header: {error} {fix}") from None
    return header
