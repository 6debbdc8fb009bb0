"""What a plan says of itself: `explain` for one output, `summary` for all."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from . import maps
from .kinds import NO_VIEW, PLAIN_COLOUR
from .shrinks import shrunk_first

if TYPE_CHECKING:
    from . import Plan

# What a line of the log may hold: %-fields of a number, so that a plan from a stranger is only read.
LOG_FIELD = re.compile(r"%[+]?(?:\.\d)?[dfg]")


def explain(plan: Plan, i: int) -> str:
    """What happens to output `i`, in words and in order."""
    if not -len(plan) <= i < len(plan):
        raise IndexError(
            f"explain: got output {i}, expected 0 … {len(plan) - 1}. Pass one of those."
        )
    parts: list[str] = []
    root, first, own = plan.roots(), None, []
    shrunk = shrunk_first(plan)
    area = plan.finish.size[0] * plan.finish.size[1]
    # In Python's ints: 100 areas may be more than an int32 holds.
    boxes = plan.box[i].tolist()
    layers = zip(plan.view[i], boxes, plan.alpha[i], plan.weight[i], strict=True)
    for k, (view, (y0, x0, y1, x1), alpha, weight) in enumerate(layers):
        share = 100 * (y1 - y0) * (x1 - x0) / area
        if view == NO_VIEW or share == 0 or alpha == weight == 0:
            continue
        if view == PLAIN_COLOUR:
            parts.append(f"{share:.0f} % erased at ({y0}, {x0})")
            continue
        source, lines = root[view], log_lines(plan, view) + _shrink_lines(plan, view, shrunk)
        name = plan.ids[source]
        if k == 0:
            first, own = source, lines
            parts += lines
        elif source == first:
            # Of the same sample: a chain of AugMix, a tile of a mosaic, noise in an erased box.
            shared = sum(1 for a, b in zip(own, lines, strict=False) if a == b)
            how = ", ".join(lines[shared:]) or "as it was"
            parts.append(
                f"{how} at ({y0}, {x0})" if alpha == 1 else f"{100 * alpha:.0f} % over it: {how}"
            )
        elif alpha == 1:
            parts.append(f"{share:.0f} % of sample {name} pasted at ({y0}, {x0})")
        else:
            parts.append(f"{100 * weight:.0f} % of sample {name} blended in")
    return ", ".join(parts) or "unchanged"


def _shrink_lines(plan: Plan, view: int, shrunk: dict[int, tuple[float, float]]) -> list[str]:
    """What is shrunk upright before it turns, of a view and of those that it looks at."""
    steps = [int(step[0]) for _, step in maps.links(plan, np.array([view]))]
    return [
        f"turned after an upright shrink by {shrunk[step][0]:.3g} × {shrunk[step][1]:.3g}"
        for step in steps[::-1]
        if step in shrunk
    ]


def log_lines(plan: Plan, view: int) -> list[str]:
    lines = []
    for op, args in zip(plan.log_op[view], plan.log_arg[view], strict=True):
        if op >= 0:
            text = plan.log_text[op]
            fields = len(LOG_FIELD.findall(text.replace("%%", "")))
            lines.append(text % tuple(float(a) for a in args[:fields]))
    return lines


def summary(plan: Plan) -> str:
    finish = plan.finish
    normalise = ", normalised" if finish.mean or finish.std else ""
    layout = "channels_last" if finish.channels_last else "NCHW"
    padded = ", padded" if (plan.extent < finish.size).any() else ""
    lines = [
        f"Plan(seed={plan.seed}, epoch={plan.epoch}, policy={plan.policy or None})",
        f"  {len(plan.ids)} sources → {len(plan)} outputs of {finish.channels}×"
        f"{finish.size[0]}×{finish.size[1]}, {finish.dtype} {layout}{normalise}{padded}",
        f"  {len(plan.source)} views, {plan.step_kind.shape[1]} colour steps, "
        f"{plan.view.shape[1]} layers",
    ]
    for i in range(min(3, len(plan))):
        source = _first_source(plan, i)
        again = f" (occurrence {plan.occurrence[source]})" if plan.occurrence[source] else ""
        lines.append(f"  {plan.ids[source]}{again}: {explain(plan, i)}")
    if len(plan) > 3:
        lines.append(f"  … and {len(plan) - 3} more; explain(i) says what happens to output i")
    return "\n".join(lines)


def _first_source(plan: Plan, i: int) -> int:
    return plan.roots()[plan.view[i, 0]] if plan.view[i, 0] >= 0 else 0
