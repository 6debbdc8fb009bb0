"""The plan: what it says of itself, equality, files, cutting and joining, and plans that lie."""

import copy
import dataclasses
import json
import pickle
import re

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

import augengine as ae
from augengine.plan import concatenate, file
from augengine.plan.fields import array_fields
from augengine.plan.kinds import CURVE, HISTOGRAM, MEAN, NO_VIEW, PLAIN_COLOUR

EVERYTHING = [
    ae.RandomResizedCrop(24),
    ae.RandomHorizontalFlip(),
    ae.RandomAffine(20, (0.1, 0.1), (0.8, 1.2), 10),
    ae.RandomPerspective(0.3),
    ae.ColorJitter(0.4, 0.4, 0.4, 0.1),
    ae.CutMix(),
    ae.RandomErasing(),
    ae.Normalize((0.4, 0.5, 0.6), (0.2, 0.2, 0.3)),
]


def made(policy=EVERYTHING, n=6, first=0, **kwargs):
    sizes = np.array([[30 + i % 3, 40 - i % 5] for i in range(n)])
    return ae.Policy(policy).sample(np.arange(first, first + n), sizes, **kwargs)


@pytest.fixture(scope="module")
def plan():
    return made()


@pytest.fixture(scope="module")
def images(plan):
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(3, int(h), int(w), generator=generator) for h, w in plan.sizes]


def drawn(plan, images):
    return ae.execute(plan, images, executor="torch")


# Reading


def test_length_and_shape(plan):
    assert len(plan) == 6
    assert plan.shape == (6, 3, 24, 24)


def test_repr_is_a_readable_summary(plan):
    text = repr(plan)
    assert text.splitlines()[:3] == [
        f"Plan(seed=0, epoch=0, policy={plan.policy})",
        "  6 sources → 6 outputs of 3×24×24, float32 NCHW, normalised",
        f"  6 views, {plan.step_kind.shape[1]} colour steps, {plan.view.shape[1]} layers",
    ]
    assert f"0: {plan.explain(0)}" in text
    assert "and 3 more" in text
    assert len(text.splitlines()) == 7
    bare = made(ae.CenterCrop(8), n=1, dtype="uint8", channels_last=True)
    assert "1 sources → 1 outputs of 3×8×8, uint8 channels_last\n" in repr(bare)
    assert "more" not in repr(bare)


def test_repr_of_no_outputs_and_of_a_plain_colour(plan):
    assert "0 outputs" in repr(plan.select([]))
    views = np.full_like(plan.view, NO_VIEW)
    views[:, 0] = PLAIN_COLOUR
    assert "erased" in repr(dataclasses.replace(plan, view=views))


def numbers(pattern, text):
    found = re.search(pattern, text)
    assert found, f"{pattern!r} in {text!r}"
    return [float(value) for value in found.groups()]


def test_explain_says_the_crop_that_the_matrix_makes():
    plan = made(ae.RandomResizedCrop((24, 20)))
    for i in range(len(plan)):
        h, w, top, left, new_h, new_w = numbers(
            r"^crop (\d+)×(\d+) at \((\d+), (\d+)\) → (\d+)×(\d+)$", plan.explain(i)
        )
        assert (new_h, new_w) == plan.finish.size
        m = plan.inv_matrix[i]
        np.testing.assert_allclose([m[1, 1] * 24, m[0, 0] * 20], [h, w], rtol=1e-5)
        np.testing.assert_allclose([m[1, 2], m[0, 2]], [top, left], atol=1e-4)
        np.testing.assert_allclose(plan.clip[i], [top, left, top + h, left + w], atol=1e-3)


def test_explain_says_the_angle_counter_clockwise():
    for policy, sign in ((ae.RandomRotation(30), 1), (ae.RandomAffine(30), 1)):
        plan = made([ae.CenterCrop(20), policy])
        for i in range(len(plan)):
            (angle,) = numbers(r"rotated ([+-]\d+\.\d)°", plan.explain(i))
            m = plan.inv_matrix[i]
            # The point to the right of the centre moves up when turned counter-clockwise.
            turned = np.degrees(np.arctan2(m[1, 0], m[0, 0]))
            assert angle == pytest.approx(sign * turned, abs=0.051)


