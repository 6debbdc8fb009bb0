"""Bad input gets an error that says what came, what was expected, and what to do about it.

The style: `<where>: <what came>, <what was expected>. <what to do>.` A saved plan that is cut short or
lies is in test_plan.py, a policy that cannot be in test_policy.py.
"""
# ruff: noqa: E501 (a bad input and its whole message read best side by side)

import math
import re

import numpy as np
import pytest
import torch
from PIL import Image

import augengine as ae

BYTES = torch.zeros(4, 3, 20, 20, dtype=torch.uint8)
IDS = [0, 1, 2, 3]
POLICY = [ae.RandomResizedCrop(16), ae.CutMix()]


@pytest.fixture(scope="module")
def engine():
    return ae.Engine(POLICY, num_classes=5)


@pytest.fixture(scope="module")
def plan(engine):
    return engine.plan([(20, 20)] * 4, IDS)


def grey(mode, size=(20, 20)):
    return Image.new(mode, size)


# Images

BAD_IMAGES = [
    # wrong dtype; what is advised loses nothing
    (BYTES.long(), TypeError, r"images: got torch\.int64, expected bool, uint8 in 0 … 255, .*\. Divide by the number that is white"),
    (BYTES[..., :3].numpy().astype("i8"), TypeError, r"images: got torch\.int64, expected .*\. Divide"),
    (BYTES.to(torch.int8), TypeError, r"images: got torch\.int8, expected .*\. Divide"),
    (BYTES[..., :3].numpy().astype("u4"), TypeError, r"images: got torch\.uint32, expected .*\. Divide"),
    (BYTES.to(torch.complex64), TypeError, r"images: got torch\.complex64, expected .*\. Pass the magnitude"),
    (BYTES.numpy().astype("c8"), TypeError, r"images: got an array of <c8, expected numbers.*\. Pass"),
    (BYTES.numpy().astype(object), TypeError, r"images: got an array of \|O, expected numbers.*\. Pass"),
    ([grey("I")], ValueError, r"images\[0\]: got a PIL image of mode 'I', expected one of .*np\.asarray\(image\)"),
    ([grey("P")], ValueError, r"images\[0\]: got a PIL image of mode 'P', expected .*convert\('RGB'\)\.$"),
    ([grey("RGBA")], ValueError, r"mode 'RGBA', expected .*convert\('RGB'\), or np\.asarray\(image\) to keep"),
    # floats that are no numbers
    (torch.full((4, 3, 8, 8), math.inf), ValueError, r"from inf to inf, expected finite numbers\. Mend what makes the infinity"),
    (torch.full((4, 3, 8, 8), math.nan), ValueError, r"from nan to nan, expected finite numbers\. Mend what makes the NaN"),
    ([np.float32([[0, np.nan]])], ValueError, r"images\[0\]: got float values from nan .*NaN"),
    # empty and zero-sized
    ([], ValueError, r"images: got an empty list, expected at least one image, or a tensor .*\. Skip"),
    ((), ValueError, r"images: got an empty list, expected at least one image, or a tensor .*\. Skip"),
    (BYTES[:, :, :0], ValueError, r"images\[0\]: is 0×20, expected at least 1×1\. Leave it out"),
    (BYTES[..., :0].float(), ValueError, r"images\[0\]: is 20×0, expected at least 1×1\. Leave it out"),
    ([BYTES[0], BYTES[0, :, :, :0]], ValueError, r"images\[1\]: is 20×0, expected at least 1×1\. Leave"),
    # shapes
    (BYTES[0], ValueError, r"images: got shape \(3, 20, 20\), expected \(B, C, H, W\) or .*\. Add the batch"),
    (BYTES[None, None], ValueError, r"images: got shape \(1, 1, 4, 3, 20, 20\), expected .*\. Add"),
    (np.zeros(5, "u1"), ValueError, r"images: got shape \(5,\), expected .*\. Add"),
    ([np.zeros(5, "f4")], ValueError, r"image of shape \(5,\), expected \(H, W\), .*\. Add or drop"),
    ([np.zeros(5, "u1")], ValueError, r"images\[0\]: its header cannot be read .*, expected an image .*\. Write"),
    # lists of unlike images
    (
        [BYTES[0], BYTES[0, :1]],
        ValueError,
        r"images\[1\]: got 1 channel\(s\) of torch\.uint8, images\[0\] has 3 of torch\.uint8, expected the same for all\. Convert",
    ),
    ([grey("RGB"), grey("L")], ValueError, r"images\[1\]: got 1 channel\(s\) .*image\.convert\('RGB'\)"),
    ([grey("RGB"), grey("RGBA")], ValueError, r"images\[1\]: got a PIL image of mode 'RGBA', expected one of"),
    ([BYTES[0], BYTES[0].float()], ValueError, r"images\[1\]: got 3 .*float32, images\[0\] has 3 of torch\.uint8"),
    # no images at all
    (None, TypeError, r"images: got NoneType, expected a tensor, an array or a list of images\. Pass"),
    ("a.png", TypeError, r"images: got str, expected a tensor, an array or a list of images\. Pass"),
    (grey("RGB"), TypeError, r"images: got Image, expected a tensor, an array or a list.*\. Pass \[image\]"),
    (["a.png"], FileNotFoundError, r"No such file or directory: 'a\.png'"),
    ([7j], TypeError, r"images\[0\]: got an array of .*, expected numbers.*\. Pass"),
    ([None], TypeError, r"images\[0\]: got an array of \|O, expected numbers.*\. Pass"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("images", "error", "said"), BAD_IMAGES, ids=[b[2][:40] for b in BAD_IMAGES]
)
def test_images(engine, plan, images, error, said):
    """From the engine and from execute alike."""
    with pytest.raises(error, match=said):
        engine(images, ids=IDS)
    with pytest.raises(error, match=said):
        ae.execute(plan, images)


HDR = [
    (BYTES.float() + 255, "from 255 to 255"),
    (BYTES.float() + 1.01, "from 1.01 to 1.01"),
    (BYTES.float() - 0.1, "from -0.1 to -0.1"),
    (BYTES.half() + 2, "from 2 to 2"),
    (BYTES.bfloat16() + 2, "from 2 to 2"),
    (BYTES.to(torch.int16) - 32768, "from -1.00003 to -1.00003"),
]


@pytest.mark.parametrize(("images", "came"), HDR, ids=[came for _, came in HDR])
@pytest.mark.parametrize(
    "op",
    [
        ae.ColorJitter(0.4),
        ae.RandomAutocontrast(1),
        ae.RandomGamma((0.5, 2), 1),
        ae.RandomAdjustSharpness(2, 1),
        ae.GaussianNoise(),
        ae.GaussianBlur(3),
    ],
    ids=lambda op: type(op).__name__,
)
def test_values_that_a_colour_step_would_cut(images, came, op):
    said = rf"images: got float values {re.escape(came)}, expected \[0, 1\], since the plan changes colours or blurs"
    with pytest.raises(ValueError, match=said + r".*\. Divide by .*normalised images come out"):
        ae.Engine(op)(images, ids=IDS)


def test_values_that_bytes_would_cut():
    with pytest.raises(ValueError, match=r"since the plan makes bytes, which cuts .*\. Divide"):
        ae.Engine(ae.CenterCrop(8), dtype=torch.uint8)(BYTES.float() + 2, ids=IDS)


def test_bytes_as_floats_that_are_normalised():
    engine = ae.Engine([ae.CenterCrop(8), ae.Normalize(0.5, 0.2)])
    with pytest.warns(UserWarning, match=r"from 200 to 200, and a Normalize .*divide by 255"):
        engine(BYTES.float() + 200, ids=IDS)


def test_a_batch_in_a_list(plan):
    """Of an engine it is a clip."""
    with pytest.raises(
        ValueError, match=r"images\[0\]: got a batch in a list, expected single images.*\. Pass"
    ):
        ae.execute(plan, list(BYTES[None]))
    with pytest.raises(
        ValueError, match=r"images: got shape \(1, 4, 3, 20, 20\), expected .*\. Add"
    ):
        ae.execute(plan, BYTES[None])


def test_no_channels(engine):
    with pytest.raises(ValueError, match=r"images: has no channels, expected 1 or more\. Leave"):
        engine(BYTES[:, :0], ids=IDS, layout="NCHW")


LAID_OTHERWISE = [
    (torch.zeros(2, 32, 32, 3), "NHWC"),
    (torch.zeros(2, 256, 256, 3), "NHWC"),
    (torch.zeros(2, 224, 224, 1), "NHWC"),
    (torch.zeros(2, 256, 256, 8), "NHWC"),
    (torch.zeros(2, 65, 99, 99), "NHWC"),
    ([torch.zeros(40, 50, 3)], "NHWC"),
    (np.zeros((2, 3, 32, 32), np.uint8), "NCHW"),
    (np.zeros((2, 1, 28, 28), np.uint8), "NCHW"),
    (np.zeros((2, 5, 64, 64), np.uint8), "NCHW"),
    ([np.zeros((3, 40, 50), np.uint8)], "NCHW"),
    (np.zeros((2, 99, 99, 200), np.float32), "NCHW"),
]


@pytest.mark.parametrize(
    ("images", "layout"), LAID_OTHERWISE, ids=[str(np.shape(i[0])) for i, _ in LAID_OTHERWISE]
)
def test_what_may_lie_the_other_way_round(images, layout):
    keep = ae.Engine(ae.RandomHorizontalFlip(0))
    kind = "a tensor" if layout == "NHWC" else "an array"
    with pytest.raises(
        ValueError, match=rf"got {kind} of shape .* channels, expected .*Pass layout='{layout}' if"
    ):
        keep(images, ids=range(len(images)))
    one = images[0].shape
    channels, size = (one[-1], one[:2]) if layout == "NHWC" else (one[0], one[1:])
    got = keep(images, ids=range(len(images)), layout=layout).images
    assert got.shape == (len(images), channels, *size)
    of_engine = ae.Engine(ae.RandomHorizontalFlip(0), layout=layout)
    assert of_engine(images, ids=range(len(images))).images.shape == got.shape


def test_layout(engine):
    with pytest.raises(
        ValueError, match=r"Engine: got layout 'CHW', expected 'NCHW' or 'NHWC'\. Leave"
    ):
        ae.Engine(POLICY, layout="CHW")
    with pytest.raises(
        ValueError, match=r"images: got layout 'CHW', expected 'NCHW' or 'NHWC'\. Leave"
    ):
        engine(BYTES, ids=IDS, layout="CHW")


@pytest.mark.parametrize("policy", [ae.RandomHorizontalFlip(), ae.RandomErasing(1), ae.Resize(8)])
def test_different_sizes_without_an_op_that_sets_one(policy):
    images = [BYTES[0], BYTES[0, :, :10]]
    with pytest.raises(
        ValueError,
        match=r"sample 8 is \d+×\d+ at the end and sample 9 is .*, expected one size .*\. Add",
    ):
        ae.Engine(policy)(images, ids=[8, 9])


# Labels

BAD_LABELS = [
    ([0, 1, 2, 5], ValueError, r"labels: got 5, expected 0 … 4\. Raise num_classes, or mend"),
    ([0, -1, 2, 3], ValueError, r"labels: got -1, expected 0 … 4\. Raise"),
    (torch.tensor([0, 1, 2, 300]).short(), ValueError, r"labels: got 300, expected 0 … 4\. Raise"),
    ([0, 1, 2], ValueError, r"labels: got shape \(3,\), expected one for each of 4 images.*\. Pass as many"),
    ([0, 1, 2, 3, 4], ValueError, r"labels: got shape \(5,\), expected one for each of 4 .*\. Pass"),
    (0, ValueError, r"labels: got shape \(\), expected one for each of 4 images.*\. Pass"),
    (torch.zeros(4, 5, 1), ValueError, r"labels: got shape \(4, 5, 1\), expected .*\. Pass"),
    ([0.0, 1.0, 2.0, 3.0], TypeError, r"labels: got torch\.float32 \(4,\), expected ints, or .*\. Pass class numbers as ints, or "),
    (2 * torch.eye(5)[:4].long(), ValueError, r"labels: got torch\.int64 \(4, 5\) of other numbers than 0 and 1, expected .*\. Pass floats"),
    (torch.zeros(4, 6).long(), ValueError, r"labels: got torch\.int64 \(4, 6\), expected \(4, 5\)\. Pass a share"),
    (np.array([0, 1, 2, 9], np.uint16), ValueError, r"labels: got 9, expected 0 … 4\. Raise"),
    ([0, 1, 2, None], TypeError, r"labels: got list that torch makes no tensor of .*, expected .*\. Number the classes"),
    (np.array(["cat", "dog", "cat", "owl"]), TypeError, r"labels: got ndarray that torch makes no tensor of .*\. Number"),
    (torch.zeros(4, 6), ValueError, r"labels: got torch\.float32 \(4, 6\), expected \(4, 5\)\. Pass"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "error", "said"), BAD_LABELS, ids=[b[2][:44] for b in BAD_LABELS]
)
def test_labels(engine, plan, labels, error, said):
    with pytest.raises(error, match=said):
        engine(BYTES, labels, ids=IDS)
    with pytest.raises(error, match=said):
        ae.soft_labels(plan, labels, 5)


def test_labels_without_num_classes():
    with pytest.raises(
        ValueError, match=r"ints came without num_classes, which .* needs\. Pass num_classes"
    ):
        ae.Engine(POLICY)(BYTES, IDS, ids=IDS)
    plain = ae.Engine(ae.CenterCrop(8))
    with pytest.raises(
        ValueError, match=r"labels: got 3, expected one for each of 4 images\. Pass"
    ):
        plain(BYTES, [0, 1, 2], ids=IDS)
    with pytest.raises(TypeError, match=r"labels: got torch\.float32 \(4,\), expected ints"):
        ae.Engine(POLICY)(BYTES, [0.5] * 4, ids=IDS)


# Ids, epochs, sizes

BAD_IDS = [
    ([0, 1, 2], r"got ids of int64 \[3\], expected 4 ints, one for each image\. Pass"),
    ([0, 1, 2, 3, 4], r"got ids of int64 \[5\], expected 4 ints, .*\. Pass"),
    ([[0, 1, 2, 3]], r"got ids of int64 \[1, 4\], expected 4 ints, .*\. Pass"),
    (7, r"got ids of int64 \[\], expected 4 ints, .*\. Pass"),
    ([0.0, 1.0, 2.0, 3.0], r"got ids of float64 \[4\], expected 4 ints, .*\. Pass"),
    (torch.zeros(4), r"got ids of float32 \[4\], expected 4 ints, .*\. Pass"),
    (["a", "b", "c"], r"got ids of int64 \[3\], expected 4 ints, .*, or their names\."),
    (["a", 1.5, "c", 2], r"got ids of float64 \[4\], expected 4 ints, .*\. Pass"),
    ([True] * 4, r"got ids of bool \[4\], expected 4 ints, .*\. Pass"),
]


@pytest.mark.parametrize(("ids", "said"), BAD_IDS, ids=str)
def test_ids(engine, ids, said):
    with pytest.raises(ValueError, match=r"Policy\.sample: " + said):
        engine(BYTES, ids=ids)
    with pytest.raises(ValueError, match=r"Policy\.sample: " + said):
        engine.plan([(20, 20)] * 4, ids)


@pytest.mark.parametrize("epoch", [1.5, "1", np.float32(1)])
def test_an_epoch_that_is_no_whole_number(engine, epoch):
    with pytest.raises(
        TypeError, match=r"Policy\.sample: epoch: got .*, expected a whole number\. Pass"
    ):
        engine(BYTES, ids=IDS, epoch=epoch)


def test_numbers_that_do_not_fit(engine):
    with pytest.raises(
        ValueError, match=r"epoch: got -1, expected a whole number in \[0, .*\]\. The nearest is 0"
    ):
        engine(BYTES, ids=IDS, epoch=-1)
    with pytest.raises(ValueError, match=r"look: got -1, expected .*The nearest is 0"):
        engine.plan([(20, 20)] * 4, IDS, look=-1)
    with pytest.raises(
        ValueError, match=r"Engine: seed: got \d+, expected a whole number in .*The nearest"
    ):
        ae.Engine(POLICY, seed=2**64)


BAD_SIZES = [
    ([(20, 20)] * 3, r"got ids of int64 \[4\], expected 3 ints"),
    ([(20, 0)] * 4, r"image 0 is 20×0, expected at least 1×1\. Leave it out"),
    ([(20, 20), (20, 20), (-1, 20), (20, 20)], r"image 2 is -1×20, expected at least 1×1\. Leave"),
    ([(20.0, 20.0)] * 4, r"got sizes of float64 \[4, 2\], expected ints \[n, 2\], .*\. Pass"),
    ([20] * 4, r"got sizes of int64 \[4\], expected ints \[n, 2\], .*\. Pass"),
    ([(20, 20, 3)] * 4, r"got sizes of int64 \[4, 3\], expected ints \[n, 2\], .*\. Pass"),
    (np.zeros((0, 2), int), r"got an empty batch, expected at least one image\. Skip"),
]


@pytest.mark.parametrize(("sizes", "said"), BAD_SIZES, ids=str)
def test_sizes(engine, sizes, said):
    with pytest.raises(ValueError, match=r"Policy\.sample: " + said):
        engine.plan(sizes, IDS)


@pytest.mark.parametrize(
    "strength", [1.5, [0.5] * 3, [0, 0, 0, 1.1], [0, 0, 0, -0.1], [0, 0, 0, np.nan]]
)
def test_strength(strength):
    with pytest.raises(
        ValueError,
        match=r"got a strength of .*, expected one number or \[4\] in \[0, 1\]\. Pass one",
    ):
        ae.Policy(POLICY).sample(IDS, [(20, 20)] * 4, strength=strength)


# The engine's settings


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"dtype": torch.float64}, ValueError, r"got dtype torch\.float64, expected torch\.float32, .*\. Pass"),
        ({"dtype": torch.uint16}, ValueError, r"got dtype torch\.uint16, expected torch\.float32, .*\. Pass"),
        ({"dtype": torch.int64}, ValueError, r"got dtype torch\.int64, expected torch\.float32, .*\. Pass"),
        ({"memory_format": torch.preserve_format}, ValueError, r"got torch\.preserve_format, expected .*\. Leave"),
        ({"executor": "cuda"}, ValueError, r"got executor 'cuda', expected one of cpu, torch.*\. Leave"),
        ({"seed": 1.5}, TypeError, r"seed: got 1\.5, expected a whole number\. Pass an int"),
        ({"num_classes": 0}, ValueError, r"num_classes: got 0, expected .*The nearest is 1"),
        ({"num_classes": 2.5}, TypeError, r"num_classes: got 2\.5, expected a whole number\. Pass"),
    ],
    ids=str,
)  # fmt: skip
def test_engine(settings, error, said):
    with pytest.raises(error, match="Engine: " + said):
        ae.Engine(POLICY, **settings)


