"""Ops that torchvision has and no matrix of ours says: channels, orders, crops as views, and what is done
to the finished batch. The truth is torchvision, or PIL."""

import io
import itertools

import numpy as np
import pytest
import torch
import torchvision.transforms.v2 as v2
import torchvision.transforms.v2.functional as F
from cases import as_float, assert_close, draw, each_executor, logged
from photos import patches, photos
from PIL import Image
from scipy import stats

import augengine as ae
from augengine.policy.ops.unfused import seeds

SURE = 1e-3
SIZE = (48, 56)
IDS = [5, 2**40, 7, 1]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def engine_of(ops, **options):
    return ae.Engine([ae.Resize(SIZE), *ops], **options)


def batch_of(ops, images=None, ids=IDS, epoch=0, **options):
    images = patches(4, 70, 90) if images is None else images
    return engine_of(ops, **options)(images, ids=ids, epoch=epoch)


def resized(images=None):
    """What ops behind the resize are given, as bytes."""
    return batch_of([], images, dtype=torch.uint8).images


# Channels


@each_executor
def test_grayscale_of_three_is_torchvisions(executor):
    images = photos()
    for image in images:
        got, plan = draw(ae.Grayscale(3), [image], executor)
        assert_close(got[0], F.rgb_to_grayscale(as_float(image), 3), 1e-6)
        assert plan.explain(0) == "grey"
        bytes_, _ = draw(ae.Grayscale(3), [image], executor, dtype="uint8")
        assert_close(bytes_[0], F.rgb_to_grayscale(image, 3), 1)  # which rounds down


@each_executor
@pytest.mark.parametrize("channels_last", [False, True])
def test_grayscale_of_one_and_its_normalisation_are_torchvisions(executor, channels_last):
    memory = torch.channels_last if channels_last else torch.contiguous_format
    ops = [ae.Grayscale(1), ae.Normalize((0.45,), (0.22,))]
    batch = batch_of(ops, executor=executor, memory_format=memory)
    theirs = v2.Compose([v2.Grayscale(1), v2.Normalize((0.45,), (0.22,))])
    assert batch.images.shape == (4, 1, *SIZE)
    assert batch.images.is_contiguous(memory_format=memory)
    plain = batch_of([], executor=executor).images
    assert_close(batch.images, theirs(plain), 1e-5)
    bytes_ = batch_of(ops[:1], executor=executor, dtype=torch.uint8).images
    assert_close(bytes_, F.rgb_to_grayscale(resized(), 1), 1)


@each_executor
def test_grey_images_are_grey_already(executor):
    grey = patches(4, 70, 90)[:, :1]
    for count in (1, 3):
        got = batch_of([ae.Grayscale(count)], grey, executor=executor).images
        assert got.shape == (4, count, *SIZE)
        expected = F.rgb_to_grayscale(batch_of([], grey).images, count)
        assert_close(got, expected, 1.1e-4)  # the luma's weights have a sum of 0.9999


@each_executor
def test_rgb_is_torchvisions(executor):
    grey = patches(4, 70, 90)[:, :1]
    steps = v2.Compose([v2.RGB(), v2.Normalize(MEAN, STD)])
    expected = steps(batch_of([], grey, executor=executor).images)
    ops = [ae.RGB(), ae.Normalize(MEAN, STD)]
    arrays = grey.permute(0, 2, 3, 1).contiguous().numpy()
    for images in (grey, list(grey), arrays, list(arrays), list(arrays[..., 0])):
        assert_close(batch_of(ops, images, executor=executor).images, expected, 1e-5)
    rgb = patches(4, 70, 90)
    assert torch.equal(batch_of([ae.RGB()], rgb).images, batch_of([], rgb).images)
    five = torch.cat([rgb, grey, grey], dim=1)
    assert batch_of([ae.RGB()], five).images.shape == (4, 5, *SIZE)


