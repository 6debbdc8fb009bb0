"""Which executor draws where, what it refuses, and, where there is a GPU, the GPU executor itself."""

import dataclasses
import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from cases import assert_close, plan_of, with_steps
from generated import tolerance_of
from photos import patches

import augengine as ae
from augengine import kernels
from augengine.kernels.gpu import tables
from augengine.kernels.gpu.lower import lower
from augengine.plan.kinds import GAUSSIAN, MATRIX, SHARPNESS

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
    monkeypatch.setattr(kernels.executors, "find_spec", lambda name: None)
    kernels.executors._warn_without_triton.cache_clear()
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
    monkeypatch.setattr(kernels.executors, "find_spec", lambda name: None)
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
    lowered = lower(plan)
    assert lowered.buffer.dtype == torch.uint8
    end = 0
    for table in lowered.tables.values():
        assert table.begin % 16 == 0
        assert end <= table.begin < end + 16
        end = table.end
    assert end <= len(lowered.buffer) < end + 16
    views, layers = (
        lowered.tables[name].of(lowered.buffer).numpy() for name in ("views", "layers 0")
    )
    n = len(plan.source)
    assert np.array_equal(views[:, :9], plan.inv_matrix.reshape(n, 9))
    assert np.array_equal(views[:, tables.FILL_AT :], plan.fill)
    assert np.array_equal(views.view(np.int32)[:, tables.SOURCE_AT], plan.source)
    assert np.array_equal(layers.view(np.int32)[..., 0], plan.view)
    assert np.array_equal(layers[..., tables.ALPHA_AT], plan.alpha)
    assert (len(lowered), lowered.shape) == (len(plan), plan.shape)
    assert np.array_equal(lowered.sizes, plan.sizes)


def test_a_plan_is_lowered_without_triton_and_pickled():
    """As a DataLoader's worker does."""
    code = "import sys; from augengine.kernels.gpu import lower; assert 'triton' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    images = patches(4, 40, 44)
    lowered = lower(plan_of([ae.GaussianBlur(5), *ops], images))
    again = pickle.loads(pickle.dumps(lowered))
    assert torch.equal(again.buffer, lowered.buffer)
    assert (again.tables, again.passes) == (lowered.tables, lowered.passes)


def test_passes_of_views_of_views():
    """Each size of picture is a pass, what looks at pictures comes after them, and images are measured
    before the first."""
    images = [patches(1, 40, 44)[0], patches(1, 30, 44)[0]]
    chosen = [ae.RandomEqualize(1.0), ae.GaussianBlur(7, 2.0), ae.RandomAutocontrast(1.0)]
    lowered = lower(plan_of([*chosen, ae.Resize((20, 20))], images))
    assert [part.size for part in lowered.passes] == [(30, 44), (40, 44), (20, 20)]
    assert [part.measured_views for part in lowered.passes] == [(0, 2), (2, 2), (2, 4)]
    assert [part.reach for part in lowered.passes] == [3, 3, 0]
    assert lowered.pictures == 2
    views = lowered.tables["views"].of(lowered.buffer).numpy().view(np.int32)
    assert sorted(views[:, tables.SOURCE_AT]) == [0, 1, 2, 3]


def test_what_filters_nothing_is_a_blur_of_one_pixel():
    filters = np.array([[GAUSSIAN, 2, 3, 9], [GAUSSIAN, 0, 5, 5], [SHARPNESS, 1.5, 0, 0]])
    rows = np.zeros((3, tables.WEIGHTS_AT + 12), np.float32)
    tables.fill_filters(rows, filters, (6, 2), {})
    whole = rows.view(np.int32)
    assert whole[:, tables.FILTER_AT].tolist() == [GAUSSIAN] * 3, "two pixels are not sharpened"
    reach = whole[:, tables.REACH_AT : tables.WEIGHTS_AT]
    assert reach.tolist() == [[5, 1], [0, 0], [0, 0]], "as far as a picture can be reflected"
    along = rows[:, tables.WEIGHTS_AT :].reshape(3, 2, 6)
    assert np.allclose(2 * along.sum(axis=2) - along[..., 0], 1)
    assert (along[1:] == [1, 0, 0, 0, 0, 0]).all()


