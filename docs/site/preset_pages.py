"""A page for each preset: what it does to a photograph, its operations, its docstring."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import facts
import pictures
import torch

import augengine as ae
from augengine.sheet import displayed

DRAWS = 5


def pages() -> list[tuple[str, str]]:
    """(title, page) of all presets."""
    return [("", "presets/index.md"), *((name, f"presets/{name}.md") for name in facts.PRESETS)]


@cache
def files() -> dict[str, str | bytes]:
    """{name in the site: content} of all presets."""
    made: dict[str, str | bytes] = {"presets/index.md": _index()}
    for name in facts.PRESETS:
        page, drawn = _page(name)
        made[f"presets/{name}.md"] = page
        made.update({f"presets/{file}": data for file, data in drawn.items()})
    return made


def _index() -> str:
    rows: list[tuple[object, ...]] = [
        (f"[{name}]({name}.md)", facts.said(getattr(ae.presets, name)).sentence)
        for name in facts.PRESETS
    ]
    return (
        "# Presets\n\nWhole recipes, each with the source of its numbers. `print(ae.presets.deit3())` shows "
        f"one.\n\n{facts.table(('preset', 'what it is'), rows)}\n"
    )


def _page(name: str) -> tuple[str, dict[str, bytes]]:
    make = getattr(ae.presets, name)
    words = facts.said(make)
    policy = make()
    parts = [f"---\nhide:\n  - toc\n---\n\n# presets.{name}", words.sentence, words.prose]
    made: dict[str, bytes] = {}
    shown = drawn(policy)
    for view in shown:
        title = f"The view `{view}` (of several the first), d" if view else "D"
        strip, drawn_files = pictures.strip(f"{name}-{view or 'draw'}", shown[view])
        made.update(drawn_files)
        parts += [f"{title}rawn for five ids (epoch 0, seed 0), at its own strength:", strip]
    parts += ["## Operations", *_operations(policy)]
    rows: list[tuple[object, ...]] = [
        (f"`{p.name}`", f"`{p.default!r}`", words.arguments.get(p.name, ""))
        for p in inspect.signature(make).parameters.values()
    ]
    if rows:
        parts += ["## Arguments", facts.table(("argument", "default", "what it is"), rows)]
    mixes = any(one.mixes for one in _policies(policy))
    parts += [
        "## Targets and labels",
        "Labels are mixed, so an engine of it needs `num_classes=`."
        if mixes
        else "Labels stay. Boxes, masks and other targets follow its geometry ([targets](../targets.md)).",
    ]
    if example := words.sections.get("Example"):
        parts += ["## Example", f"```python\n{example}\n```"]
    return "\n\n".join(part for part in parts if part) + "\n", made


def _operations(policy: ae.Policy | ae.Views) -> list[str]:
    """Code of each view; of equal views once, with their number."""
    if isinstance(policy, ae.Policy):
        return [f"```python\n{policy!r}\n```"]
    views: dict[str, list[str]] = {}
    for name, number, one in policy.each():
        views.setdefault(repr(one), []).append(name if number is None else f"{name}[{number}]")
    return [
        f"{', '.join(f'`{name}`' for name in names)}:\n\n```python\n{code}\n```"
        for code, names in views.items()
    ]


def _policies(policy: ae.Policy | ae.Views) -> list[ae.Policy]:
    return [policy] if isinstance(policy, ae.Policy) else [one for _, _, one in policy.each()]


def drawn(policy: ae.Policy | ae.Views) -> dict[str, list[pictures.Picture]]:
    """{view: pictures} of five ids; of a list of views the first."""
    mixes = any(one.mixes for one in _policies(policy))
    images = list(pictures.photographs() if mixes else pictures.photographs()[:1])
    given: dict[str, Any] = {}
    if any(one.needs_boxes for one in _policies(policy)):
        given["targets"] = [{"boxes": torch.tensor([[90.0, 30.0, 240.0, 170.0]])} for _ in images]
    engine = ae.Engine(policy, seed=0, num_classes=len(images))
    made: dict[str, list[pictures.Picture]] = {}
    for key in range(DRAWS):
        ids = [key, *range(1000, 999 + len(images))]  # the partners of a mix have ids of their own
        batches = engine(images, list(range(len(images))), ids=ids, epoch=0, **given)
        named = batches.items() if isinstance(policy, ae.Views) else [("", batches)]
        for name, batch in named:
            one = batch[0] if isinstance(batch, list) else batch
            pixels = displayed(one.images[:1], one.plan.finish)[0]
            made.setdefault(name, []).append(
                pictures.Picture(pixels, f"id {key}", one.plan.explain(0))
            )
    return made
