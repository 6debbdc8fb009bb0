"""The reference: the public names in rooms, each rendered by mkdocstrings from its docstring."""

from __future__ import annotations

import inspect
from functools import cache

import facts

import augengine as ae

ROOMS = {
    "Policy, plan, engine": (
        *("Policy", "Views", "Tied", "Inside", "Op", "Ramp", "Uniform"),
        *("Plan", "Finish", "concatenate", "side_by_side"),
        *("Engine", "Batch", "BatchOfViews", "soft_labels"),
    ),
    "Loading": (
        *("Collate", "keyed", "KeyedSampler", "Key", "Keys", "WithIds", "pack", "PackedBatch"),
        "DeviceLoader",
    ),
    "Images and files": (
        *(
            "Folder",
            "cache",
            "check_images",
            "ImageReport",
            "decode",
            "DecodeOptions",
            "DecodeError",
        ),
        "Sources",
    ),
    "Targets": (
        *("follow", "TargetOptions", "boxes", "keypoints", "COCO_FLIP_PAIRS", "polygons", "masks"),
        *("instance_masks", "maps", "flow", "resample", "pad_targets", "tta"),
    ),
    "From other libraries": (
        *("from_torchvision", "from_timm", "from_albumentations", "from_kornia"),
    ),
    "Drawing": ("execute", "execute_compiled", "as_tensor", "show", "tune"),
}
ELSEWHERE = ("ops", "presets")  # modules, whose names have pages of their own


def _page(room: str) -> str:
    return f"reference/{room.split(',')[0].lower().replace(' ', '-')}.md"


def rooms() -> dict[str, tuple[str, ...]]:
    """Names by room; those that no room has stand in the last."""
    placed = {name for names in ROOMS.values() for name in names}
    rest = [n for n in ae.__all__ if n not in placed | set(facts.OPS) | set(ELSEWHERE)]
    return {**ROOMS, **({"More": tuple(rest)} if rest else {})}


def pages() -> list[tuple[str, str]]:
    """(title, page) of the rooms."""
    return [("", "reference/index.md"), *((room, _page(room)) for room in rooms())]


@cache
def files() -> dict[str, str | bytes]:
    """{name in the site: content}."""
    made: dict[str, str | bytes] = {"reference/index.md": _index()}
    for room, names in rooms().items():
        blocks = [f"::: {_where(name)}" for name in names]
        made[_page(room)] = "\n\n".join([f"# {room}", *blocks]) + "\n"
    return made


def _where(name: str) -> str:
    """The full name of the place where a public name is defined."""
    thing = getattr(ae, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        return f"{thing.__module__}.{thing.__name__}"
    return (
        f"augengine.targets.keypoints.{name}"
        if name == "COCO_FLIP_PAIRS"
        else f"augengine.api.{name}"
    )


def _index() -> str:
    rows: list[tuple[object, ...]] = []
    for room, names in rooms().items():
        for name in names:
            page = _page(room).partition("/")[2]
            sentence = facts.said(getattr(ae, name)).sentence if callable(getattr(ae, name)) else ""
            rows.append((f"[{name}]({page}#{_where(name)})", sentence))
    return (
        "# Reference\n\nEvery public name of `import augengine as ae`. [Operations](../ops/index.md) and "
        "[presets](../presets/index.md) have a page each. The examples are run by the tests.\n\n"
        f"{facts.table(('name', 'what it is'), rows)}\n"
    )
