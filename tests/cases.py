"""What the tests of pixels share: both executors through one body, and short ways to a plan."""

import dataclasses

import numpy as np
import pytest
import torch
from photos import patches

import augengine as ae
from augengine.kernels import CPU_EXECUTORS


def quick_or_thorough(quick, thorough, unpack=False):
    """Values for parametrize: those of every run, then those of a thorough one alone. unpack: each
    value holds one for each of several arguments."""
    rows = thorough if unpack else [(value,) for value in thorough]
    return [*quick, *(pytest.param(*row, marks=pytest.mark.thorough) for row in rows)]


each_executor = pytest.mark.parametrize("executor", CPU_EXECUTORS)


def plan_of(ops, images, *, ids=None, layout=None, **how):
    """Sample a policy for these images. how: seed, epoch, dtype, channels_last …"""
    sources = ae.Sources.of(images, layout)
    ids = np.arange(len(sources)) if ids is None else ids
    return ae.Policy(ops).sample(ids, sources.sizes, channels=sources.channels, **how)


def draw(ops, images, executor, **how):
    """(the batch that a policy makes of the images, its plan)."""
    plan = plan_of(ops, images, **how)
    layout = how.get("layout")
    return ae.execute(plan, images, executor=executor, layout=layout), plan


def any_channels(n, channels, height=40, width=52):
    """A dense uint8 batch of pieces of photographs, each channel another one's, in another range."""
    planes = patches(-(-n * channels // 3) + 1, height, width).flatten(0, 1)[: n * channels]
    images = planes.view(n, channels, height, width).clone()
    for c in range(channels):
        images[:, c] = images[:, c] // (1 + c % 3) + 17 * (c % 5)
    return images


def as_float(image):
    """uint8 → float32 in [0, 1]."""
    return image.to(torch.float32) / 255


def logged(plan, view, beginning):
    """The numbers of each line of a view's log whose text begins so."""
    lines = zip(plan.log_op[view], plan.log_arg[view].astype(float), strict=True)
    return [a for op, a in lines if op >= 0 and plan.log_text[op].startswith(beginning)]


def with_steps(plan, *steps, curves=None):
    """The plan with these colour steps in place of its own, in every view, over its whole clip.

    steps: (kind, arg) or (kind, arg, statistic). They act on the fill.
    """
    n, s = len(plan.source), len(steps)
    arg = np.zeros((n, s, 12), np.float32)
    # A view that sees nothing of its source has a clip upon its edge; a window holds a pixel.
    window = plan.clip.copy()
    window[:, :2] = np.minimum(window[:, :2], plan.source_sizes() - 1)
    for i, step in enumerate(steps):
        arg[:, i, : len(np.atleast_1d(step[1]))] = step[1]
    return dataclasses.replace(
        plan,
        step_kind=np.tile(np.array([step[0] for step in steps], np.int8), (n, 1)),
        step_arg=arg,
        statistic=np.tile(np.array([(*step, 0)[2] for step in steps], np.int8), (n, 1)),
        window=np.repeat(window[:, None], s, axis=1),
        fill_start=np.zeros(n, np.int16),
        curves=plan.curves if curves is None else np.asarray(curves, np.float32),
    )


def largest_difference(a, b):
    return (a.to(torch.float64) - b.to(torch.float64)).abs().max().item()


def assert_close(got, expected, tolerance):
    assert got.shape == expected.shape
    difference = largest_difference(got, expected)
    assert difference <= tolerance, f"differs by {difference:.3g}, expected {tolerance:g} at most"
