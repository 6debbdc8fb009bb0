"""The GPU kernel compiled ahead of time, with no GPU: registers, spills, instructions a pixel."""

import os

import pytest
from cases import plan_of
from gpu import (
    FLAGS,
    CompiledOnly,
    Pretended,
    compiled,
    compiled_filters,
    compiled_statistics,
)
from photos import patches

import augengine as ae

pytest.importorskip("triton", reason="the gpu executor is built on triton")
if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("TRITON_INTERPRET=1 compiles nothing", allow_module_level=True)

DEVICES = ("sm_80", "sm_90", "sm_100", "gfx942")
SIGNATURES = {
    "uint8 NHWC → bf16 NCHW": {},
    "uint8 NHWC → bf16 channels_last": {"channels_last": True},
    "uint8 NCHW → fp16 NCHW": {"packed": False, "out": "fp16"},
    "uint8 NHWC → uint8 NCHW": {"out": "u8"},
    "float32 → float32": {"source": "float32", "out": "fp32"},
    "one channel": {"channels": 1},
    "far apart": {"far": True, "packed": False},
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", SIGNATURES)
def test_crop_and_flip_compiles_without_spills(name, device, capsys):
    """What a plan of axis-aligned or turned views needs, with no colour and no mix."""
    kernel = compiled(device, **SIGNATURES[name])
    with capsys.disabled():
        print(f"\n{device}, {name}: {kernel}", end=" ")
    assert kernel.stack == 0
    assert kernel.shared == 0
    assert kernel.registers <= 64


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("needs", [FLAGS[1:2], FLAGS[3:4], FLAGS[4:5], FLAGS], ids="+".join)
def test_all_that_a_plan_may_need_compiles_without_spills(needs, device, capsys):
    kernel = compiled(device, needs=needs)
    with capsys.disabled():
        print(f"\n{device}, {'+'.join(needs)}: {kernel}", end=" ")
    # Noise: the sine of an angle of many turns, which never comes, works in memory.
    assert kernel.shared == 0
    assert kernel.stack <= (32 if "STEPS" in needs else 0)


def test_crop_and_flip_takes_at_most_120_instructions_a_pixel():
    """uint8 packed → bfloat16 NCHW, on sm_90. Counted over the whole kernel, which has no loop in
    this specialisation and branches nowhere but over its end."""
    for block in ((4, 128), (8, 64), (16, 32)):
        kernel = compiled("sm_90", block=block)
        assert kernel.instructions <= 120
        assert kernel.stores == 0.75, "three channels of four pixels in one store each"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("source", ["uint8", "float32"])
def test_statistics_compile_without_spills(device, source, channels, capsys):
    kernel = compiled_statistics(device, source, channels)
    with capsys.disabled():
        print(f"\n{device}, statistics, {channels} channel(s) of {source}: {kernel}", end=" ")
    # Noise among the earlier steps: the sine of an angle of many turns.
    assert kernel.stack <= 48


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["u8", "fp32"])
def test_filters_compile_without_spills(device, dtype, channels, capsys):
    kernel = compiled_filters(device, dtype, channels)
    with capsys.disabled():
        print(f"\n{device}, filters, {channels} channel(s) of {dtype}: {kernel}", end=" ")
    assert kernel.stack == 0
    assert kernel.shared == 0


@pytest.fixture
def pretended(monkeypatch):
    """The executor with a GPU that compiles and does not draw: its kernels."""
    from triton.runtime import driver

    from augengine.kernels.gpu import executor as gpu

    monkeypatch.setattr(driver, "_active", Pretended())
    monkeypatch.setattr(gpu, "INTERPRETED", True)  # CPU tensors stand for those of the GPU
    kernels = []
    for name in ("draw_in_fours", "draw_one_by_one", "complete", "filter_rows"):
        kernels.append(CompiledOnly(getattr(gpu, name)))
        kernels[-1].kernel.device_caches.clear()
        monkeypatch.setattr(gpu, name, kernels[-1])
    return kernels


def test_no_other_policy_batch_or_image_size_compiles_anything(pretended):
    """But for what a plan has at all: colour, layers, a shrink …, and the width of the tiles."""

    def run(n, height, width, *ops, size=(64, 64)):
        images = patches(n, height, width)
        policy = [ae.CenterCrop(size), *ops]
        ae.execute(plan_of(policy, images), images, executor="gpu")
        return [kernel.variants for kernel in pretended]

    assert run(4, 64, 64, ae.RandomHorizontalFlip()) == [1, 0, 0, 0]
    assert run(1, 79, 83, ae.RandomRotation(20, fill=3)) == [1, 0, 0, 0]
    assert run(9, 90, 70, ae.RandomVerticalFlip(), size=(48, 64)) == [1, 0, 0, 0]
    assert run(4, 64, 64, ae.RandomBrightness(0.2)) == [1, 1, 0, 0]
    assert run(3, 77, 70, ae.RandomPosterize(4, p=1.0), ae.RandomGrayscale(1.0)) == [1, 1, 0, 0]
    assert run(8, 90, 70, ae.ColorJitter(hue=0.3), ae.GaussianNoise()) == [1, 1, 0, 0]
    assert run(5, 64, 70, ae.RandomEqualize(1.0)) == [1, 1, 1, 0]
    assert run(6, 70, 71, ae.RandomAutocontrast(1.0)) == [1, 1, 1, 0]
    assert run(3, 70, 71, ae.RandomBrightness(0.2), ae.RandomEqualize(1.0)) == [1, 1, 1, 0]
    # Pictures are drawn as bytes, one after the other.
    assert run(5, 64, 70, ae.GaussianBlur(5)) == [2, 1, 1, 1]
    assert run(3, 66, 71, ae.GaussianBlur(9, 3.0), ae.RandomVerticalFlip()) == [2, 1, 1, 1]
    assert run(4, 66, 71, ae.RandomAdjustSharpness(2.0, 1.0), size=(50, 64)) == [2, 1, 1, 1]