@pytest.mark.parametrize(
    "policy", [torch.nn.ReLU(), "flip", None, [ae.CenterCrop(8), torch.relu], 5]
)
def test_an_op_of_another_library(policy):
    for taker in (ae.Engine, ae.Policy, ae.Collate):
        with pytest.raises(
            TypeError, match=r"Policy: got .*, expected augengine ops\. .*finished batch"
        ):
            taker(policy)
    with pytest.raises(TypeError, match=r"OneOf: got .*, expected augengine ops\. "):
        ae.OneOf([policy])


@pytest.mark.parametrize("chooser", [ae.Compose, ae.OneOf, ae.SomeOf, ae.RandomApply])
def test_no_ops(chooser):
    with pytest.raises(ValueError, match=r"got no ops, expected at least one\. Pass"):
        chooser([])


# Execute


def test_executor(plan):
    with pytest.raises(
        ValueError, match=r"execute: got executor 'tpu', expected one of cpu, torch.*\. Leave"
    ):
        ae.execute(plan, BYTES, executor="tpu")


def test_gradients_with_the_cpu_executor(plan):
    images = (BYTES / 255).requires_grad_()
    with pytest.raises(
        ValueError,
        match=r"requires a gradient, and the cpu executor reads .* without gradients\. Pass executor='torch'",
    ):
        ae.execute(plan, images, executor="cpu")


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (BYTES[:3], r"the plan has 4 sources, 3 images came\. Sample a plan for 3 ids\."),
        (
            BYTES.repeat(2, 1, 1, 1),
            r"the plan has 4 sources, 8 images came\. .*, or pass images\[:4\]\.",
        ),
        (
            BYTES[:, :2],
            r"the plan is for 3 channel\(s\), the images have 2\. Sample the plan with channels=2",
        ),
        (
            BYTES[:, :, :10],
            r"image 0 is 10×20, the plan was made for 20×20 there\. Pass the images in",
        ),
        (
            [*BYTES[:3], BYTES[3, :, 1:]],
            r"image 3 is 19×20, the plan was made for 20×20 there\. Pass",
        ),
    ],
)
def test_images_that_are_not_the_plans(plan, images, said):
    with pytest.raises(ValueError, match="execute: " + said):
        ae.execute(plan, images)


