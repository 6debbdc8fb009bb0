"""The trace: a sample's picture after every step of a policy, and what each step costs.

A policy draws in one pass, so that there is no picture after its second step. The trace makes one: a policy
of the first two steps, drawn with the same random numbers, since these are keyed by a step's place. The last
picture is the policy's own, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..aliases import Layout
from ..checks import whole_number
from ..kernels import Sources
from ..plan import Plan
from ..policy import ops
from ..policy.ops.op import Op
from ..policy.ops.unfused import Unfused
from ..policy.policy import Policy
from ..policy.prefix import channels_of, prefix
from .drawing import drawn, needs_batch, new_parts
from .subjects import Subjects, displayed_source, subjects
from .tiles import Tile, parts_of, picture_of

if TYPE_CHECKING:
    from PIL import Image

ROUNDS, SECONDS = (
    7,
    0.6,
)  # of timing: rounds by turns, and the time that they take at most, in about
BATCH, MOST_PIXELS = (
    16,
    1 << 22,
)  # images in a batch that is timed, and pixels that they have in all


@dataclass(frozen=True)
class Step:
    """A step of a policy, and the picture after it.

    Args:
        name: The op as `repr` has it; "the image" of the first, which is no step.
        picture: Array uint8 (H, W, 3), as it is shown: normalisation undone.
        words: What it did to this sample: what the plan says.
        microseconds: Time that this step adds to an image, in a batch of up to 16 with draws of their own: all
            of it for the first; below 0 where less is left to be drawn. None where it was not measured.
        total: Time of an image with all steps up to this one, in microseconds, or None.
        output: Tensor (C, H, W) of the policy up to here, as a training would get it.
        plan: Plan of the policy up to here; None of the image as it came.
        row: The sample's row in that plan.
    """

    name: str
    picture: np.ndarray
    words: str
    microseconds: float | None
    total: float | None
    output: torch.Tensor
    plan: Plan | None
    row: int = 0


def trace(
    policy: Policy | Op | Sequence[Op],
    image: Any,
    *,
    seed: int = 0,
    epoch: int = 0,
    id: int | str | bytes = 0,
    strength: float = 1.0,
    partners: Sequence[Any] = (),
    partner_ids: Sequence[int | str | bytes] | None = None,
    layout: Layout | None = None,
    boxes: Any = None,
    timed: bool = True,
) -> list[Step]:
    """What a policy does to one sample, step by step.

    Args:
        policy: Policy or ops.
        image: Image, as `tiles` takes one.
        seed: Whole number of 64 bits.
        epoch: Epoch, 0 or more.
        id: Identity of the sample, an int or a name.
        strength: Share in [0, 1] of every magnitude.
        partners: The other images of its batch, in which a mix finds a partner.
        partner_ids: Their identities; None is id + 1, id + 2 and so on, or other names beside a name.
        layout: "NCHW" or "NHWC", where it cannot be seen in the image.
        boxes: Boxes [k, 4] of the image, x0, y0, x1, y1 in its pixels, for ops that look at them.
        timed: Whether the steps are timed, which takes some 0.8 s.

    Returns:
        The image as it came, then a step for each op of the policy. The picture after the last is what an
        engine makes of the sample, bit for bit.

    Raises:
        TypeError: The image or a number is of another type.
        ValueError: They do not fit each other, or the policy.

    Example:
        >>> from augengine.preview import trace
        >>> policy = ae.Policy([ae.RandomResizedCrop(32), ae.RandomHorizontalFlip(), ae.RandomInvert(p=1)])
        >>> steps = trace(policy, np.zeros((40, 48, 3), np.uint8), id=7, timed=False)
        >>> for step in steps[1:]:
        ...     print(step.words)
        crop 30×25 at (10, 13) → 32×32
        nothing this time
        inverted
    """
    whole = Policy(policy)
    epoch = whole_number("preview: epoch", epoch, 0, 2**63 - 1)
    if partner_ids is None:
        partner_ids = (
            [f"partner {k}" for k in range(len(partners))]
            if isinstance(id, (str, bytes))
            else [id + 1 + k for k in range(len(partners))]
        )
    several = subjects([image, *partners], ids=[id, *partner_ids], layout=layout)
    tracer = _Tracer(whole, several, seed, epoch, strength, boxes)
    source = several.each[0]
    height, width = source.sizes[0]
    words = f"{height}×{width}, {str(source.image_dtype).removeprefix('torch.')}, as it came"
    own = source.image(0).movedim(-1, 0)
    steps = [Step("the image", displayed_source(source), words, None, None, own, None)]
    count = len(whole.top)
    times = tracer.times() if timed else [None] * (count + 1)
    said: list[str] = []
    for k, op in enumerate(whole.top, 1):
        plan, row, output = tracer.draw(k)
        parts = parts_of(plan.explain(row))
        after, before = times[k], times[k - 1]
        cost = None if after is None or before is None else after - before
        picture = picture_of(output, plan.finish, prefix(whole, k))
        new = _new_words(op, parts, said, np.array_equal(picture, steps[-1].picture))
        steps.append(Step(repr(op), picture, new, cost, after, output, plan, row))
        said = parts
    return steps


def trace_sheet(
    steps: Sequence[Step], *, size: int = 224, columns: int = 5, title: str = ""
) -> Image.Image:
    """A picture of a trace.

    Args:
        steps: What `trace` gave.
        size: Pixels a side of the square that each picture is fitted into.
        columns: Number of pictures in a row, at most.
        title: Text of the title.
    """
    from .sheets import sheet_of

    cells = []
    for number, step in enumerate(steps):
        cost = "" if step.microseconds is None else f" ({step.microseconds:+,.0f} µs an image)"
        heading = step.name if number == 0 else f"{number}. {step.name}"
        cells.append(Tile(step.picture, step.words + cost, heading))
    rows = [cells[k : k + columns] for k in range(0, len(cells), columns)]
    last = next((step.total for step in reversed(steps) if step.total is not None), None)
    lines = [
        "Each picture is the policy up to that step, with the sample's own draws; the last is what a training "
        "gets."
    ]
    if last is not None:
        threads = torch.get_num_threads()
        lines.append(
            f"Times are what a step adds to an image in a batch of up to {BATCH} with draws of their own, "
            f"deciding included, on {threads} thread{'s' * (threads > 1)}; all steps: {last:,.0f} µs."
        )
    return sheet_of(title or "Step by step", lines, rows, size)


class _Tracer:
    """A policy's beginnings on one sample among its batch."""

    def __init__(
        self, policy: Policy, several: Subjects, seed: int, epoch: int, strength: float, boxes: Any
    ) -> None:
        self.policy, self.several = policy, several
        self.seed, self.epoch, self.strength, self.boxes = seed, epoch, strength, boxes

    def draw(self, count: int) -> tuple[Plan, int, torch.Tensor]:
        """(plan, the sample's row in it, output) of the first ops."""
        beginning = prefix(self.policy, count)
        together = needs_batch(beginning)
        sources = self.several.batch if together else self.several.each[0]
        ids = self.several.ids if together else self.several.ids[:1]
        return self._drawn(beginning, sources, ids)

    def _drawn(
        self,
        beginning: Policy,
        sources: Sources,
        ids: np.ndarray,
        out: torch.Tensor | None = None,
    ) -> tuple[Plan, int, torch.Tensor]:
        boxes = None
        if self.boxes is not None:
            given = np.asarray(self.boxes, float)
            boxes = [given] + [np.zeros((0, 4))] * (len(sources) - 1)
        plan, outputs = drawn(
            beginning, sources, ids, seed=self.seed, epoch=self.epoch, strength=self.strength, boxes=boxes,
            channels=channels_of(self.policy, sources.channels), out=out,
        )  # fmt: skip
        return plan, 0, outputs[0]

    def times(self) -> list[float]:
        """Microseconds an image of each beginning, from that of no ops on, which is nothing to do."""
        works = [self._work(count + 1) for count in range(len(self.policy.top))]
        taken: list[list[float]] = [[] for _ in works]
        for work, _ in works:  # compiles, and touches memory
            work()
        end = time.perf_counter() + SECONDS
        for number in range(ROUNDS):
            if number >= 2 and time.perf_counter() > end:
                break
            for into, (work, images) in zip(taken, works, strict=True):
                start = time.perf_counter()
                work()
                into.append(1e6 * (time.perf_counter() - start) / images)
        return [0.0, *map(min, taken)]  # what interrupts only adds

    def _work(self, count: int) -> tuple[Callable[[], object], int]:
        """What is timed of the first ops, and how many images it makes."""
        beginning = prefix(self.policy, count)
        # The same images of each beginning: those of the batch, where a mix comes in the end.
        each = self.several.each if needs_batch(self.policy) else self.several.each[:1]
        one = self.several.batch if len(each) > 1 else each[0]
        pixels = int(one.sizes.prod(axis=1, dtype=np.int64).sum())
        copies = max(1, min(BATCH, MOST_PIXELS // max(1, pixels)) // len(each))
        sources = one
        for _ in range(copies - 1):
            sources = sources.followed_by(one)
        ids = np.arange(len(sources))
        # As in a training, whose memory is used again: new pages cost as much as what is drawn.
        out: torch.Tensor | None = None

        def together_or_alone() -> None:
            nonlocal out
            try:
                plan, _, _ = self._drawn(beginning, sources, ids, out)
                if out is None:
                    out = torch.empty(plan.shape, dtype=torch.float32)
            except ValueError:  # sizes of their own, such as before they are resized
                for k in range(len(ids)):
                    self._drawn(beginning, each[k % len(each)], ids[k : k + 1])

        return together_or_alone, len(sources)


def _new_words(op: Op, parts: list[str], before: list[str], same: bool) -> str:
    """What a step added to a plan's words."""
    new = new_parts(parts, before)
    if isinstance(op, ops.Normalize):
        new.append("normalised; shown with that undone")
    if new:
        return ", ".join(new)
    if not same:
        return "done to the finished image" if isinstance(op, Unfused) else "done"
    return "nothing this time" if Policy(op).draws else "changes no colour of this image"
