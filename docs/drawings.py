"""The drawings of these pages, from real plans and real pixels.

    python docs/drawings.py          # needs what augengine[demo] installs; writes the pictures beside it

Numbers in a drawing are read from the plan that drew it, so a drawing cannot say what the code does not.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import numpy as np
from matplotlib import patheffects
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import ConnectionPatch, FancyArrowPatch, Polygon, Rectangle

import augengine as ae
from augengine import sheet
from augengine.demo import shipped_photographs
from augengine.plan.kinds import FILTER_REACH_X, FILTER_SIGMA, PLAIN_COLOUR

FOLDER = Path(__file__).resolve().parent
DPI = 120

# The paper is opaque, so that a drawing is legible on a light page and on a dark one.
PAPER, INK, SOFT = sheet.PAPER, sheet.INK, sheet.SOFT
BLUE, ORANGE = "#2563c9", "#d9480f"
FILL = (214, 209, 200)  # in bytes
SIDE = 160  # of an output, in pixels
SEED = 0  # of the batch
TEXT, SMALL, HEADING = 10, 8.5, 11
HALO = [patheffects.withStroke(linewidth=3.4, foreground="white", alpha=0.85)]


# The photographs, once


def photographs() -> dict[str, np.ndarray]:
    """{name: uint8 (H, W, 3)}."""
    return {photo.name: photo.pixels for photo in shipped_photographs()}


def drawn(plan: ae.Plan, images) -> np.ndarray:
    """uint8 (N, H, W, 3): what the plan makes of the images."""
    return sheet.displayed(ae.execute(plan, images), plan.finish)


# Pieces of a drawing


def page(width: float, height: float) -> Figure:
    """An empty page of this size in inches."""
    return Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER)


def picture(figure: Figure, box, pixels, *, frame=True):
    """Axes that show pixels (H, W, 3) in their own coordinates. box: left, top, width in inches from the
    page's upper left corner; the height follows."""
    left, top, width = box
    height = width * pixels.shape[0] / pixels.shape[1]
    axes = panel(figure, (left, top, width, height))
    axes.imshow(
        pixels, extent=(0, pixels.shape[1], pixels.shape[0], 0), interpolation="antialiased"
    )
    axes.set_xlim(0, pixels.shape[1])
    axes.set_ylim(pixels.shape[0], 0)
    for spine in axes.spines.values():
        spine.set(visible=frame, color="#c9c6c0", linewidth=0.8)
    return axes


def panel(figure: Figure, box):
    """Empty axes without ticks. box: left, top, width, height in inches from the upper left corner."""
    left, top, width, height = box
    page_width, page_height = figure.get_size_inches()
    axes = figure.add_axes(
        (
            left / page_width,
            1 - (top + height) / page_height,
            width / page_width,
            height / page_height,
        )
    )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def write(figure: Figure, at, text: str, *, size=TEXT, colour=INK, **how) -> None:
    """Lines of text from (left, top) in inches on; how: as matplotlib's `text` takes it."""
    width, height = figure.get_size_inches()
    # By baselines: the top of a line depends on which letters stand in it.
    down = 0 if "va" in how else size / 72
    for k, line in enumerate(text.split("\n")):
        x, y = at[0] / width, 1 - (at[1] + down + k * 1.5 * size / 72) / height
        figure.text(x, y, line, fontsize=size, color=colour, **how)


def arrow(figure: Figure, start, end, *, colour=INK) -> None:
    """From one place to another, both (left, top) in inches."""
    width, height = figure.get_size_inches()
    places = [(x / width, 1 - y / height) for x, y in (start, end)]
    style = "-|>,head_length=5,head_width=2.6"
    figure.add_artist(
        FancyArrowPatch(
            *places, arrowstyle=style, linewidth=1.4, color=colour, shrinkA=0, shrinkB=0
        )
    )


def outline(axes, corners, colour, *, style="-", width=1.8) -> None:
    """A closed line through points (x, y), with a light rim so that it shows on any photograph."""
    axes.add_patch(
        Polygon(
            corners,
            closed=True,
            fill=False,
            edgecolor=colour,
            linewidth=width,
            linestyle=style,
            joinstyle="miter",
            path_effects=HALO,
            clip_on=False,
        )
    )


