"""A result as pictures, PNG and SVG beside the JSON.

    python -m benchmarks.plots                          from benchmarks/results/cpu.json
    python -m benchmarks.plots build/benchmarks         from another folder's

Colours are one for each library in all pictures, and of a palette that people with colour blindness can
tell apart. A ring marks where a peer is faster than we are.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from augengine.demo.race import OURS

from . import report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RESULTS = Path(__file__).parent / "results"
# Paul Tol's bright and muted schemes; ours is the darkest.
COLOURS = {
    OURS: "#111111",
    "variopinta": "#ee6677",
    "variopinta, HWC": "#ee6677",
    "augrs": "#aa3377",
    "albumentations": "#4477aa",
    "torchvision v2": "#228833",
    "torchvision v2, PIL": "#228833",
    "torchtransform": "#ccbb44",
    "kornia": "#66ccee",
    "timm": "#999933",
    "DALI, CPU": "#bbbbbb",
    "decoding alone": "#dddddd",
}
HOLLOW = ("variopinta, HWC", "torchvision v2, PIL")  # another way of the same library
WIDTH = 9.0  # inches
RECIPES = ("recipes", "real sizes", "shapes", "from files")
# What the README shows: recipes, small batches and files, where we win and where we lose.
SHORT = {
    "recipes": None,
    "shapes": ("batch 1", "batch 4", "batch 16", "batch 128"),
    "from files": ("JPEG 500×375",),
}


def draw(result: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what the result has rows for.

    Args:
        result: Result, as `report` describes it.
        folder: Folder of the pictures.

    Returns:
        The files.
    """
    import matplotlib

    matplotlib.use("Agg")
    rows = result["rows"]
    pictures = {
        "cpu-images": _dots(
            [r for r in rows if r["regime"] in RECIPES], _images, report.faster, "images/s"
        ),
        "cpu-short": _dots([r for r in rows if _is_short(r)], _images, report.faster, "images/s"),
        "cpu-floor": _dots(
            [r for r in rows if r["regime"] in RECIPES and r["floor"]],
            _floors,
            report.faster,
            "multiples of the memory floor",
        ),
        "cpu-one-op": _dots(
            [r for r in rows if r["added_to"]],
            lambda row, name: report.added(row, name, rows),
            lambda row: report.adding_less(row, rows),
            "µs an image, added to crop + flip",
        ),
        "cpu-growth": _growth([r for r in rows if "axis" in r]),
    }
    written = []
    for name, figure in pictures.items():
        if figure is None:
            continue
        about = result["about"]
        figure.text(
            0.995, 0.003, f"{about['cpu']}, one thread, {about['date']}", ha="right", va="bottom", size=7
        )  # fmt: skip
        for suffix in (".png", ".svg"):
            path = folder / (name + suffix)
            figure.savefig(path, dpi=130, metadata={"Date": None} if suffix == ".svg" else {})
            written.append(path)
        _close(figure)
    return written


def _is_short(row: dict[str, Any]) -> bool:
    names = SHORT.get(row["regime"], ())
    return names is None or row["name"] in names


def _images(row: dict[str, Any], name: str) -> float | None:
    time = report.microseconds(row, name)
    return None if time is None else 1e6 / time


def _floors(row: dict[str, Any], name: str) -> float | None:
    time = report.microseconds(row, name)
    return None if time is None else time * row["outputs"] / 1e6 / row["floor"]


