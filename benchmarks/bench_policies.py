"""Whole policies, as a user calls them: plans are sampled anew in each round.

images: 128 crops of 256² uint8 in, (128, 3, 224, 224) float32 out, on one core.
"""

import numpy as np
import pytest
import torch

import augengine as ae
from augengine.demo import measure, peers
from augengine.kernels.allocate import empty

from .race import spread_of
from .workloads import OUTPUT, POLICIES

PEERS = {
    "torchvision v2": ("torchvision", peers.torchvision),
    "albumentations": ("albumentations", peers.albumentations),
    "kornia": ("kornia", peers.kornia),
}

pytestmark = pytest.mark.usefixtures("checked")


def engine_call(policy, images, reuse):
    """One call of the engine, the next epoch each time."""
    engine = ae.Engine(policy, num_classes=1000 if policy.mixes else None)
    labels, ids = torch.arange(len(images)), np.arange(len(images))
    out = reused_batch(len(images)) if reuse else None
    epoch = iter(range(1 << 62))
    return lambda: engine(images, labels, ids=ids, epoch=next(epoch), out=out)


def peer_call(name, policy, images):
    """One call of a peer, with the images in the form that suits it, into a reused batch."""
    package, translate = PEERS[name]
    pytest.importorskip(package)
    try:
        work = translate(policy)
    except peers.Untranslated as error:
        pytest.skip(str(error))
    if name == "torchvision v2":
        images = [torch.from_numpy(image).permute(2, 0, 1) for image in images]
    elif name == "kornia":
        images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    else:
        images = list(images)
    out = reused_batch(len(images))
    return lambda: work(images, out)


def reused_batch(count):
    """Memory that a contender writes into again and again, in large pages where the system has them."""
    shape = (count, 3, OUTPUT, OUTPUT)
    return empty(shape, torch.float32, torch.device("cpu"), torch.contiguous_format)


def policy_row(policy, images, times):
    """What a row of a policy's table holds; the floor is that of one epoch's plan."""
    plan = ae.Engine(POLICIES[policy]).plan(sizes_of(images), np.arange(len(images)))
    return {
        "policy": policy,
        "images": len(images),
        "seconds": times["work"].seconds,
        "spread": spread_of(times),
        "floor": measure.floor_seconds(measure.floor_bytes(plan), times["copy"]),
    }


def sizes_of(images):
    return [image.shape[:2] for image in images]


@pytest.mark.parametrize("reuse", [True, False], ids=["out=", "new batch"])
@pytest.mark.parametrize("policy", POLICIES)
def test_engine(policy, reuse, images, copy, race, record):
    times = race(engine_call(POLICIES[policy], images, reuse), {"copy": copy})
    name = f"augengine, {'out=' if reuse else 'new batch'}"
    record(name=name, **policy_row(policy, images, times))


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("policy", POLICIES)
def test_peer(policy, peer, images, copy, race, record):
    ours = engine_call(POLICIES[policy], images, reuse=True)
    times = race(peer_call(peer, POLICIES[policy], images), {"copy": copy, "ours": ours})
    record(name=peer, ours=times["ours"].seconds, **policy_row(policy, images, times))


@pytest.mark.parametrize("policy", POLICIES)
def test_executor_alone(policy, images, copy, race, record):
    """The kernel with its plan at hand, as a multiple of the floor."""
    plan = ae.Engine(POLICIES[policy]).plan(sizes_of(images), np.arange(len(images)))
    out = reused_batch(len(images))
    times = race(lambda: ae.execute(plan, images, out=out), {"copy": copy})
    record(name="augengine's executor alone", **policy_row(policy, images, times))