def test_explain_says_flips_exactly_where_they_are():
    plan = made([ae.CenterCrop(20), ae.RandomHorizontalFlip(), ae.RandomVerticalFlip()], n=40)
    for i in range(len(plan)):
        words = plan.explain(i).split(", ")
        assert ("flipped" in words) == (plan.inv_matrix[i, 0, 0] < 0)
        assert ("flipped upside down" in words) == (plan.inv_matrix[i, 1, 1] < 0)


def test_explain_says_colour_in_order():
    plan = made([ae.CenterCrop(20), ae.ColorJitter(brightness=0.5, contrast=0.5)], n=20)
    for i in range(len(plan)):
        bright, contrast = (
            numbers(rf"{name} ×(\d\.\d\d)", plan.explain(i))[0]
            for name in ("brightness", "contrast")
        )
        first = 0 if plan.explain(i).index("brightness") < plan.explain(i).index("contrast") else 1
        assert plan.step_arg[i, first, 0] == pytest.approx(bright, abs=0.0051)
        assert plan.step_arg[i, 1 - first, 0] == pytest.approx(contrast, abs=0.0051)
        assert plan.statistic[i, 1 - first] == MEAN
    plan = made([ae.CenterCrop(20), ae.RandomBrightness(0.3)])
    (delta,) = numbers(r"brightness ([+-]\d\.\d\d)", plan.explain(0))
    assert plan.step_arg[0, 0, 3] == pytest.approx(delta, abs=0.0051)


def test_explain_says_what_is_pasted_and_erased():
    plan = made([ae.CenterCrop(20), ae.CutMix(), ae.RandomErasing()], n=40, first=100)
    erasures = 0
    for i in range(len(plan)):
        said = plan.explain(i)
        y0, x0, y1, x1 = plan.box[i, 1]
        area = (y1 - y0) * (x1 - x0)
        if area:
            share, name, y, x = numbers(r"(\d+) % of sample (\d+) pasted at \((\d+), (\d+)\)", said)
            assert share == pytest.approx(100 * area / 400, abs=0.51)
            assert plan.weight[i, 1] == pytest.approx(area / 400)
            assert name == plan.ids[plan.source[plan.view[i, 1]]] != 100 + i
            assert (y, x) == (y0, x0)
        else:
            assert "pasted" not in said
        erased = plan.view[i, 2] == PLAIN_COLOUR
        erasures += erased
        assert ("erased" in said) == erased
        if erased:
            y0, x0, y1, x1 = plan.box[i, 2]
            share, y, x = numbers(r"(\d+) % erased at \((\d+), (\d+)\)", said)
            assert share == pytest.approx(100 * (y1 - y0) * (x1 - x0) / 400, abs=0.51)
            assert (y, x) == (y0, x0)
    assert 0 < erasures < len(plan)


def test_explain_says_what_is_blended():
    plan = made([ae.CenterCrop(20), ae.MixUp()], first=100)
    for i in range(len(plan)):
        share, name = numbers(r"(\d+) % of sample (\d+) blended in", plan.explain(i))
        assert share == pytest.approx(100 * plan.alpha[i, 1], abs=0.51)
        assert name == plan.ids[plan.source[plan.view[i, 1]]]


def test_explain_of_nothing_and_of_indices(plan):
    assert made(ae.RandomApply(ae.RandomRotation(9), p=0), n=1).explain(0) == "unchanged"
    assert plan.explain(-1) == plan.explain(5)
    for i in (6, -7):
        with pytest.raises(IndexError, match=r"explain: got output .*, expected 0 … 5\. Pass"):
            plan.explain(i)


# Equality and freezing


