"""The GPU kernel compiled ahead of time, with no GPU: registers, spills, instructions a pixel."""

import os

import ptx
import pytest
from cases import plan_of
from gpu import (
    FLAGS,
    CompiledOnly,
    Pretended,
    compiled,
    compiled_filters,
    compiled_statistics,
    sass_of,
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


# Counted over the whole kernel: its branches for upright views and for turned ones, of which a pixel
# executes half of this (below).
@pytest.mark.parametrize(
    ("device", "most"), [("sm_80", 152), ("sm_90", 152), ("sm_100", 157), ("gfx942", 149)]
)
def test_crop_and_flip_is_a_small_kernel(device, most):
    """uint8 packed → bfloat16 NCHW."""
    for block in ((4, 128), (8, 64), (16, 32)):
        kernel = compiled(device, block=block)
        assert kernel.instructions <= most
        if device != "gfx942":
            assert kernel.stores == 0.375, "three channels of eight pixels in one store each"


# What a pixel of the batch executes in all kernels, on the branches that its plan takes, and of the last
# three in the kernel that they are about. Each limit is some hundredths above what was counted.
EXECUTED = {
    "crop + flip": ("all", 79, 79, 73),
    "affine + flip + brightness": ("all", 106, 106, 98),
    "RandAugment": ("all", 210, 214, 200),
    "RandAugment + CutMix": ("all", 237, 247, 230),
    "SimCLR": ("all", 730, 815, 755),
    "statistics": ("complete", 53, 53, 53),
    "filters": ("filter_rows", 330, 402, 385),
    "sharpness": ("filter_rows", 152, 167, 167),
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


@pytest.mark.parametrize("recipe", ["crop + flip", "affine + flip + brightness"])
def test_counts_of_instructions_are_those_of_the_machine_code(recipe):
    """Of whole kernels: all that may be followed, and what their SASS has."""
    draw = run_of(recipe, "sm_90").launches[-1].compiled
    counted = sum(each.cost for each in ptx.Kernel(draw.asm["ptx"]).instructions)
    assert counted == pytest.approx(len(sass_of(draw)), rel=0.05)


def test_clamps_are_counted_as_the_machine_takes_them():
    """A clamp to [0, 1] is no instruction of its own where a sum or product can saturate."""
    for recipe in ("affine + flip + brightness", "RandAugment + CutMix"):
        draw = run_of(recipe, "sm_90").launches[-1].compiled
        followed = ptx.Kernel(draw.asm["ptx"]).saturated
        assert followed == sum(".SAT" in name for name in sass_of(draw)) > 50


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
    "crop + flip": ("d", 6848),
    "affine + flip + brightness": ("d", 8512),
    "RandAugment": ("cdfcd", 17152),
    "RandAugment + CutMix": ("cdfcd", 18304),
    "SimCLR": ("cdfd", 29392),
    "statistics": ("cd", 107968),
    "filters": ("dfd", 15424),
    "sharpness": ("dfd", 14400),
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
