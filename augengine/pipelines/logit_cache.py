"""A teacher's answers on disk: a plan is a function of its key, so an answer need be computed once.

The file is a header, then a row for each (epoch, view, sample id), zeros where none has been written:

    check  uint32     a checksum of the rest and of where the row lies; 0: no row
    rest   float16    what each class that is not kept has, so that their share comes out right
    value  float16 [k]
    which  uint16 or uint32 [k]

Rows are mapped into memory and written in place, each by itself: a kill can tear the rows that were
under way, their checksum tells, and they count as not written.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

HEADER = 4096
FORMAT = 1
# Odd, so that no word can change a checksum by a multiple of 2³².
_MIX, _PLACE = 0x9E3779B1, 0x85EBCA6B


@dataclass(frozen=True)
class CacheKey:
    """What the answers depend on, besides epoch, sample id and view.

    teacher: models.fingerprint. policy: Policy.fingerprint. data: a hash of the images by id. seed: of
    the engine. classes, samples: how many; ids lie in [0, samples). top: classes kept of each answer.
    temperature: at which the classes that are not kept have the right share (without meaning if all
    are kept, and then 0).
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
    """`cache.read(epoch, ids)` and `cache.write(epoch, ids, logits)`.

    torn: rows found on opening whose checksum is wrong; they count as not written. `with` closes it.
    Raises ValueError if the file is of another key, or no cache.
    """

    def __init__(self, file: str | Path, key: CacheKey, *, views: int = 1):
        self.file, self.key, self.views = Path(file), key, views
        kept, index = min(key.top, key.classes), "<u2" if key.classes <= 2**16 else "<u4"
        fields: list = [
            ("check", "<u4"), ("rest", "<f2"), ("value", "<f2", kept), ("which", index, kept),
        ]  # fmt: skip
        # Checksums go by words of four bytes; padding that is no field would not be copied along.
        spare = -np.dtype(fields).itemsize % 4
        self.kept, self.row = kept, np.dtype([*fields, ("spare", "u1", spare)])
        self._create()
        self._check_header()
        self._rows = self._mapped()
        self.torn = self._drop_torn()

    def read(self, epoch: int, ids, view: int = 0) -> tuple[torch.Tensor, np.ndarray]:
        """(logits [n, classes] float32, which of them are there [n] bool); the others are NaN."""
        rows = self._at(epoch, ids, view)
        there = rows["check"] != 0
        logits = np.repeat(rows["rest"].astype(np.float32)[:, None], self.key.classes, axis=1)
        np.put_along_axis(logits, rows["which"].astype(np.int64), rows["value"], axis=1)
        logits[~there] = np.nan
        return torch.from_numpy(logits), there

    def write(self, epoch: int, ids, logits: torch.Tensor, view: int = 0) -> None:
        """logits: [n, classes], of any float dtype and device."""
        logits = logits.detach().float().cpu()
        value, which = logits.topk(self.kept, dim=1)
        rows = np.zeros(len(logits), self.row)
        with np.errstate(over="ignore"):  # what does not fit is refused below
            rows["value"], rows["which"] = value.numpy(), which.numpy()
        if self.kept < self.key.classes:
            t = self.key.temperature
            others = logits.scatter(1, which, -torch.inf)
            share = torch.logsumexp(others / t, dim=1) - np.log(self.key.classes - self.kept)
            rows["rest"] = (t * share).numpy()
        if not all(np.isfinite(rows[name]).all() for name in ("value", "rest")):
            raise ValueError(
                "logit cache: got logits that are not finite in float16, expected |logit| < 65,504. Look at "
                "the teacher: it has diverged, or scale its logits."
            )
        places = self._places(epoch, ids, view)
        rows["check"] = self._checksums(rows, places)
        self._reach(int(places.max(initial=0)) + 1)
        self._rows[places] = rows

    def missing(self, epochs: int, ids, view: int = 0) -> int:
        """How many of these samples' rows of the first `epochs` epochs are not there."""
        there = sum(int(self.read_checks(epoch, ids, view).sum()) for epoch in range(epochs))
        return epochs * len(ids) - there

    def read_checks(self, epoch: int, ids, view: int = 0) -> np.ndarray:
        """[n] bool: which rows are there."""
        return self._at(epoch, ids, view)["check"] != 0

    def flush(self) -> None:
        """Hand what was written to the disk."""
        self._rows.flush()

    def __enter__(self) -> LogitCache:
        return self

    def __exit__(self, *_) -> None:
        self.flush()

    def _places(self, epoch: int, ids, view: int) -> np.ndarray:
        ids = np.asarray(ids, np.int64)
        if len(ids) and not (0 <= ids.min() and ids.max() < self.key.samples):
            raise ValueError(
                f"logit cache: got ids from {ids.min()} to {ids.max()}, expected them in [0, "
                f"{self.key.samples}). Make the cache for as many samples."
            )
        if not 0 <= view < self.views:
            raise ValueError(
                f"logit cache: got view {view}, expected one below {self.views}. Make the cache with views=."
            )
        return (epoch * self.views + view) * self.key.samples + ids

    def _at(self, epoch: int, ids, view: int) -> np.ndarray:
        places = self._places(epoch, ids, view)
        rows = np.zeros(len(places), self.row)
        inside = places < self._length()
        if inside.any():
            self._reach(0)
            rows[inside] = self._rows[places[inside]]
        return rows

    def _length(self) -> int:
        return (os.path.getsize(self.file) - HEADER) // self.row.itemsize

    def _reach(self, rows: int) -> None:
        """Let the map hold at least so many rows, and what other processes have added."""
        block = self.views * self.key.samples
        if rows > self._length():
            # Whole epochs. Not by truncate, which could cut off what another process has added since.
            size = HEADER + -(-rows // block) * block * self.row.itemsize
            with open(self.file, "r+b") as opened:
                os.posix_fallocate(opened.fileno(), 0, size)
        if len(self._rows) < self._length():
            self._rows.flush()
            self._rows = self._mapped()

    def _mapped(self) -> np.memmap:
        block = max(self._length(), 1)
        return np.memmap(self.file, self.row, "r+", offset=HEADER, shape=(block,))

    def _create(self) -> None:
        """The file, if it is not there, with one epoch of room; whole or not at all."""
        if self.file.exists():
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        told = json.dumps({"format": FORMAT, "views": self.views, **asdict(self.key)}).encode()
        beside = self.file.with_name(f"{self.file.name}.{os.getpid()}")
        with open(beside, "wb") as opened:
            opened.write(told.ljust(HEADER))
            opened.truncate(HEADER + self.views * self.key.samples * self.row.itemsize)
        try:
            os.link(beside, self.file)  # fails if another process was first
        except FileExistsError:
            pass
        finally:
            beside.unlink()

    @staticmethod
    def key_of(file: str | Path) -> CacheKey:
        """The key that a cache was made for. Raises ValueError if the file is none, OSError if it is not
        there."""
        told = _header(Path(file))
        return CacheKey(**{name: told[name] for name in CacheKey.__dataclass_fields__})

    def _check_header(self) -> None:
        told = _header(self.file)
        wanted = {"format": FORMAT, "views": self.views, **asdict(self.key)}
        other = [name for name in wanted if told.get(name) != wanted[name]]
        if other:
            theirs = ", ".join(f"{name} {told.get(name)}" for name in other)
            ours = ", ".join(f"{name} {wanted[name]}" for name in other)
            raise ValueError(
                f"logit cache: {self.file} holds answers for {theirs}, expected {ours}. Answers to other "
                "images are no answers; name another file."
            )
        if (os.path.getsize(self.file) - HEADER) % (self.row.itemsize * self.key.samples):
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
        """Blank the rows whose checksum is wrong; how many those were."""
        torn, block = 0, 1 << 16
        for begin in range(0, len(self._rows), block):
            rows = np.array(self._rows[begin : begin + block])
            places = begin + np.arange(len(rows))
            wrong = (rows["check"] != 0) & (rows["check"] != self._checksums(rows, places))
            if wrong.any():
                self._rows[places[wrong]] = np.zeros(1, self.row)
                torn += int(wrong.sum())
        return torn


def _header(file: Path) -> dict:
    with open(file, "rb") as opened:
        head = opened.read(HEADER)
    try:
        told = json.loads(head)
    except ValueError:
        told = None
    wanted = {"format", "views", *CacheKey.__dataclass_fields__}
    if not isinstance(told, dict) or set(told) != wanted or told["format"] != FORMAT:
        raise ValueError(
            f"logit cache: {file} is no cache of this format. Remove it, or name another file."
        )
    return told
