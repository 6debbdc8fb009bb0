"""Statistics and filters of the GPU executor, against the torch executor."""

import dataclasses

import numpy as np
import pytest
import torch
from cases import as_float, assert_close, plan_of, quick_or_thorough, with_steps
from generated import Case, piece, tolerance_of
from gpu import assert_mostly_agrees
from photos import patches

import augengine as ae
from augengine.plan.kinds import CURVE, HISTOGRAM, MATRIX, MEAN, RANGE

gpu = pytest.importorskip("augengine.kernels.gpu.executor", reason="it is built on triton")


@pytest.mark.parametrize("channels", quick_or_thorough([1, 3], [4]))
@pytest.mark.parametrize("dtype", quick_or_thorough(["uint8", "bfloat16"], ["float32", "float16"]))
def test_statistics_agree(dtype, channels):
    """Of windows larger than what a program takes at a time, and after earlier steps."""
    images = torch.stack([piece(i, channels, 90, 110, torch.uint8) for i in range(2)])
    images = images if dtype == "uint8" else as_float(images).to(getattr(torch, dtype))
    plan = plan_of(ae.RandomRotation(30), images, layout="NCHW")
    earlier = (MATRIX, (0.6 * np.eye(3, 4) + [0, 0, 0, 0.2]).ravel())
    half = 0.5 * np.eye(3, 4) + [0, 0, 0, 0.5]
    for step in ((MATRIX, half.ravel(), MEAN), (MATRIX, [], RANGE), (CURVE, [0], HISTOGRAM)):
        for steps in ((step,), (earlier, step)):
            made = with_steps(plan, *steps)
            window = made.window.copy()
            window[1] = [10.3, 20.0, 70.5, 101.7]
            made = dataclasses.replace(made, window=window)
            assert_mostly_agrees(Case([], images, {}), made, 1e-5, 2e-3)


@pytest.mark.parametrize("channels", quick_or_thorough([1, 3], [4]))
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_statistics_in_sequence_agree(dtype, channels):
    """Each step is measured after those before it are complete."""
    images = torch.stack([piece(i, channels, 50, 61, torch.uint8) for i in range(2)])
    images = images if dtype == "uint8" else as_float(images)
    plan = plan_of(ae.RandomRotation(30), images, layout="NCHW")
    half = 0.5 * np.eye(3, 4) + [0, 0, 0, 0.5]
    kinds = [(MATRIX, half.ravel(), MEAN), (MATRIX, [], RANGE), (CURVE, [0], HISTOGRAM)]
    for first in kinds:
        for second in kinds:
            made = with_steps(plan, first, (MATRIX, (0.8 * np.eye(3, 4)).ravel()), second)
            # A value at the edge between two entries of a histogram may be counted in either.
            assert_mostly_agrees(Case([], images, {}), made, 3e-5, 5e-3)


@pytest.mark.parametrize("channels", quick_or_thorough([1, 3], [5]))
@pytest.mark.parametrize("dtype", quick_or_thorough(["uint8", "float32"], ["bfloat16"]))
@pytest.mark.parametrize("size", quick_or_thorough([(2, 9), (11, 17)], [(1, 1), (3, 3)]))
def test_filters_agree(size, dtype, channels, monkeypatch):
    """Of rows that a program takes in one turn, and in several."""
    monkeypatch.setattr(gpu, "FILTER_BLOCK", 32 if channels == 3 else 128)
    images = torch.stack([piece(i, channels, *size, torch.uint8) for i in range(2)])
    images = images if dtype == "uint8" else as_float(images).to(getattr(torch, dtype))
    out = "uint8" if dtype == "uint8" else "float32"
    for op in (
        ae.GaussianBlur(sigma=(0.5, 3.0)),
        ae.GaussianBlur((5, 9), (0.1, 2.0)),
        ae.GaussianBlur(5, 0),
        ae.RandomAdjustSharpness((0.0, 4.0), 1.0),
    ):
        plan = plan_of([op, ae.RandomHorizontalFlip()], images, layout="NCHW", dtype=out)
        case = Case([], images, {})
        # A sum that ends on a half may be rounded either way.
        more = 0 if out == "uint8" else 3e-6
        assert_close(case.draw("gpu", plan), case.draw("torch", plan), tolerance_of(plan) + more)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_statistics_before_and_after_filters_agree(dtype):
    images = patches(3, 24, 28)
    images = images if dtype == "uint8" else as_float(images)
    for ops in (
        [ae.RandomEqualize(0.5), ae.GaussianBlur(9, 2.0, p=0.5), ae.RandomAutocontrast(0.5)],
        [ae.RandomAutocontrast(1.0), ae.RandomAdjustSharpness(1.8, 1.0), ae.RandomEqualize(1.0)],
        [ae.GaussianBlur(5), ae.ColorJitter(contrast=0.5), ae.RandomAdjustSharpness(2.0, 1.0)],
    ):
        plan = plan_of([*ops, ae.RandomResizedCrop(20), ae.CutMix()], images, dtype="float32")
        assert_mostly_agrees(Case([], images, {}), plan, 3e-5, 5e-3)
