"""A page for each operation: pictures, arguments, targets, other libraries, cost, example."""

from __future__ import annotations

import html
import re
from functools import cache
from typing import Any

import facts
import numpy as np
import pictures

import augengine as ae
from augengine.policy.ops.op import LAYER, VIEW
from augengine.policy.ops.unfused import Unfused

GROUPS = {
    "sizing": "Sizes and crops",
    "scaling": "Sizes and crops",
    "canvas": "Sizes and crops",
    "iou": "Sizes and crops",
    "five_crop": "Sizes and crops",
    "geometric": "Geometry",
    "elastic": "Geometry",
    "colour": "Colour",
    "channels": "Colour",
    "tone": "Tone",
    "filters": "Filters and noise",
    "lens": "Filters and noise",
    "sensors": "Filters and noise",
    "jpeg": "Filters and noise",
    "mixing": "Mixes and erasing",
    "auto": "Published policies",
    "choosing": "Choosing and schedules",
    "orders": "Choosing and schedules",
    "scheduled": "Choosing and schedules",
    "conversions": "Conversions and your own",
    "stage": "Conversions and your own",
}
CHOOSING = ("auto", "choosing", "orders")  # what these draw is another operation for each sample


def group(name: str) -> str:
    """Where in the nav an operation stands, by the file that it is written in."""
    return GROUPS[getattr(ae, name).__module__.rpartition(".")[2]]


def pages() -> list[tuple[str, str]]:
    """(group/title, page) of all operations."""
    order = list(dict.fromkeys(GROUPS.values()))
    names = sorted(facts.OPS, key=lambda name: (order.index(group(name)), name.lower()))
    return [("", "ops/index.md"), *((f"{group(name)}/{name}", f"ops/{name}.md") for name in names)]


@cache
def files() -> dict[str, str | bytes]:
    """{name in the site: content} of all operations."""
    made: dict[str, str | bytes] = {"ops/index.md": _index()}
    for name in facts.OPS:
        page, drawn = _page(name)
        made[f"ops/{name}.md"] = page
        made.update({f"ops/{file}": data for file, data in drawn.items()})
    return made


def _index() -> str:
    parts = [
        "---\nhide:\n  - toc\n---\n\n# Operations",
        "Each page has pictures at five strengths, the arguments, what becomes of targets, what other "
        "libraries call it, and what it costs. All of it is made from the operation itself when the site is "
        "built; the costs come from [a measurement](../benchmarks.md).",
        f"**µs** are what an image takes longer than without the operation; of crops and sizes, all that it "
        f"takes; {_conditions()}",
    ]
    for heading in dict.fromkeys(GROUPS.values()):
        cards = [_card(name) for name in sorted(facts.OPS, key=str.lower) if group(name) == heading]
        parts += [f"## {heading}", f'<div class="strip">{"".join(cards)}</div>']
    return "\n\n".join(parts) + "\n"


def _card(name: str) -> str:
    """An operation in the list: its last picture, its name, its first sentence, its cost."""
    shown = pictures.pictures(name)[1]
    said = html.escape(facts.said(getattr(ae, name)).sentence)
    words = re.split(r"(?<=[.:])(?<!et al\.) ", said)[0].rstrip(":")
    words = re.sub(r"`([^`]+)`", r"<code>\1</code>", words)
    picture = ""
    if shown:
        width = 100 * shown[-1].pixels.shape[1] / pictures.SIZE[1]
        picture = (
            f'<span><img src="{name}-{len(shown) - 1}.webp" alt="{name}" loading="lazy" '
            f'style="width:{min(100, width):.3g}%"></span>'
        )
    cost = _short_cost(name)
    return (
        f'<figure><a href="{name}.html">{picture}<strong>{name}</strong></a><figcaption>'
        f"{words}{'' if cost == '–' else f' <em>{cost}</em>'}</figcaption></figure>"
    )


def _page(name: str) -> tuple[str, dict[str, bytes]]:
    words = facts.said(getattr(ae, name))
    what, shown = pictures.pictures(name)
    strip, drawn = pictures.strip(name, shown)
    parts = [f"---\nhide:\n  - toc\n---\n\n# {name}", words.sentence, what]
    if shown:
        parts += [f"`{_repr(name)}`", strip]
    if getattr(ae, name).__module__.rpartition(".")[2] in CHOOSING and "strengths" in what:
        others, more = pictures.strip(f"{name}-ids", pictures.draws(name))
        parts += ["Another draw for each sample, here of five ids at full strength:", others]
        drawn.update(more)
    parts += [words.prose]
    parts += ["## Arguments", facts.arguments_table(name)]
    parts += ["## Targets and labels", targets(name)]
    parts += ["## In other libraries", _elsewhere(name)]
    parts += ["## Cost", _cost(name)]
    if raises := words.sections.get("Raises"):
        parts += ["## Errors", *(f"- {line}" for line in _entries(raises))]
    if example := words.sections.get("Example"):
        parts += ["## Example", f"```python\n{example}\n```"]
    return "\n\n".join(part for part in parts if part) + "\n", drawn


