"""The table of the demo: the engine and other libraries, timed on one batch of photographs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import torch

from .. import Batch, Engine, Plan, Policy, execute
from . import measure, peers
from .measure import Timing
from .photographs import MOST_BYTES, Photograph

if TYPE_CHECKING:
    from rich.console import Console

BATCH = 96  # photographs that are timed, at most
SECONDS = 12.0
ROUNDS = 15
# Those that draw images of any sizes at speed.
SHOWN = ("torchvision v2", "albumentations", "variopinta", "augrs")

Say = Callable[[str], object]


@dataclass(frozen=True)
class Row:
    """A contender of the table.

    Args:
        name: Name of the library.
        threads: Number of threads that torch has.
        images: Number of images in a batch.
        timing: Timing of the rounds, or None where `note` says why there are none.
        nbytes: Bytes that must be read and written.
        floor: Seconds in which memory copies so many, measured in the same rounds.
        note: Remark below the table.
    """

    name: str
    threads: int
    images: int = 0
    timing: Timing | None = None
    nbytes: int = 0
    floor: float = 0.0
    note: str = ""


def compare(
    engine: Engine[Batch],
    photographs: Sequence[Photograph],
    epoch: int,
    batch: int = BATCH,
    seconds: float = SECONDS,
    say: Say = lambda text: None,
) -> list[Row]:
    """Time the engine and the peers on one ragged batch: on one thread by turns, then on all.

    Every contender draws new parameters in each round, and writes into reused memory.

    Args:
        engine: Engine, whose policy the peers get too.
        photographs: Photographs that the batch is made of; they repeat.
        epoch: First epoch of the engine.
        batch: Number of images, at most.
        seconds: Time that all rounds take, in about.
        say: Function that is told what is going on.
    """
    images = _batch(photographs, batch)
    ids = np.arange(len(images))
    plan = engine.plan([image.shape[:2] for image in images], ids, epoch)
    policy = engine.policy
    assert isinstance(plan, Plan), "the demo has no Views"
    assert isinstance(policy, Policy)
    out = execute(plan, images)
    nbytes = measure.floor_bytes(plan)
    epochs = count(epoch)
    contenders: dict[str, Callable[[], object]] = {
        "copy": measure.copier(),
        "augengine": lambda: engine(images, ids=ids, epoch=next(epochs), out=out),
    }
    peer_works, notes, missing = _peers(policy, images, out, say)

    all_threads = torch.get_num_threads()
    rows = []
    try:
        for threads in sorted({1, all_threads}):
            torch.set_num_threads(threads)
            _set_opencv_threads(0)
            works = contenders | peer_works if threads == 1 else contenders
            text = f"measuring on {threads} thread{'s' * (threads > 1)}"
            times = measure.interleaved(
                works, rounds=ROUNDS, seconds=seconds / 2, after=partial(_say_round, say, text)
            )
            floor = measure.floor_seconds(nbytes, times.pop("copy"))
            rows += [
                Row(name, threads, len(images), timing, nbytes, floor, notes.get(name, ""))
                for name, timing in times.items()
            ]
    finally:
        torch.set_num_threads(all_threads)
        _set_opencv_threads(-1)
    return rows + missing


def _batch(photographs: Sequence[Photograph], batch: int) -> list[np.ndarray]:
    """uint8 (H, W, 3) each: the photographs in turn.

    Each is in memory of its own: a cache then holds no more of them than it would of different ones.
    """
    mean_bytes = sum(p.pixels.nbytes for p in photographs) / len(photographs)
    size = max(1, min(batch, int(MOST_BYTES / mean_bytes)))
    return [photographs[i % len(photographs)].pixels.copy() for i in range(size)]


def _peers(
    policy: Policy, images: list[np.ndarray], out: torch.Tensor, say: Say
) -> tuple[dict[str, Callable[[], object]], dict[str, str], list[Row]]:
    """The peers' calls, where they do less or other work, and rows of those that have none, with the
    reason."""
    works: dict[str, Callable[[], object]] = {}
    notes: dict[str, str] = {}
    missing = []
    for name in SHOWN:
        peer = peers.PEERS[name]
        say(f"preparing {name} …")
        try:
            work = peer.translate(policy)
        except ImportError:
            note = f"not installed; to compare: pip install '{peer.package}'"
            missing.append(Row(name, 1, note=note))
        except peers.Untranslated as reason:
            missing.append(Row(name, 1, note=f"not compared: {reason}"))
        else:
            # Each has an output buffer of its own, reused like ours.
            given = peers.given(images, work.takes)
            works[name] = partial(work, given, torch.empty_like(out))
            notes[name] = ", ".join(work.notes)
    return works, notes, missing


def _say_round(say: Say, text: str, done: int, total: int) -> None:
    say(f"{text}, round {done} of {total} …")


def _set_opencv_threads(threads: int) -> None:
    """OpenCV's own threads, if albumentations brought it in: 0 is none, −1 its default."""
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(threads)


def print_table(console: Console, rows: Sequence[Row]) -> None:
    """Print the rows, the remarks on them, and what was measured on what machine.

    Args:
        console: Console of rich.
        rows: Rows that `compare` gave.
    """
    from rich import box
    from rich.table import Table

    ours = next(row for row in rows if row.name == "augengine" and row.threads == 1)
    assert ours.timing is not None
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title="the same policy, float32 out",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("")
    for heading in ("threads", "images/s", "spread", "× memory floor", "augengine is"):
        table.add_column(heading, justify="right")
    for row in rows:
        if row.timing is None:
            continue
        median = row.timing.median
        is_ours = row.name == "augengine"
        table.add_row(
            row.name,
            str(row.threads),
            f"{row.images / median:,.0f}",
            f"±{100 * row.timing.spread:.0f} %",
            f"{median / row.floor:.1f}",
            "" if is_ours else f"{median / ours.timing.median:.1f}× as fast",
        )
    console.print(table)
    for row in rows:
        if row.note:
            console.print(f"{row.name}: {row.note}", markup=False, style="yellow")
    console.print(
        f"{ours.images} photographs of full size, medians of {len(ours.timing)} rounds taken by "
        "turns; spread is half the distance of the quartiles. Memory floor: the time to copy the "
        "bytes that must be read and written, "
        f"{ours.nbytes / 1e6:.0f} MB at {ours.nbytes / ours.floor / 1e9:.0f} GB/s on one thread. "
        "A library whose note says nothing does what the policy says.\n"
        f"{measure.machine()}; "
        + measure.versions(
            "torch",
            "numba",
            "torchvision",
            "albumentations",
            "opencv-python-headless",
            "variopinta",
            "augrs-py",
        ),
        markup=False,
        style="dim",
    )