def _dots(rows: list[dict[str, Any]], value: Any, ahead: Any, label: str) -> Figure | None:
    """A line for each row, a dot for each contender, and a ring around those that are ahead of ours."""
    from matplotlib.lines import Line2D

    if not rows:
        return None
    figure, axes = _figure(1, 1, 1.6 + 0.27 * len(rows))
    (axis,) = axes
    seen: dict[str, None] = {}
    for place, row in enumerate(reversed(rows)):
        losing = ahead(row)
        for name in row["contenders"]:
            number = value(row, name) if name in COLOURS else None
            if number is None or number <= 0:
                continue
            seen[name] = None
            _mark(axis, number, place, name)
            if name in losing:
                axis.plot(number, place, "o", ms=12, mfc="none", mec="#cc3311", mew=1.3, zorder=4)
    axis.set_yticks(range(len(rows)), [row["name"] for row in reversed(rows)], size=8)
    axis.set_ylim(-0.7, len(rows) - 0.3)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:,.10g}")
    axis.grid(axis="both", lw=0.4, color="#dddddd")
    axis.set_xlabel(label)
    handles = [
        Line2D([], [], **_style(name), ls="", label=name) for name in COLOURS if name in seen
    ]
    if any(ahead(row) for row in rows):
        ring = {"marker": "o", "ms": 10, "mfc": "none", "mec": "#cc3311", "ls": ""}
        handles.append(Line2D([], [], **ring, label="a peer that is faster"))
    figure.legend(handles=handles, loc="upper center", ncols=4, frameon=False, fontsize=8)
    legend = 0.15 + 0.19 * -(-len(handles) // 4)  # inches
    figure.tight_layout(rect=(0, 0.01, 1, 1 - legend / figure.get_figheight()))
    return figure


def _style(name: str) -> dict[str, Any]:
    colour = COLOURS[name]
    face = "white" if name in HOLLOW else colour
    marker = "D" if name == OURS else "o"
    return {"marker": marker, "ms": 7 if name == OURS else 5.5, "mfc": face, "mec": colour}


def _mark(axis: Axes, number: float, place: float, name: str) -> None:
    axis.plot(number, place, **_style(name), ls="", zorder=5 if name == OURS else 3)


AXES = {
    "batch": "images in a batch",
    "output": "side of the output (256² in)",
    "source": "side of the source (224² out, antialiased)",
    "threads": "threads",
    "ops": "operations after crop + flip",
    "channels": "channels",
}


def _growth(rows: list[dict[str, Any]]) -> Figure | None:
    """A panel for each axis: µs an image along it."""
    from matplotlib.ticker import LogLocator

    if not rows:
        return None
    figure, panels = _figure(2, 3, 6.2)
    for panel, (axis_name, label) in zip(panels, AXES.items(), strict=True):
        points = [row for row in rows if row["axis"] == axis_name]
        panel.set_visible(bool(points))
        names = [name for name in COLOURS if any(name in row["contenders"] for row in points)]
        for name in names:
            line = [(row["at"], report.microseconds(row, name)) for row in points]
            known = [(at, time) for at, time in line if time is not None]
            panel.plot(
                [at for at, _ in known],
                [time for _, time in known],
                color=COLOURS[name],
                lw=2 if name == OURS else 1.2,
                marker="D" if name == OURS else "o",
                ms=4,
                label=name,
                zorder=5 if name == OURS else 3,
            )
        if axis_name != "ops" and points:
            panel.set_xscale("log", base=2)
        panel.set_xticks([row["at"] for row in points], [f"{row['at']:,}" for row in points])
        panel.minorticks_off()
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter("{x:,.10g}")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_minor_formatter("")
        panel.grid(lw=0.4, color="#dddddd")
        panel.tick_params(labelsize=8)
        panel.set_xlabel(label, size=9)
        panel.set_ylabel("µs an image", size=9)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=5, frameon=False, fontsize=8)
    figure.tight_layout(rect=(0, 0.02, 1, 0.95))
    return figure


def _figure(rows: int, columns: int, height: float) -> tuple[Figure, list[Axes]]:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(rows, columns, figsize=(WIDTH, height), squeeze=False)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes.flat)


def _close(figure: Figure) -> None:
    from matplotlib import pyplot

    pyplot.close(figure)


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0]) if arguments else RESULTS
    result = json.loads((folder / "cpu.json").read_text("utf-8"))
    print(*draw(result, folder), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
