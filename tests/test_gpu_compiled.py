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
from gpu_counts import executed_by, run_of
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
    # Of half the threads that four warps have: a tile takes fewer registers than with 64 for each.
    assert kernel.registers <= 88


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("needs", [FLAGS[1:2], FLAGS[3:4], FLAGS[4:5], FLAGS], ids="+".join)
def test_all_that_a_plan_may_need_compiles_without_spills(needs, device, capsys):
    kernel = compiled(device, needs=needs)
    with capsys.disabled():
        print(f"\n{device}, {'+'.join(needs)}: {kernel}", end=" ")
    assert kernel.shared == 0
    assert kernel.stack == 0


# Counted over the whole kernel, which has no loop in this specialisation and branches nowhere but over its
# end.
@pytest.mark.parametrize(
    ("device", "most"), [("sm_80", 97), ("sm_90", 95), ("sm_100", 95), ("gfx942", 128)]
)
def test_crop_and_flip_takes_few_instructions_a_pixel(device, most):
    """uint8 packed → bfloat16 NCHW."""
    for block in ((4, 128), (8, 64), (16, 32)):
        kernel = compiled(device, block=block)
        assert kernel.instructions <= most
        if device != "gfx942":
            assert kernel.stores == 0.375, "three channels of eight pixels in one store each"


# What a pixel of the batch executes in all kernels, on the branches that its plan takes, and of the last
# three in the kernel that they are about. Each limit is some hundredths above what was counted.
EXECUTED = {
    "crop + flip": ("all", 97, 97, 92),
    "affine + flip + brightness": ("all", 150, 150, 138),
    "RandAugment": ("all", 268, 272, 254),
    "RandAugment + CutMix": ("all", 326, 330, 306),
    "SimCLR": ("all", 800, 890, 815),
    "statistics": ("complete", 53, 53, 53),
    "filters": ("filter_rows", 330, 402, 385),
    "sharpness": ("filter_rows", 190, 204, 204),
}


@pytest.mark.parametrize("device", DEVICES[:3])
@pytest.mark.parametrize("recipe", EXECUTED)
def test_what_a_pixel_executes(recipe, device, capsys):
    kernel, *limits = EXECUTED[recipe]
    counted = executed_by(recipe, device)
    with capsys.disabled():
        print(f"\n{device}, {recipe}: {counted}", end=" ")
    # Far below it the thread was not followed.
    limit = limits[DEVICES.index(device)]
    assert 0.8 * limit < counted[kernel] <= limit


def test_counts_of_instructions_are_those_of_the_machine_code():
    """Of a kernel without branches, that of crop + flip: followed, and counted in its SASS."""
    followed = executed_by("crop + flip", "sm_90")["draw"]
    assert abs(followed - compiled("sm_90", block=(16, 32)).instructions) < 3


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("source", ["uint8", "float32"])
def test_statistics_compile_without_spills(device, source, channels, capsys):
    kernel = compiled_statistics(device, source, channels)
    with capsys.disabled():
        print(f"\n{device}, statistics, {channels} channel(s) of {source}: {kernel}", end=" ")
    # A few registers are kept there by sm_100, rather than take more than 128.
    assert kernel.stack <= (40 if device == "sm_100" else 16)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["u8", "fp32"])
def test_filters_compile_without_spills(device, dtype, channels, capsys):
    kernel = compiled_filters(device, dtype, channels)
    with capsys.disabled():
        print(f"\n{device}, filters, {channels} channel(s) of {dtype}: {kernel}", end=" ")
    assert kernel.stack == 0
    assert kernel.shared == 0


# Launches of a batch of 32, in order (d: draw, c: complete, f: filter_rows), and the bytes of its one copy.
COSTS = {
    "crop + flip": ("d", 6336),
    "affine + flip + brightness": ("d", 8000),
    "RandAugment": ("cdfcd", 16496),
    "RandAugment + CutMix": ("cdfcd", 17648),
    "SimCLR": ("cdfd", 28608),
    "statistics": ("cd", 107456),
    "filters": ("dfd", 14400),
    "sharpness": ("dfd", 13376),
}


