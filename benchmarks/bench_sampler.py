"""Deciding: the sampler's share of the engine's time, policy by policy, and the draws it is made of."""

import numpy as np
import pytest
import torch

import augengine as ae
from augengine.demo.race import spread_of
from augengine.kernels.allocate import empty
from augengine.policy.keyed import Keyed

from .contenders import ours, sizes_of
from .workloads import MEAN, OUTPUT, POLICIES, STD

pytestmark = pytest.mark.usefixtures("checked")

presets = ae.presets
_AUTO = {
    "AutoAugment": ae.AutoAugment(),
    "AugMix": ae.AugMix(),
    "timm rand-m9-mstd0.5-inc1": ae.from_timm("rand-m9-mstd0.5-inc1"),
    "UniformAugment": ae.UniformAugment(),
    "ColorJitter": ae.ColorJitter(0.4, 0.4, 0.4, 0.1),
    "MixUpOrCutMix": ae.MixUpOrCutMix(),
}
_VIEWS = {"SimCLR": presets.simclr(), "BYOL": presets.byol(), "DINO": presets.dino()}
# What `workloads` has no row for: the presets, the published policies, and what batches are mixed by.
OTHERS = {
    "preset imagenet": presets.imagenet(),
    "preset imagenet, evaluation": presets.imagenet(train=False),
    "preset deit3": presets.deit3(),
    "preset cifar": presets.cifar(),
    "preset noisy_student": presets.noisy_student(),
    "preset detection_lsj": presets.detection_lsj(),
    **{
        f"preset {name}, {of}{'' if at is None else f' {at}'}": policy
        for name, views in _VIEWS.items()
        for of, at, policy in views.each()
        if at in (None, 0)  # the others of a name are alike
    },
    **{
        f"crop + flip + {name}": ae.Policy(
            [
                ae.RandomResizedCrop(OUTPUT),
                ae.RandomHorizontalFlip(),
                op,
                ae.Normalize(MEAN, STD),
            ]
        )
        for name, op in _AUTO.items()
    },
}


@pytest.mark.parametrize("policy", POLICIES)
def test_sampler(policy, images, race, record):
    """engine.plan at twice the batch, so 256; judged: at most 3 % of the engine's time."""
    images = np.concatenate([images, images])
    engine, sizes, ids = ae.Engine(POLICIES[policy]), sizes_of(images), np.arange(len(images))
    epoch = iter(range(1 << 62))
    whole = ours(POLICIES[policy], images)
    times = race(lambda: engine.plan(sizes, ids, next(epoch)), {"engine": whole})
    record(
        name=f"sampler at batch {len(images)}, {policy}",
        seconds=times["work"].seconds,
        engine=times["engine"].seconds,
        spread=spread_of(times),
    )


@pytest.mark.parametrize("count", [1, 4, 128])
@pytest.mark.parametrize("policy", ["crop + flip", *OTHERS])
def test_sampler_by_batch(policy, count, images, race, record):
    """engine.plan and the whole engine, into a reused batch, at batches of one, four and 128."""
    images, of = images[:count], {**POLICIES, **OTHERS}[policy]
    engine = ae.Engine(of, num_classes=1000 if of.mixes else None)
    sizes, ids, labels = sizes_of(images), np.arange(len(images)), torch.arange(len(images))
    shape = engine.plan(sizes, ids, 0).shape
    out = empty(shape, torch.float32, torch.device("cpu"), torch.contiguous_format)
    epoch, epoch_of_whole = iter(range(1 << 62)), iter(range(1 << 62))
    times = race(
        lambda: engine.plan(sizes, ids, next(epoch)),
        {"engine": lambda: engine(images, labels, ids=ids, epoch=next(epoch_of_whole), out=out)},
        rounds=None if count > 4 else 200,
    )
    record(
        name=f"sampler at batch {len(images)}, {policy}",
        seconds=times["work"].seconds,
        engine=times["engine"].seconds,
        spread=spread_of(times),
    )


def test_draws(race, record):
    """256 samples × 32 uniform numbers; judged: well under a millisecond."""
    draws = Keyed(seed=0, epoch=0, ids=np.arange(256))
    times = race(lambda: draws.uniform(0, 32), rounds=100)
    seconds = times["work"].seconds
    record(name="256 × 32 Philox draws", seconds=seconds, spread=spread_of(times))
