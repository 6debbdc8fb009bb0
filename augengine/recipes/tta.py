"""Test-time augmentation: a model's answers on several looks at each image, brought back and merged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, TypeAlias, cast, overload

import numpy as np
import torch

from ..aliases import Executor, Ids, Image, Images
from ..checks import whole_number
from ..kernels import Sources, execute
from ..plan import Plan
from ..plan.maps import apply, bounds, carriers, inverses, to_images
from ..policy.ops import (
    Normalize,
    RandomHorizontalFlip,
    RandomQuarterTurn,
    RandomVerticalFlip,
)
from ..policy.ops.op import Op
from ..policy.ops.unfused import Unfused, run_all
from ..policy.policy import Policy
from ..policy.views import Views
from ..targets.keypoints import FlipPairs, flip_order
from ..targets.place import mirrors
from ..targets.refuse import check_followed
from ..targets.resample import resample, seen

# What a model says of images (n, C, H, W).
Tensors: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
Detections: TypeAlias = Callable[
    [torch.Tensor], Sequence[torch.Tensor] | Sequence[Mapping[str, torch.Tensor]]
]
# What makes one answer of several: "mean" and "max" of those that saw something, or a function of the
# answers [looks, B, …] and of whether each saw something there, [looks, B, 1, …] bool.
Merge: TypeAlias = (
    Literal["mean", "max"] | Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None
)
Looks: TypeAlias = Literal["hflip", "flips", "turns"] | Policy | Op | Sequence[Op] | Views

_MIRROR, _UPSIDE_DOWN = RandomHorizontalFlip(1), RandomVerticalFlip(1)
_TURNS: list[list[Op]] = [[]]
_TURNS += [[RandomQuarterTurn([turns])] for turns in (1, 2, 3)]
NAMED: dict[str, list[list[Op]]] = {
    "hflip": [[], [_MIRROR]],
    "flips": [[], [_MIRROR], [_UPSIDE_DOWN], [_MIRROR, _UPSIDE_DOWN]],
    "turns": [*_TURNS, *([_MIRROR, *turn] for turn in _TURNS)],
}


@overload
def tta(
    model: Tensors, images: Images, looks: Looks = ..., *,
    output: Literal["labels", "keypoints"] = ..., policy: Policy | Op | Sequence[Op] = ...,
    merge: Merge = ..., count: int = ..., flip_pairs: FlipPairs = ..., seed: int = ...,
    ids: Ids | None = ..., executor: Executor | None = ...,
) -> torch.Tensor: ...  # fmt: skip
@overload
def tta(
    model: Tensors, images: torch.Tensor | np.ndarray, looks: Looks = ..., *,
    output: Literal["maps"], policy: Policy | Op | Sequence[Op] = ..., merge: Merge = ...,
    count: int = ..., flip_pairs: FlipPairs = ..., seed: int = ...,
    ids: Ids | None = ..., executor: Executor | None = ...,
) -> torch.Tensor: ...  # fmt: skip
@overload
def tta(
    model: Tensors, images: Sequence[Image], looks: Looks = ..., *,
    output: Literal["maps"], policy: Policy | Op | Sequence[Op] = ..., merge: Merge = ...,
    count: int = ..., flip_pairs: FlipPairs = ..., seed: int = ...,
    ids: Ids | None = ..., executor: Executor | None = ...,
) -> list[torch.Tensor]: ...  # fmt: skip
@overload
def tta(
    model: Detections, images: Images, looks: Looks = ..., *,
    output: Literal["boxes"], policy: Policy | Op | Sequence[Op] = ..., merge: None = ...,
    count: int = ..., flip_pairs: FlipPairs = ..., seed: int = ...,
    ids: Ids | None = ..., executor: Executor | None = ...,
) -> list[dict[str, torch.Tensor]]: ...  # fmt: skip
def tta(
    model: Tensors | Detections,
    images: Images,
    looks: Looks = "hflip",
    *,
    output: Literal["labels", "maps", "boxes", "keypoints"] = "labels",
    policy: Policy | Op | Sequence[Op] = (),
    merge: Merge = None,
    count: int = 1,
    flip_pairs: FlipPairs = (),
    seed: int = 0,
    ids: Ids | None = None,
    executor: Executor | None = None,
) -> torch.Tensor | list[torch.Tensor] | list[dict[str, torch.Tensor]]:
    """Ask a model about several looks at each image, bring its answers back to the originals, merge them.

    Each pixel is merged of the looks that saw it, by one resampling from the size that the model answers
    in: a head that gives (n, C, h / 4, w / 4) needs no upsampling. Flips and quarter turns bring values
    back without changing a bit. The model is called once a look, in the mode that it is in; it should be
    in eval, under torch.no_grad.

    Args:
        model: Function of images (n, C, H, W) float32, which returns what `output` says.
        images: Batch or list of images, as `Sources.of` takes them.
        looks: Name of the looks: 'hflip' is the image and its mirror image, 'flips' both flips, each and
            together, 'turns' the four quarter turns of both. Or a policy or ops of your own, or
            Views, none of which mixes samples.
        output: What the model returns. 'labels': [n, …], one answer an image, such as logits. 'maps':
            (n, C, h, w) of any size in proportion, such as logits or heat maps. 'boxes': for each image
            boxes [k, 4] (XYXY), or a dict with "boxes" and further tensors [k, …]. 'keypoints':
            [n, K, 2], x and y, or [n, K, 3] with a score.
        policy: Policy or ops of evaluation, for named looks: its Normalize comes after the flips, its
            geometry before.
        merge: What makes one answer of several: 'mean' (as None), 'max' (of keypoints that of the greatest
            score), or a function of answers [looks, B, …] and of whether each saw something there
            [looks, B, 1, …]. None for boxes, of which all are kept.
        count: Number of times that a policy of your own is drawn, 1 or more, each time anew.
        flip_pairs: Pairs of keypoints, or of channels of maps, by number, that exchange places where a look
            mirrors, such as a left and a right eye.
        seed: Whole number of 64 bits that keys a policy of your own.
        ids: Identities [B] of the images, which key it too; None is 0 … B − 1.
        executor: Name of the executor, 'cpu', 'gpu' or 'torch'; None takes the fastest that fits.

    Returns:
        'labels': a tensor [B, …]. 'maps': (B, C, H, W) in the size of the originals, 0 where no look saw
        anything; for a list of images a list of (C, H, W). 'boxes': for each image a dict of all boxes in
        its pixels, cut to it, what came with them, and "look", the number of the look; those that
        lie beside it wholly are left out. 'keypoints': [B, K, 2 or 3].

    Raises:
        TypeError: The model returns something else.
        ValueError: The model returns another number or shape, an argument is outside its range, or a
            look mixes samples.

    Example:
        >>> def model(images):  # logits of two classes, by brightness, at a quarter of the size
        ...     grey = torch.nn.functional.avg_pool2d(images.mean(1, keepdim=True), 4)
        ...     return torch.cat([1 - grey, grey], dim=1)
        >>> images = torch.rand(2, 3, 32, 48)
        >>> logits = ae.tta(model, images, "flips", output="maps")
        >>> logits.shape
        torch.Size([2, 2, 32, 48])
        >>> ae.tta(lambda images: images.mean((2, 3)), images).shape
        torch.Size([2, 3])
    """
    if output not in ("labels", "maps", "boxes", "keypoints"):
        raise ValueError(
            f"tta: got output {output!r}, expected 'labels', 'maps', 'boxes' or 'keypoints'. Pass one."
        )
    if not (merge in (None, "mean", "max") or callable(merge)) or (output == "boxes" and merge):
        fix = (
            "Merge them yourself, such as by torchvision.ops.nms"
            if output == "boxes"
            else "Pass one"
        )
        kinds = "None for boxes" if output == "boxes" else "'mean', 'max' or a function"
        raise ValueError(f"tta: got merge={merge!r}, expected {kinds}. {fix}.")
    sources = Sources.of(images)
    answers = []
    for plan, stages in _plans(looks, policy, count, seed, ids, sources):
        if output != "labels":
            check_followed("tta", plan, borders=False)
        drawn = execute(plan, sources, executor=executor)
        drawn = run_all(stages, drawn, plan)
        answers.append((plan, model(drawn)))
    if output == "boxes":
        return _boxes(answers)
    plans = [plan for plan, _ in answers]
    values = [_checked(answer, plan, output) for plan, answer in answers]
    if output == "labels":
        every = [torch.ones_like(v[:, :1], dtype=torch.bool) for v in values]
        return _merged(values, every, merge)
    if output == "keypoints":
        return _merged_points(*_points(plans, values, flip_pairs), merge)
    back = [_back(plan, v, flip_pairs, executor) for plan, v in zip(plans, values, strict=True)]
    merged = _merged([v for v, _ in back], [s for _, s in back], merge)
    if not isinstance(images, (list, tuple)):
        return merged
    return [one[:, :h, :w] for one, (h, w) in zip(merged, sources.sizes.tolist(), strict=True)]


def _plans(
    looks: Looks,
    policy: Policy | Op | Sequence[Op],
    count: int,
    seed: int,
    ids: Ids | None,
    sources: Sources,
) -> Iterator[tuple[Plan, tuple[Unfused, ...]]]:
    """The plan of each look, and what is applied to its images unfused."""
    whole_number("tta: count", count, 1, 2**31 - 1)
    base = Policy(policy).transforms
    if isinstance(looks, str):
        if looks not in NAMED:
            raise ValueError(
                f"tta: got looks {looks!r}, expected one of {', '.join(map(repr, NAMED))}, a policy or Views. "
                "Pass one."
            )
        last = [isinstance(op, (Normalize, Unfused)) for op in base]
        at = last.index(True) if True in last else len(base)
        policies = [Policy([*base[:at], *ops, *base[at:]]) for ops in NAMED[looks]]
        views = Views(looks=policies)
    else:
        if base:
            raise ValueError(
                "tta: got a policy beside looks of your own, expected it for named looks, such as 'hflip'. "
                "Put its ops into yours."
            )
        views = looks if isinstance(looks, Views) else Views(looks=[Policy(looks)] * count)
    if ids is None:
        ids = np.arange(len(sources))

    def sample(policy: Policy, number: int, frame: tuple[int, int] | None = None) -> Plan:
        sizes = sources.sizes if frame is None else [frame] * len(sources)
        return policy.sample(
            ids,
            sizes,
            seed=seed,
            look=number,
            channels=sources.channels,
            image_dtype=sources.image_dtype,
        )

    plans = views.plans(sample)
    for name, at_name, own in views.each():
        several = plans[name]
        yield several if isinstance(several, Plan) else several[cast(int, at_name)], own.after


def _checked(answer: object, plan: Plan, output: str) -> torch.Tensor:
    """What the model returned, as float32 where it is of floats."""
    if not isinstance(answer, torch.Tensor):
        raise TypeError(
            f"tta: the model returned {type(answer).__name__}, expected a tensor for {output}. Wrap it: "
            'lambda images: model(images)["out"].'
        )
    shapes = {"labels": "[n, …]", "maps": "(n, C, h, w)", "keypoints": "[n, K, 2 or 3]"}
    fits = answer.ndim >= 2 and len(answer) == len(plan)
    if output == "maps":
        fits = fits and answer.ndim == 4
    if output == "keypoints":
        fits = fits and answer.ndim == 3 and answer.shape[2] in (2, 3)
    if not fits or not answer.is_floating_point():
        raise ValueError(
            f"tta: the model returned {answer.dtype} {list(answer.shape)} for {len(plan)} images, expected "
            f"floats {shapes[output]}. Pass the output that it is of."
        )
    return answer.float()


def _back(
    plan: Plan, values: torch.Tensor, flip_pairs: FlipPairs, executor: Executor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps as they lie on the originals, and where these were seen."""
    values = _swapped(plan, values, flip_pairs)
    height, width = values.shape[2:]
    back = plan.resized((height, width)).inverse(channels=values.shape[1])
    return resample(back, values, executor=executor), seen(back, values.device, executor)