def measure(figure: Figure, ends, top) -> None:
    """A line between two places from the left, with a tick at either end."""
    width, height = figure.get_size_inches()
    for xs, ys in [(ends, (top, top)), *(((x, x), (top - 0.05, top + 0.05)) for x in ends)]:
        figure.add_artist(
            Line2D(
                [x / width for x in xs], [1 - y / height for y in ys], color=ORANGE, linewidth=1.4
            )
        )


def terms(figure: Figure, at, lines, *, indent: float) -> None:
    """Some terms, each with what it means `indent` inches beside it, from (left, top) down."""
    x, y = at
    for term, meaning in lines:
        write(figure, (x, y), term, size=SMALL, weight="bold")
        write(figure, (x + indent, y), meaning, size=SMALL, colour=SOFT)
        y += 0.185 * (1 + meaning.count("\n")) + 0.05


def rectangle(y0, x0, y1, x1) -> list[tuple[float, float]]:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def label(axes, at, text: str, colour, **how) -> None:
    """A word on a picture, at a point (x, y) of it."""
    axes.text(
        *at, text, color=colour, fontsize=TEXT, weight="bold", path_effects=HALO, zorder=5, **how
    )


def mapped(inv_matrix, points) -> np.ndarray:
    """Source points [n, 2] that output points [n, 2] look at."""
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    moved = homogeneous @ np.asarray(inv_matrix, float).T
    return moved[:, :2] / moved[:, 2:]


# 1. A view looks at a source


def view() -> Figure:
    """A cat, cropped and rotated into an output so small that its pixels show."""
    cat, side = photographs()["chelsea"], 32
    policy = ae.Policy(
        [ae.CenterCrop(216), ae.Resize((side, side)), ae.RandomRotation((18, 18), fill=FILL)]
    )
    plan = policy.sample([0], [cat.shape[:2]], dtype="uint8")
    output = drawn(plan, [cat])[0]
    matrix, clip, support = plan.inv_matrix[0], plan.clip[0], plan.support[0]
    pixel = np.array([12, 11])  # x, y of the output pixel that is followed
    x, y = mapped(matrix, pixel[None] + 0.5)[0]
    seen = rectangle(y - support[1], x - support[0], y + support[1], x + support[0])

    left, middle, right, top, high = 0.3, 5.95, 9.0, 0.66, 3.2
    figure = page(right + high + 0.3, top + high + 0.9)
    for at, text in [
        (left, "The source"),
        (middle, "What the pixel weighs"),
        (right, "The output"),
    ]:
        write(figure, (at, 0.26), text, size=HEADING, weight="bold")

    source = picture(figure, (left, top, high * cat.shape[1] / cat.shape[0]), cat)
    outline(source, rectangle(*clip), INK, style=(0, (4, 2.5)))
    outline(source, mapped(matrix, np.array(rectangle(0, 0, side, side), float)), BLUE)
    outline(source, seen, ORANGE)
    label(source, (clip[3], clip[0] - 6), "clip", INK, va="bottom", ha="right")

    # The neighbourhood, with the triangle along either axis.
    x0, y0 = (int(v - s - 3) for v, s in ((x, support[0]), (y, support[1])))
    width, height = (int(np.ceil(2 * s)) + 7 for s in support)
    near, wide, place = cat[y0 : y0 + height, x0 : x0 + width], 1.92, top + 0.4
    zoom = picture(figure, (middle, place, wide), near)
    outline(zoom, [(px - x0, py - y0) for px, py in seen], ORANGE)
    zoom.plot(x - x0, y - y0, "+", color=ORANGE, ms=9, mew=1.8, path_effects=HALO)
    # Half of the box's width, measured below it.
    scale, below = wide / width, place + wide * height / width + 0.1
    begin, end = (middle + scale * v for v in (x - x0, x - x0 + support[0]))
    measure(figure, (begin, end), below)
    write(figure, (end + 0.08, below), "support", size=SMALL, colour=ORANGE, va="center")
    along_x = panel(figure, (middle, top, wide, 0.34))
    along_x.set(xlim=(0, width), ylim=(0, 1.08))
    along_y = panel(figure, (middle + wide + 0.06, place, 0.34, wide * height / width))
    along_y.set(xlim=(0, 1.08), ylim=(height, 0))
    for bars, at, reach, count in [
        (along_x.bar, x - x0, support[0], width),
        (along_y.barh, y - y0, support[1], height),
    ]:
        taps = np.arange(count) + 0.5
        bars(taps, np.maximum(0, 1 - abs(taps - at) / reach), 0.72, color=ORANGE, alpha=0.85)
    for a, b in [(1, 0), (2, height)]:
        figure.add_artist(
            ConnectionPatch(
                seen[a], (0, b), source.transData, zoom.transData, color=ORANGE, linewidth=0.9
            )
        )

    result = picture(figure, (right, top, high), output, frame=False)
    outline(result, rectangle(0, 0, side, side), BLUE)
    outline(result, rectangle(pixel[1], pixel[0], pixel[1] + 1, pixel[0] + 1), ORANGE)
    label(result, (0.9, 1.1), "fill", INK, va="top")

    lane = top + high - 0.24
    arrow(figure, (right - 0.1, lane), (left + 4.91, lane), colour=BLUE)
    said = f"inv_matrix @ ({pixel[0] + 0.5}, {pixel[1] + 0.5}, 1) = ({x:.1f}, {y:.1f}, 1)"
    write(figure, (7.0, lane - 0.07), said, size=SMALL, colour=BLUE, ha="center", va="bottom")

    foot = top + high + 0.2
    terms(
        figure,
        (left, foot),
        [
            ("clip", "the part of the source that may be seen: here, what a crop has left of it"),
            ("blue", "the output's frame, laid on the source by inv_matrix"),
        ],
        indent=0.62,
    )
    terms(
        figure,
        (middle, foot),
        [
            (
                "support",
                f"half the filter's width, here {support[0]:.1f}\nsource pixels along x and y",
            )
        ],
        indent=0.78,
    )
    terms(
        figure,
        (right, foot),
        [("fill", "the colour where the frame\nreaches out of the clip")],
        indent=0.42,
    )
    return figure


