"""ElasticTransform: a smooth random displacement of each pixel, on the finished batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch.nn import functional

from ...checks import number, several
from ...plan import Plan
from ..units import share
from .arguments import BOUNDLESS, Custom, Fill, Number, Probability, kept, one_interpolation
from .unfused import Unfused, as_colours, as_finished, keyed_of, own_sources, place_of, seeds


def _pair(where: str, value: Any) -> tuple[float, float]:
    values = tuple(number(where, v, 0, BOUNDLESS) for v in several(value))
    if len(values) not in (1, 2):
        raise ValueError(
            f"{where}: got {value!r}, expected one number or (along x, along y). Pass one of these."
        )
    return values[0], values[-1]


_Pair = Annotated[
    float | Sequence[float],
    Custom(_pair, "0 or more, one or (x, y)", of=(("x", Number(0)), ("y", Number(0)))),
]


@dataclass(frozen=True, repr=False)
class ElasticTransform(Unfused):
    """Move each pixel by a smooth random field, each sample by one of its own. Equals torchvision's
    ElasticTransform for the same field.

    It is not fused: no matrix says it, so it samples the finished batch once more, after mixes and
    erasing, and Normalize may stand behind it. `execute` on a plan does not run it, the engine does.
    Boxes, masks and other targets are refused beside it.

    Args:
        alpha: Strength of the displacements, 0 or more, one number or (x, y): numbers that are uniform in
            ±alpha / 2 pixels are smoothed.
        sigma: Pixels of the Gaussian that smooths them, along x and y, both above 0, or 0 for none. Where an
            image is smaller than the Gaussian reaches, it reaches as far as the image does.
        interpolation: Filter name, 'bilinear', 'nearest' or 'bicubic'.
        fill: Colour beyond the image in the units of the images, one number or one a channel, or bytes as
            text, such as '#80', which other images than bytes need; None is black.
        p: Probability in [0, 1] of each sample.

    Raises:
        ValueError: An argument is outside its range; when it is sampled: the fill has another number of
            channels than the images.

    Example:
        >>> policy = ae.Policy([ae.Resize((32, 32)), ae.ElasticTransform(100.0)])
        >>> ae.Engine(policy)(torch.zeros(1, 3, 40, 40, dtype=torch.uint8), ids=[0]).images.shape
        torch.Size([1, 3, 32, 32])
    """

    alpha: _Pair = 50.0
    sigma: _Pair = 5.0
    interpolation: Annotated[
        Literal["bilinear", "nearest", "bicubic"] | Enum,
        Custom(one_interpolation, "'bilinear', 'nearest' or 'bicubic'"),
    ] = "bilinear"
    fill: Fill = None
    p: Probability = 1.0

    def _check(self) -> None:
        if min(kept(self.sigma)) == 0 < max(kept(self.sigma)):
            raise ValueError(
                f"ElasticTransform.sigma: got {self.sigma!r}, expected both above 0, or 0. Pass one number "
                "for both."
            )

    def _decide(self, draft, rows, place):
        if draft.image_dtype != "uint8" and not isinstance(self.fill, str) and any(self._shares):
            raise ValueError(
                f"ElasticTransform: got the fill {self.fill!r} for images of {draft.image_dtype}, expected "
                "bytes, since it is drawn behind the plan, which knows no other. Write them as text, such as "
                "'#80'."
            )
        fill = self._shares
        if len(fill) not in (1, draft.channels_left):
            raise ValueError(
                f"ElasticTransform: got a fill of {len(fill)} channels, the images have "
                f"{draft.channels_left}. Pass {draft.channels_left} or one."
            )
        uniform = draft.keyed.uniform(place_of(self.number(draft)), 3, rows)
        acts = rows[self._acts(uniform, draft.strength[rows])]
        draft.log(acts, "then an elastic displacement, not fused")

    @property
    def _shares(self) -> tuple[float, ...]:
        """The fill, 1 being white."""
        return several(share("ElasticTransform.fill", kept(self.fill) or 0.0, "uint8"))

    def _acts(self, uniform: np.ndarray, strength: np.ndarray) -> np.ndarray:
        """Whether it happens to samples, by uniform numbers [n, 3], the first two of which are the seed's."""
        return (uniform[:, 2] < self.p) & (strength > 0) & any(kept(self.alpha))

    def _run(self, images: torch.Tensor, plan: Plan, number: int) -> torch.Tensor:
        strength = plan.strength[own_sources(plan)].astype(float)
        acts = self._acts(keyed_of(plan).uniform(place_of(number), 3), strength)
        every, moved = seeds(plan, number), list(images)
        for i in np.flatnonzero(acts):
            field = self.displacement(int(every[i]), images.shape[-2:], images.device)
            moved[i] = self._moved(images[i], field * float(strength[i]))
        layout = torch.channels_last if plan.finish.channels_last else torch.contiguous_format
        return torch.stack(moved).contiguous(memory_format=layout)

    def displacement(
        self, seed: int, size: Sequence[int], device: torch.device | str = "cpu"
    ) -> torch.Tensor:
        """The field of a seed: (1, H, W, 2), along x and y, in halves of the image's width and height, as
        torchvision's `elastic` takes it.

        Args:
            seed: Whole number of 64 bits.
            size: Height and width in pixels.
            device: Device of the field. Random numbers are drawn in main memory, alike on all.
        """
        height, width = size
        generator = torch.Generator().manual_seed(seed % 2**63)
        noise = torch.rand((2, height, width), generator=generator).to(device) * 2 - 1
        sigma_x, sigma_y = kept(self.sigma)
        fields = []
        for axis, (alpha, side) in enumerate(zip(kept(self.alpha), (width, height), strict=True)):
            values = noise[axis]
            if sigma_x > 0:
                # Either field is smoothed by a square kernel, whose side goes by its own axis' sigma.
                reach = int(8 * (sigma_x, sigma_y)[axis] + 1) // 2
                rows = _smoothing(height, sigma_y, reach).to(device)
                columns = _smoothing(width, sigma_x, reach).to(device)
                values = rows @ values @ columns.T
            fields.append(values * (alpha / side))
        return torch.stack(fields, dim=-1)[None]

    def _moved(self, image: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
        """An image (C, H, W), displaced."""
        (height, width), channels = image.shape[-2:], image.shape[0]
        x = torch.linspace((1 - width) / width, (width - 1) / width, width, device=image.device)
        y = torch.linspace(
            (1 - height) / height, (height - 1) / height, height, device=image.device
        )
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None] + field
        colours = as_colours(image)
        # How much of each pixel is of the image is sampled beside it.
        known = torch.ones_like(colours[:1])
        mode = str(kept(self.interpolation))
        sampled = functional.grid_sample(
            torch.cat([colours, known])[None], grid, mode=mode, align_corners=False
        )[0]
        sampled, known = sampled[:channels], sampled[channels:]
        fill = torch.tensor(self._shares, dtype=torch.float32, device=image.device)[:, None, None]
        if mode == "nearest":
            result = torch.where(known < 0.5, fill, sampled)
        else:
            result = (sampled - fill) * known + fill
        return as_finished(result.clamp(0, 1), image.dtype)


def _smoothing(side: int, sigma: float, reach: int) -> torch.Tensor:
    """A matrix [side, side] that smooths along an axis, whose ends are mirrors."""
    reach = min(reach, side - 1)
    step = torch.arange(-reach, reach + 1)
    weight = torch.softmax(-0.5 * (step / sigma) ** 2, dim=0)
    at = torch.arange(side)[:, None]
    source = (at + step).abs()
    source = (side - 1) - (side - 1 - source).abs()
    matrix = torch.zeros(side, side)
    return matrix.index_put_(
        (at.expand_as(source), source), weight.expand_as(source), accumulate=True
    )