def test_a_plan_that_is_none():
    with pytest.raises(
        TypeError,
        match=r"execute: got Tensor, expected a Plan first\. Call execute\(plan, images\)",
    ):
        ae.execute(BYTES, BYTES)


@pytest.mark.parametrize("executor", ["cpu", "torch"])
@pytest.mark.parametrize(
    ("out", "error", "said"),
    [
        (torch.empty(4, 3, 16, 15), ValueError, r"out is \(4, 3, 16, 15\) torch\.float32 on cpu, the plan makes \(4, 3, 16, 16\) torch\.float32 on cpu\. Leave"),
        (torch.empty(4, 16, 16, 3), ValueError, r"out is \(4, 16, 16, 3\) .*the plan makes .*\. Leave"),
        (torch.empty(3, 3, 16, 16), ValueError, r"out is \(3, 3, 16, 16\) .*the plan makes .*\. Leave"),
        (torch.empty(4, 3, 16, 16).half(), ValueError, r"out is .*torch\.float16 on cpu, the plan makes .*torch\.float32.*\. Leave"),
        (torch.empty(4, 3, 16, 16, device="meta"), ValueError, r"out is .* on meta, the plan makes .* on cpu\. Leave"),
        (torch.empty(1, 3, 16, 16).expand(4, 3, 16, 16), ValueError, r"out is expanded, .*expected memory of its own for each\. Pass out\.clone"),
        (np.empty((4, 3, 16, 16), np.float32), TypeError, r"out is ndarray, expected a tensor\. Wrap an array: torch\.from_numpy"),
    ],
)  # fmt: skip
def test_out(plan, out, error, said, executor):
    with pytest.raises(error, match="execute: " + said):
        ae.execute(plan, BYTES, out=out, executor=executor)