@each_executor
@pytest.mark.parametrize("form", ["dense", "list", "packed"])
def test_grey_images_are_read_as_three_without_a_copy(executor, form):
    """Through every executor's ways of reading, as the same images with three channels in memory."""
    grey = patches(4, 40, 50)[:, :1]
    ops = [ae.RGB(), ae.RandomResizedCrop(32), ae.RandomRotation(20, fill=(9, 99, 200))]
    ops += [ae.ColorJitter(0.3, 0.3, 0.3, 0.1), ae.GaussianBlur(5, 1.0), ae.RandomEqualize(0.5)]
    three = ae.Engine(ops, executor=executor)(grey.expand(-1, 3, -1, -1).clone(), ids=IDS, epoch=0)
    if form == "packed":
        decide = ae.pack(ops, executor=executor)
        decide.set_epoch(0)
        got = decide([(image, 0, i) for image, i in zip(grey, IDS, strict=True)]).draw()
    else:
        images = grey if form == "dense" else list(grey)
        got = ae.Engine(ops, executor=executor)(images, ids=IDS, epoch=0)
    assert_close(got.images, three.images, 1e-6)


def test_partners_and_views_of_grey_images_are_widened_too():
    grey = patches(8, 40, 50)[:, :1]
    ops = [ae.RGB(), ae.Resize((32, 32)), ae.CutMix()]
    got = ae.Engine(ops, num_classes=3)(
        grey[:4], [0, 1, 2, 0], ids=IDS, epoch=0, partners=(grey[4:], [0, 1, 2, 0], [9, 10, 11, 12])
    )
    assert got.images.shape == (4, 3, 32, 32)
    views = ae.Views(rgb=[ae.RGB(), ae.Resize((32, 32))], grey=ae.Resize((32, 32)))
    batch = ae.Engine(views)(grey, ids=range(8))
    assert batch["rgb"].images.shape == (8, 3, 32, 32)
    assert batch["grey"].images.shape == (8, 1, 32, 32)


@pytest.mark.parametrize(
    ("ops", "count"),
    [
        ([ae.Grayscale(1), ae.RGB()], 3),
        ([ae.RGB(), ae.Grayscale(1)], 1),
        ([ae.Grayscale(1), ae.JPEG(95)], 1),
        ([ae.JPEG(95), ae.Grayscale(1)], 1),
        ([ae.JPEG(95), ae.Grayscale(3)], 3),
        ([ae.Grayscale(1), ae.JPEG(95), ae.RGB()], 3),
    ],
    ids=str,
)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_last_that_counts_channels_holds(ops, count, channels):
    images = patches(4, 70, 90)[:, :channels]
    got = batch_of(ops, images).images
    assert got.shape == (4, count, *SIZE)
    grey = F.rgb_to_grayscale(batch_of([], images).images, 1).expand_as(got)
    assert (got - grey).abs().mean() < 0.02  # JPEG rounds


def test_channels_that_cannot_be_are_refused():
    four = torch.zeros(4, 4, 70, 90, dtype=torch.uint8)
    with pytest.raises(ValueError, match=r"Grayscale: mixes the colour channels and needs RGB"):
        batch_of([ae.Grayscale()], four)
    with pytest.raises(ValueError, match=r"RGB: got images of 2 channels, expected 1, or 3"):
        engine_of([ae.RGB()]).plan([(9, 9)], [0], 0, channels=2)
    with pytest.raises(ValueError, match=r"JPEG: got images of 4 channels, expected 1 or 3"):
        batch_of([ae.JPEG(50)], four)
    with pytest.raises(ValueError, match=r"num_output_channels: got 2, expected 1 or 3"):
        ae.Grayscale(2)
    with pytest.raises(ValueError, match=r"Normalize: got 3 means, the images have 1 channels"):
        batch_of([ae.Grayscale(1), ae.Normalize(MEAN, STD)])
    for op in (ae.Grayscale(1), ae.RGB(), ae.JPEG(50), ae.Lambda(abs)):
        with pytest.raises(ValueError, match=rf"Policy: {type(op).__name__} stands inside another"):
            ae.Policy(ae.RandomApply([op]))
    assert ae.Policy(ae.RandomApply([ae.Grayscale(3)])).after == ()


# Orders and choices


