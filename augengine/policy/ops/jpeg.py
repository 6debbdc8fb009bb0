"""JPEG: a round trip through its compression, on the finished batch."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch

from ...checks import several, whole
from ...plan import Plan
from ..keyed import Keyed, below
from .arguments import Custom, Probability, WholeNumber, ends, kept
from .strength import pulled
from .unfused import Unfused, as_colours, as_finished, keyed_of, own_sources, place_of


def _qualities(where: str, value: Any) -> tuple[int, int]:
    values = several(value)
    values = tuple(values) * (3 - len(values)) if len(values) in (1, 2) else ()
    if not values or not all(map(whole, values)) or not 1 <= values[0] <= values[1] <= 100:
        raise ValueError(
            f"{where}: got {value!r}, expected a whole number 1 … 100, or (lowest, highest). Pass one, such "
            "as (30, 90)."
        )
    return int(values[0]), int(values[1])


@dataclass(frozen=True, repr=False)
class JPEG(Unfused):
    """Compress each image as JPEG and read it back, at a quality that is drawn for each sample. Equals
    torchvision's JPEG, which is PIL's with its default subsampling. Grey images and RGB.

    It is not fused: it runs on the finished batch, in main memory, by PIL, and Normalize may stand behind
    it. `execute` on a plan does not run it, the engine does. With strength s the quality is
    100 − s · (100 − quality); with 0 the images stay as they are.

    Args:
        quality: Quality, a whole number 1 … 100, or (lowest, highest), both included.
        p: Probability in [0, 1] of each sample.

    Raises:
        ValueError: A quality is outside its range; when it runs: images have other than 1 or 3 channels,
            or require a gradient.
        ImportError: When it runs: PIL is not installed.

    Example:
        >>> policy = [ae.Resize(32), ae.JPEG((30, 90)), ae.Normalize(0.5, 0.5)]
        >>> ae.Policy(policy).sample([0], [(32, 32)]).explain(0)
        'resized to 32×32, then JPEG of quality 90, not fused'
    """

    quality: Annotated[
        int | Sequence[int],
        Custom(_qualities, "1 … 100, or (lowest, highest)", of=ends(WholeNumber(1, 100))),
    ]
    p: Probability = 1.0

    @property
    def rule(self) -> Any:
        return "same"

    @property
    def draws(self) -> bool:
        low, high = kept(self.quality)
        return low < high or 0 < self.p < 1

    def _decide(self, draft, rows, place):
        if draft.channels_left not in (1, 3):
            raise ValueError(
                f"JPEG: got images of {draft.channels_left} channels, expected 1 or 3, since no others are "
                "JPEG. Leave it out of this policy."
            )
        uniform = self._uniform(draft.keyed, self.number(draft), rows)
        acts, quality = self._drawn(uniform, draft.strength[rows])
        draft.log(rows[acts], "then JPEG of quality %d, not fused", quality[acts])

    def _uniform(self, keyed: Keyed, number: int, rows: np.ndarray) -> np.ndarray:
        """[len(rows), 2], none of which is drawn where nothing is left to chance."""
        return keyed.uniform(place_of(number), 2, rows) if self.draws else np.zeros((len(rows), 2))

    def _drawn(self, uniform: np.ndarray, strength: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether it happens to samples, and qualities, by uniform numbers [n, 2]."""
        low, high = kept(self.quality)
        quality = pulled(low + below(uniform[:, 0], high - low + 1), 100, strength)
        return (uniform[:, 1] < self.p) & (strength > 0), np.rint(quality).astype(np.int64)

    def _run(self, images: torch.Tensor, plan: Plan, number: int) -> torch.Tensor:
        if images.requires_grad:
            raise ValueError(
                "JPEG: got images that require a gradient, expected none, since it has none to hand on. Pass "
                "images.detach(), or leave it out."
            )
        strength = plan.strength[own_sources(plan)].astype(float)
        every = np.arange(len(plan))
        acts, qualities = self._drawn(self._uniform(keyed_of(plan), number, every), strength)
        pixels = as_finished(as_colours(images), torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        out = images.clone()
        for i in np.flatnonzero(acts):
            back = torch.from_numpy(_round_trip(pixels[i], int(qualities[i]))).permute(2, 0, 1)
            out[i] = as_finished(as_colours(back), images.dtype)
        return out


def _round_trip(pixels: np.ndarray, quality: int) -> np.ndarray:
    """An image (H, W, C) uint8, written as JPEG and read again."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            "JPEG: PIL is not installed, which writes and reads it. Install it: pip install pillow."
        ) from error
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(
        file, "JPEG", quality=quality
    )
    return np.array(Image.open(file)).reshape(pixels.shape)