# 2. Layers land in an output


def layers() -> Figure:
    """Three outputs of one sample: CutMix, MixUp, and CutMix with an erased box on it."""
    found = photographs()
    names, images = ("coffee", "cat"), [found["coffee"], found["chelsea"]]
    crop = ae.RandomResizedCrop(SIDE, scale=(0.6, 0.9), ratio=(1, 1))
    erased = ae.RandomErasing(p=1, scale=(0.06, 0.1), ratio=(0.6, 1.6), value=0.62)
    rows = [
        ("CutMix", [crop, ae.CutMix()], 8),
        ("MixUp", [crop, ae.MixUp(8.0)], 0),
        ("CutMix, then\nRandomErasing", [crop, ae.CutMix(), erased], 8),
    ]

    tile, left, top, step = 1.66, 1.78, 0.72, 2.36
    columns = [left + k * (tile + 0.62) for k in range(3)]
    result, bars = columns[2] + tile + 0.75, columns[2] + 2 * tile + 1.05
    figure = page(bars + 2.2, top + len(rows) * step - 0.12)
    for at, text in [
        *zip(columns, ("Layer 0", "Layer 1", "Layer 2"), strict=True),
        (result, "The output"),
        (bars, "The label"),
    ]:
        write(figure, (at, 0.26), text, size=HEADING, weight="bold")
    for k, (title, ops, seed) in enumerate(rows):
        y = top + k * step
        policy = ae.Policy(ops)
        plan = policy.sample(
            [0, 1], [image.shape[:2] for image in images], seed=seed, dtype="uint8"
        )
        write(figure, (0.3, y), title, weight="bold")
        for column, x in enumerate(columns):
            if column >= plan.view.shape[1]:
                continue
            _layer(figure, (x, y, tile), plan, images, column)
            if column:
                write(
                    figure,
                    (x - 0.31, y + tile / 2),
                    "+",
                    size=15,
                    colour=SOFT,
                    ha="center",
                    va="center",
                )
        last = columns[plan.view.shape[1] - 1] + tile
        arrow(figure, (last + 0.14, y + tile / 2), (result - 0.14, y + tile / 2), colour=SOFT)
        picture(figure, (result, y, tile), drawn(plan, images)[0])
        if not k:
            at = ((last + result) / 2, y + tile / 2 - 0.09)
            said = "out = out + alpha · (view − out)"
            write(figure, at, said, size=SMALL, colour=SOFT, ha="center", va="bottom")
        _label(figure, (bars, y), names, ae.soft_labels(plan, [0, 1], 2)[0].tolist())
    return figure


