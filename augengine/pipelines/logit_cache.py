"""A teacher's answers on disk: a plan is a function of its key, so an answer need be computed once.

The file is a header, then a row for each (epoch, look, sample id). A row is zeros until it is written:

    check  uint32     a checksum of the rest and of where the row lies; 0: no row
    rest   float16    the logit of each class that is not kept, so that their share comes out right
    value  float16 [k]                 the logits of the classes that are kept
    which  uint16 or uint32 [k]        the numbers of these classes

Rows are mapped into memory and written in place, each by itself. A kill can tear the rows that were
under way: their checksums are then wrong, and they count as not written.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch

from ..aliases import Ids

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
    """

    teacher: str
    policy: str
    data: str
    seed: int
    classes: int
    samples: int
    top: int
    temperature: float = 0.0


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
    """

    def __init__(self, file: str | Path, key: CacheKey, *, looks: int = 1):
        self.file, self.key, self.looks = Path(file), key, looks
        self.top = min(key.top, key.classes)
        index = "<u2" if key.classes <= 2**16 else "<u4"
        fields: list[Any] = [
            ("check", "<u4"), ("rest", "<f2"), ("value", "<f2", self.top), ("which", index, self.top),
        ]  # fmt: skip
        # Checksums go by words of four bytes; padding that is no field would not be copied along.
        spare = -np.dtype(fields).itemsize % 4
        self.row_type = np.dtype([*fields, ("spare", "u1", spare)])
        self._create()
        self._check_header()
        self._rows = self._map()
        self.torn_rows = self._drop_torn()

    def read(self, epoch: int, ids: Ids, look: int = 0) -> tuple[torch.Tensor, np.ndarray]:
        """Answers, as far as there are any.

        Args:
            epoch: Epoch, 0 or more.
            ids: [n] ints in [0, samples).
            look: Number of the look at the samples, in [0, looks).

        Returns:
            Logits [n, classes] float32, NaN where there is no answer, and [n] bool, whether there is.
        """
        rows = self._read_rows(epoch, ids, look)
        present = rows["check"] != 0
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
        if not all(np.isfinite(rows[name]).all() for name in ("value", "rest")):
            raise ValueError(
                "logit cache: got logits that are not finite in float16, expected |logit| < 65,504. Look at "
                "the teacher: it has diverged, or scale its logits."
            )
        places = self._places(epoch, ids, look)
        rows["check"] = self._checksums(rows, places)
        self._reach(int(places.max(initial=0)) + 1)
        self._rows[places] = rows

    def missing(self, epochs: int, ids: Ids, look: int = 0) -> int:
        """How many answers for these ids the first `epochs` epochs lack."""
        return sum(int((~self.present(epoch, ids, look)).sum()) for epoch in range(epochs))

    def present(self, epoch: int, ids: Ids, look: int = 0) -> np.ndarray:
        """[n] bool: for which of the ids there is an answer; arguments as of `read`."""
        return self._read_rows(epoch, ids, look)["check"] != 0

    def flush(self) -> None:
        """Hand what was written to the disk."""
        self._rows.flush()

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
        rows = np.zeros(len(places), self.row_type)
        inside = places < self._length()
        if inside.any():
            self._reach(0)
            rows[inside] = self._rows[places[inside]]
        return rows

    def _length(self) -> int:
        """The number of rows in the file."""
        return (os.path.getsize(self.file) - HEADER) // self.row_type.itemsize

    def _reach(self, rows: int) -> None:
        """Let the map hold at least so many rows, and what other processes have added."""
        block = self.looks * self.key.samples
        if rows > self._length():
            # The file grows by whole epochs, and not by truncate, which could cut off what another
            # process has added since.
            size = HEADER + -(-rows // block) * block * self.row_type.itemsize
            with open(self.file, "r+b") as opened:
                os.posix_fallocate(opened.fileno(), 0, size)
        if len(self._rows) < self._length():
            self._rows.flush()
            self._rows = self._map()

    def _map(self) -> np.memmap:
        length = max(self._length(), 1)
        return np.memmap(self.file, self.row_type, "r+", offset=HEADER, shape=(length,))

    def _header(self) -> dict[str, Any]:
        """What the header of this cache says. `views` is the format's word for the looks."""
        return {"format": FORMAT, "views": self.looks, **asdict(self.key)}

    def _create(self) -> None:
        """Make the file with room for one epoch, if it does not exist: the whole file or none."""
        if self.file.exists():
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        partial = self.file.with_name(f"{self.file.name}.{os.getpid()}")
        with open(partial, "wb") as opened:
            opened.write(json.dumps(self._header()).encode().ljust(HEADER))
            opened.truncate(HEADER + self.looks * self.key.samples * self.row_type.itemsize)
        try:
            os.link(partial, self.file)  # fails if another process was first
        except FileExistsError:
            pass
        finally:
            partial.unlink()

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
        different = [name for name in expected if header.get(name) != expected[name]]
        if different:
            theirs = ", ".join(f"{name} {header.get(name)}" for name in different)
            ours = ", ".join(f"{name} {expected[name]}" for name in different)
            raise ValueError(
                f"logit cache: {self.file} holds answers for {theirs}, expected {ours}. Answers to other "
                "images are no answers; name another file."
            )
        if (os.path.getsize(self.file) - HEADER) % (self.row_type.itemsize * self.key.samples):
            raise ValueError(
                f"logit cache: {self.file} has been cut short. Remove it; it is computed anew."
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
        count, block = 0, 1 << 16
        for begin in range(0, len(self._rows), block):
            rows = np.array(self._rows[begin : begin + block])
            places = begin + np.arange(len(rows))
            wrong = (rows["check"] != 0) & (rows["check"] != self._checksums(rows, places))
            if wrong.any():
                self._rows[places[wrong]] = np.zeros(1, self.row_type)
                count += int(wrong.sum())
        return count


def _read_header(file: Path) -> dict[str, Any]:
    with open(file, "rb") as opened:
        text = opened.read(HEADER)
    try:
        header = json.loads(text)
    except ValueError:
        header = None
    names = {"format", "views", *CacheKey.__dataclass_fields__}
    if not isinstance(header, dict) or set(header) != names or header["format"] != FORMAT:
        raise ValueError(
            f"logit cache: {file} is no cache of this format. Remove it, or name another file."
        )
    return header