def test_equality_is_bit_by_bit(plan):
    assert plan == made()
    assert plan != made(epoch=1)
    assert plan != made(seed=1)
    assert plan != made(first=1)
    assert plan != made(dtype="float16")
    assert plan != made(channels_last=True)
    assert plan != "a plan"
    for field in array_fields(ae.Plan):
        value = getattr(plan, field.name)
        if value.size and value.dtype == np.float32:
            nudged = value.copy()
            # A filter's first number is a kind, and the first layer's alpha must be 1.
            at = -1 if field.name in ("filter", "alpha") else 0
            towards = np.float32(99 if field.name == "clip" else 0.5)
            if field.name == "sight":  # which must hold the clip, and lie in the source
                at, towards = int(np.argmax(value.flat > 0)), np.float32(0)
                assert at % 4 < 2
            elif field.name == "slope":  # a cubic's filter is wider
                continue
            nudged.flat[at] = np.nextafter(nudged.flat[at], towards)
            assert plan != dataclasses.replace(plan, **{field.name: nudged}), field.name
    cubic = made([ae.Resize(9, "bicubic"), ae.CenterCrop(9)])
    assert cubic != dataclasses.replace(cubic, slope=np.nextafter(cubic.slope, np.float32(-1)))
    with pytest.raises(TypeError):
        hash(plan)


@pytest.mark.parametrize(
    "copied",
    [lambda p: p, copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))],
    ids=["made", "copy", "deepcopy", "pickle"],
)
def test_everything_is_frozen_and_stays_so(plan, copied):
    other = copied(plan)
    assert other == plan
    for field in array_fields(ae.Plan):
        array = getattr(other, field.name)
        assert not array.flags.writeable, field.name
        if array.size:
            with pytest.raises(ValueError, match="read-only"):
                array.flat[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        other.seed = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        other.finish.dtype = "uint8"


# Files


def test_save_and_load_give_the_same_plan_and_pixels(plan, images, tmp_path):
    plan.save(tmp_path / "a.plan")
    loaded = ae.Plan.load(str(tmp_path / "a.plan"))
    assert loaded == plan
    assert [loaded.explain(i) for i in range(6)] == [plan.explain(i) for i in range(6)]
    assert torch.equal(drawn(loaded, images), drawn(plan, images))


@pytest.mark.parametrize(
    "kwargs",
    [{"seed": -(2**63), "epoch": 2**40}, {"dtype": "bfloat16", "channels_last": True}],
    ids=str,
)
def test_save_and_load_keep_what_is_not_an_array(kwargs, tmp_path):
    plan = made(**kwargs)
    plan.save(tmp_path / "a.plan")
    assert ae.Plan.load(tmp_path / "a.plan") == plan


def test_a_saved_plan_is_plain_safetensors(plan, tmp_path):
    """Never pickle: anything that reads safetensors reads the arrays."""
    plan.save(tmp_path / "a.plan")
    arrays = load_file(tmp_path / "a.plan")
    # What says nothing in nearly every plan is left out, and made again when it is read.
    assert set(arrays) == {field.name for field in array_fields(ae.Plan)} - {
        "occurrence",
        "extent",
        "slope",
        "sight",
    }
    np.testing.assert_array_equal(arrays["inv_matrix"], plan.inv_matrix)


def test_a_saved_plan_keeps_the_occurrences_of_ids(tmp_path):
    plan = ae.Policy(ae.RandomRotation(90)).sample([3, 4, 3], [(8, 8)] * 3)
    plan.save(tmp_path / "a.plan")
    assert load_file(tmp_path / "a.plan")["occurrence"].tolist() == [0, 0, 1]
    assert ae.Plan.load(tmp_path / "a.plan") == plan


@pytest.mark.parametrize("keep", [0, 4, 8, 200, 0.5, -1])
def test_a_truncated_file_is_refused(plan, keep, tmp_path):
    plan.save(tmp_path / "whole.plan")
    content = (tmp_path / "whole.plan").read_bytes()
    cut = tmp_path / "cut.plan"
    cut.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    with pytest.raises(
        ValueError,
        match=r"Plan\.load: .*cut\.plan is cut short.*expected what Plan\.save wrote\. Save",
    ):
        ae.Plan.load(cut)


@pytest.mark.parametrize("content", [b"PK\x03\x04" + bytes(100), b"\x80\x04." * 40, b"{}" * 99])
def test_a_wrong_file_is_refused(content, tmp_path):
    (tmp_path / "wrong").write_bytes(content)
    with pytest.raises(ValueError, match=r"no safetensors file .*Plan\.save wrote\. Save"):
        ae.Plan.load(tmp_path / "wrong")


def test_curves_that_were_saved_for_three_channels_are_read_for_others(tmp_path):
    """As files of before each channel had its own have them: all go by the first."""
    from safetensors import safe_open

    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 5, 16, 16)
    made = ae.Policy(ae.RandomGamma(0.5, p=1)).sample([0], [(16, 16)], channels=5)
    made.save(tmp_path / "new")
    arrays = load_file(tmp_path / "new")
    with safe_open(tmp_path / "new", "np") as file:
        metadata = file.metadata()
    arrays["curves"] = np.ascontiguousarray(made.curves[:, :3])
    save_file(arrays, tmp_path / "old", metadata)
    loaded = ae.Plan.load(tmp_path / "old")
    assert loaded == made
    assert torch.equal(ae.execute(loaded, images), ae.execute(made, images))