# The loader


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [BYTES[0]],
        [(BYTES[0],)],
        [(BYTES[0], 0), {"image": 0}],
        [(BYTES[0], 0), (BYTES[0], 0, 1)],
    ],
)
def test_samples_that_are_no_samples(samples):
    with pytest.raises(
        ValueError, match=r"Collate: got .*expected one of these for all\. Return such tuples"
    ):
        ae.Collate(POLICY)(samples)


def test_a_third_element_that_could_be_an_id_among_others():
    with pytest.raises(
        ValueError, match=r"Collate: got samples \(image, label, 7, …\) of 4 .*Return a dict"
    ):
        ae.Collate(POLICY)([(BYTES[0], 0, 7, 0.5)])


@pytest.mark.parametrize("name", [None, True, 1.5])
def test_an_id_that_is_none_among_ids(name):
    with pytest.raises(TypeError, match=r"Collate: id: got .*, expected a whole number or a name"):
        ae.Collate(POLICY)([(BYTES[0], 0, 3), (BYTES[0], 0, name)])


@pytest.mark.parametrize(
    ("label", "what"),
    [("cat", "'cat'"), ({"boxes": []}, "dict"), (torch.arange(2), "of which torch says")],
)
def test_labels_that_are_none(label, what):
    with pytest.raises(TypeError, match=rf"Collate: got .*{what}.*, expected a class number"):
        ae.Collate(POLICY)([(BYTES[0], 0, 3), (BYTES[0], label, 4)])
    with pytest.raises(TypeError, match=r"Collate: got None for some samples"):
        ae.Collate(POLICY)([(BYTES[0], None, 3), (BYTES[0], 1, 4)])