@each_executor
def test_random_order_is_torchvisions_in_that_order(executor):
    steps = {
        "inverted": (ae.RandomInvert(1), F.invert),
        "posterized": (ae.RandomPosterize(2, 1), lambda image: F.posterize(image, 2)),
        "solarized": (ae.RandomSolarize(99, 1), lambda image: F.solarize(image, 99)),
    }
    order = ae.RandomOrder([op for op, _ in steps.values()])
    images = patches(12, 20, 30)
    got, plan = draw(order, images, executor, dtype="uint8")
    orders = set()
    for i, image in enumerate(images):
        names = [words.split()[0] for words in plan.explain(i).split(", ")]
        orders.add(tuple(names))
        for name in names:
            image = steps[name][1](image)
        assert torch.equal(got[i], image)
    assert len(orders) > 3


def test_each_order_comes_as_often_and_each_op_once():
    ops = [ae.RandomInvert(1), ae.RandomGrayscale(1), ae.RandomPosterize(2, 1)]
    plan = ae.Policy(ae.RandomOrder(ops)).sample(range(3000), [(8, 8)] * 3000)
    orders = [plan.explain(i) for i in range(3000)]
    words = ("inverted", "grey", "posterized to 2 bits")
    counts = [orders.count(", ".join(order)) for order in itertools.permutations(words)]
    assert sum(counts) == 3000
    assert stats.chisquare(counts).pvalue > SURE


def test_an_order_takes_as_many_places_as_its_ops():
    """However many orders there are."""
    ops = [ae.RandomInvert(1)] * 40
    assert ae.RandomOrder(ops).places == 41
    assert ae.Policy(ae.RandomOrder(ops)).sample(range(4), [(8, 8)] * 4).step_kind.shape[1] == 40


def test_random_choice_takes_torchvisions_p():
    ops = [ae.RandomInvert(1), ae.RandomGrayscale(1), ae.RandomPosterize(2, 1)]
    plan = ae.Policy(ae.RandomChoice(ops, p=[1, 3, 0])).sample(range(4000), [(8, 8)] * 4000)
    chosen = [plan.explain(i) for i in range(4000)]
    assert set(chosen) == {"inverted", "grey"}
    theirs = v2.RandomChoice([v2.Identity()] * 3, p=[1, 3, 0]).p
    assert stats.binomtest(chosen.count("grey"), 4000, theirs[1]).pvalue > SURE


def test_an_order_of_mixes_and_ops_on_the_image_is_refused():
    with pytest.raises(ValueError, match=r"RandomOrder: got mixes or erasing beside ops on the"):
        ae.RandomOrder([ae.CutMix(), ae.RandomInvert()])


# Crops as views


@each_executor
@pytest.mark.parametrize("size", [24, (33, 20), (40, 51)])
@pytest.mark.parametrize("vertical_flip", [None, False, True])
def test_crops_are_torchvisions(executor, size, vertical_flip):
    images = patches(2, 40, 51)
    if vertical_flip is None:
        ours, theirs = ae.FiveCrop(size), v2.FiveCrop(size)
    else:
        ours, theirs = ae.TenCrop(size, vertical_flip), v2.TenCrop(size, vertical_flip)
    engine = ae.Engine(ae.Views(crops=ours), dtype=torch.uint8, executor=executor)
    crops = engine(images, ids=[0, 1])["crops"]
    expected = theirs(images)
    assert len(crops) == len(expected) == (5 if vertical_flip is None else 10)
    for got, crop in zip(crops, expected, strict=True):
        assert torch.equal(got.images, crop)


def test_a_policy_with_crops_stands_for_several_views():
    policy = ae.Policy([ae.Resize(40), ae.FiveCrop(24), ae.Normalize(MEAN, STD)])
    views = ae.Views(weak=ae.CenterCrop(24), crops=policy, more=[ae.CenterCrop(8), policy])
    assert [len(looks) for looks in list(views.policies.values())[1:]] == [5, 6]
    batch = ae.Engine(views)(patches(2, 50, 60), ids=[0, 1])
    steps = v2.Compose([v2.Resize(40), v2.FiveCrop(24)])
    for got, crop in zip(batch["crops"], steps(as_float(patches(2, 50, 60))), strict=True):
        inner = v2.Normalize(MEAN, STD)(crop)[..., 1:-1, 1:-1]
        assert_close(got.images[..., 1:-1, 1:-1], inner, 1e-4)
    assert ae.Policy.from_yaml(policy.to_yaml()) == policy
    answers = ae.tta(lambda images: images.mean((2, 3)), patches(2, 50, 60), ae.Views(crops=policy))
    assert answers.shape == (2, 3)