def test_another_safetensors_file_is_refused(tmp_path):
    save_file({"weight": np.zeros(3)}, tmp_path / "model")
    with pytest.raises(ValueError, match=r"holds no plan, expected what Plan\.save wrote\. Save"):
        ae.Plan.load(tmp_path / "model")


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        ae.Plan.load(tmp_path / "nowhere")


def forged(plan, path, arrays=None, drop=None, header=None, **changed):
    """A file as `save` writes it, but for what is changed."""
    content = {f.name: getattr(plan, f.name) for f in array_fields(ae.Plan)} | (arrays or {})
    content.pop(drop, None)
    header = file.header(plan) | changed if header is None else header
    text = header if isinstance(header, str) else json.dumps(header)
    save_file(content, path, metadata={"augengine.plan": text})
    return path


def test_a_forgery_without_changes_loads(plan, tmp_path):
    assert ae.Plan.load(forged(plan, tmp_path / "f")) == plan


def test_missing_and_added_arrays_are_named(plan, tmp_path):
    with pytest.raises(ValueError, match=r"lacks or adds support, expected what .*\. Save"):
        ae.Plan.load(forged(plan, tmp_path / "f", drop="support"))
    with pytest.raises(ValueError, match="lacks or adds virus"):
        ae.Plan.load(forged(plan, tmp_path / "f", {"virus": np.zeros(3)}))