def test_traits_say_what_a_plan_needs():
    images = patches(3, 20, 30)
    flip = plan_of(ae.RandomHorizontalFlip(), images)
    assert not any(tables.traits(flip))
    for op, needs in [
        (ae.RandomPerspective(0.5, p=1), "projective fills"),
        (ae.Resize((9, 9)), "wide"),
        (ae.RandomErasing(1.0), "layers"),
        (ae.CutMix(), "layers"),
        (ae.RandomBrightness((0.1, 0.2)), "steps"),
        (ae.RandomCrop((20, 30), padding=4, padding_mode="reflect"), "borders fills"),
        (ae.RandomRotation(20), "fills"),
    ]:
        has = tables.traits(plan_of(op, images))._asdict()
        assert [name for name in has if has[name]] == needs.split()
    empty = dataclasses.replace(flip, clip=np.zeros_like(flip.clip))
    assert not tables.traits(empty).wide


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (33, 17)])
@pytest.mark.parametrize("angle", [0, 0.3, 90, 45])
def test_no_fill_shows_where_the_tables_say_so(angle, size):
    """Every pixel, in float32: some of these crops touch the edge of what they may see."""
    images = patches(24, 40, 44)
    crop = ae.RandomResizedCrop(size, scale=(0.02, 1.0))
    ops = (
        [crop, ae.RandomHorizontalFlip()]
        if angle == 0
        else [ae.RandomRotation((angle, angle)), crop]
    )
    plan = plan_of(ops, images)
    shows = tables.fill_shows(plan)
    x, y = (np.arange(n, dtype=np.float32) + np.float32(0.5) for n in (size[1], size[0]))
    m = plan.inv_matrix[..., None, None]
    source_x, source_y = (
        (m[:, row, 0] * x + m[:, row, 1] * y[:, None]) + m[:, row, 2] for row in (0, 1)
    )
    y0, x0, y1, x1 = (plan.clip[:, k, None, None] for k in range(4))
    inside = (source_x >= x0) & (source_x <= x1) & (source_y >= y0) & (source_y <= y1)
    assert np.array_equal(shows, ~inside.all(axis=(1, 2)))
    if angle in (0, 45) and size == (33, 17):
        assert shows.any() == (angle == 45)


def test_a_matrix_that_mixes_no_channels_is_a_kind_of_its_own():
    images = patches(2, 8, 9)
    kinds = []
    for op in (ae.RandomBrightness((0.1, 0.2)), ae.RandomGrayscale(1.0)):
        lowered = lower(plan_of(op, images))
        steps = lowered.tables["steps"].of(lowered.buffer).numpy().view(np.int32)
        kinds += [set(steps[..., tables.KIND_AT].ravel().tolist())]
    assert kinds == [{tables.DIAGONAL}, {MATRIX}]


# On a GPU


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_the_gpu_draws_what_torch_draws(dtype, channels_last):
    images = patches(8, 90, 100)
    chosen = ops if dtype != "uint8" else ops[:-1]
    plan = plan_of(chosen, images, dtype=dtype, channels_last=channels_last)
    got = ae.execute(plan, images.cuda())
    assert_close(got.cpu(), ae.execute(plan, images, executor="torch"), tolerance_of(plan))


@pytest.mark.gpu
@pytest.mark.parametrize(
    "op",
    [
        ae.RandomPerspective(0.5, p=1),
        ae.Resize((20, 30)),
        ae.RandomEqualize(1.0),
        ae.RandomAutocontrast(1.0),
        ae.GaussianBlur(5),
        ae.RandomAdjustSharpness(2.0, 1.0),
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
    assert ((got - expected).abs() > tolerance_of(plan)).float().mean() < 2e-3


@pytest.mark.gpu
def test_repetition_changes_no_bit_on_a_gpu():
    images = patches(16, 90, 100)
    plan = with_steps(plan_of(ae.RandomRotation(9), images), (MATRIX, np.eye(3, 4).ravel(), 1))
    first = ae.execute(plan, images.cuda())
    for _ in range(20):
        assert torch.equal(ae.execute(plan, images.cuda()), first)


@pytest.mark.gpu
def test_a_captured_graph_draws_the_next_plan():
    from augengine.kernels.gpu import executor as gpu

    images = patches(8, 90, 100).cuda()
    sources = ae.Sources.of(images)
    plans = [plan_of(ops[:-1], images, seed=seed) for seed in range(3)]
    expected = [ae.execute(plan, images) for plan in plans]
    held, out = gpu.upload(gpu.lower(plans[0]), sources), torch.empty_like(expected[0])
    gpu.launch(held, out)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        gpu.launch(held, out)
    for plan, wanted in zip(plans, expected, strict=True):
        gpu.upload(gpu.lower(plan), sources, into=held)
        graph.replay()
        assert torch.equal(out, wanted)
