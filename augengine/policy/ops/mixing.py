"""Ops that layer one output over another, or erase a part of it.

CutMix, MixUp and Mosaic draw λ, box and partner for every sample; same_on_batch=True gives what
torchvision and timm publish: one λ and box for the batch, the partner being the one before. λ and box
are keyed by the sample; the partner is the one draw that depends on the batch at hand, though not on
its order. A batch of one has no partner: a mix leaves it as it is, and says so in the plan. With a
second batch at hand (`partners=` of the engine) partners come from there.
Labels follow from the layers' weights: `soft_labels`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Any, Literal

import numpy as np

from ...checks import number, several, shown, whole
from ...elementary import exp, logs
from ..keyed import below, beta_variate, gamma_draws, normal
from .arguments import (
    BOUNDLESS,
    Colour,
    Custom,
    Interval,
    Limits,
    Number,
    OneOrInterval,
    Probability,
    WholeNumber,
)
from .op import LAYER, Op
from .strength import acting, magnitude, pulled

MOST_CLASSES = 2**31 - 1
# The parameter of a Beta distribution: 1 is uniform, below 1 favours the ends.
Alpha = Annotated[float, Number(1e-3, 1e3)]


def _labels_getter(where: str, value: Any) -> str | None:
    if value not in ("default", None):
        raise ValueError(
            f"{where}: got {shown(value)}, expected 'default' or None, since labels are given to the engine "
            "beside the images. Leave it out, and name them: engine(images, labels), ae.Collate(…, label=…)."
        )
    return value


Classes = Annotated[int | None, WholeNumber(1, MOST_CLASSES, "Leave it out.")]
LabelsGetter = Annotated[Literal["default"] | None, Custom(_labels_getter, "'default' or None")]


def _value(where: str, value: Any) -> str | float | tuple[float, ...]:
    if isinstance(value, str):
        if value not in ("random", "color"):
            raise ValueError(
                f"{where}: got {value!r}, expected 'random', 'color' or numbers. Pass one of these."
            )
        return value
    numbers = tuple(number(where, v, -BOUNDLESS, BOUNDLESS) for v in several(value))
    return numbers if isinstance(value, Iterable) else numbers[0]


def _count(where: str, value: Any) -> int | tuple[int, int]:
    count = several(value)
    fits = len(count) in (1, 2) and all(whole(n) and 1 <= n <= 64 for n in count)
    if not fits or count[0] > count[-1]:
        raise ValueError(
            f"{where}: got {value!r}, expected a whole number 1 … 64, or (lowest, highest). Pass one of "
            "these."
        )
    return (int(count[0]), int(count[-1])) if len(count) == 2 else int(count[0])


@dataclass(frozen=True, repr=False)
class CutMix(Op):
    """Paste a box of another sample (Yun et al. 2019). The box has half sides int(0.5·√(1−λ)·size)
    about a uniform centre, λ ~ Beta(alpha, alpha), and is clipped to the frame; the labels' shares
    follow the clipped area. torchvision draws one λ, box and shift for the batch (same_on_batch).

    Args:
        alpha: Parameter in [0.001, 1000] of λ's distribution; 1 is uniform.
        p: Share of the samples that mix, in [0, 1].
        same_on_batch: Whether the whole batch has one λ and box, each sample's partner being the one
            before.
        num_classes: Number of classes, 1 … 2147483647, as torchvision's has it: the engine takes it where
            it is given none, and refuses another. None says nothing.
        labels_getter: Where torchvision's finds the labels, 'default' or None. The engine is given them,
            so a function is refused.

    Example:
        >>> plan = ae.Policy([ae.Resize((32, 32)), ae.CutMix()]).sample([0, 1], [(32, 32)] * 2)
        >>> plan.explain(0)
        'resized to 32×32, 37 % of sample 1 pasted at (4, 0)'
        >>> ae.soft_labels(plan, [0, 1], num_classes=2)
        tensor([[0.6289, 0.3711],
                [0.1719, 0.8281]])
    """

    alpha: Alpha = 1.0
    p: Probability = 1.0
    same_on_batch: bool = False
    _: KW_ONLY
    num_classes: Classes = None
    labels_getter: LabelsGetter = "default"
    stages = (LAYER, LAYER)

    def _decide(self, draft, rows, place):
        count = 2 + 2 * gamma_draws(self.alpha)
        rows, partner, uniform = _mixing(draft, rows, place, self.p, count, self.same_on_batch)
        _cut(draft, rows, partner, uniform, self.alpha)


@dataclass(frozen=True, repr=False)
class MixUp(Op):
    """Blend with another sample: λ · own + (1 − λ) · other, λ ~ Beta(alpha, alpha) (Zhang et al. 2018). A
    partner that already has boxes is blended box by box.

    Args:
        alpha: Parameter in [0.001, 1000] of λ's distribution; 1 is uniform.
        p: Share of the samples that mix, in [0, 1].
        same_on_batch: Whether the whole batch has one λ, each sample's partner being the one before.
        num_classes: Number of classes, 1 … 2147483647, as torchvision's has it: the engine takes it where
            it is given none, and refuses another. None says nothing.
        labels_getter: Where torchvision's finds the labels, 'default' or None. The engine is given them,
            so a function is refused.

    Example:
        >>> plan = ae.Policy([ae.Resize((32, 32)), ae.MixUp()]).sample([0, 1], [(32, 32)] * 2)
        >>> plan.explain(0)
        'resized to 32×32, 40 % of sample 1 blended in'
    """

    alpha: Alpha = 1.0
    p: Probability = 1.0
    same_on_batch: bool = False
    _: KW_ONLY
    num_classes: Classes = None
    labels_getter: LabelsGetter = "default"
    stages = (LAYER, LAYER)

    def _decide(self, draft, rows, place):
        count = 2 + 2 * gamma_draws(self.alpha)
        rows, partner, uniform = _mixing(draft, rows, place, self.p, count, self.same_on_batch)
        _mix(draft, rows, partner, uniform, self.alpha)


@dataclass(frozen=True, repr=False)
class MixUpOrCutMix(Op):
    """Mix each sample by CutMix or by MixUp (timm's Mixup).

    Args:
        mixup_alpha: Parameter in [0.001, 1000] of MixUp's λ.
        cutmix_alpha: Parameter in [0.001, 1000] of CutMix's λ.
        switch_prob: Probability in [0, 1] of CutMix; otherwise it is MixUp.
        p: Share of the samples that mix at all, in [0, 1].
        same_on_batch: Whether the whole batch has one λ and box, each sample's partner being the one
            before.

    Example:
        >>> policy = ae.Policy([ae.Resize((32, 32)), ae.MixUpOrCutMix()])
        >>> policy.sample([0, 1], [(32, 32)] * 2).explain(1)
        'resized to 32×32, 14 % of sample 0 blended in'
    """

    mixup_alpha: Alpha = 0.8
    cutmix_alpha: Alpha = 1.0
    switch_prob: Probability = 0.5
    p: Probability = 1.0
    same_on_batch: bool = False
    stages = (LAYER, LAYER)

    def _decide(self, draft, rows, place):
        count = 3 + 2 * max(map(gamma_draws, (self.mixup_alpha, self.cutmix_alpha)))
        rows, partner, uniform = _mixing(draft, rows, place, self.p, count, self.same_on_batch)
        cuts, uniform = uniform[:, 0] < self.switch_prob, uniform[:, 1:]
        # Who blends must see its partner as it was before that one pasted.
        before = draft.layers.copy()
        _cut(draft, rows[cuts], partner[cuts], uniform[cuts], self.cutmix_alpha, before)
        _mix(draft, rows[~cuts], partner[~cuts], uniform[~cuts], self.mixup_alpha, before)


@dataclass(frozen=True, repr=False)
class Mosaic(Op):
    """Lay four samples around a point, each at its full size, its inner corner on the point; what
    reaches over the edge is cut (Bochkovskiy et al. 2020, YOLOv4). Labels follow the areas. It goes
    before other mixes.

    Args:
        p: Share of the samples that become a mosaic, in [0, 1].
        center: Place of the point (lowest, highest), as a share of height and of width, in [0, 1].

    Raises:
        ValueError: When it is sampled: an image already has a mix or an erased box.

    Example:
        >>> policy = ae.Policy([ae.Resize((32, 32)), ae.Mosaic()])
        >>> policy.sample(range(4), [(32, 32)] * 4).weight[0].round(2)
        array([0.  , 0.19, 0.22, 0.28, 0.32], dtype=float32)
    """

    p: Probability = 1.0
    center: Annotated[Sequence[float], Interval(0, 1)] = (0.25, 0.75)
    stages = (LAYER, LAYER)

    def _decide(self, draft, rows, place):
        rows, first, uniform = _mixing(draft, rows, place, self.p, 4, False)
        others = [first, *(_partner(draft, rows, uniform[:, k]) for k in range(2))]
        low, high = self.center
        share = low + uniform[:, 2:] * (high - low)
        centre = np.round(share * draft.output_size()).astype(np.int64)
        draft.tile(rows, np.stack(others, axis=1), centre)


@dataclass(frozen=True, repr=False)
class RandomErasing(Op):
    """Erase a box, or several, with probability p (Zhong et al. 2020). Ten tries, as torchvision; where
    none fits, nothing is erased. The labels stay.

    Args:
        p: Probability in [0, 1].
        scale: Shares (lowest, highest) of the area, in [0, 1]; several boxes share it, as in timm.
        ratio: Aspect ratios height / width (lowest, highest) above 0, drawn log-uniformly.
        value: Colour, a number or one for each channel, in the units of the images; after Normalize in a
            policy in normalised units, so that 0 is the mean. 'random' is normal noise for each value,
            'color' one normal colour a box: with mean 0 and deviation 1 in normalised units, otherwise
            about mid-grey with deviation 1/4; within [0, 1] (torchvision's and timm's noise leaves it).
        inplace: Whether torchvision would write into its input. It changes nothing here.
        count: Number of boxes, whole, 1 … 64, or (lowest, highest).

    Raises:
        ValueError: When it is sampled: `value` has not one number for each channel, or is no value of
            images of their dtype.

    Example:
        >>> policy = ae.Policy([ae.Resize((32, 32)), ae.RandomErasing(p=1)])
        >>> policy.sample([0], [(32, 32)]).explain(0)
        'resized to 32×32, 9 % erased at (5, 11)'
    """

    p: Probability = 0.5
    scale: Annotated[Sequence[float], Interval(0, 1)] = (0.02, 0.33)
    ratio: Annotated[Sequence[float], Interval(1e-6)] = (0.3, 3.3)
    value: Annotated[
        float | Sequence[float] | Literal["random", "color"],
        Custom(_value, "numbers, 'random' or 'color'", unit="units of the images"),
    ] = 0.0
    inplace: bool = False
    count: Annotated[
        int | Sequence[int], Custom(_count, "whole, 1 … 64", of=(("", WholeNumber(1, 64)),))
    ] = 1
    stages = (LAYER, LAYER)

    def _decide(self, draft, rows, place):
        shares = self._shares(draft)
        least, most = several(self.count)[0], several(self.count)[-1]
        rows = _outputs(draft, rows)
        # The draws of a box are 22 and a colour's; the first has its own from before, then p and count.
        each = 22 + 2 * draft.channels
        uniform = draft.uniform(place, 4 + each * most, rows)
        acts = uniform[:, 0] < self.p * draft.strength[rows]
        rows, uniform = rows[acts], uniform[acts]
        count = least + below(uniform[:, 1], most - least + 1)
        boxes, erases = [], []
        for k in range(most):
            part = uniform[:, 4 + each * k : 4 + each * (k + 1)]
            box, fits = self._box(draft.frame[rows], part, count)
            boxes.append(box)
            erases.append(fits & (k < count))
        mean = np.array(draft.mean or [0.5] * draft.channels)
        std = np.array(draft.std or [0.25] * draft.channels)
        if self.value == "random":
            any_box = np.logical_or.reduce(erases)
            words = np.floor(uniform[any_box, 2:4] * 2.0**32)
            view = np.full(len(rows), -1)
            view[any_box] = draft.noise_view(rows[any_box], mean, std, words)
        for k, (box, now) in enumerate(zip(boxes, erases, strict=True)):
            if not now.any():
                continue
            if self.value == "random":
                draft.cover(rows[now], view[now], box[now])
                continue
            if self.value == "color":
                normal = _normal(uniform[now, 4 + each * k + 22 : 4 + each * (k + 1)])
                colours = np.clip(mean + std * normal, 0, 1)
            else:
                colours = np.broadcast_to(shares, (int(now.sum()), draft.channels))
            draft.erase(rows[now], box[now], colours)

    def _shares(self, draft):
        """The colour as shares of the full range, one or [C]; None for what is random."""
        if isinstance(self.value, str):
            return None
        where = "RandomErasing.value"
        shares = np.asarray(self.value if draft.mean else draft.share(where, self.value), float)
        if not draft.mean and shares.min(initial=0) < 0:
            raise ValueError(
                f"{where}: got {self.value}, expected 0 or more before Normalize. Put Normalize in front "
                "of it where it is in normalised units."
            )
        if shares.ndim and len(shares) not in (1, draft.channels):
            raise ValueError(
                f"{where}: got {self.value}, the images have {draft.channels} channel(s). "
                f"Pass {draft.channels} or one."
            )
        return shares * draft.std + draft.mean if draft.mean else shares

    def _box(self, frame, uniform, count):
        """A box [n, 4], and for which rows one of the ten tries fitted."""
        at, tries = uniform[:, :2], uniform[:, 2:22]
        log_ratio = logs(*self.ratio)
        area = self.scale[0] + tries[:, 0::2] * (self.scale[1] - self.scale[0])
        area = area * (frame.prod(axis=1) / count)[:, None]
        aspect = exp(log_ratio[0] + tries[:, 1::2] * (log_ratio[1] - log_ratio[0]))
        heights = np.round(np.sqrt(area * aspect)).astype(np.int64)
        widths = np.round(np.sqrt(area / aspect)).astype(np.int64)
        fits = (heights < frame[:, :1]) & (widths < frame[:, 1:])
        first = (np.arange(len(frame)), fits.argmax(axis=1))
        size = np.minimum(np.stack([heights[first], widths[first]], axis=1), frame)
        low = below(at, frame - size + 1)
        return np.concatenate([low, low + size], axis=1), fits.any(axis=1)


@dataclass(frozen=True, repr=False)
class Cutout(Op):
    """Cover a square about a uniform place, cut at the edges, with probability p (DeVries and Taylor
    2017; as in FixMatch). The labels stay.

    Args:
        size: Side as a share of the width, in [0, 1], one number or (lowest, highest).
        color: Colour in the units of the images, one number or one a channel, or bytes as text, such as
            '#7b7568'; None is ImageNet's mean.
        p: Probability in [0, 1].

    Raises:
        ValueError: When it is sampled: `color` has not one number for each channel.

    Example:
        >>> policy = ae.Policy([ae.Resize((32, 32)), ae.Cutout(0.5)])
        >>> policy.sample([0], [(32, 32)]).explain(0)
        'resized to 32×32, 25 % erased at (6, 1)'
    """

    size: Annotated[Limits, OneOrInterval(0, 1)] = (0.0, 0.5)
    color: Colour = None
    p: Probability = 1.0
    stages = (LAYER, LAYER)

    def _decide(self, draft, rows, place):
        rows, uniform = acting(draft, _outputs(draft, rows), place, self.p, 3)
        frame = draft.frame[rows]
        side = magnitude(uniform[:, 0], self.size, 0, draft.strength[rows]) * frame[:, 1]
        start = np.maximum(uniform[:, 1:] * frame - side[:, None] / 2, 0).astype(np.int64)
        stop = np.minimum(np.ceil(start + side[:, None]).astype(np.int64), frame)
        shade = self.color
        if shade is None:
            shade = "#7d7b72" if draft.channels == 3 else "#7a"
        shade = draft.share("Cutout.color", shade)
        if len(several(shade)) not in (1, draft.channels):
            raise ValueError(
                f"Cutout.color: got {self.color}, the images have {draft.channels} channel(s). Pass "
                f"{draft.channels} or one."
            )
        shades = np.broadcast_to(np.asarray(shade, float), (len(rows), draft.channels))
        draft.erase(rows, np.concatenate([start, stop], axis=1), shades)


def _cut(draft, rows, partner, uniform, alpha, theirs=None):
    """CutMix for rows that mix; uniform: [n, 2 + 2 · gamma_draws(alpha) or more]."""
    lam = pulled(beta_variate(uniform[:, 2:], alpha), 1, draft.strength[rows])
    size = draft.frame[rows]
    centre = below(uniform[:, :2], size)
    half = (0.5 * np.sqrt(1 - lam)[:, None] * size).astype(np.int64)
    low, high = np.maximum(centre - half, 0), np.minimum(centre + half, size)
    draft.paste(rows, partner, np.concatenate([low, high], axis=1), theirs)


def _mix(draft, rows, partner, uniform, alpha, theirs=None):
    """MixUp for rows that mix."""
    lam = beta_variate(uniform[:, 2:], alpha)
    draft.blend(rows, partner, draft.strength[rows] * (1 - lam), theirs)


def _outputs(draft, rows):
    """Those of the rows that are outputs, and not only there to be mixed in."""
    return rows[rows < len(draft) - draft.pool]


def _mixing(draft, rows, place, p, count, same_on_batch):
    """(rows that mix, their partners, `count` uniform numbers for each)."""
    rows, outputs = _outputs(draft, rows), len(draft) - draft.pool
    if outputs == 1 and not draft.pool:
        draft.log(rows, "no partner in a batch of one")
        rows = rows[:0]
    if same_on_batch:
        # Keyed by the batch's smallest id, so that its order does not matter.
        first = draft.keyed.order(slice(outputs))[:1]
        uniform = np.repeat(draft.uniform(place, 2 + count, first), len(rows), axis=0)
        before = (rows - 1) % outputs
        partner = outputs + rows % draft.pool if draft.pool else before
    else:
        uniform = draft.uniform(place, 2 + count, rows)
        partner = _partner(draft, rows, uniform[:, 1])
    acts = uniform[:, 0] < p
    return rows[acts], partner[acts], uniform[acts, 2:]


def _partner(draft, rows, uniform):
    """Another sample for each row, uniformly; independent of the batch's order."""
    n = len(draft) - draft.pool
    if draft.pool:
        order = n + draft.keyed.order(slice(n, len(draft)))
        return order[below(uniform, draft.pool)]
    order = draft.keyed.order(slice(n))
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)
    return order[(rank[rows] + 1 + below(uniform, n - 1)) % n] if n > 1 else rows


def _normal(uniform):
    """[n, c] standard normal numbers from [n, 2c] uniform ones."""
    return normal(uniform[:, 0::2], uniform[:, 1::2])