FINISH = {"size": [24, 24], "channels": 3, "mean": [], "std": []}
FINISH |= {"dtype": "float32", "channels_last": False}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"header": "{"}, "damaged"),
        ({"header": "[]"}, "version"),
        ({"header": {"version": 2}}, "lacks or adds epoch, finish"),
        ({"version": 1}, "version is not 2"),
        ({"version": None}, "version is not 2"),
        ({"more": 1}, "lacks or adds more"),
        ({"seed": "0"}, "seed"),
        ({"epoch": 1.5}, "epoch"),
        ({"policy": 3}, "damaged"),
        ({"finish": [1, 2]}, "damaged"),
        ({"finish": FINISH | {"more": 1}}, "damaged"),
        ({"finish": FINISH | {"size": [-1, 24]}}, "Finish: got size"),
        ({"finish": FINISH | {"size": 24}}, "damaged"),
        ({"finish": FINISH | {"channels": 0}}, "Finish: got size"),
        ({"finish": FINISH | {"channels": 4}}, r"fill.*C is 3 here and 4"),
        ({"finish": FINISH | {"mean": [0.5]}}, r"Finish\.mean"),
        ({"finish": FINISH | {"mean": ["a", "b", "c"]}}, "damaged"),
        ({"finish": FINISH | {"mean": [0, 0, float("nan")]}}, "no finite number"),
        ({"finish": FINISH | {"std": [1, 1, 0]}}, r"Finish\.std"),
        ({"finish": FINISH | {"dtype": "float64"}}, "dtype 'float64'"),
        ({"finish": FINISH | {"dtype": "uint8", "std": [1, 1, 1]}}, "no mean and std with uint8"),
        ({"finish": FINISH | {"size": [12, 12]}}, r"Plan\.box"),
        ({"log_text": []}, r"Plan\.log_op"),
        ({"log_text": 5}, "damaged"),
        ({"log_text": [5]}, "damaged"),
    ],
    ids=str,
)
def test_a_damaged_header_is_refused(plan, changed, said, tmp_path):
    with pytest.raises(ValueError, match=rf"Plan\.load: .*{said}.*Plan\.save wrote\. Save"):
        ae.Plan.load(forged(plan, tmp_path / "f", **changed))


@pytest.mark.parametrize(
    "text",
    [
        "%s",
        "%r",
        "%(name)s",
        "%d %",
        "%*d",
        "%.99f",
        "%999999999d",
        "%c",
        "%d" * 7,
        "\x1b[2J",
        "a\nb",
        "a\x00b",
    ],
)
def test_an_evil_log_line_is_refused(plan, text, tmp_path):
    """A plan from a stranger is only read: lines hold %-fields of a number and printable text."""
    lines = [text, *plan.log_text[1:]]
    with pytest.raises(ValueError, match=r"not plain text with %-fields of numbers"):
        ae.Plan.load(forged(plan, tmp_path / "f", log_text=lines))


def test_an_honest_log_line_is_read(plan, tmp_path):
    lines = ["100 %% of %d×%.2f°, %+.1f → %g", *plan.log_text[1:]]
    loaded = ae.Plan.load(forged(plan, tmp_path / "f", log_text=lines))
    assert "100 % of" in loaded.explain(0)


def test_lying_arrays_in_a_file_are_refused(plan, tmp_path):
    far = plan.source + np.int32(12)
    with pytest.raises(
        ValueError, match=r"damaged \(Plan\.source: holds a value outside \[0, 12\)"
    ):
        ae.Plan.load(forged(plan, tmp_path / "f", {"source": far}))
    with pytest.raises(ValueError, match=r"damaged \(Plan\.source: got int64"):
        ae.Plan.load(forged(plan, tmp_path / "f", {"source": plan.source.astype(np.int64)}))


# Plans that lie


def lie(plan, name, at, value):
    array = getattr(plan, name).copy()
    array[at] = value
    return dataclasses.replace(plan, **{name: array})


LIES = [
    ("source", 0, 12),
    ("source", 0, -1),
    ("view", (0, 0), 6),
    ("view", (0, 1), -3),
    ("log_op", (0, 0), 99),
    ("log_op", (0, 0), -2),
    ("step_kind", (0, 0), 99),
    ("step_kind", (0, 0), -1),
    ("statistic", (0, 0), 4),
    ("border", 0, 4),
    ("border", 0, -1),
    ("box", (0, 1), (0, 0, 25, 24)),
    ("box", (0, 1), (0, -1, 24, 24)),
    ("box", (0, 1), (9, 0, 8, 24)),
    ("box", (0, 1), (0, 9, 24, 8)),
    ("inv_matrix", (0, 0, 0), np.nan),
    ("inv_matrix", (0, 2, 2), np.inf),
    ("support", (0, 0), np.inf),
    ("support", (0, 0), -1),
    ("clip", (0, 0), np.nan),
    ("clip", 0, (-1, 0, 5, 5)),
    ("clip", 0, (0, 0, 31, 5)),
    ("clip", 0, (0, 0, 5, 41)),
    ("fill", (0, 0), np.nan),
    ("step_arg", (0, 0, 0), np.inf),
    ("alpha", (0, 0), np.nan),
    ("weight", (0, 0), np.nan),
    ("colour", (0, 0, 0), -np.inf),
    ("log_arg", (0, 0, 0), np.nan),
    ("sizes", 0, (0, 40)),
    ("strength", 0, np.nan),
    ("filter", (0, 0), 7),
    ("filter", (0, 1), -1),
    ("frame", 0, (-1, 4)),
    ("extent", 0, (0, 5)),
    ("extent", 0, (25, 24)),
    ("extent", 1, (24, 25)),
]