def test_crops_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"FiveCrop: makes 5 views of each image, .*Views\(crops"):
        ae.Engine(ae.FiveCrop(24))(patches(2, 40, 51), ids=[0, 1])
    with pytest.raises(ValueError, match=r"TenCrop: a frame is 40×51, smaller than the crop 41×9"):
        ae.Engine(ae.Views(crops=ae.TenCrop((41, 9))))(patches(2, 40, 51), ids=[0, 1])
    with pytest.raises(ValueError, match=r"FiveCrop\.which: got 5, expected a whole number 0 … 4"):
        ae.FiveCrop(8, 5)


# JPEG


def by_pil(image, quality):
    """What PIL makes of it, (C, H, W)."""
    file = io.BytesIO()
    pixels = image.permute(1, 2, 0).numpy()
    Image.fromarray(pixels.squeeze()).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file)).reshape(pixels.shape)).permute(2, 0, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_pils_and_torchvisions(channels):
    images = patches(4, 70, 90)[:, :channels]
    batch = batch_of([ae.JPEG((10, 90))], images, dtype=torch.uint8)
    plain = resized(images)
    qualities = [int(logged(batch.plan, v, "then JPEG")[0][0]) for v in range(4)]
    assert len(set(qualities)) > 1
    for got, image, quality in zip(batch.images, plain, qualities, strict=True):
        assert torch.equal(got, by_pil(image, quality))
        assert_close(got, F.jpeg(image, quality), 2)
    floats = batch_of([ae.JPEG((10, 90))], images).images
    assert (floats - as_float(batch.images)).abs().mean() < 2e-3  # bytes before it may round apart


def test_qualities_are_drawn_for_each_sample_alone():
    engine = engine_of([ae.JPEG((30, 90), p=0.75)], dtype=torch.uint8)
    plan = engine.plan([(9, 9)] * 4000, range(4000), 0)
    lines = [logged(plan, v, "then JPEG") for v in range(4000)]
    drawn = [int(line[0][0]) for line in lines if line]
    assert stats.binomtest(len(drawn), 4000, 0.75).pvalue > SURE
    assert stats.chisquare(np.bincount(drawn, minlength=91)[30:]).pvalue > SURE
    images = patches(4, 70, 90)
    whole = engine(images, ids=IDS, epoch=3).images
    assert torch.equal(engine(images[[2, 0]], ids=[IDS[2], IDS[0]], epoch=3).images, whole[[2, 0]])
    assert not torch.equal(engine(images, ids=IDS, epoch=4).images, whole)
    for i in range(4):
        line = logged(engine.plan([(70, 90)] * 4, IDS, 3), i, "then JPEG")
        expected = by_pil(resized()[i], int(line[0][0])) if line else resized()[i]
        assert torch.equal(whole[i], expected)


def test_strength_pulls_the_quality():
    plain = resized()
    half = batch_of([ae.JPEG(20)], dtype=torch.uint8, strength=0.5).images
    assert torch.equal(half, torch.stack([by_pil(image, 60) for image in plain]))
    assert torch.equal(batch_of([ae.JPEG(20)], dtype=torch.uint8, strength=0).images, plain)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_normalize_may_stand_behind_it(dtype):
    ops = [ae.JPEG(40), ae.Normalize(MEAN, STD)]
    got = batch_of(ops, dtype=dtype)
    assert got.images.dtype == dtype
    before = batch_of(ops[:1], dtype=dtype).images
    expected = v2.Normalize(MEAN, STD)(before.float())
    assert_close(got.images, expected.to(dtype), 0.02 if dtype == torch.bfloat16 else 2e-3)
    assert got.plan.finish.mean == ()
    inside = ae.Engine(ae.Compose([ae.Resize(SIZE), *ops]), dtype=dtype)
    assert inside(patches(4, 70, 90), ids=IDS, epoch=0).images.shape == (4, 3, *SIZE)
    with pytest.raises(
        ValueError, match=r"got Normalize with uint8 output, expected a float dtype"
    ):
        batch_of(ops, dtype=torch.uint8)


def test_jpeg_moves_no_box_and_has_no_gradient():
    target = [{"boxes": torch.tensor([[4.0, 4.0, 20.0, 20.0]])}] * 4
    engine = ae.Engine([ae.CenterCrop(64), ae.JPEG(50)])
    got = engine(patches(4, 64, 64), targets=target, ids=IDS, epoch=0)
    assert got.targets[0]["boxes"].tolist() == [[4, 4, 20, 20]]
    with pytest.raises(
        ValueError, match=r"JPEG: got images that require a gradient, expected none"
    ):
        engine(as_float(patches(4, 64, 64)).requires_grad_(), ids=IDS, epoch=0)


@pytest.mark.parametrize("quality", [0, 101, (90, 30), (1, 2, 3), 50.5, True, "high"])
def test_qualities_that_cannot_be(quality):
    with pytest.raises((ValueError, TypeError), match=r"JPEG\.quality: got .*, expected a"):
        ae.JPEG(quality)


# ElasticTransform


@pytest.mark.parametrize(
    ("alpha", "sigma"), [(50.0, 5.0), ((80.0, 30.0), (2.0, 5.0)), (9.0, 0.0), (40.0, 0.3)]
)
def test_the_field_is_torchvisions(monkeypatch, alpha, sigma):
    """Of the same random numbers."""
    op, size = ae.ElasticTransform(alpha, sigma), (61, 77)
    noise = list(torch.rand((2, *size), generator=torch.Generator().manual_seed(9)))
    monkeypatch.setattr(torch, "rand", lambda *shape, **_: noise.pop(0)[None, None])
    theirs = v2.ElasticTransform(list(op.alpha), list(op.sigma)).make_params(
        [torch.zeros(3, *size)]
    )
    monkeypatch.undo()
    assert not noise
    assert_close(op.displacement(9, size), theirs["displacement"], 2e-6)


@each_executor
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("fill", [0, 90, (255, 128, 0)])
def test_elastic_is_torchvisions(executor, interpolation, fill):
    op = ae.ElasticTransform(200.0, 4.0, interpolation, fill)
    images = patches(4, 70, 90)
    got = batch_of([op], images, executor=executor)
    bytes_ = batch_of([op], images, executor=executor, dtype=torch.uint8).images
    plain, pixels = batch_of([], images, executor=executor).images, resized(images)
    fields = [op.displacement(int(seed), SIZE) for seed in seeds(got.plan, 0)]
    assert len({float(field.sum()) for field in fields}) == 4
    shares = [value / 255 for value in (fill if isinstance(fill, tuple) else (fill,))]
    for i, field in enumerate(fields):
        expected = F.elastic(plain[i], field, interpolation, shares)
        assert_close(got.images[i], expected, 2e-6)
        expected = F.elastic(pixels[i], field, interpolation, [255 * share for share in shares])
        assert_close(bytes_[i], expected, 1)


def test_a_field_is_the_samples_own():
    engine = engine_of([ae.ElasticTransform(200.0), ae.Normalize(MEAN, STD)], seed=3)
    images = patches(4, 70, 90)
    whole = engine(images, ids=IDS, epoch=3).images
    assert torch.equal(engine(images[[2, 0]], ids=[IDS[2], IDS[0]], epoch=3).images, whole[[2, 0]])
    assert not torch.equal(engine(images, ids=IDS, epoch=4).images, whole)
    torch.manual_seed(1)
    assert torch.equal(engine(images, ids=IDS, epoch=3).images, whole)


def test_strength_and_chance_of_elastic():
    plain = resized()
    for options, ops in (
        ({"strength": 0}, [ae.ElasticTransform(200.0)]),
        ({}, [ae.ElasticTransform(0)]),
    ):
        assert torch.equal(batch_of(ops, dtype=torch.uint8, **options).images, plain)
    half = batch_of([ae.ElasticTransform(200.0)], strength=0.5)
    op = ae.ElasticTransform(100.0)
    for i, seed in enumerate(seeds(half.plan, 0)):
        expected = F.elastic(batch_of([]).images[i], op.displacement(int(seed), SIZE), fill=0)
        assert_close(half.images[i], expected, 2e-6)
    plan = engine_of([ae.ElasticTransform(p=0.3)]).plan([(9, 9)] * 3000, range(3000), 0)
    count = sum("elastic" in plan.explain(i) for i in range(3000))
    assert stats.binomtest(count, 3000, 0.3).pvalue > SURE


def test_elastic_of_a_small_image_and_of_targets():
    tiny = torch.randint(0, 256, (2, 3, 3, 1), dtype=torch.uint8)
    assert ae.Engine(ae.ElasticTransform())(tiny, ids=[0, 1]).images.shape == (2, 3, 3, 1)
    target = [{"boxes": torch.tensor([[4.0, 4.0, 20.0, 20.0]])}] * 4
    with pytest.raises(ValueError, match=r"a Stage, ElasticTransform, which may move pixels"):
        engine_of([ae.ElasticTransform()])(patches(4), targets=target, ids=IDS)
    with pytest.raises(ValueError, match=r"ElasticTransform: got a fill of 2 channels, the images"):
        batch_of([ae.ElasticTransform(fill=(1, 2))])
    with pytest.raises(ValueError, match=r"ElasticTransform\.sigma: got .*, expected both above 0"):
        ae.ElasticTransform(sigma=(0, 1))
    with pytest.raises(
        ValueError, match=r"ElasticTransform\.alpha: got .*, expected one number or"
    ):
        ae.ElasticTransform((1, 2, 3))
    with pytest.raises(ValueError, match=r"ElasticTransform: got 'box', expected 'bilinear'"):
        ae.ElasticTransform(interpolation="box")


def test_it_does_not_ask_for_the_policys_one_sampling():
    ops = [ae.RandomRotation(9, "nearest", fill=7), ae.ElasticTransform(fill=9)]
    assert batch_of(ops).images.shape == (4, 3, *SIZE)


# Lambda


def test_a_lambda_is_called_with_each_image():
    shapes = []

    def half(image):
        shapes.append(tuple(image.shape))
        return image / 2 + torch.rand(())

    batch = batch_of([ae.Lambda(half), ae.Normalize(0.5, 0.5)])
    assert shapes == [(3, *SIZE)] * 4
    assert batch.plan.explain(0).endswith("then half, not fused")
    added = 2 * (batch.images * 0.5 + 0.5) - batch_of([]).images
    each = added.flatten(1)
    assert_close(each, each[:, :1].expand_as(each), 1e-5)
    assert len({round(float(v), 4) for v in each[:, 0]}) == 4  # drawn for each sample
    with pytest.raises(TypeError, match=r"Lambda: got 3, expected a module or a function"):
        ae.Lambda(3)
    with pytest.raises(
        ValueError, match=r"Policy\.to_yaml: got Lambda.*expected ops that YAML can"
    ):
        ae.Policy([ae.Lambda(half)]).to_yaml()
    with pytest.raises(ValueError, match=r"got the op 'Lambda', which is unknown"):
        ae.Policy.from_yaml("augengine: 1\npolicy: [{Lambda: {lambd: abs}}]")


# Their order


@pytest.mark.parametrize(
    ("ops", "said"),
    [
        ([ae.JPEG(50), ae.RandomInvert()], "RandomInvert comes after JPEG"),
        ([ae.JPEG(50), ae.Normalize(0.5, 0.5), ae.CutMix()], "CutMix comes after JPEG"),
        ([ae.ElasticTransform(), ae.RandomErasing()], "RandomErasing comes after ElasticTransform"),
        ([ae.Normalize(0.5, 0.5), ae.JPEG(50)], "JPEG comes after Normalize, expected it before"),
        ([ae.Normalize(0.5, 0.5), ae.Grayscale()], "Grayscale comes after Normalize"),
    ],
    ids=str,
)
def test_orders_that_cannot_be(ops, said):
    with pytest.raises(ValueError, match=rf"Policy: {said}"):
        ae.Policy(ops)


def test_the_order_of_what_is_not_fused_is_in_the_fingerprint():
    normalize, stage = ae.Normalize(0.5, 0.5), ae.Stage(torch.nn.Dropout(0.5))
    policies = [[normalize, stage], [stage, normalize], [stage], [ae.JPEG(50), normalize]]
    policies += [[ae.JPEG(51), normalize], [ae.Compose([ae.RGB(), stage, normalize])]]
    assert len({ae.Policy(policy).fingerprint for policy in policies}) == len(policies)


def test_an_evaluation_in_grey_leaves_nothing_to_chance():
    ops = [ae.Resize(SIZE), ae.Grayscale(1), ae.JPEG(50), ae.Normalize(0.5, 0.5)]
    assert not ae.Policy(ops).draws
    assert ae.Policy([*ops[:2], ae.JPEG((50, 60))]).draws


def test_what_is_not_fused_comes_in_loaders_too():
    ops = [ae.Resize(SIZE), ae.Grayscale(1), ae.ElasticTransform(99.0), ae.JPEG((30, 90))]
    images = patches(4, 70, 90)
    expected = ae.Engine(ops, seed=1)(images, ids=IDS, epoch=0).images
    samples = [(image, 0, i) for image, i in zip(images, IDS, strict=True)]
    for make in (ae.Collate, ae.pack):
        collate = make(ops, seed=1)
        collate.set_epoch(0)
        batch = collate(samples)
        assert torch.equal((batch.draw() if make is ae.pack else batch).images, expected)


def test_all_frames_of_a_clip_have_one_field_and_one_quality():
    clips = patches(2, 70, 90)[:, None].expand(-1, 3, -1, -1, -1).clone()
    ops = [ae.Resize(SIZE), ae.ElasticTransform(200.0), ae.JPEG((10, 90))]
    images = ae.Engine(ops)(clips, ids=[3, 4], epoch=0).images
    assert images.shape == (2, 3, 3, *SIZE)
    assert torch.equal(images, images[:, :1].expand_as(images))
    one = ae.Engine(ops)(clips[:, 0], ids=[3, 4], epoch=0).images
    assert torch.equal(images[:, 0], one)


def test_an_image_that_comes_twice_is_drawn_twice():
    image = patches(1, 70, 90).expand(2, -1, -1, -1).clone()
    got = batch_of([ae.ElasticTransform(200.0)], image, ids=[7, 7]).images
    assert not torch.equal(got[0], got[1])


def test_conversions_stand_behind_what_is_not_fused():
    """As torchvision's pipelines have them, between JPEG and Normalize."""
    images = patches(2, 40, 48)
    plain = [ae.Resize((32, 32)), ae.JPEG(50)]
    converted = [*plain, ae.ToImage(), ae.ToDtype(torch.float32, scale=True)]
    for behind in ([], [ae.Normalize((0.4,), (0.2,))]):
        expected = ae.Engine([*plain, *behind])(images, ids=[0, 1], epoch=0).images
        got = ae.Engine([*converted, *behind])(images, ids=[0, 1], epoch=0).images
        assert torch.equal(got, expected)
    theirs = v2.Compose([v2.Resize((32, 32)), v2.JPEG(50), v2.ToDtype(torch.float32, scale=True)])
    policy = ae.from_torchvision(theirs)
    assert torch.equal(
        ae.Engine(policy)(images, ids=[0, 1], epoch=0).images,
        ae.Engine(plain)(images, ids=[0, 1], epoch=0).images,
    )


def test_a_choice_is_refused_by_its_own_name():
    with pytest.raises(ValueError, match=r"^RandomChoice\.p: got 1 weights with sum 1, expected 2"):
        ae.RandomChoice([ae.RandomInvert(), ae.RandomEqualize()], p=[1])
