"""What `benchmarks.soak` counts after each lap, and whether it grows: Linux's /proc, a slope, a table.

The slope is Theil and Sen's: the median of the slopes of all pairs of laps, which single laps do not move.
A figure is flat if that slope, over all laps after the warm-up, is at most its tolerance.
"""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import augengine as ae

RESULT = Path(__file__).parent / "results" / "soak.md"
PICTURE = RESULT.with_suffix(".png")
WARM_UP = 0.25  # of the laps: memory is taken as sizes come for the first time
MIB = 2**20


@dataclass(frozen=True)
class Figure:
    """A figure of the table: its words, its unit, and how much it may grow in all, as a share of its
    median or as a number, whichever is more."""

    words: str
    unit: str
    share: float
    least: float


FIGURES = {
    "memory": Figure("memory of the process (RSS)", "MiB", 0.02, 8),
    "workers_memory": Figure("memory of a worker that stays (RSS)", "MiB", 0.02, 8),
    "shared_memory": Figure("/dev/shm in use", "MiB", 0.02, 4),
    "descriptors": Figure("descriptors of the process", "", 0, 0.5),
    "workers_descriptors": Figure("descriptors of a worker that stays", "", 0, 0.5),
    "threads": Figure("threads of the process", "", 0, 0.5),
    "workers": Figure("workers", "", 0, 0.5),
}


@dataclass(frozen=True)
class Sample:
    """The figures after a lap. Memory in MiB; of workers the mean."""

    seconds: float
    batches: int
    memory: float
    workers_memory: float
    shared_memory: float
    descriptors: int
    workers_descriptors: float
    threads: int
    workers: int


@dataclass(frozen=True)
class Trend:
    """How a figure went after the warm-up. growth: by the slope, from the first lap to the last."""

    figure: Figure
    begin: float
    end: float
    growth: float
    tolerance: float

    @property
    def flat(self) -> bool:
        return self.growth <= self.tolerance


def sample(seconds: float, batches: int, workers: Sequence[int]) -> Sample:
    """Count now. workers: their process ids."""
    own = os.getpid()
    shared = os.statvfs("/dev/shm")
    return Sample(
        seconds,
        batches,
        _memory(own),
        _mean(map(_memory, workers)),
        (shared.f_blocks - shared.f_bfree) * shared.f_frsize / MIB,
        _entries(own, "fd"),
        _mean(_entries(worker, "fd") for worker in workers),
        _entries(own, "task"),
        len(workers),
    )


def _memory(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def _entries(process: int, kind: str) -> int:
    return len(os.listdir(f"/proc/{process}/{kind}"))


def _mean(numbers: Iterable[float]) -> float:
    listed = list(numbers)
    return statistics.fmean(listed) if listed else 0.0


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Theil and Sen's slope of points (x, y) of different x."""
    step = -(-len(points) // 400)  # of a long run so many are enough
    pairs = combinations(points[::step], 2)
    return statistics.median((y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in pairs)


def trends(samples: Sequence[Sample]) -> list[Trend]:
    """The trend of each figure, in the order of the table.

    Raises:
        ValueError: Fewer than two samples are left after the warm-up.
    """
    kept = samples[int(WARM_UP * len(samples)) :]
    if len(kept) < 2:
        raise ValueError(f"soak: got {len(samples)} lap(s), expected 3 or more. Run it for longer.")
    found = []
    for name, figure in FIGURES.items():
        values = [float(getattr(s, name)) for s in kept]
        points = list(enumerate(values))
        tenth = max(1, len(values) // 10)
        found.append(
            Trend(
                figure,
                statistics.median(values[:tenth]),
                statistics.median(values[-tenth:]),
                slope(points) * (len(points) - 1),
                max(figure.least, figure.share * statistics.median(values)),
            )
        )
    return found


def markdown(
    counted: Mapping[str, int],
    amiss: Mapping[str, int],
    samples: Sequence[Sample],
    found: Sequence[Trend],
) -> str:
    """All of it as text."""
    from importlib.metadata import version

    minutes, laps = samples[-1].seconds / 60, len(samples)
    machine = [f"Python {platform.python_version()}", *(f"{n} {version(n)}" for n in PACKAGES)]
    words = (
        f"{minutes:.1f} minutes, {laps} laps: {counted['batches']:,} batches of {counted['samples']:,} "
        f"samples in {counted['epochs']:,} whole epochs and {counted['cut_short']:,} that were cut "
        f"short; {counted['thrown']:,} errors arrived where they were thrown. **{counted['lost']} samples "
        f"were lost, {counted['twice']} came twice.**"
    )
    rows = [
        "| after a lap | at the start | at the end | growth by the slope | tolerance | |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for trend in found:
        unit = f" {trend.figure.unit}".rstrip()
        rows.append(
            f"| {trend.figure.words} | {trend.begin:.1f}{unit} | {trend.end:.1f}{unit} "
            f"| {trend.growth:+.2f}{unit} | {trend.tolerance:.1f}{unit} "
            f"| {'flat' if trend.flat else '**grows**'} |"
        )
    wrong = [f"Amiss, {times} times: {what}." for what, times in amiss.items()]
    note = (
        f"Start and end are medians of a tenth of the laps, the first {WARM_UP:.0%} of which are left out. The "
        "growth is Theil and Sen's slope (the median slope of all pairs of laps) times the laps."
    )
    ours = f"augengine {ae.__version__}"
    return "\n\n".join([f"{ours}; {', '.join(machine)}.", words, "\n".join(rows), *wrong, note])


PACKAGES = ("torch", "numpy", "numba")


def write(text: str, samples: Sequence[Sample]) -> None:
    """The report and its picture, in benchmarks/results."""
    from matplotlib.figure import Figure as Sheet

    sheet = Sheet(figsize=(9, 6.4), layout="constrained")
    minutes = [s.seconds / 60 for s in samples]
    panels = {
        "memory, MiB (RSS)": ("memory", "workers_memory"),
        "/dev/shm in use, MiB": ("shared_memory",),
        "descriptors": ("descriptors", "workers_descriptors"),
        "threads and workers": ("threads", "workers"),
    }
    for axes, (title, names) in zip(
        sheet.subplots(2, 2, sharex=True).flat, panels.items(), strict=True
    ):
        for name in names:
            values = [getattr(s, name) for s in samples]
            axes.plot(minutes, values, linewidth=1, label=FIGURES[name].words)
        axes.axvspan(0, minutes[int(WARM_UP * len(minutes))], color="0.92", label="warm-up")
        axes.set_title(title, fontsize=10)
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=7, loc="lower right")
    for axes in sheet.axes[2:]:
        axes.set_xlabel("minutes")
    sheet.savefig(PICTURE, dpi=110)
    head = "# Soak: does anything grow?\n\nWritten by `python -m benchmarks.soak --minutes N`.\n\n"
    picture = "\n\n![the figures after each lap](soak.png)\n"
    RESULT.write_text(head + text + picture, "utf-8")
