"""Whole targets, such as dicts of boxes, labels and masks: each field as its kind is followed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar, cast

import numpy as np
import torch

from ..aliases import Executor, PILImage
from ..plan import Plan
from . import shapes
from .boxes import Objects, objects, shows, written
from .fields import (
    Role,
    counts_of,
    example,
    is_target,
    like,
    masks_like,
    parts_of,
    roles_of,
    taken,
    tv_name,
    wrapped,
)
from .instances import have_pixels, instances_at, read_stacks
from .keypoints import flip_order, move_points, read_points, written_points
from .masks import masks
from .options import TargetOptions
from .outlines import move_rings, read_rings
from .padded import pad_targets
from .read import Images, ReadBoxes, array_of, check_count, read_boxes
from .refuse import check_followed
from .shares import Looks, ends_of, row_of, spread

# A target of one image: a dict, or boxes, keypoints or a mask alone.
Target: TypeAlias = Mapping[str, Any] | torch.Tensor | np.ndarray | PILImage
OneTarget = TypeVar("OneTarget", bound=Target)

__all__ = ["TargetOptions", "batch_targets", "follow", "is_target", "source_boxes"]


class Rows(NamedTuple):
    """Instances as they are kept: m of them, in the order of outputs and layers."""

    look: np.ndarray  # [m] which look shows it
    source: np.ndarray  # [m]
    number: np.ndarray  # [m] its number in that source

    def of(self, keep: np.ndarray) -> Rows:
        return Rows(self.look[keep], self.source[keep], self.number[keep])


def follow(
    plan: Plan,
    targets: Sequence[OneTarget],
    options: TargetOptions | None = None,
    *,
    executor: Executor | None = None,
) -> list[OneTarget]:
    """Targets as they lie in the outputs.

    A dict is what torchvision's detection references use: boxes, labels, masks, keypoints and any further
    fields. Its instances are told by its boxes; without them by masks of instances, polygons or
    keypoints, in that order. Instances that are no longer seen are left out of every field, and counted
    under 'dropped'; an output of several samples has the instances of all. Fields of an image, such as
    image_id, are those of the output's own sample. What docs/targets.md says of names holds.

    Args:
        plan: Plan of the batch.
        targets: For each source a dict, or boxes or keypoints of torchvision's classes, or a mask.
        options: What is left out, and how boxes, keypoints and masks are written; None is the defaults.
        executor: Name of the executor that draws masks, 'cpu', 'gpu' or 'torch'; None takes the fastest
            that fits.

    Returns:
        For each output what came for a source: tensors of the same dtypes, arrays, lists, and
        torchvision's classes, their canvas size being the output's.

    Raises:
        TypeError: Targets are of a type that is none of these, or not of one type.
        ValueError: They are wrong, or do not go with their images; it says which sample.

    Example:
        >>> plan = ae.Policy(ae.CenterCrop(16)).sample([7], [(32, 32)])
        >>> boxes = torch.tensor([[4.0, 4.0, 20.0, 28.0], [0.0, 0.0, 6.0, 6.0]])
        >>> ae.follow(plan, [{"boxes": boxes, "labels": torch.tensor([1, 2]), "image_id": 7}])
        [{'boxes': tensor([[ 0.,  0., 12., 16.]]), 'labels': tensor([1]), 'image_id': 7, 'dropped': 1}]
    """
    options = TargetOptions() if options is None else options
    kind = _checked_kind(plan, targets)
    if kind == "dicts":
        dicts = _dicts(plan, cast(Sequence[Mapping[str, Any]], targets), options, executor)
        return cast(list[OneTarget], dicts)
    if kind == "masks":
        drawn = masks(plan, targets, fill=options.fill, executor=executor)  # type: ignore[arg-type]
        return _pictures(drawn, targets[0], plan.finish.size)
    moved = _dicts(plan, [{kind: target} for target in targets], options, executor)
    return [target[kind] for target in moved]


def batch_targets(
    plan: Plan,
    given: Sequence[Target],
    options: TargetOptions | None = None,
    executor: Executor | None = None,
    after: Callable[[list[Any]], list[Any]] | None = None,
) -> Any:
    """`follow` as a batch has them: masks as one tensor, dicts as a list, or padded. after: what is done
    to the list first, such as by the rules of stages."""
    options = TargetOptions() if options is None else options
    kind = _checked_kind(plan, given)
    if kind == "masks" and after is None:
        drawn = masks(plan, given, fill=options.fill, executor=executor)  # type: ignore[arg-type]
        return drawn.as_subclass(torch.Tensor)
    moved: list[Any] = list(follow(plan, given, options, executor=executor))
    moved = moved if after is None else after(moved)
    if kind == "masks":
        return torch.stack([torch.as_tensor(one) for one in moved])
    if kind == "dicts" and options.pad:
        most = None if options.pad is True else int(options.pad)
        return pad_targets(moved, most, per_image=options.per_image)
    return moved


def _checked_kind(
    plan: Plan, targets: Sequence[Target]
) -> Literal["dicts", "boxes", "keypoints", "masks"]:
    """What the targets of a batch are."""
    check_followed("follow", plan, borders=False)
    check_count("follow", plan, targets)
    if all(isinstance(target, Mapping) for target in targets):
        return "dicts"
    kinds = {tv_name(target) for target in targets}
    if kinds == {"BoundingBoxes"}:
        return "boxes"
    if kinds == {"KeyPoints"}:
        return "keypoints"
    dicts = any(isinstance(target, Mapping) for target in targets)
    if kinds <= {"", "Mask"} and not dicts and all(map(is_target, targets)):
        return "masks"
    names = sorted({type(target).__name__ for target in targets})
    what = "dicts and others" if dicts else " and ".join(names)
    raise TypeError(
        f"follow: got {what}, expected a dict for each image, or for each boxes or keypoints of "
        "torchvision's classes, or a mask. Return one of these from the dataset."
    )


def source_boxes(
    ids: np.ndarray,
    sizes: np.ndarray,
    given: Sequence[Target],
    options: TargetOptions | None = None,
) -> list[np.ndarray] | None:
    """[k, 4] x0, y0, x1, y1 of each target's boxes, for ops that decide by them; None where targets have
    none.

    ids: [B], sizes: [B, 2] of the images.
    """
    images = Images(ids, sizes)
    options = TargetOptions() if options is None else options
    check_count("follow", images, given)
    every: list[Any] = list(given)
    if all(isinstance(target, Mapping) for target in given):
        roles = roles_of("follow", images, given, options.per_image)  # type: ignore[arg-type]
        name = _field(roles, "boxes")
        every = [] if name is None else [target[name] for target in every]
    elif any(tv_name(target) != "BoundingBoxes" for target in given):
        every = []
    if not every:
        return None
    read = read_boxes("follow", images, every, options.box_format)
    about = shapes.extents(read.corners.transpose(2, 1, 0)).T
    return np.split(about, np.cumsum(read.counts)[:-1])


def _field(roles: Mapping[str, Role], role: Role) -> str | None:
    """The name of the field with a role; there is one at most."""
    return next((name for name, its in roles.items() if its == role), None)


def _dicts(
    plan: Plan,
    given: Sequence[Mapping[str, Any]],
    options: TargetOptions,
    executor: Executor | None,
) -> list[dict[str, Any]]:
    """Targets that are dicts."""
    roles = roles_of("follow", plan, given, options.per_image)
    column = {name: [target[name] for target in given] for name in roles}
    by_role = {role: name for name, role in roles.items()}
    counts = counts_of(given, roles)
    count = np.zeros(len(given), np.int64) if counts is None else np.array(counts, np.int64)
    looks = Looks.of(plan)
    look, number = spread(count[looks.source])
    rows = Rows(look, looks.source[look], number)
    candidates = np.bincount(looks.output[look], minlength=len(plan))

    values: dict[str, Any] = {}  # of each field of instances, its rows
    if name := by_role.get("boxes"):
        given_boxes = read_boxes(f"follow: {name}", plan, column[name], options.box_format)
        check_followed("follow", plan)
        found = objects(plan, given_boxes.corners, given_boxes.counts, looks)
        keep = np.flatnonzero(shows(found, options.min_visible, options.min_area, options.min_size))
        rows = Rows(found.look[keep], found.origin[keep, 0], found.origin[keep, 1])
    elif name := by_role.get("polygons"):
        check_followed("follow", plan)
        rings = read_rings(f"follow: {name}", plan, column[name])
        visible = move_rings(plan, looks, rows.look, _row(count, rows), rings).visible
        rows = rows.of(np.flatnonzero((visible > 0) & (visible >= options.min_visible)))
    elif name := by_role.get("keypoints") if "masks" not in by_role else None:
        check_followed("follow", plan)
        points = read_points(f"follow: {name}", plan, column[name])
        order = np.arange(points.points.shape[1])
        seen = move_points(plan, looks, rows.look, _row(count, rows), points, order).seen
        rows = rows.of(np.flatnonzero(seen.any(axis=1)))
    if name := by_role.get("masks"):
        drawn = instances_at(
            plan,
            read_stacks(f"follow: {name}", plan, column[name]),
            looks.output[rows.look],
            looks.view[rows.look],
            rows.number,
            executor,
        )
        there = have_pixels(drawn)
        rows, values[name] = rows.of(np.flatnonzero(there)), drawn[torch.from_numpy(there)]
        if "boxes" in by_role:
            keep = keep[there]

    row = _row(count, rows)
    if name := by_role.get("boxes"):
        values[name] = written(plan, found, keep, given_boxes.format, options.clip)
        if roles.get("area") == "instances":
            values["area"] = _scaled_areas(column["area"], given_boxes, found, keep, row)
    if name := by_role.get("keypoints"):
        check_followed("follow", plan)
        points = read_points(f"follow: {name}", plan, column[name])
        order = flip_order("TargetOptions.flip_pairs", options.flip_pairs, points.points.shape[1])
        moved = move_points(plan, looks, rows.look, row, points, order)
        values[name] = written_points(moved, points, np.arange(len(rows.look)))
    if name := by_role.get("polygons"):
        check_followed("follow", plan)
        rings = read_rings(f"follow: {name}", plan, column[name])
        moved_rings = move_rings(plan, looks, rows.look, row, rings).rings
        values[name] = [[_ring(ring, rings.flat) for ring in outline] for outline in moved_rings]

    size = plan.finish.size
    own = plan.roots()[plan.view[np.arange(len(plan)), (plan.view >= 0).argmax(axis=1)]]
    ends = ends_of(looks.output[rows.look], len(plan))
    parts: dict[str, list[Any]] = {}  # of each field, output by output
    for name, role in roles.items():
        kind = example(column[name])
        if role == "semantic":
            drawn = masks(plan, column[name], fill=options.fill, executor=executor)
            parts[name] = _pictures(drawn, kind, size)
        elif role == "image":
            parts[name] = [column[name][source] for source in own]
        elif role == "polygons":
            parts[name] = parts_of(values[name], ends, kind, size)
        elif role == "masks":
            parts[name] = parts_of(masks_like(values[name], kind), ends, kind, size)
        elif name in values:
            parts[name] = parts_of(like(values[name], kind), ends, kind, size)
        else:
            parts[name] = parts_of(taken(column[name], row), ends, kind, size)
    if counts is not None:
        left = np.diff(ends)
        parts["dropped"] = (candidates - left).tolist()
    return [{name: part[i] for name, part in parts.items()} for i in range(len(plan))]


def _pictures(drawn: torch.Tensor, kind: Any, size: tuple[int, int]) -> list[Any]:
    """Masks of classes [N, …], output by output, in the kind of those that came."""
    every = list(masks_like(drawn.as_subclass(torch.Tensor), kind))
    return [wrapped(one, kind, size) for one in every] if tv_name(kind) else every


def _row(count: np.ndarray, rows: Rows) -> np.ndarray:
    return row_of(count, rows.source, rows.number)


def _scaled_areas(
    areas: Sequence[Any], given: ReadBoxes, found: Objects, keep: np.ndarray, row: np.ndarray
) -> np.ndarray:
    """[m] areas of instances, such as COCO's, times what is seen of their boxes over the boxes' own."""
    came = np.concatenate([array_of(part).reshape(-1) for part in areas])[row].astype(np.float64)
    of_box = shapes.area(given.corners.transpose(2, 1, 0))[row]
    return came * found.area[keep] / np.where(of_box > 0, of_box, 1)


def _ring(ring: np.ndarray, flat: bool) -> np.ndarray | list[float]:
    """A ring as those that came."""
    points = ring.astype(np.float32)
    return points.ravel().tolist() if flat else points
