"""A crop that keeps objects in sight: it looks at the boxes in the picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from ...checks import number, several, shown
from ..boxes import boxes_in_frames
from ..keyed import below
from .arguments import BOUNDLESS, Custom, Number, WholeNumber, kept
from .op import Op
from .strength import magnitude

# How often an option is drawn before the whole image is kept. One in seven of torchvision's options
# keeps it anyway; six of seven, 64 times in a row, are 5 in 100,000.
ROUNDS = 64
OPTIONS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


def _options(where: str, value: Any) -> tuple[float, ...]:
    if not several(value):
        raise ValueError(
            f"{where}: got {shown(value)}, expected at least one number. Leave it out for {OPTIONS}."
        )
    return tuple(number(where, v, 0, BOUNDLESS) for v in several(value))


@dataclass(frozen=True, repr=False)
class RandomIoUCrop(Op):
    """A crop of random size and place that keeps the centre of a box, and overlaps that box by a random
    share or more (Liu et al. 2016, SSD). As torchvision's RandomIoUCrop: an option is drawn, and up to
    `trials` crops; where none is right, again. Here that ends after 64 options: then, and where there
    are no boxes, the whole image is kept. The boxes whose centres a crop left out, which torchvision
    marks as invalid, stay as they are cut; `min_visible` of `ae.boxes` says how much must show.

    Args:
        min_scale: Share of the height and of the width that a crop has at least, in [0, 1].
        max_scale: Share that it has at most, in [0, 1]; min_scale or more.
        min_aspect_ratio: Width / height of a crop at least, above 0.
        max_aspect_ratio: Width / height at most, above 0; min_aspect_ratio or more.
        sampler_options: Shares to choose from, 0 or more, of which the overlap (intersection over union)
            is one at least; 1 or more keeps the whole image. None is (0, 0.1, 0.3, 0.5, 0.7, 0.9, 1).
        trials: Number of crops that are tried for an option, 1 … 1000.

    Raises:
        ValueError: A lowest value is above its highest; or, when it is sampled: there are no boxes.

    Example:
        >>> policy = ae.Policy([ae.RandomIoUCrop(), ae.Resize((32, 32))])
        >>> policy.sample([0], [(60, 80)], boxes=[[[10, 20, 40, 50]]]).explain(0)
        'crop 33×40 at (24, 0), overlap 0.5 or more, resized to 32×32'
    """

    min_scale: Annotated[float, Number(0, 1)] = 0.3
    max_scale: Annotated[float, Number(0, 1)] = 1.0
    min_aspect_ratio: Annotated[float, Number(1e-6)] = 0.5
    max_aspect_ratio: Annotated[float, Number(1e-6)] = 2.0
    sampler_options: Annotated[
        Sequence[float] | None, Custom(_options, "0 or more, at least one")
    ] = None
    trials: Annotated[int, WholeNumber(1, 1000)] = 40

    def _check(self) -> None:
        for name in ("scale", "aspect_ratio"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if low > high:
                raise ValueError(
                    f"RandomIoUCrop: got min_{name} {low:g} and max_{name} {high:g}, expected the second "
                    "not below the first. Exchange them."
                )

    @property
    def places(self):
        return ROUNDS

    def _decide(self, draft, rows, place):
        if draft.boxes is None:
            raise ValueError(
                "RandomIoUCrop: got no boxes, expected those of each image, since it keeps one in sight. "
                "Pass boxes= to Policy.sample, an array [k, 4] for each image, empty where there are none."
            )
        boxes, of = boxes_in_frames(draft, draft.boxes, rows)
        options = np.array(kept(self.sampler_options) or OPTIONS)
        waiting, turn = np.unique(of), 0  # indices into rows
        while len(waiting) and turn < ROUNDS:
            uniform = draft.uniform(place + turn, 1 + 4 * self.trials, rows[waiting])
            overlap = options[below(uniform[:, 0], len(options))]
            of_waiting = np.searchsorted(waiting, of)
            found, crop = self._tried(
                draft.frame[rows[waiting]],
                uniform[:, 1:].reshape(len(waiting), self.trials, 4),
                draft.strength[rows[waiting]],
                overlap,
                boxes,
                of_waiting,
            )
            whole = overlap >= 1
            crops = found & ~whole
            top, left, height, width = crop[crops].T
            draft.crop(rows[waiting[crops]], top, left, height, width)
            draft.log(
                rows[waiting[crops]],
                "crop %d×%d at (%d, %d), overlap %.1f or more",
                *(height, width, top, left),
                overlap[crops],
            )
            waits = ~(whole | found)
            there = waits[of_waiting]
            boxes, of, waiting, turn = boxes[there], of[there], waiting[waits], turn + 1

    def _tried(self, frame, uniform, strength, overlap, boxes, of):
        """Whether a trial is right, [n], and the first that is: top, left, height, width [n, 4].

        frame: [n, 2]. uniform: [n, trials, 4], for width, height, left and top. boxes: [m, 4], of
        which at least one is `of` [m] each of the n.
        """
        limits = self.min_scale, self.max_scale
        scale = magnitude(uniform[..., :2], limits, 1, strength[:, None, None])
        size = (frame[:, None] * scale[..., ::-1]).astype(np.int64)  # height, width
        low = ((frame[:, None] - size) * uniform[..., :1:-1]).astype(np.int64)  # top, left
        aspect = size[..., 1] / np.maximum(size[..., 0], 1)
        right = (size > 0).all(axis=-1)
        right &= (self.min_aspect_ratio <= aspect) & (aspect <= self.max_aspect_ratio)
        # For each box and each trial of its image.
        start, stop = low[of], (low + size)[of]
        centre = 0.5 * (boxes[:, :2] + boxes[:, 2:])[:, None]
        inside = ((start < centre) & (centre < stop)).all(axis=-1)
        common = np.minimum(stop, boxes[:, None, 2:]) - np.maximum(start, boxes[:, None, :2])
        common = np.maximum(common, 0).prod(axis=-1)
        area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None]
        union = np.maximum(area + size.prod(axis=-1)[of] - common, 1e-300)
        fits = inside & (common / union >= overlap[of][:, None])
        first = np.flatnonzero(np.concatenate([[True], of[1:] != of[:-1]]))
        right &= np.logical_or.reduceat(fits, first, axis=0)
        at = right.argmax(axis=1)
        one = np.arange(len(frame))
        return right.any(axis=1), np.concatenate([low[one, at], size[one, at]], axis=1)