def _layer(figure: Figure, box, plan: ae.Plan, images, k: int) -> None:
    """Layer k of output 0 as it lands: solid in its box, pale around it."""
    x, y, tile = box
    number, (y0, x0, y1, x1) = int(plan.view[0, k]), plan.box[0, k].tolist()
    if number == PLAIN_COLOUR:
        whole = np.full((SIDE, SIDE, 3), np.round(plan.colour[0, k] * 255), np.uint8)
        around = np.full_like(whole, 255)
    else:
        bare = dataclasses.replace(plan, **_only(plan, number))
        whole = drawn(bare, images)[0]
        around = (0.26 * whole + 0.74 * 255).astype(np.uint8)
    pixels = around.copy()
    pixels[y0:y1, x0:x1] = whole[y0:y1, x0:x1]
    axes = picture(figure, (x, y, tile), pixels)
    if (y1 - y0, x1 - x0) != (SIDE, SIDE):
        outline(axes, rectangle(y0, x0, y1, x1), BLUE)
    if number == PLAIN_COLOUR:
        axes.text(10, 12, "plain colour", color=SOFT, fontsize=SMALL, va="top")
    shown = f"view {number}, box {y0}, {x0}, {y1}, {x1}".replace("-", "−")
    shares = f"alpha {plan.alpha[0, k]:.2f}, weight {plan.weight[0, k]:.2f}"
    write(figure, (x, y + tile + 0.08), f"{shown}\n{shares}", size=SMALL, colour=SOFT)


def _only(plan: ae.Plan, view: int) -> dict[str, np.ndarray]:
    """The layers of a plan whose one output shows a view, whole."""
    return {
        "view": np.array([[view]], np.int32),
        "box": np.array([[[0, 0, *plan.finish.size]]], np.int32),
        "alpha": np.ones((1, 1), np.float32),
        "weight": np.ones((1, 1), np.float32),
        "colour": np.zeros((1, 1, plan.finish.channels), np.float32),
        "extent": plan.extent[:1],
    }


def _label(figure: Figure, at, names, shares) -> None:
    x, y = at
    for k, (name, share) in enumerate(zip(names, shares, strict=True)):
        place = y + 0.52 * k
        write(figure, (x, place), name, size=TEXT)
        write(figure, (x + 1.9, place), f"{share:.2f}", size=TEXT, ha="right")
        bar = panel(figure, (x, place + 0.23, 1.9, 0.1))
        bar.set(xlim=(0, 1), ylim=(0, 1))
        bar.add_patch(Rectangle((0, 0), 1, 1, color="#e6e3dd", linewidth=0))
        bar.add_patch(Rectangle((0, 0), share, 1, color=BLUE, linewidth=0))


# 3. A filtered view stands between


