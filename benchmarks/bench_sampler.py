"""Deciding: the sampler's share of the engine's time, and the draws it is made of."""

import numpy as np
import pytest

import augengine as ae
from augengine.policy.keyed import Keyed

from .bench_policies import engine_call, sizes_of
from .race import spread_of
from .workloads import POLICIES

pytestmark = pytest.mark.usefixtures("checked")


@pytest.mark.parametrize("policy", POLICIES)
def test_sampler(policy, images, race, record):
    """engine.plan at twice the batch, so 256; judged: at most 5 % of the engine's time."""
    images = np.concatenate([images, images])
    engine, sizes, ids = ae.Engine(POLICIES[policy]), sizes_of(images), np.arange(len(images))
    epoch = iter(range(1 << 62))
    whole = engine_call(POLICIES[policy], images, reuse=True)
    times = race(lambda: engine.plan(sizes, ids, next(epoch)), {"engine": whole})
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
