"""Which executor draws where, what it refuses, and, where there is a GPU, the GPU executor itself."""

import dataclasses
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from cases import assert_close, plan_of, with_steps
from photos import patches
from test_parity import _tolerance

import augengine as ae
from augengine import kernels
from augengine.kernels import gpu_tables
from augengine.plan import MATRIX

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
ops = [
    ae.RandomResizedCrop((32, 48)),
    ae.RandomRotation(30),
    ae.ColorJitter(0.3, 0.3, 0.3, 0.1),
    ae.CutMix(),
    ae.RandomErasing(1.0),
    ae.Normalize((0.4, 0.4, 0.4), (0.2, 0.2, 0.2)),
]


# Choosing


def test_each_device_has_its_executor():
    assert kernels.choose(CPU) == "cpu"
    assert kernels.choose(torch.device("meta")) == "torch"
    assert kernels.choose(CPU, requires_grad=True) == "torch"
    assert kernels.choose(CUDA, requires_grad=True) == "torch"


def test_a_cuda_device_is_drawn_on_by_the_gpu_executor():
    pytest.importorskip("triton")
    assert kernels.choose(CUDA) == "gpu"


def test_without_triton_torch_draws_and_says_so_once(monkeypatch):
    monkeypatch.setattr(kernels, "find_spec", lambda name: None)
    kernels._warn_without_triton.cache_clear()
    with pytest.warns(UserWarning, match=r"the torch executor draws .* pip install triton"):
        assert kernels.choose(CUDA) == "torch"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kernels.choose(CUDA) == "torch"


def test_one_asked_for_by_name_never_falls_back(monkeypatch):
    images = patches(1, 8, 9)
    plan = plan_of(ae.RandomHorizontalFlip(), images)
    with pytest.raises(
        ValueError, match=r"execute: .* requires a gradient, .*\. Pass executor='torch'"
    ):
        ae.execute(plan, (images / 255).requires_grad_(), executor="gpu")
    monkeypatch.setattr(kernels, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"execute: triton cannot be imported.*\. Get it with"):
        ae.execute(plan, images, executor="gpu")


@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="the interpreter draws them")
def test_the_gpu_executor_refuses_cpu_images():
    pytest.importorskip("triton")
    images = patches(1, 8, 9)
    plan = plan_of(ae.RandomHorizontalFlip(), images)
    with pytest.raises(ValueError, match=r"execute: .* is on cpu, .* CUDA .*\. Pass images\.cuda"):
        ae.execute(plan, images, executor="gpu")


def test_importing_augengine_imports_no_triton():
    """torch itself may; so what is counted comes after it."""
    code = "import torch, sys; had = 'triton' in sys.modules; import augengine.kernels; "
    code += "assert had or 'triton' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# The tables of a plan


def test_tables_lie_in_one_buffer_at_multiples_of_16_and_hold_the_plan():
    images = patches(4, 40, 44)
    plan = plan_of(ops, images)
    buffer, tables = gpu_tables.packed(plan)
    assert buffer.dtype == torch.uint8
    end = 0
    for table in tables.values():
        assert table.begin % 16 == 0
        assert end <= table.begin < end + 16
        end = table.end
    assert end <= len(buffer) < end + 16
    views, layers = (tables[name].of(buffer).numpy() for name in ("views", "layers"))
    n = len(plan.source)
    assert np.array_equal(views[:, :9], plan.inv_matrix.reshape(n, 9))
    assert np.array_equal(views[:, gpu_tables.FILL_AT :], plan.fill)
    assert np.array_equal(layers.view(np.int32)[..., 0], plan.view)
    assert np.array_equal(layers[..., gpu_tables.ALPHA_AT], plan.alpha)
    assert not tables["images"].of(buffer).any()


def test_addresses_are_filled_in_later():
    images = patches(3, 20, 30)
    plan = plan_of(ae.RandomHorizontalFlip(), images)
    buffer, tables = gpu_tables.packed(plan)
    address, stride, _ = ae.Sources.of(images).pointers()
    gpu_tables.point(buffer, tables["images"], plan.source, address, stride)
    table = tables["images"].of(buffer).numpy()
    assert np.array_equal(table[:, 0], address[plan.source])
    assert np.array_equal(table[:, 1:], stride[plan.source])


def test_traits_say_what_a_plan_needs():
    images = patches(3, 20, 30)
    flip = plan_of(ae.RandomHorizontalFlip(), images)
    assert not any(gpu_tables.traits(flip))
    for op, needs in [
        (ae.RandomPerspective(0.5, p=1), "projective"),
        (ae.Resize((9, 9)), "wide"),
        (ae.RandomErasing(1.0), "layers"),
        (ae.CutMix(), "layers"),
        (ae.RandomBrightness((0.1, 0.2)), "steps"),
        (ae.RandomCrop((20, 30), padding=4, padding_mode="reflect"), "borders"),
    ]:
        has = gpu_tables.traits(plan_of(op, images))._asdict()
        assert [name for name in has if has[name]] == [needs]
    empty = dataclasses.replace(flip, clip=np.zeros_like(flip.clip))
    assert not gpu_tables.traits(empty).wide


# On a GPU


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_the_gpu_draws_what_torch_draws(dtype, channels_last):
    images = patches(8, 90, 100)
    chosen = ops if dtype != "uint8" else ops[:-1]
    plan = plan_of(chosen, images, dtype=dtype, channels_last=channels_last)
    got = ae.execute(plan, images.cuda())
    assert_close(got.cpu(), ae.execute(plan, images, executor="torch"), _tolerance(plan))


@pytest.mark.gpu
@pytest.mark.parametrize(
    "op",
    [
        ae.RandomPerspective(0.5, p=1),
        ae.Resize((20, 30)),
        ae.RandomEqualize(1.0),
        ae.RandomAutocontrast(1.0),
        ae.GaussianBlur(5),
        ae.ColorJitter(contrast=0.5),
    ],
    ids=str,
)
def test_each_kind_of_view_on_a_gpu(op):
    images = patches(8, 90, 100)
    plan = plan_of(op, images)
    got, expected = (
        ae.execute(plan, images.cuda()).cpu(),
        ae.execute(plan, images, executor="torch"),
    )
    assert ((got - expected).abs() > _tolerance(plan)).float().mean() < 2e-3


@pytest.mark.gpu
def test_repetition_changes_no_bit_on_a_gpu():
    images = patches(16, 90, 100)
    plan = with_steps(plan_of(ae.RandomRotation(9), images), (MATRIX, np.eye(3, 4).ravel(), 1))
    first = ae.execute(plan, images.cuda())
    for _ in range(20):
        assert torch.equal(ae.execute(plan, images.cuda()), first)
