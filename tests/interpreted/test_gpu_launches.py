"""What the GPU executor copies and launches, and what of it can be used again."""

import numpy as np
import pytest
import torch
from cases import plan_of, with_steps
from photos import patches

import augengine as ae
from augengine.plan.kinds import CURVE, HISTOGRAM, MATRIX, RANGE

gpu = pytest.importorskip("augengine.kernels.gpu.executor", reason="it is built on triton")


def _costs(plan, images):
    before = gpu.counts.copy()
    ae.execute(plan, images, executor="gpu")
    return gpu.counts - before


def test_a_batch_is_one_copy_and_one_launch():
    images = patches(4, 40, 44)
    ops = [ae.RandomResizedCrop((32, 31)), ae.RandomRotation(30), ae.ColorJitter(0.2)]
    for more in ([], [ae.CutMix()], [ae.MixUp(), ae.RandomErasing(1.0)]):
        assert _costs(plan_of([*ops, *more], images), images) == {"copy": 1, "launch": 1}
    ragged = [images[0], images[1][:, :20], images[2][:, :, :30], images[3]]
    assert _costs(plan_of(ops, ragged), ragged) == {"copy": 1, "launch": 1}


def test_statistics_are_one_launch_more_and_filters_two():
    """For each size of picture; statistics before a filter and after one are two."""
    images = patches(4, 10, 12)
    warp, equalize = ae.RandomRotation(30), ae.RandomEqualize(1.0)
    blur, sharpen = ae.GaussianBlur(3), ae.RandomAdjustSharpness(2.0, 0.5)
    plan = with_steps(plan_of(warp, images), (CURVE, [0], HISTOGRAM), (MATRIX, [], RANGE))
    assert _costs(plan, images) == {"copy": 1, "launch": 2}
    ragged = [images[0], images[1][:, :8], images[2][:, :, :9], images[3]]
    crop = ae.RandomCrop(6)
    for chosen, batch, launches in [
        ([warp, equalize, ae.RandomAutocontrast(1.0)], images, 2),
        ([warp, blur], images, 3),
        ([warp, ae.OneOf([blur, sharpen])], images, 3),
        ([equalize, blur], images, 4),
        ([blur, equalize], images, 4),
        ([equalize, blur, equalize], images, 5),
        ([equalize, blur, equalize, ae.RandomAdjustSharpness(2.0, 1.0), equalize], images, 8),
        ([blur, crop], ragged, 7),
    ]:
        assert _costs(plan_of(chosen, batch), batch) == {"copy": 1, "launch": launches}


def test_what_is_shrunk_before_a_turn_is_one_launch_more():
    """Pictures with no filter are drawn where the batch looks at them, and not copied there."""
    bytes_ = patches(3, 60, 66)
    ops = [ae.RandomRotation((30, 30)), ae.Resize((12, 13))]
    for images in (bytes_, bytes_.float() / 127 - 0.5):  # whose values nothing cuts
        plan = plan_of(ops, images)
        assert _costs(plan, images) == {"copy": 1, "launch": 2}
        drawn, expected = (ae.execute(plan, images, executor=e) for e in ("gpu", "torch"))
        assert (drawn - expected).abs().max() <= 1.01 / 255
        assert (drawn - expected).abs().mean() < 1e-4
    blurred = plan_of([*ops, ae.GaussianBlur(3)], bytes_)
    assert _costs(blurred, bytes_) == {"copy": 1, "launch": 4}


def test_an_upload_is_drawn_again_and_refilled():
    """What a CUDA graph does: the same launches over the same memory, with another plan in it."""
    images = patches(3, 12, 14)
    sources = ae.Sources.of(images)
    ops = [ae.RandomEqualize(1.0), ae.GaussianBlur(3), ae.ColorJitter(contrast=0.5), ae.CutMix()]
    plans = [plan_of(ops, images, seed=seed) for seed in range(2)]
    held = gpu.upload(gpu.lower(plans[0]), sources)
    for plan in (*plans, plans[1]):
        expected = ae.execute(plan, images, executor="gpu")
        again = gpu.upload(gpu.lower(plan), sources, into=held)
        assert again.buffer is held.buffer
        for _ in range(2):
            assert torch.equal(gpu.launch(held, torch.full_like(expected, torch.nan)), expected)
    other = gpu.lower(plan_of(ops[1:], images))
    with pytest.raises(ValueError, match=r"upload: .* another kind .* Leave `into` out"):
        gpu.upload(other, sources, into=held)


def test_an_upload_is_refilled_by_a_plan_that_needs_less():
    """The launches of a plan whose fill shows draw one whose does not, and not the other way round."""
    images = patches(3, 12, 14)
    sources = ae.Sources.of(images)
    turned, upright = (plan_of(ae.RandomRotation((a, a), fill=9), images) for a in (30, 0))
    held = gpu.upload(gpu.lower(turned), sources)
    gpu.upload(gpu.lower(upright), sources, into=held)
    expected = ae.execute(upright, images, executor="gpu")
    assert torch.equal(gpu.launch(held, torch.full_like(expected, torch.nan)), expected)
    held = gpu.upload(gpu.lower(upright), sources)
    with pytest.raises(ValueError, match=r"upload: .* another kind"):
        gpu.upload(gpu.lower(turned), sources, into=held)


def test_a_lowered_plan_is_not_written():
    images = patches(3, 12, 14)
    lowered = gpu.lower(plan_of([ae.RandomEqualize(1.0), ae.GaussianBlur(5)], images))
    before = lowered.buffer.clone()
    outs = [
        gpu.draw(lowered, ae.Sources.of(given), torch.empty(lowered.shape))
        for given in (images, images.flip(0), images)
    ]
    assert torch.equal(outs[0], outs[2])
    assert not torch.equal(outs[0], outs[1])
    assert torch.equal(lowered.buffer, before)


def test_what_a_worker_lowered_is_what_is_drawn(monkeypatch):
    """A batch of ae.pack holds its plan in the form of the GPU executor, which is not formed again."""
    policy = [ae.RandomResizedCrop(16), ae.RandomAutocontrast(1), ae.GaussianBlur(3), ae.CutMix()]
    images = [np.arange(30 * w * 3, dtype=np.uint8).reshape(30, w, 3) for w in (20, 21, 22)]
    samples = [(image, 0, i) for i, image in enumerate(images)]
    expected = ae.Collate(policy, num_classes=2, executor="gpu")(samples).images
    batch = ae.pack(policy, num_classes=2, executor="gpu")(samples)
    assert batch.launches[0].lowered is not None
    monkeypatch.setattr(gpu, "lower", None)
    assert torch.equal(batch.draw().images, expected)
