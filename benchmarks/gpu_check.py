"""Are the pixels right? Plans that nobody has seen, drawn into poisoned memory, beside the torch executor
in float64 on the same device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

import augengine as ae
from augengine.kernels.reference import executor as reference

from . import workloads

NORMALIZE = ae.Normalize(workloads.MEAN, workloads.STD)


@dataclass(frozen=True)
class Case:
    """Ops; what a value may differ by; and what share of values may differ by more, since a point on
    an edge, or a value between two entries of a curve, may fall to either side."""

    name: str
    ops: list
    dtype: str
    bound: float
    share: float


CASES = (
    Case(
        "crop, flip",
        [ae.RandomResizedCrop(64), ae.RandomHorizontalFlip(), NORMALIZE],
        "float32", 1e-3, 1e-4,
    ),
    Case(
        "crop, flip in bfloat16",
        [ae.RandomResizedCrop(64, antialias=False), ae.RandomHorizontalFlip(), NORMALIZE],
        "bfloat16", 2e-2, 1e-4,
    ),
    Case(
        "perspective, jitter, CutMix",
        [
            ae.RandomResizedCrop((60, 65)), ae.RandomPerspective(0.5),
            ae.ColorJitter(0.3, 0.3, 0.3, 0.1), ae.CutMix(), ae.RandomErasing(0.5),
        ],
        "float32", 1e-3, 5e-4,
    ),
    Case(
        "RandAugment, CutMix, MixUp",
        [ae.RandomResizedCrop(64), ae.RandAugment(2, 9), ae.MixUp(), ae.CutMix()],
        "float32", 2e-3, 5e-3,
    ),
    Case(
        "blur, sharpness, statistics",
        [
            ae.RandomEqualize(0.5), ae.GaussianBlur(9, (0.1, 2.0), p=0.7), ae.RandomAutocontrast(0.5),
            ae.RandomAdjustSharpness(2.0, 0.5), ae.ColorJitter(contrast=0.5), ae.Resize((50, 70)),
        ],
        "float32", 4e-3, 5e-3,
    ),
    Case(
        "TrivialAugmentWide in bytes",
        [ae.RandomResizedCrop(64), ae.TrivialAugmentWide()], "uint8", 1.0, 5e-3,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """How far a case's values are from the reference: at most, and which share by more than it may."""

    case: Case
    largest: float
    share: float
    unwritten: int
    values: int

    @property
    def within(self) -> bool:
        return self.unwritten == 0 and self.share <= self.case.share

    def row(self, row):
        """As a row of the report: the share that differs by more than the bound."""
        note = f"at most {self.largest:.2g}, bound {self.case.bound:g}"
        if self.unwritten:
            note += f", {self.unwritten} values never written"
        return row(
            self.case.name,
            100 * self.share,
            "% beyond",
            0.0,
            self.values,
            100 * self.case.share,
            note,
        )


def errors_of_fresh_plans(device, executor: str, seed: int, count: int = 32) -> list[Found]:
    return list(each_error(device, executor, seed, count))


def each_error(device, executor: str, seed: int, count: int = 32) -> Iterator[Found]:
    """Each case on its own images: dense and channels last, dense and channels first, or ragged."""
    pixels = torch.from_numpy(workloads.crops(count)[:, :96, :112])
    forms = (
        lambda: (pixels.to(device), "NHWC"),
        lambda: (pixels.permute(0, 3, 1, 2).contiguous().to(device), "NCHW"),
        lambda: ([p[: 96 - i, : 112 - 2 * i].to(device) for i, p in enumerate(pixels)], "NHWC"),
    )
    for i, case in enumerate(CASES):
        yield errors(case, *forms[i % 3](), executor, seed + i)


def errors(case: Case, images, layout: str, executor: str, seed: int) -> Found:
    sources = ae.Sources.of(images, layout)
    plan = ae.Policy(case.ops).sample(
        np.arange(len(sources)), sources.sizes, seed=seed, dtype=case.dtype
    )
    dtype = getattr(torch, case.dtype)
    byte = case.dtype == "uint8"
    wanted = torch.empty(plan.shape, dtype=torch.float64, device=sources.device)
    reference.execute(plan, sources, wanted, compute=torch.float64)
    # A byte has no NaN: drawn over two different grounds, what is not written shows.
    grounds = (171, 84) if byte else (torch.nan, torch.nan)
    drawn = [
        ae.execute(
            plan, sources, executor=executor,
            out=torch.full(plan.shape, ground, dtype=dtype, device=sources.device),
        )
        for ground in grounds
    ]  # fmt: skip
    got = drawn[0].to(torch.float64)
    if byte:
        wanted = wanted * 255
    unwritten = got.isnan() | (drawn[0] != drawn[1])
    apart = (got - wanted).abs().nan_to_num(torch.inf)
    return Found(
        case,
        apart.max().item(),
        (apart > case.bound).double().mean().item(),
        int(unwritten.sum()),
        got.numel(),
    )