def test_fields_that_differ_or_do_not_collate():
    one = {"image": BYTES[0], "label": 0, "id": 1}
    with pytest.raises(ValueError, match=r"Collate: got samples with the fields .*'extra'.*same"):
        ae.Collate(POLICY)([one, one | {"extra": 1}])
    with pytest.raises(
        ValueError, match=r"Collate: .* expected the same for all, 'img' among them"
    ):
        ae.Collate(POLICY, image="img")([one])
    with pytest.raises(TypeError, match=r"field 'extra' of object, which torch's default_collate"):
        ae.Collate(POLICY)([one | {"extra": object()}])


def test_with_ids_of_a_stream_and_of_odd_samples():
    with pytest.raises(
        TypeError, match=r"WithIds: got generator, expected a map-style dataset .*\. A stream must"
    ):
        ae.WithIds(i for i in range(3))
    for dataset in ([1, 2], [(1, 2, 3)], [(1,)]):
        with pytest.raises(
            ValueError,
            match=r"WithIds: got a sample of .*, expected \(image, label\) or a dict\. Ret",
        ):
            ae.WithIds(dataset)[0]
    with pytest.raises(
        ValueError, match=r"a field 'id' already, expected none\. Leave WithIds away"
    ):
        ae.WithIds([{"id": 1}])[0]


def test_explain_and_select_of_an_output_that_is_not_there(plan):
    with pytest.raises(
        IndexError, match=r"explain: got output 4, expected 0 … 3\. Pass one of those"
    ):
        plan.explain(4)


# Magnitudes

NAN, INF = math.nan, math.inf