@pytest.mark.parametrize("recipe", COSTS)
def test_a_batch_costs_so_many_launches_and_bytes(recipe, capsys):
    from augengine.kernels.gpu import executor as gpu

    before = gpu.counts["copy"]
    run = run_of(recipe, "sm_90")
    assert gpu.counts["copy"] == before + 1
    with capsys.disabled():
        print(f"\n{recipe}, microseconds on the host: {run.microseconds}", end=" ")
    launches = "".join(launch.name.strip("_")[0] for launch in run.launches)
    assert (launches, len(run.uploaded.buffer)) == COSTS[recipe]


@pytest.fixture
def pretended(monkeypatch):
    """The executor with a GPU that compiles and does not draw: its kernels."""
    from triton.runtime import driver

    from augengine.kernels.gpu import executor as gpu

    monkeypatch.setattr(driver, "_active", Pretended())
    monkeypatch.setattr(gpu, "INTERPRETED", True)  # CPU tensors stand for those of the GPU
    kernels = []
    for name in ("draw_in_eights", "draw_one_by_one", "complete", "filter_rows"):
        kernels.append(CompiledOnly(getattr(gpu, name)))
        kernels[-1].kernel.device_caches.clear()
        monkeypatch.setattr(gpu, name, kernels[-1])
    return kernels


def test_no_other_policy_batch_or_image_size_compiles_anything(pretended):
    """But for what a plan has at all: colour, layers, a shrink, a fill that shows …, and the width of the
    tiles."""

    def run(n, height, width, *ops, size=(64, 64)):
        images = patches(n, height, width)
        policy = [ae.CenterCrop(size), *ops]
        ae.execute(plan_of(policy, images), images, executor="gpu")
        return [kernel.variants for kernel in pretended]

    assert run(4, 64, 64, ae.RandomHorizontalFlip()) == [1, 0, 0, 0]
    assert run(1, 79, 83, ae.RandomRotation(20, fill=3)) == [2, 0, 0, 0]
    assert run(9, 90, 70, ae.RandomVerticalFlip(), size=(48, 64)) == [2, 0, 0, 0]
    assert run(4, 64, 64, ae.RandomBrightness(0.2)) == [2, 1, 0, 0]
    assert run(3, 77, 70, ae.RandomPosterize(4, p=1.0), ae.RandomGrayscale(1.0)) == [2, 1, 0, 0]
    assert run(8, 90, 70, ae.ColorJitter(hue=0.3), ae.GaussianNoise()) == [2, 1, 0, 0]
    assert run(8, 90, 70, ae.RandomSaltAndPepperNoise(p=1)) == [2, 1, 0, 0]
    assert run(5, 64, 70, ae.RandomEqualize(1.0)) == [2, 1, 1, 0]
    assert run(6, 70, 71, ae.RandomAutocontrast(1.0)) == [2, 1, 1, 0]
    assert run(3, 70, 71, ae.RandomBrightness(0.2), ae.RandomEqualize(1.0)) == [2, 1, 1, 0]
    # Pictures are drawn as bytes, one after the other.
    assert run(5, 64, 70, ae.GaussianBlur(5)) == [3, 1, 1, 1]
    assert run(3, 66, 71, ae.GaussianBlur(9, 3.0), ae.RandomVerticalFlip()) == [3, 1, 1, 1]
    assert run(4, 66, 71, ae.RandomAdjustSharpness(2.0, 1.0), size=(50, 64)) == [3, 1, 1, 1]
    assert run(4, 66, 71, ae.RandomMotionBlur(9, p=1), ae.RandomShadow(p=1)) == [3, 1, 1, 1]
    assert run(5, 66, 71, ae.RandomDefocus(p=1)) == [3, 1, 1, 1]