@pytest.mark.parametrize(("name", "at", "value"), LIES, ids=str)
def test_a_plan_that_lies_is_refused(plan, name, at, value):
    with pytest.raises(ValueError, match=rf"Plan\.{name}: .*\. Take plans from Policy\.sample"):
        lie(plan, name, at, value)


@pytest.mark.parametrize("row", [-1.0, 2.0, np.nan])
def test_a_curve_that_is_not_there_is_refused(plan, row):
    arg, kind = plan.step_arg.copy(), plan.step_kind.copy()
    statistic = np.zeros_like(plan.statistic)
    kind[:, 0], arg[:, 0, 0] = CURVE, row
    curves = np.zeros((2, 3, 256), np.float32)
    with pytest.raises(ValueError, match=r"Plan\.step_arg"):
        dataclasses.replace(plan, step_arg=arg, step_kind=kind, statistic=statistic, curves=curves)


@pytest.mark.parametrize(
    "window", [(0, 0, 31, 5), (0, 0, 5, 41), (-1, 0, 5, 5), (30, 0, 30, 5), (5, 5, 4, 6)]
)
def test_a_statistic_over_pixels_that_are_not_there_is_refused(plan, window):
    statistic, windows = np.zeros_like(plan.statistic), plan.window.copy()
    statistic[0, 0], windows[0, 0] = HISTOGRAM, window
    with pytest.raises(
        ValueError, match=r"Plan\.window: (reaches outside its source|holds -1\.0, expected)"
    ):
        dataclasses.replace(plan, statistic=statistic, window=windows)


def test_a_crop_that_misses_the_image_reads_nothing_outside():
    """All fill, and contrast's window still lies in the source."""
    plan = made([ae.RandomCrop(8, padding=100), ae.ColorJitter(contrast=0.9)], n=64)
    missed = (plan.clip[:, :2] >= plan.clip[:, 2:]).any(axis=1)
    assert missed.any()
    images = [torch.ones(3, int(h), int(w)) for h, w in plan.sizes]
    for executor in ("cpu", "torch"):
        pixels = ae.execute(plan, images, executor=executor)
        assert torch.isfinite(pixels).all()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("source", np.zeros(6, np.int64), r"got int64 \[6\], expected int32 \[V\]"),
        ("support", np.zeros(6, np.float32), r"got float32 \[6\], expected float32 \[V, 2\]"),
        ("support", np.ones((5, 2), np.float32), "V is 5 here and 6"),
        ("support", np.ones((6, 3), np.float32), r"2 is 3 here and 2"),
        ("alpha", np.ones((6, 1), np.float32), "K is 1 here"),
    ],
)
def test_wrong_shapes_and_dtypes_are_refused(plan, name, value, said):
    with pytest.raises(ValueError, match=rf"Plan\.{name}: .*{said}"):
        dataclasses.replace(plan, **{name: value})


# Cutting

MASK = np.array([True, False, True, True, False, False])
SELECTIONS = [
    (3, [3]),
    (-1, [5]),
    (np.int64(2), [2]),
    (slice(1, 4), [1, 2, 3]),
    (slice(None, None, -2), [5, 3, 1]),
    (MASK, [0, 2, 3]),
    (MASK.tolist(), [0, 2, 3]),
    ([4, 0, 0, -2], [4, 0, 0, 4]),
    (np.array([], int), []),
]