# Each argument of each op that is a number in a range: a maker, its name, and numbers outside.
NUMBERS = [
    (lambda v: ae.RandomHorizontalFlip(v), "RandomHorizontalFlip.p", [-0.1, 1.1]),
    (lambda v: ae.RandomVerticalFlip(v), "RandomVerticalFlip.p", [-0.1, 1.1]),
    (lambda v: ae.RandomGrayscale(v), "RandomGrayscale.p", [-0.1, 1.1]),
    (lambda v: ae.RandomPerspective(v), "RandomPerspective.distortion_scale", [-0.1, 1.1]),
    (lambda v: ae.RandomPerspective(p=v), "RandomPerspective.p", [-0.1, 1.1]),
    (lambda v: ae.RandomApply(ae.CutMix(), v), "RandomApply.p", [-0.1, 1.1]),
    (lambda v: ae.CutMix(v), "CutMix.alpha", [0, -1, 1e4]),
    (lambda v: ae.CutMix(p=v), "CutMix.p", [-0.1, 1.1]),
    (lambda v: ae.MixUp(v), "MixUp.alpha", [0, -1, 1e4]),
    (lambda v: ae.MixUp(p=v), "MixUp.p", [-0.1, 1.1]),
    (lambda v: ae.RandomErasing(v), "RandomErasing.p", [-0.1, 1.1]),
    (lambda v: ae.RandomErasing(value=v), "RandomErasing.value", []),
    (lambda v: ae.RandomErasing(value=(0, v, 0)), "RandomErasing.value", []),
    (lambda v: ae.Normalize(v, 1), "Normalize.mean", []),
    (lambda v: ae.Normalize(0.5, v), "Normalize.std", []),
    (lambda v: ae.RandomRotation(v), "RandomRotation.degrees", [-5]),
    (lambda v: ae.RandomRotation(5, fill=v), "RandomRotation.fill", [-1, 65536]),
    (lambda v: ae.RandomRotation(5, center=(v, 0)), "RandomRotation.center", []),
    (lambda v: ae.RandomAffine(v), "RandomAffine.degrees", [-5]),
    (lambda v: ae.RandomAffine(5, (0, v)), "RandomAffine.translate", [-0.1, 1.1]),
    (lambda v: ae.RandomAffine(5, fill=(0, 0, v)), "RandomAffine.fill", [-1, 65536]),
    (lambda v: ae.RandomAffine(5, shear=v), "RandomAffine.shear", [-5, 90]),
    (lambda v: ae.CenterCrop(5, fill=v), "CenterCrop.fill", [-1, 65536]),
    (lambda v: ae.RandomCrop(5, fill=v), "RandomCrop.fill", [-1, 65536]),
    (lambda v: ae.RandomPerspective(fill=v), "RandomPerspective.fill", [-1, 65536]),
    (lambda v: ae.ColorJitter(v), "ColorJitter.brightness", [-0.1]),
    (lambda v: ae.ColorJitter(contrast=v), "ColorJitter.contrast", [-0.1]),
    (lambda v: ae.ColorJitter(saturation=v), "ColorJitter.saturation", [-0.1]),
    (lambda v: ae.ColorJitter(hue=v), "ColorJitter.hue", [-0.1, 0.6]),
    (lambda v: ae.RandomBrightness(v), "RandomBrightness.delta", [-0.1, 1.1]),
    (lambda v: ae.OneOf([ae.CutMix(), ae.MixUp()], (1, v)), "OneOf.p", [-1]),
    (lambda v: ae.SomeOf([ae.CutMix()], 1, v), "SomeOf.magnitude", [-0.1, 1.1]),
]


@pytest.mark.parametrize(("make", "name", "outside"), NUMBERS, ids=[n[1] for n in NUMBERS])
def test_a_number(make, name, outside):
    where = re.escape(name)
    for value in (NAN, INF, -INF, *outside):
        with pytest.raises(
            ValueError, match=rf"{where}: got .*, expected .*\. (The nearest is|Pass) .*\."
        ):
            make(value)
    for value in ("x", "nan", True, {}, object(), 1j):
        with pytest.raises(
            (TypeError, ValueError), match=rf"{where}: got .*, expected .*\. \w+ .*\."
        ):
            make(value)


# Each argument that is an interval: numbers beyond it.
INTERVALS = [
    (lambda v: ae.RandomRotation(v), "RandomRotation.degrees", []),
    (lambda v: ae.RandomAffine(v), "RandomAffine.degrees", []),
    (lambda v: ae.RandomAffine(0, scale=v), "RandomAffine.scale", [(0, 1), (1, 1e4)]),
    (lambda v: ae.RandomAffine(0, shear=v), "RandomAffine.shear", [(-90, 0), (0, 90)]),
    (
        lambda v: ae.RandomAffine(0, shear=(0, 1, *(v or [None]))),
        "RandomAffine.shear",
        [(-90, 0), (0, 90)],
    ),
    (lambda v: ae.RandomResizedCrop(8, v), "RandomResizedCrop.scale", [(-0.1, 1)]),
    (lambda v: ae.RandomResizedCrop(8, ratio=v), "RandomResizedCrop.ratio", [(0, 1), (-1, 1)]),
    (lambda v: ae.RandomErasing(scale=v), "RandomErasing.scale", [(-0.1, 1), (0, 1.1)]),
    (lambda v: ae.RandomErasing(ratio=v), "RandomErasing.ratio", [(0, 1)]),
    (lambda v: ae.ColorJitter(v), "ColorJitter.brightness", [(-0.1, 1)]),
    (lambda v: ae.ColorJitter(contrast=v), "ColorJitter.contrast", [(-0.1, 1)]),
    (lambda v: ae.ColorJitter(saturation=v), "ColorJitter.saturation", [(-0.1, 1)]),
    (lambda v: ae.ColorJitter(hue=v), "ColorJitter.hue", [(-0.6, 0), (0, 0.6)]),
    (lambda v: ae.RandomBrightness(v), "RandomBrightness.delta", [(-1.1, 0), (0, 1.1)]),
    (lambda v: ae.SomeOf([ae.CutMix()], 1, v), "SomeOf.magnitude", [(-0.1, 1), (0, 1.1)]),
]


@pytest.mark.parametrize(("make", "name", "outside"), INTERVALS, ids=[n[1] for n in INTERVALS])
def test_an_interval(make, name, outside):
    where = re.escape(name)
    with pytest.raises(
        ValueError,
        match=rf"{where}: got \(0\.4, 0\.2\), which is reversed, expected \(lowest, highest\)\. Pass \(0\.2, 0\.4\)\.",
    ):
        make((0.4, 0.2))
    for pair in ((NAN, 0.4), (0.4, NAN), (-INF, 0.4), (0.4, INF), *outside):
        with pytest.raises(
            ValueError, match=rf"{where}: got .*, expected .*\. (The nearest is|Pass) .*\."
        ):
            make(pair)
    for pair in ((0.2, 0.3, 0.4), (), ("a", "b"), (None, 0.4)):
        with pytest.raises(
            (TypeError, ValueError), match=rf"{where}: got .*, expected .*\. \w+ .*\."
        ):
            make(pair)


