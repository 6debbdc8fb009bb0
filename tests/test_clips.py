"""Clips: one plan for all frames, each of which is what the engine makes of it alone."""

import dataclasses

import numpy as np
import pytest
import torch
from cases import each_executor
from photos import patches

import augengine as ae

POLICY = [
    ae.RandomResizedCrop(32),
    ae.RandomRotation(20),
    ae.ColorJitter(0.4),
    ae.GaussianBlur(3),
    ae.GaussianNoise(),
    ae.RandomAutocontrast(0.5),
    ae.CutMix(),
    ae.MixUp(p=0.5),
    ae.RandomErasing(0.5, value="random"),
]
B, T = 4, 3
IDS = np.arange(10, 10 + B)


def clips(count=B, frames=T, height=40, width=48):
    """uint8 (count, frames, 3, height, width), all different."""
    return patches(count * frames, height, width).view(count, frames, 3, height, width)


@each_executor
def test_every_frame_is_what_the_engine_makes_of_it_alone(executor):
    engine = ae.Engine(POLICY, seed=2, num_classes=B, executor=executor)
    labels = torch.arange(B)
    batch = engine(clips(), labels, ids=IDS, epoch=1)
    assert batch.images.shape == (B, T, 3, 32, 32)
    for t in range(T):
        frame = engine(clips()[:, t], labels, ids=IDS, epoch=1)
        assert torch.equal(batch.images[:, t], frame.images)
        assert torch.equal(batch.labels, frame.labels)
        assert batch.plan == frame.plan


def test_a_dot_that_stays_stays():
    """The same frame again and again gives the same output again and again."""
    still = clips(frames=1).expand(-1, T, -1, -1, -1)
    batch = ae.Engine(POLICY)(still, ids=IDS, epoch=0)
    for t in range(1, T):
        assert torch.equal(batch.images[:, t], batch.images[:, 0])


def test_arrays_lists_and_layouts():
    engine = ae.Engine(POLICY, seed=2)
    expected = engine(clips(), ids=IDS, epoch=1).images
    array = clips().permute(0, 1, 3, 4, 2).numpy()
    assert torch.equal(engine(array, ids=IDS, epoch=1).images, expected)
    assert torch.equal(engine(list(clips()), ids=IDS, epoch=1).images, expected)
    last = ae.Engine(POLICY, seed=2, memory_format=torch.channels_last)
    assert torch.equal(last(clips(), ids=IDS, epoch=1).images, expected)
    several = [clips(1, T, 40 + k, 48)[0] for k in range(B)]
    batch = engine(several, ids=IDS, epoch=1).images
    for t in range(T):
        alone = engine([clip[t] for clip in several], ids=IDS, epoch=1).images
        assert torch.equal(batch[:, t], alone)


def test_views_and_partners():
    views = ae.Views(a=POLICY, b=[ae.Tied("a", 16)], c=ae.RandomResizedCrop(24))
    engine = ae.Engine(views, num_classes=9)
    pool = (clips(5), torch.arange(4, 9), np.arange(5))
    batch = engine(clips(), torch.arange(B), ids=IDS, epoch=1, partners=pool)
    assert batch["b"][0].images.shape == (B, T, 3, 16, 16)
    for t in range(T):
        one = (pool[0][:, t], *pool[1:])
        frame = engine(clips()[:, t], torch.arange(B), ids=IDS, epoch=1, partners=one)
        assert torch.equal(batch["a"].images[:, t], frame["a"].images)
        assert torch.equal(batch["a"].labels, frame["a"].labels)
        assert torch.equal(batch["b"][0].images[:, t], frame["b"][0].images)
        assert torch.equal(batch["c"].images[:, t], frame["c"].images)


def test_memory_to_write_into():
    engine = ae.Engine(POLICY)
    out = torch.empty(B, T, 3, 32, 32)
    batch = engine(clips(), ids=IDS, epoch=1, out=out)
    assert batch.images.data_ptr() == out.data_ptr()
    assert torch.equal(out, engine(clips(), ids=IDS, epoch=1).images)
    with pytest.raises(ValueError, match=r"Engine: out is .* whose clips lie one after the other"):
        engine(clips(), ids=IDS, epoch=1, out=torch.empty(T, B, 3, 32, 32).transpose(0, 1))


def test_a_stage_sees_the_frames_as_a_batch():
    shapes = []

    def module(images):
        shapes.append(images.shape)
        return images[:, :, ::2, ::2]

    batch = ae.Engine([*POLICY[:2], ae.Stage(module)])(clips(), ids=IDS, epoch=0)
    assert shapes == [(B * T, 3, 32, 32)]
    assert batch.images.shape == (B, T, 3, 16, 16)


# Plan.repeat


def test_the_repeated_plan_passes_the_gate_and_comes_back_from_a_file():
    plan = ae.Policy(POLICY).sample(IDS, [(40, 48)] * B)
    again = plan.repeat(T)
    assert len(again) == B * T
    assert again.ids.tolist() == np.repeat(IDS, T).tolist()
    assert dataclasses.replace(again) == again
    assert ae.Plan.from_bytes(again.to_bytes()) == again
    assert plan.repeat(1) == plan
    for i in range(B):
        assert again.explain(i * T + 1) == plan.explain(i)


def test_targets_of_each_frame_follow_the_repeated_plan():
    plan = ae.Policy(POLICY).sample(IDS, [(40, 48)] * B)
    masks = torch.arange(B * T, dtype=torch.uint8)[:, None, None].expand(-1, 40, 48)
    drawn = ae.masks(plan.repeat(T), masks, fill=255).view(B, T, 32, 32)
    of_one = ae.masks(
        plan, torch.arange(B, dtype=torch.uint8)[:, None, None].expand(-1, 40, 48), fill=255
    )
    for t in range(T):
        expected = torch.where(of_one == 255, 255, of_one * T + t)
        assert torch.equal(drawn[:, t], expected)


def test_errors():
    engine = ae.Engine(POLICY)
    with pytest.raises(
        ValueError, match=r"Engine: got clips of \[2, 3\] frames, expected one number"
    ):
        engine([clips()[0], clips()[0, :2]], ids=[0, 1], epoch=0)
    with pytest.raises(ValueError, match=r"Engine: got clips without frames"):
        engine(clips()[:, :0], ids=IDS, epoch=0)
    with pytest.raises(
        ValueError, match=r"Engine: got partners of no frames, the batch's clips have 3"
    ):
        engine(clips(), ids=IDS, epoch=0, partners=(clips()[:, 0], None, IDS))
    with pytest.raises(ValueError, match=r"Plan\.repeat: count: got 0"):
        ae.Policy(POLICY).sample([0], [(40, 48)]).repeat(0)