def _entries(text: str) -> list[str]:
    """Those of a section, whose further lines are indented."""
    entries: list[str] = []
    for line in text.splitlines():
        if line.startswith(" "):
            entries[-1] += f" {line.strip()}"
        else:
            entries.append(line)
    return [f"`{kind}`: {what.strip()}" for kind, _, what in (e.partition(":") for e in entries)]


def _repr(name: str) -> str:
    return "".join(repr(pictures.example(name)).split("\n")).replace("    ", "")


def moves(name: str) -> bool:
    """Whether it moves pixels: by the boxes of what is drawn, over several ids."""
    policy = ae.Policy(pictures.example(name))
    box = np.array([[90.0, 30.0, 240.0, 170.0]])
    for key in range(8):
        given: dict[str, Any] = {"boxes": [box]} if policy.needs_boxes else {}
        plan = policy.sample([key], [pictures.SIZE], **given)
        found = ae.boxes(plan, [box])[0].boxes
        if len(found) != 1 or not np.allclose(np.asarray(found)[0], box[0]):
            return True
    return False


MOVED = "Boxes, masks, keypoints and polygons move as the pixels do. The label stays."
STAY = "Colours alone change: boxes, masks, keypoints, polygons and the label stay as they are."
MIXED = (
    "Labels are mixed by how much of each sample is seen, so they become soft (`num_classes=`). Boxes, masks, "
    "keypoints and polygons of all samples are in the output, each where its pixels are."
)
ERASED = (
    "Boxes, keypoints and polygons stay where they are, and what is erased of them counts as not seen "
    "(`min_visible=`). Class maps stay as they are; of masks of instances the erased part is taken away. The "
    "label stays."
)
REFUSED = "It moves pixels behind the plan, so targets are refused beside it. The label stays."
YOURS = (
    'As `targets=` says: `"same"` where no pixel moves, or a function of the targets. They are refused '
    "without it."
)


def targets(name: str) -> str:
    """What becomes of targets, by the operation's stage and what it does."""
    op = pictures.example(name)
    if name in ("Stage", "Lambda"):
        return YOURS
    if op.children or name in ("FiveCrop", "TenCrop"):
        return "What the operations inside it do to them." if op.children else MOVED
    if isinstance(op, Unfused):
        return STAY if op.rule == "same" else REFUSED
    if getattr(op, "stages", (VIEW, VIEW))[0] == LAYER and name != "Normalize":
        return MIXED if ae.Policy(op).mixes else ERASED
    if name in pictures.UNSEEN:
        return "They stay as they are."
    return MOVED if moves(name) else STAY


def _elsewhere(name: str) -> str:
    parts = []
    if found := facts.elsewhere(name):
        rows: list[tuple[object, ...]] = [
            (f"[{library}](../porting/{library}.md)", theirs, words)
            for library, theirs, words in found
        ]
        parts.append(facts.table(("library", "there", "how near"), rows))
    else:
        parts.append("No class of torchvision, albumentations, kornia or timm is read as this one.")
    if differing := facts.torchvisions_arguments(name):
        parts += [
            "Beside torchvision's class of this name these arguments differ ([all](../arguments.md)):",
            facts.table(("argument", "default", "meaning"), differing),
        ]
    return "\n\n".join(parts)


def _conditions() -> str:
    return facts.costs()["conditions"]


def _short_cost(name: str) -> str:
    cost = facts.costs()["ops"].get(name)
    return "–" if cost is None else f"{cost['us']:.0f} µs{' in all' if cost['whole'] else ''}"


def _cost(name: str) -> str:
    cost = facts.costs()["ops"].get(name)
    if cost is None:
        return f"Not measured: {facts.costs()['left_out'].get(name, 'it has no cost of its own')}."
    what = "in all" if cost["whole"] else "more than without it"
    return (
        f"**{cost['us']:.0f} ± {cost['spread']:.0f} µs** an image, {what}, as `{cost['op']}`: "
        f"{_conditions()}"
    )