def _merged(values: list[torch.Tensor], shown: list[torch.Tensor], merge: Merge) -> torch.Tensor:
    """One answer of those of all looks, each of the looks that saw something."""
    if callable(merge):
        return merge(torch.stack(values), torch.stack(shown))
    if len({value.shape for value in values}) > 1:
        raise ValueError(
            f"tta: the answers differ in shape, {sorted({tuple(v.shape) for v in values})}, expected one. "
            "Give the model looks of one kind."
        )
    if merge == "max":
        low = [torch.where(s, v, -torch.inf) for v, s in zip(values, shown, strict=True)]
        largest = torch.stack(low).amax(dim=0)
        return torch.where(torch.stack(shown).any(dim=0), largest, 0)
    total, number = torch.zeros_like(values[0]), torch.zeros_like(shown[0], dtype=torch.float32)
    for value, there in zip(values, shown, strict=True):
        total, number = total + torch.where(there, value, 0), number + there
    return total / number.clamp(min=1)


def _points(
    plans: list[Plan], values: list[torch.Tensor], flip_pairs: FlipPairs
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Keypoints as they lie on the originals, and [n, K, 1] whether their look shows any."""
    moved, shown = [], []
    for plan, value in zip(plans, values, strict=True):
        there = _swapped(plan, value, flip_pairs)
        matrices, shows = _to_originals(plan)
        points, before = apply(matrices, there[..., :2].detach().cpu().numpy().astype(np.float64))
        point = torch.from_numpy(points).to(value)
        moved.append(torch.cat([point, there[..., 2:]], dim=-1))
        shown.append(torch.from_numpy(before & shows[:, None])[..., None].to(value.device))
    return moved, shown


def _merged_points(
    values: list[torch.Tensor], shown: list[torch.Tensor], merge: Merge
) -> torch.Tensor:
    if merge != "max":
        return _merged(values, shown, merge)
    several, there = torch.stack(values), torch.stack(shown)
    if several.shape[-1] != 3:
        raise ValueError(
            "tta: got merge='max' for keypoints without a score, expected [n, K, 3]. Merge by 'mean'."
        )
    best = torch.where(there, several[..., 2:], -torch.inf).argmax(dim=0, keepdim=True)
    return several.gather(0, best.expand(-1, -1, -1, 3))[0]


def _boxes(answers: Sequence[tuple[Plan, object]]) -> list[dict[str, torch.Tensor]]:
    """All boxes of each image, in its pixels."""
    found: list[list[dict[str, torch.Tensor]]] = []
    for number, (plan, answer) in enumerate(answers):
        if not isinstance(answer, (list, tuple)) or len(answer) != len(plan):
            raise TypeError(
                f"tta: the model returned {type(answer).__name__}, expected a list of {len(plan)}, boxes "
                "[k, 4] or a dict for each image. Wrap it."
            )
        matrices, shows = _to_originals(plan)
        sizes = plan.sizes[plan.roots()[carriers("tta", plan)]]
        found = found or [[] for _ in answer]
        for i, one in enumerate(answer):
            fields = dict(one) if isinstance(one, Mapping) else {"boxes": one}
            boxes = _in_original(fields.get("boxes"), matrices[i], sizes[i])
            kept = (boxes[:, :2] < boxes[:, 2:]).all(dim=1) & bool(shows[i])
            fields["boxes"] = boxes
            fields = {name: value[kept] for name, value in fields.items()}
            count = len(fields["boxes"])
            fields["look"] = torch.full((count,), number, device=boxes.device)
            found[i].append(fields)
    return [{name: torch.cat([one[name] for one in of]) for name in of[0]} for of in found]


def _in_original(boxes: object, matrix: np.ndarray, size: np.ndarray) -> torch.Tensor:
    """Boxes [k, 4] (XYXY) of an output as boxes around them in its original, cut to it."""
    if not isinstance(boxes, torch.Tensor) or boxes.ndim != 2 or boxes.shape[1] != 4:
        got = list(boxes.shape) if isinstance(boxes, torch.Tensor) else type(boxes).__name__
        raise TypeError(f"tta: the model returned boxes {got}, expected a tensor [k, 4]. Wrap it.")
    across = boxes.detach().cpu().numpy().astype(np.float64)[:, [1, 0, 3, 2]]
    around = bounds(np.repeat(matrix[None], len(across), axis=0), across)
    height, width = map(float, size)
    cut = np.clip(around, 0, [height, width, height, width])[:, [1, 0, 3, 2]]
    return torch.from_numpy(cut).to(boxes)


def _to_originals(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """[N, 3, 3] from outputs to originals, and [N] whether the output shows any of it."""
    matrices = to_images(plan, carriers("tta", plan))
    return matrices, inverses(matrices)[1]


def _swapped(plan: Plan, values: torch.Tensor, flip_pairs: FlipPairs) -> torch.Tensor:
    """Values [n, K, …], of each pair of K exchanged in mirror images."""
    if not len(flip_pairs):
        return values
    order = flip_order("tta", flip_pairs, values.shape[1])
    other = values[:, torch.from_numpy(order).to(values.device)]
    mirrored = torch.from_numpy(mirrors(plan, carriers("tta", plan))).to(values.device)
    return torch.where(mirrored.view(-1, *[1] * (values.ndim - 1)), other, values)
