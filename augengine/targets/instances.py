"""Masks of instances: any number of them for each image, which may overlap.

They are not drawn one by one. What is drawn, once, is which pixel of its image each pixel of an output
shows, and each instance is read from its mask by these numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
import torch

from ..aliases import Executor
from ..plan import Plan
from .nearest import Shown, shown_pixels
from .planes import check_size, kind_of, read_tensor
from .read import check_count, sample_name
from .refuse import check_followed
from .shares import ends_of, spread

# The instances of all sources: a tensor or an array (B, k, H, W), or a list of (k, H, W).
Stacks: TypeAlias = torch.Tensor | np.ndarray | Sequence[torch.Tensor | np.ndarray]


class PlacedMasks(NamedTuple):
    """The masks of the instances in one output."""

    masks: torch.Tensor  # [m, H, W], of the dtype and on the device of those that came
    origin: np.ndarray  # [m, 2] int64: the source, and the instance's index there


def instance_masks(
    plan: Plan, masks: Stacks, *, executor: Executor | None = None
) -> list[PlacedMasks]:
    """Masks of instances as they lie in the outputs, by the nearest pixel. They may overlap.

    As for `masks`, colours, filters and erased boxes leave them as they are, and in a blend a pixel belongs
    to the sample with the greatest share of it. One picture is drawn, however many instances there are.

    Args:
        plan: Plan of the batch.
        masks: For each source the masks (k, H, W) of its k instances, of the image's size, in bools or whole
            numbers, 0 being no part of an instance; k may be 0. Tensors, arrays, or torchvision's Mask; or
            (B, k, H, W).
        executor: Name of the executor, 'cpu', 'gpu' or 'torch'; None takes the fastest that fits.

    Returns:
        For each output the masks of the instances that have a pixel there, in the order of layers, then of
        the source. Outside of the images they are 0. A Mask, where all that came are.

    Raises:
        TypeError: A stack is of another type, or of floats.
        ValueError: There are not as many stacks as sources, or one is not of its image's size.

    Example:
        >>> plan = ae.Policy(ae.CenterCrop(1)).sample([7], [(1, 3)])
        >>> masks = torch.tensor([[[1, 0, 0]], [[0, 1, 1]]], dtype=torch.bool)
        >>> ae.instance_masks(plan, [masks])
        [PlacedMasks(masks=tensor([[[True]]]), origin=array([[0, 1]]))]
    """
    check_followed("instance_masks", plan, borders=False)
    stacks = read_stacks("instance_masks", plan, masks)
    if not len(plan):
        return []
    shown = shown_pixels(plan, stacks[0].device, executor)
    # By the layers that a mask shows, what is erased included, and not by what a box does.
    pairs = [
        (i, v)
        for i, views in enumerate(shown.views)
        for v in dict.fromkeys(plan.view[i].tolist())
        if v in views
    ]
    outputs, views = np.array(pairs, np.int64).reshape(-1, 2).T
    sources = plan.roots()[views]
    pair, number = spread(np.array([len(stack) for stack in stacks], np.int64)[sources])
    output = outputs[pair]
    drawn = instances_at(plan, stacks, output, views[pair], number, executor, shown)
    keep = have_pixels(drawn)
    drawn = drawn if keep.all() else drawn[torch.from_numpy(keep).to(drawn.device)]
    kind = kind_of([masks] if isinstance(masks, (torch.Tensor, np.ndarray)) else masks)
    origin = np.stack([sources[pair], number], axis=1)[keep].astype(np.int64)
    ends = ends_of(output[keep], len(plan))
    return [PlacedMasks(drawn[i:j].as_subclass(kind), origin[i:j]) for i, j in pairwise(ends)]


def read_stacks(where: str, plan: Plan, given: Stacks) -> list[torch.Tensor]:
    """The stacks (k, H, W) of all sources, of one dtype and device, with the sample named where something
    is wrong."""
    if isinstance(given, (torch.Tensor, np.ndarray)):
        given = read_tensor(where, "the batch", given)
        if given.ndim != 4:
            raise ValueError(
                f"{where}: got a batch of shape {tuple(given.shape)}, expected (B, k, H, W). Pass a list of "
                "stacks (k, H, W), one for each source; class numbers (B, H, W) go through masks."
            )
    elif not isinstance(given, Sequence) or isinstance(given, (str, bytes)):
        raise TypeError(
            f"{where}: got {type(given).__name__}, expected a stack (k, H, W) for each source. Pass a list of "
            "tensors or arrays."
        )
    check_count(where, plan, given)
    stacks = []
    for b, one in enumerate(given):
        name = sample_name(plan, b)
        if not isinstance(one, (torch.Tensor, np.ndarray)):
            raise TypeError(
                f"{where}: got {type(one).__name__} for {name}, expected a tensor or an array (k, H, W). "
                "Stack the masks of its instances, such as torch.stack(masks)."
            )
        stack = read_tensor(where, name, one)
        if stack.dtype.is_floating_point and stack.numel():
            raise TypeError(
                f"{where}: got {stack.dtype} for {name}, expected bools or whole numbers. Pass masks > 0, or "
                "masks.long(); what is measured, such as depth, goes to ae.maps."
            )
        if stack.shape[0:1] == (0,):  # of no instances, whatever their size
            stack = stack.new_zeros((0, *plan.sizes[b].tolist()))
        if stack.ndim != 3:
            raise ValueError(
                f"{where}: got shape {tuple(stack.shape)} for {name}, expected (k, H, W), one mask for each "
                "instance. Pass mask[None] for one, and zeros(0, H, W) for none."
            )
        check_size(where, plan, b, stack.shape[1:])
        stacks.append(stack)
    return _alike(where, plan, stacks)


def _alike(where: str, plan: Plan, stacks: list[torch.Tensor]) -> list[torch.Tensor]:
    """The stacks, if they are of one dtype and device. One of no instances is of any."""
    b = next((b for b, stack in enumerate(stacks) if len(stack)), 0)
    for other, stack in enumerate(stacks):
        first = stacks[b]
        if len(stack) and (stack.dtype, stack.device) != (first.dtype, first.device):
            raise ValueError(
                f"{where}: got {stack.dtype} on {stack.device} for {sample_name(plan, other)}, and "
                f"{first.dtype} on {first.device} for {sample_name(plan, b)}, expected one dtype and device "
                "for all. Convert them first."
            )
    return [stack if len(stack) else stack.to(stacks[b]) for stack in stacks]


def instances_at(
    plan: Plan,
    stacks: Sequence[torch.Tensor],
    output: np.ndarray,
    view: np.ndarray,
    number: np.ndarray,
    executor: Executor | None = None,
    shown: Shown | None = None,
) -> torch.Tensor:
    """[n, H, W] masks of n instances, each as one view shows it in one output.

    stacks: what `read_stacks` gave. output, view, number: [n], the last that of the instance in the image
    that the view shows; those of one view in one output lie together. shown: the plan's, if it is known.
    """
    drawn = stacks[0].new_zeros((len(output), *plan.finish.size))
    if not len(output):
        return drawn
    shown = shown_pixels(plan, drawn.device, executor) if shown is None else shown
    roots = plan.roots()
    # Those of one view in one output are gathered together.
    new = np.flatnonzero((np.diff(output, prepend=-1) != 0) | (np.diff(view, prepend=-1) != 0))
    for begin, end in pairwise([*new.tolist(), len(output)]):
        stack, numbers = stacks[roots[view[begin]]], number[begin:end]
        if not np.array_equal(numbers, np.arange(len(stack))):
            stack = stack[torch.from_numpy(numbers.astype(np.int64)).to(stack.device)]
        _gather(stack, shown, int(output[begin]), int(view[begin]), drawn[begin:end])
    return drawn


def _gather(stack: torch.Tensor, shown: Shown, output: int, view: int, out: torch.Tensor) -> None:
    """Write into `out` (k, H, W), which is 0, what a view shows of a stack."""
    where, pixel = shown.where(output, view), shown.pixel[output]
    if len(shown.views[output]) > 1:  # of several, most show in a part
        rows, columns = where.any(dim=1).nonzero()[:, 0], where.any(dim=0).nonzero()[:, 0]
        if not len(rows):
            return
        part = (
            slice(int(rows[0]), int(rows[-1]) + 1),
            slice(int(columns[0]), int(columns[-1]) + 1),
        )
        where, pixel, out = where[part], pixel[part], out[(slice(None), *part)]
    flat, index = stack.flatten(1), pixel.flatten().long()
    if not where.all():
        # What is outside reads a column of zeros behind the others.
        index = torch.where(where.flatten(), index, flat.shape[1])
        flat = torch.cat([flat, flat.new_zeros((len(flat), 1))], dim=1)
    # torch.gather reads an index that is expanded four times faster than index_select reads columns.
    out.copy_(flat.gather(1, index.expand(len(flat), -1)).view(out.shape))


def have_pixels(drawn: torch.Tensor) -> np.ndarray:
    """[n] which of the masks (n, H, W) have a pixel that is not 0."""
    if not len(drawn):
        return np.zeros(0, bool)
    if drawn.device.type == "cpu":
        # The largest byte is found twelve times faster than torch finds any that is not 0.
        return drawn.numpy().view(np.uint8).reshape(len(drawn), -1).max(axis=1) > 0
    return (drawn.flatten(1) != 0).any(dim=1).cpu().numpy()
