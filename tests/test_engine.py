"""The engine: every way that images and labels come in, and what comes out."""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image

import augengine as ae

N, H, W = 5, 30, 40
POLICY = [
    ae.RandomResizedCrop(24),
    ae.RandomHorizontalFlip(),
    ae.RandomRotation(20, fill="#5a"),
    ae.RandomBrightness(0.2),
    ae.CutMix(),
]
IDS = np.arange(10, 10 + N)
NUMBERS = np.random.default_rng(0)
RGB = NUMBERS.integers(0, 256, (N, H, W, 3), np.uint8)


def pixels(engine, images, **kwargs):
    return engine(images, ids=IDS[: len(images)], **{"epoch": 0} | kwargs).images


@pytest.fixture(scope="module")
def engine():
    return ae.Engine(POLICY, seed=3)


@pytest.fixture(scope="module")
def expected(engine):
    return pixels(engine, torch.from_numpy(RGB).movedim(-1, 1).contiguous())


# Images

DENSE = {
    "NCHW tensor": torch.from_numpy(RGB).movedim(-1, 1).contiguous(),
    "NCHW tensor, channels_last": torch.from_numpy(RGB).movedim(-1, 1),
    "NHWC tensor": torch.from_numpy(RGB),
    "NHWC array": RGB,
    "NCHW array": np.ascontiguousarray(RGB.transpose(0, 3, 1, 2)),
    "strided tensor": torch.from_numpy(np.repeat(np.repeat(RGB, 2, 1), 3, 2))[:, ::2, ::3],
    "reversed array": np.ascontiguousarray(RGB[:, ::-1, ::-1])[:, ::-1, ::-1],
    "read-only array": np.broadcast_to(RGB, RGB.shape),
    "Sources": ae.Sources.of(RGB),
    "list of PIL images": [Image.fromarray(image) for image in RGB],
    "list of arrays": list(RGB),
    "tuple of CHW tensors": tuple(torch.from_numpy(RGB).movedim(-1, 1).contiguous()),
    "mixed list": [
        Image.fromarray(RGB[0]),
        RGB[1],
        torch.from_numpy(RGB[2]).movedim(-1, 0),
        torch.from_numpy(RGB[3]).movedim(-1, 0).contiguous(),
        np.asfortranarray(RGB[4]),
    ],
}
LAYOUTS = {"NHWC tensor": "NHWC", "strided tensor": "NHWC", "NCHW array": "NCHW"}


@pytest.mark.parametrize("form", DENSE)
def test_every_form_of_the_same_images_gives_the_same_batch(engine, expected, form):
    # Packed bytes are blended in other instructions than planes: a last bit may differ.
    got = pixels(engine, DENSE[form], layout=LAYOUTS.get(form))
    assert (got - expected).abs().max() < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_floats_of_the_same_values_come_close(engine, expected, dtype):
    images = (torch.from_numpy(RGB).to(torch.float32) / 255).to(dtype)
    ulp = {torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 5e-3}[dtype]
    assert (pixels(engine, images, layout="NHWC") - expected).abs().max() < ulp


@pytest.mark.parametrize("channels", [1, 3, 4, 2, 5])
def test_any_number_of_channels(channels):
    """Each channel is what it would be alone."""
    images = NUMBERS.integers(0, 256, (N, channels, H, W), np.uint8)
    engine = ae.Engine(POLICY, seed=3)
    together = pixels(engine, torch.from_numpy(images), layout="NCHW")
    assert together.shape == (N, channels, 24, 24)
    for c in range(channels):
        alone = pixels(engine, torch.from_numpy(images[:, c : c + 1]))
        assert (together[:, c] - alone[:, 0]).abs().max() < 1e-6


@pytest.mark.parametrize(
    "form",
    [
        lambda grey: [Image.fromarray(g) for g in grey],
        list,
        lambda grey: list(torch.from_numpy(grey)),
        lambda grey: torch.from_numpy(grey)[:, None],
        lambda grey: grey[..., None],
    ],
    ids=["PIL L", "2-D arrays", "2-D tensors", "N1HW", "NHW1"],
)
def test_grey_images(form):
    grey = RGB[..., 0].copy()
    engine = ae.Engine(POLICY, seed=3)
    got = pixels(engine, form(grey))
    assert got.shape == (N, 1, 24, 24)
    assert torch.equal(got, pixels(engine, torch.from_numpy(grey)[:, None]))