@pytest.mark.parametrize(("indices", "rows"), SELECTIONS, ids=str)
def test_a_selection_of_the_plan_gives_that_selection_of_the_pixels(plan, images, indices, rows):
    """With their CutMix partners, which lie outside the selection."""
    part = plan.select(indices)
    assert len(part) == len(rows)
    np.testing.assert_array_equal(part.ids, plan.ids)  # over the same sources
    assert [part.explain(i) for i in range(len(part))] == [plan.explain(i) for i in rows]
    assert torch.equal(drawn(part, images), drawn(plan, images)[rows])
    np.testing.assert_array_equal(
        ae.soft_labels(part, torch.arange(6), 6), ae.soft_labels(plan, torch.arange(6), 6)[rows]
    )


def test_a_selection_drops_unused_views(plan):
    part = plan.select(0)
    assert len(part.source) == len({*part.view[part.view >= 0]}) <= 2
    assert part.select(0) == part


def test_a_selection_out_of_range_is_an_index_error(plan):
    with pytest.raises(IndexError):
        plan.select(6)
    with pytest.raises(IndexError):
        plan.select([True])


# Joining


def test_concatenate_gives_the_pixels_one_after_the_other(images):
    """Plans of other widths too: fewer steps, layers and log lines."""
    size = ae.RandomResizedCrop(24)
    plans = [
        made([size, ae.ColorJitter(0.3, 0.3), ae.CutMix(), ae.RandomErasing()]),
        made([size], first=100),
        made([size, ae.RandomBrightness(0.2), ae.MixUp()], first=200),
    ]
    joined = concatenate(plans)
    assert len(joined) == 18
    assert joined.ids.tolist() == [*range(6), *range(100, 106), *range(200, 206)]
    assert [joined.explain(i) for i in range(18)] == [p.explain(i) for p in plans for i in range(6)]
    apart = torch.cat([drawn(plan, images) for plan in plans])
    assert torch.equal(drawn(joined, images * 3), apart)
    assert (joined.seed, joined.epoch, joined.policy) == (0, 0, "")


def test_concatenate_is_the_inverse_of_cutting(plan, images):
    joined = concatenate([plan.select(slice(0, 2)), plan.select(slice(2, 6))])
    assert (joined.seed, joined.epoch, joined.policy) == (plan.seed, plan.epoch, plan.policy)
    assert torch.equal(drawn(joined, images * 2), drawn(plan, images))


def test_concatenate_shifts_curves(plan):
    kind = np.zeros_like(plan.step_kind)
    kind[:, 0] = CURVE
    arg = np.zeros_like(plan.step_arg)
    arg[:, 0, 0] = [0, 1, 0, 1, 0, 1]
    none = np.zeros_like(plan.statistic)
    curves = np.stack([np.full((3, 256), v, np.float32) for v in (0.25, 0.75)])
    one = dataclasses.replace(plan, step_kind=kind, step_arg=arg, statistic=none, curves=curves)
    two = dataclasses.replace(one, curves=curves + np.float32(0.1))
    joined = concatenate([one, two])
    rows = joined.step_arg[:, 0, 0].astype(int)
    np.testing.assert_allclose(joined.curves[rows, 0, 0], [0.25, 0.75] * 3 + [0.35, 0.85] * 3)


def test_concatenate_of_one_plan_is_that_plan(plan):
    assert concatenate([plan]) == plan
    assert concatenate(iter([plan])) == plan


def test_concatenate_refuses_none_and_unequal_ones(plan):
    with pytest.raises(ValueError, match="concatenate: no plans came, expected at least one"):
        concatenate([])
    with pytest.raises(ValueError, match=r"concatenate: the plans differ .*expected one finish"):
        concatenate([plan, made(dtype="float16")])