def filtered() -> Figure:
    """A blur between a crop and a rotation: two views for one output."""
    image, seed = photographs()["astronaut"], 540
    crop = ae.RandomResizedCrop(SIDE, scale=(0.2, 0.25), ratio=(1, 1))
    blur = ae.GaussianBlur(sigma=(2.2, 2.2))
    turn = ae.RandomAffine((-14, -14), scale=(1.3, 1.3))

    def sampled(*ops) -> ae.Plan:
        return ae.Policy(list(ops)).sample([0], [image.shape[:2]], seed=seed, dtype="uint8")

    plan = sampled(crop, blur, turn)
    assert plan.source.tolist() == [2, 0]  # view 0 looks at view 1, which looks at the source
    bare, between, output = (
        drawn(one, [image])[0] for one in (sampled(crop), sampled(crop, blur), plan)
    )

    tile, gap, left, top = 2.2, 0.78, 0.3, 0.72
    places = [left + k * (tile + gap) for k in range(4)]
    figure = page(places[-1] + tile + 0.3, top + tile + 0.9)
    headings = ("The source", "View 1", "View 1, filtered", "View 0, the output")
    for x, text in zip(places, headings, strict=True):
        write(figure, (x, 0.28), text, size=HEADING, weight="bold")
    source = picture(figure, (places[0], top, tile), image)
    outline(source, rectangle(*plan.clip[1]), INK, style=(0, (4, 2.5)))
    corners = np.array(rectangle(0, 0, SIDE, SIDE), float)
    outline(source, mapped(plan.inv_matrix[1], corners), BLUE)
    first = picture(figure, (places[1], top, tile), bare, frame=False)
    outline(first, rectangle(0, 0, SIDE, SIDE), BLUE)
    second = picture(figure, (places[2], top, tile), between)
    outline(second, mapped(plan.inv_matrix[0], corners), ORANGE)
    third = picture(figure, (places[3], top, tile), output, frame=False)
    outline(third, rectangle(0, 0, SIDE, SIDE), ORANGE)
    for x in places[:3]:
        arrow(figure, (x + tile + 0.16, top + tile / 2), (x + tile + gap - 0.16, top + tile / 2))
    sigma, reach = plan.filter[1, FILTER_SIGMA], plan.filter[1, FILTER_REACH_X]
    height, width = plan.frame[1]
    foot = top + tile + 0.2
    for x, lines in zip(
        places,
        [
            [("sizes[0]", f"{image.shape[0]}, {image.shape[1]}")],
            [("source[1]", "0: the source"), ("frame[1]", f"{height}, {width}")],
            [("filter[1]", f"GAUSSIAN\nsigma {sigma:.1f}, reach {reach:.0f} pixels")],
            [("source[0]", f"{plan.source[0]} = B + 1: view 1"), ("view[0]", "0: in output 0")],
        ],
        strict=True,
    ):
        terms(figure, (x, foot), lines, indent=0.86)
    return figure


# The README's picture


def batch():
    """One batch in two epochs: another operation for every sample, and partners of CutMix."""
    found = shipped_photographs()
    policy = ae.Policy(
        [
            ae.RandomResizedCrop(224, scale=(0.3, 1.0)),
            ae.RandomHorizontalFlip(),
            ae.RandAugment(2, 9),
            ae.CutMix(p=0.5),
        ]
    )
    rows = [
        [
            sheet.Tile(
                one.pixels, f"sample {k}, {one.pixels.shape[0]}×{one.pixels.shape[1]}", one.name
            )
            for k, one in enumerate(found)
        ]
    ]
    for epoch in (0, 1):
        sizes = [one.pixels.shape[:2] for one in found]
        plan = policy.sample(range(len(found)), sizes, seed=SEED, epoch=epoch, dtype="uint8")
        pictures = drawn(plan, [one.pixels for one in found])
        rows.append(
            [
                sheet.Tile(pixels, plan.explain(k), f"epoch {epoch}" if k == 0 else "")
                for k, pixels in enumerate(pictures)
            ]
        )
    ops = "RandomResizedCrop, RandomHorizontalFlip, RandAugment(2, 9), CutMix(p=0.5)"
    return sheet.draw(
        "Six photographs, augmented as one batch",
        [f"{ops}. Below each tile stands what the plan says."],
        rows,
        tile=150,
    )


DRAWINGS = {"model-view.png": view, "model-layers.png": layers, "model-filter.png": filtered}


def main() -> None:
    for name, draw in DRAWINGS.items():
        draw().savefig(FOLDER / name, facecolor=PAPER, pil_kwargs={"optimize": True})
        print(FOLDER / name)
    batch().save(FOLDER / "batch.png", optimize=True)
    print(FOLDER / "batch.png")


if __name__ == "__main__":
    main()