def test_images_of_different_sizes():
    """Each is what it would be in a batch of its own size."""
    policy = POLICY[:-1]
    sizes = [(30, 40), (25, 25), (60, 20), (1, 7), (33, 41)]
    images = [NUMBERS.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    engine = ae.Engine(policy, seed=3)
    together = engine(images, ids=IDS, epoch=0)
    assert together.plan.sizes.tolist() == [list(size) for size in sizes]
    for i, image in enumerate(images):
        alone = engine(image[None], ids=IDS[i : i + 1], epoch=0, layout="NHWC")
        assert torch.equal(alone.images[0], together.images[i])


def test_layout_says_what_shapes_do_not():
    odd = torch.arange(3 * 4 * 4 * 3, dtype=torch.uint8).view(3, 4, 4, 3)
    keep = ae.Engine(ae.RandomApply(ae.RandomRotation(1), 0), dtype=torch.uint8)
    assert torch.equal(keep(odd, ids=[0, 1, 2], layout="NHWC").images, odd.movedim(-1, 1))
    assert torch.equal(keep(odd, ids=[0, 1, 2], layout="NCHW").images, odd)
    # Both ends look like channels: tensors are channels first, arrays channels last.
    assert keep(odd[:, :3], ids=[0, 1, 2]).images.shape == (3, 3, 4, 3)
    assert keep(odd[:, :3].numpy(), ids=[0, 1, 2]).images.shape == (3, 3, 3, 4)


# Outputs


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.uint8])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("executor", ["cpu", "torch"])
def test_dtype_and_memory_format(dtype, memory_format, executor, expected):
    engine = ae.Engine(POLICY, seed=3, dtype=dtype, memory_format=memory_format, executor=executor)
    got = pixels(engine, RGB)
    assert got.dtype == dtype
    assert got.shape == expected.shape
    assert got.is_contiguous(memory_format=memory_format)
    wanted = torch.floor(expected * 255 + 0.5) if dtype == torch.uint8 else expected
    tolerance = {torch.uint8: 1.0, torch.float32: 1e-5, torch.float16: 1e-3}.get(dtype, 5e-3)
    assert (got.float() - wanted).abs().max() <= tolerance


@pytest.mark.parametrize("executor", ["cpu", "torch"])
@pytest.mark.parametrize("strided", [False, True])
def test_out_is_written_and_returned(engine, expected, executor, strided):
    room = torch.full((N, 3, 24, 48) if strided else (N, 3, 24, 24), torch.nan)
    out = room[..., ::2] if strided else room
    engine = ae.Engine(POLICY, seed=3, executor=executor)
    got = engine(RGB, ids=IDS, epoch=0, out=out).images
    assert got.data_ptr() == out.data_ptr()
    assert got.stride() == out.stride()
    assert (out - expected).abs().max() < 1e-5
    if strided:
        assert room[..., 1::2].isnan().all()  # nothing beside it


def test_the_input_is_left_alone(engine):
    before = RGB.copy()
    pixels(engine, RGB)
    np.testing.assert_array_equal(RGB, before)


def test_plan_and_execute_are_the_two_halves(engine, expected):
    plan = engine.plan([(H, W)] * N, IDS)
    assert plan == engine(RGB, ids=IDS, epoch=0).plan
    assert torch.equal(ae.execute(plan, RGB), pixels(engine, RGB))
    later = engine.plan([(H, W)] * N, IDS, 7)
    assert later == engine(RGB, ids=IDS, epoch=7).plan
    assert later.epoch == 7
    assert later.seed == 3


def test_epoch_seed_and_view_change_the_draws(engine):
    base = engine.plan([(H, W)] * N, IDS)
    others = [
        engine.plan([(H, W)] * N, IDS, 1),
        engine.plan([(H, W)] * N, IDS, look=1),
        ae.Engine(POLICY, seed=4).plan([(H, W)] * N, IDS),
    ]
    for plan in others:
        assert (plan.inv_matrix != base.inv_matrix).any(axis=(1, 2)).all()


@pytest.mark.parametrize("ids", [IDS, IDS.tolist(), torch.from_numpy(IDS), IDS.astype(np.int32)])
def test_ids_of_every_kind(engine, ids):
    assert engine(RGB, ids=ids, epoch=0).plan == engine(RGB, ids=IDS, epoch=0).plan


def test_gradients_choose_the_torch_executor():
    images = torch.rand(N, 3, H, W, requires_grad=True)
    ae.Engine(POLICY)(images, ids=IDS).images.sum().backward()
    assert images.grad.abs().sum() > 0


# Labels


def test_no_labels(engine):
    assert engine(RGB, ids=IDS, epoch=0).labels is None


@pytest.mark.parametrize("labels", [[0, 1, 2, 3, 6], np.arange(N), torch.arange(N).int()])
def test_int_labels_become_soft(labels):
    batch = ae.Engine(POLICY, num_classes=7)(RGB, labels, ids=IDS)
    assert batch.labels.shape == (N, 7)
    assert batch.labels.dtype == torch.float32
    one_hot = torch.eye(7)[torch.as_tensor(labels).long()]
    expected = torch.zeros(N, 7)
    for i in range(N):
        y0, x0, y1, x1 = (int(v) for v in batch.plan.box[i, 1])
        share = (y1 - y0) * (x1 - x0) / 24**2
        partner = batch.plan.source[batch.plan.view[i, 1]]
        expected[i] = (1 - share) * one_hot[i] + share * one_hot[partner]
    torch.testing.assert_close(batch.labels, expected)


def test_soft_labels_come_soft():
    soft = torch.rand(N, 7, dtype=torch.float64)
    ints = torch.eye(7)
    by_class = ae.Engine(POLICY)(RGB, ints[:N], ids=IDS).labels
    np.testing.assert_allclose(
        ae.Engine(POLICY)(RGB, soft, ids=IDS).labels, by_class[:, :N] @ soft.float(), atol=1e-6
    )
    assert torch.equal(ae.Engine(POLICY, num_classes=7)(RGB, ints[:N], ids=IDS).labels, by_class)