SIZES = [
    (lambda v: ae.Resize(v), "Resize.size"),
    (lambda v: ae.CenterCrop(v), "CenterCrop.size"),
    (lambda v: ae.RandomCrop(v), "RandomCrop.size"),
    (lambda v: ae.RandomResizedCrop(v), "RandomResizedCrop.size"),
]


@pytest.mark.parametrize(("make", "name"), SIZES, ids=[n[1] for n in SIZES])
@pytest.mark.parametrize(
    "size",
    [0, -1, 1.5, NAN, "224", None, True, (), (1, 2, 3), (0, 5), (5, 1.5), (5, None), [[5]]],
    ids=str,
)
def test_a_size(make, name, size):
    if size is None and name == "Resize.size":
        return  # max_size says it then
    with pytest.raises(
        ValueError,
        match=rf"{name}: got .*, expected an int or \(height, width\), 1 or more\. Pass whole",
    ):
        make(size)


@pytest.mark.parametrize("size", [np.int64(8), [8], (8, 8), np.array([8, 8]), torch.Size([8, 8])])
def test_sizes_of_every_kind_are_taken(size):
    assert ae.CenterCrop(size) == ae.CenterCrop((8, 8))


@pytest.mark.parametrize(
    "value", [np.float32(0.5), np.float64(0.5), torch.tensor(0.5), np.array(0.5)]
)
def test_numbers_of_every_kind_are_taken(value):
    assert ae.RandomHorizontalFlip(value) == ae.RandomHorizontalFlip(0.5)
    assert ae.CutMix(value, value).alpha == 0.5
    if isinstance(value, np.floating):
        assert ae.RandomBrightness(value) == ae.RandomBrightness(0.5)
        assert ae.ColorJitter(value, value, value, value) == ae.ColorJitter(0.5, 0.5, 0.5, 0.5)
        assert ae.Normalize(value, value) == ae.Normalize(0.5, 0.5)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ae.Resize((8, 8), max_size=9), r"Resize\.max_size: got 9 with size \(8, 8\), expected it above an int size\. Leave"),
        (lambda: ae.Resize(8, max_size=8), r"Resize\.max_size: got 8 with size 8, expected it above .*\. Leave"),
        (lambda: ae.Resize(8, max_size="9"), r"Resize\.max_size: got '9' with size 8, expected it above .*\. Leave"),
        (lambda: ae.Resize(8, "lanczos"), r"Resize: got 'lanczos', expected 'bilinear', 'bicubic' or 'nearest'\. A view is sampled"),
        (lambda: ae.RandomCrop(8, -1), r"RandomCrop\.padding: got -1, expected 1, 2 or 4 whole numbers, 0 or more\. Pass"),
        (lambda: ae.RandomCrop(8, (1, 2, 3)), r"RandomCrop\.padding: got \(1, 2, 3\), expected 1, 2 or 4 .*\. Pass"),
        (lambda: ae.RandomCrop(8, 1.5), r"RandomCrop\.padding: got 1\.5, expected 1, 2 or 4 whole .*\. Pass"),
        (lambda: ae.RandomCrop(8, padding_mode="wrap"), r"RandomCrop\.padding_mode: got 'wrap', expected one of constant, edge, reflect, symmetric\. Pass"),
        (lambda: ae.CenterCrop(8, context="image"), r"CenterCrop\.context: got 'image', expected None or 'source'\. Leave"),
        (lambda: ae.RandomQuarterTurn(4), r"RandomQuarterTurn\.turns: got \(4,\), expected some of 0, 1, 2, 3\. Pass"),
        (lambda: ae.RandomQuarterTurn(90), r"RandomQuarterTurn\.turns: got \(90,\), expected .*\. Pass quarter turns, not degrees"),
        (lambda: ae.RandomQuarterTurn(()), r"RandomQuarterTurn\.turns: got \(\), expected some of .*\. Pass"),
        (lambda: ae.RandomQuarterTurn(1.5), r"RandomQuarterTurn\.turns: got \(1\.5,\), expected .*\. Pass"),
        (lambda: ae.Resize(None), r"Resize\.max_size: got None with size None, expected pixels of the longer edge, 1 … 1048576\. Pass"),
        (lambda: ae.Resize(None, max_size=2.5), r"Resize\.max_size: got 2\.5 with size None, expected pixels of the longer .*\. Pass"),
        (lambda: ae.RandomRotation(-5), r"RandomRotation\.degrees: got -5, expected a number from 0 up, or .*\. Pass 5 for \(-5, 5\), or \(-5, -5\)"),
        (lambda: ae.RandomRotation(5, fill="grey"), r"RandomRotation\.fill: got 'grey', expected a number, or bytes as text, such as '#80', .*\. Write two"),
        (lambda: ae.RandomRotation(5, fill={"Picture": 3}), r"RandomRotation\.fill: got 'Picture' in a fill by type, expected some of Image, .*\. Leave it out"),
        (lambda: ae.RandomRotation(5, fill={"Image": 3, "Mask": 255}), r"RandomRotation\.fill: got 255 for masks, expected 0, .*\. Pass ae\.TargetOptions\(fill=255\)"),
        (lambda: ae.RandomRotation(5, fill=()), r"RandomRotation\.fill: got no numbers, expected one, .*\. Leave it out for black"),
        (lambda: ae.RandomSolarize("#808080"), r"RandomSolarize\.threshold: got '#808080', expected one byte\. Write two"),
        (lambda: ae.GaussianNoise(clip=False), r"GaussianNoise\.clip: got False, expected True, .*\. Leave it out, or add noise"),
        (lambda: ae.CutMix(labels_getter=len), r"CutMix\.labels_getter: got .*len.*, expected 'default' or None, since labels .*\. Leave it out, and name them"),
        (lambda: ae.MixUp(num_classes=0), r"MixUp\.num_classes: got 0, expected a whole number 1 … 2147483647\. Leave it out"),
        (lambda: ae.Normalize((123.7, 116.3, 103.5), (58.4, 57.1, 57.4)), r"Normalize\.mean: got \(123\.7, 116\.3, 103\.5\), expected means of values in \[0, 1\], .*\. Divide mean and std by 255"),
        (lambda: ae.ToDtype(torch.int64), r"ToDtype\.dtype: got torch\.int64, expected the dtype of images, one of bool, uint8, .*\. Leave the conversion out"),
        (lambda: ae.Policy([ae.CutMix(num_classes=5), ae.MixUp(num_classes=6)]), r"Policy: got mixes of 5 and 6 classes, expected one number\. Give"),
        (lambda: ae.Engine(ae.CutMix(num_classes=5), num_classes=6), r"Engine: got num_classes=6, and 5 of a mix or another view, expected one number\. Leave"),
        (lambda: ae.Policy(ae.RandomApply([ae.ToTensor()])), r"Policy: ToTensor stands inside RandomApply, expected it at the top, .*\. Move it out"),
        (lambda: ae.RandomRotation(5, center=5), r"RandomRotation\.center: got 5, expected \(x, y\) in pixels\. Leave"),
        (lambda: ae.RandomAffine(5, 0.1), r"RandomAffine\.translate: got 0\.1, expected two shares\. Pass"),
        (lambda: ae.RandomAffine(5, shear=(1, 2, 3)), r"RandomAffine\.shear: got \(1, 2, 3\), expected 1, 2 or 4 numbers\. Pass"),
        (lambda: ae.Normalize((0.5, 0.5), (1, 1, 1)), r"Normalize: got mean \(0\.5, 0\.5\) and std \(1, 1, 1\), expected as many of each.*\. Pass"),
        (lambda: ae.Normalize(0.5, 0), r"Normalize: got mean 0\.5 and std 0, expected .*std above 0\. Pass"),
        (lambda: ae.Normalize((), ()), r"Normalize: got mean \(\) and std \(\), expected .*\. Pass"),
        (lambda: ae.OneOf([ae.CutMix()], (1, 2)), r"OneOf\.p: got 2 weights with sum 3, expected 1, one for each op.*\. Leave"),
        (lambda: ae.OneOf([ae.CutMix()], (0,)), r"OneOf\.p: got 1 weights with sum 0, expected 1, .* not all 0\. Leave"),
        (lambda: ae.OneOf([ae.CutMix(), ae.MixUp()], 0.5), r"OneOf\.p: got 1 weights .*, expected 2, .*\. Leave"),
        (lambda: ae.SomeOf([ae.CutMix()], -1), r"SomeOf\.num_ops: got -1, expected a whole number 0 … 64\. Pass"),
        (lambda: ae.SomeOf([ae.CutMix()], 1.5), r"SomeOf\.num_ops: got 1\.5, expected a whole number .*\. Pass"),
        (lambda: ae.SomeOf([ae.CutMix()], 2, replace=False), r"SomeOf\.num_ops: got 2, expected a whole number 0 … 1\. .*replace=True"),
    ],
)  # fmt: skip
def test_other_arguments(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize(
    ("op", "said"),
    [
        (ae.RandomErasing(value=(0.1, 0.2)), r"RandomErasing\.value: got \(0\.1, 0\.2\), the images have 3 channel\(s\)\. Pass 3 or one"),
        (ae.Normalize((0.1, 0.2), (0.1, 0.2)), r"Normalize: got 2 means, the images have 3 channels\. Pass 3 or one"),
        (ae.RandomCrop(30), r"RandomCrop: the image of sample 0 is 20×20 there, expected at least 30×30 .*\. Pass pad_if_needed=True"),
        (ae.CenterCrop(8, fill=(1, 2)), r"Policy: got a fill of 2 channels, the images have 3\. Pass 3 or one"),
    ],
)  # fmt: skip
def test_ops_that_do_not_fit_the_images(op, said):
    with pytest.raises(ValueError, match=said):
        ae.Engine(op)(BYTES, ids=IDS)


@pytest.mark.parametrize(
    ("name", "taker"),
    [
        ("Collate", ae.Collate),
        ("pack", ae.pack),
        ("DeviceLoader", lambda policy, **options: ae.DeviceLoader([], policy, **options)),
    ],
)
def test_an_unknown_keyword_is_answered_by_the_nearest(name, taker):
    """And by the name that the user called, not by the engine's behind it."""
    for wrong, right in [
        ("sed", "seed"),
        ("num_class", "num_classes"),
        ("mem_format", "memory_format"),
    ]:
        with pytest.raises(
            TypeError,
            match=rf"^{name}: got the keyword '{wrong}', .*\. The nearest is '{right}'\.$",
        ):
            taker(POLICY, **{wrong: 3})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ae.RandomRotation(9, fil=3), r"RandomRotation: got the keyword 'fil', expected some of .*\. The nearest is 'fill'"),
        (lambda: ae.CutMix(num_class=3), r"CutMix: got the keyword 'num_class', expected some of .*\. The nearest is 'num_classes'"),
        (lambda: ae.ToImage(dtype=3), r"ToImage: got the keyword 'dtype', expected some of stratify\. The nearest is 'stratify'"),
    ],
)  # fmt: skip
def test_an_unknown_argument_of_an_op_is_answered_by_the_nearest(make, said):
    with pytest.raises(TypeError, match=f"^{said}"):
        make()