def test_labels_without_a_mix_stay_ints():
    """Whether the number of classes is known or not: a loss that goes by dtype is then cross entropy."""
    labels = torch.tensor([4, 0, 1, 1, 2])
    for classes in (None, 5):
        batch = ae.Engine(POLICY[:-1], num_classes=classes)(RGB, labels, ids=IDS)
        assert batch.labels.dtype == torch.int64
        assert torch.equal(batch.labels, labels)
    assert torch.equal(ae.soft_labels(batch.plan, labels, 5), torch.eye(5)[labels])


def test_labels_are_of_one_kind_over_all_batches():
    """A mix that happens to no one in a batch, or a last batch of one, changes nothing."""
    labels = torch.zeros(N, dtype=torch.int64)
    rare = [ae.CenterCrop(8), ae.CutMix(p=0.0)]
    assert ae.Engine(rare, num_classes=2)(RGB, labels, ids=IDS).labels.shape == (N, 2)
    for images, some in ((RGB, labels), (RGB[:1], labels[:1])):
        with pytest.raises(ValueError, match="ints came without num_classes"):
            ae.Engine(rare)(images, some, ids=IDS[: len(images)])


@pytest.mark.parametrize(
    "mixes",
    [[ae.CutMix()], [ae.MixUp()], [ae.MixUp(), ae.CutMix()], [ae.MixUp(), ae.MixUp()]],
    ids=str,
)
def test_labels_follow_the_pixels(mixes):
    """Images of one colour each: the mean of an output is Σ weight · the colours of its sources."""
    shades = torch.linspace(0, 1, N)
    images = shades[:, None, None, None].expand(N, 1, 20, 20).contiguous()
    batch = ae.Engine([ae.CenterCrop(20), *mixes])(images, torch.eye(N), ids=IDS)
    torch.testing.assert_close(
        batch.images.mean((1, 2, 3)), batch.labels @ shades, atol=1e-5, rtol=0
    )
    torch.testing.assert_close(batch.labels.sum(1), torch.ones(N))


def test_erasing_leaves_the_label():
    policy = [ae.CenterCrop(20), ae.RandomErasing(1.0)]
    batch = ae.Engine(policy, num_classes=N)(RGB, range(N), ids=IDS)
    assert batch.labels.tolist() == [*range(N)]
    assert torch.equal(ae.soft_labels(batch.plan, range(N), N), torch.eye(N))


# Without ids


def test_samples_are_counted_without_ids_and_one_warning_says_so():
    engine = ae.Engine(POLICY, seed=3)
    with pytest.warns(UserWarning, match=r"no ids came.*ae\.WithIds") as caught:
        first = engine(RGB)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = engine(RGB[:2])
        third = engine.plan([(H, W)] * 3)
    assert first.plan.ids.tolist() == [0, 1, 2, 3, 4]
    assert second.plan.ids.tolist() == [5, 6]
    assert third.ids.tolist() == [7, 8, 9]


# The rest


def test_device(engine):
    batch = ae.Engine(POLICY, seed=3, device="cpu")(RGB, torch.eye(N), ids=IDS)
    assert batch.images.device == batch.labels.device == torch.device("cpu")
    assert torch.equal(batch.images, pixels(engine, RGB))


@pytest.mark.gpu
def test_images_go_to_the_device(expected):
    batch = ae.Engine(POLICY, seed=3, device="cuda")(RGB, torch.eye(N), ids=IDS)
    assert batch.images.is_cuda
    assert batch.labels.is_cuda
    assert (batch.images.cpu() - expected).abs().max() < 1e-3


def test_batch_moves_as_a_tensor_does(engine):
    batch = engine(RGB, torch.eye(N), ids=IDS)
    half = batch.to(torch.float16)
    assert half.images.dtype == half.labels.dtype == torch.float16
    assert half.plan is batch.plan
    assert engine(RGB, ids=IDS, epoch=0).to("cpu").labels is None


def test_repr_names_the_executor_and_the_settings():
    text = repr(ae.Engine(POLICY, seed=3, num_classes=7))
    assert "executor: cpu for CPU images, gpu for CUDA ones" in text
    for said in ("RandomResizedCrop", "seed=3", "torch.float32", "num_classes=7", "images' device"):
        assert said in text
    assert "executor: torch" in repr(ae.Engine(POLICY, executor="torch"))
    assert "executor: cpu)" in repr(ae.Engine(POLICY, device="cpu"))
    chosen = ae.kernels.choose(torch.device("cuda"))  # by whether triton is there
    assert f"executor: {chosen}" in repr(ae.Engine(POLICY, device="cuda"))


def test_an_engine_takes_ops_or_a_policy():
    assert ae.Engine(ae.Policy(POLICY)).policy == ae.Engine(POLICY).policy == ae.Policy(POLICY)
    assert ae.Engine(ae.CenterCrop(8)).policy == ae.Policy(ae.CenterCrop(8))
