"""Pads, canvases and random sizes, against torchvision's functionals on the same numbers and its classes'
own draws, and against Ultralytics' arithmetic written out."""

import numpy as np
import pytest
import torch
from cases import as_float, assert_close, draw, each_executor, logged
from photos import photo
from scipy import stats
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

import augengine as ae

SURE = 1e-3  # of a fixed sample: a p-value below it is a wrong distribution, not bad luck
N = 4000
SIZE = (90, 140)


def lines(policy, beginning, size=SIZE, n=N, **how):
    """The numbers that the plan says of each sample of one size, [n, …]. The last op sets one size."""
    plan = ae.Policy(policy).sample(np.arange(n), np.tile(size, (n, 1)), **how)
    return np.array([logged(plan, view, beginning)[0] for view in range(n)])


def drawn(peer, size=SIZE, n=N):
    """What torchvision's own class draws for an image of this size."""
    torch.manual_seed(0)
    empty = [torch.empty(3, *size, device="meta")]
    return [peer.make_params(empty) for _ in range(n)]


# Pixels


@each_executor
@pytest.mark.parametrize("padding", [5, (3, 7), (1, 2, 30, 4)])
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_pad_is_torchvisions(executor, padding, mode):
    image = photo("chelsea")[:, :60, :50]
    got, _ = draw(ae.Pad(padding, 30, mode), image[None], executor)
    padding = list(padding) if isinstance(padding, tuple) else padding
    assert_close(got[0], as_float(F.pad(image, padding, 30, mode)), 1e-6)


@each_executor
def test_a_pad_after_a_crop_pads_the_crop(executor):
    image = photo("chelsea")[:, :60, :50]
    for mode in ("constant", "edge", "reflect"):
        policy = [ae.CenterCrop((40, 30)), ae.Pad(6, 9, mode), ae.Pad((0, 3), 9, mode)]
        got, _ = draw(policy, image[None], executor)
        expected = F.pad(F.center_crop(image, [40, 30]), 6, 9, mode)
        if mode == "reflect":  # of the picture that is there, not of the first pad
            got, expected = got[..., 3:-3, :], expected
            assert_close(got[0], as_float(expected), 1e-6)
            continue
        assert_close(got[0], as_float(F.pad(expected, [0, 3], 9, mode)), 1e-6)


@each_executor
def test_zoom_out_is_a_pad(executor):
    image = photo("chelsea")[:, :60, :50]
    policy = ae.RandomZoomOut(50, (1.7, 1.7), p=1)
    got, plan = draw(policy, image[None], executor)
    height, width, top, left = map(int, logged(plan, 0, "on a canvas")[0][:4])
    assert (height, width) == (102, 85)
    rest = [left, top, width - 50 - left, height - 60 - top]
    assert_close(got[0], as_float(F.pad(image, rest, 50)), 1e-6)


@each_executor
@pytest.mark.parametrize("size", [(80, 40), (40, 80), (80, 90), (30, 30)])
def test_fixed_size_crop_is_a_crop_and_a_pad_below_and_right(executor, size):
    image = photo("chelsea")[:, :60, :50]
    got, plan = draw(ae.FixedSizeCrop(size, 20), image[None], executor)
    top, left = map(int, logged(plan, 0, "crop")[0][2:4])
    cut = F.crop(image, top, left, min(size[0], 60), min(size[1], 50))
    rest = [0, 0, max(size[1] - 50, 0), max(size[0] - 60, 0)]
    assert_close(got[0], as_float(F.pad(cut, rest, 20)), 1e-6)


@each_executor
@pytest.mark.parametrize("size", [(80, 40), (40, 80), (80, 90), (30, 30), 64])
def test_pad_if_smaller_is_a_pad_below_and_right(executor, size):
    image = photo("chelsea")[:, :60, :50]
    got, _ = draw(ae.PadIfSmaller(size, 20), image[None], executor)
    height, width = size if isinstance(size, tuple) else (size, size)
    rest = [0, 0, max(width - 50, 0), max(height - 60, 0)]
    assert_close(got[0], as_float(F.pad(image, rest, 20)), 1e-6)


@each_executor
@pytest.mark.parametrize("shape", [(60, 50), (50, 61), (33, 100), (7, 90)])
@pytest.mark.parametrize("size", [(64, 64), (40, 81), (31, 20)])
@pytest.mark.parametrize("scaleup", [True, False])
def test_letter_box_is_ultralytics_arithmetic(executor, shape, size, scaleup):
    """As its LetterBox of a fixed size has it: Python's rounding, half a pixel more below and right."""
    (height, width), image = shape, photo("chelsea")[:, : shape[0], : shape[1]]
    got, _ = draw(ae.LetterBox(size, 114, scaleup), image[None], executor)
    ratio = min(size[0] / height, size[1] / width)
    ratio = ratio if scaleup else min(ratio, 1.0)
    new = max(round(height * ratio), 1), max(round(width * ratio), 1)
    down, right = (size[0] - new[0]) / 2, (size[1] - new[1]) / 2
    top, left = round(down - 0.1), round(right - 0.1)
    bottom, rest = round(down + 0.1), round(right + 0.1)
    resized = F.resize(as_float(image), list(new), antialias=True)
    expected = F.pad(resized, [left, top, rest, bottom], 114 / 255)
    assert_close(got[0], expected, 2e-5)


@each_executor
@pytest.mark.parametrize(
    "op",
    [
        ae.RandomShortestSize((30, 45, 70), 90),
        ae.RandomResize(20, 70),
        ae.ScaleJitter((64, 48), (0.4, 1.5)),
    ],
    ids=lambda op: type(op).__name__,
)
def test_a_random_size_is_torchvisions_resize(executor, op):
    image = photo("chelsea")[:, :60, :50]
    for id in range(4):
        got, plan = draw(op, image[None], executor, ids=[id])
        size = [int(side) for side in logged(plan, 0, "resized")[0][:2]]
        assert_close(got[0], F.resize(as_float(image), size, antialias=True), 2e-5)


# Sizes and places, on the same numbers


def test_a_random_shortest_size_is_one_that_torchvision_makes():
    for size in (SIZE, (140, 90), (77, 500), (100, 100)):
        for max_size in (None, 60, 111):
            peer = v2.RandomShortestSize([32, 40, 57], max_size)
            theirs = {
                peer.make_params([torch.empty(3, *size, device="meta")])["size"] for _ in range(60)
            }
            policy = [ae.RandomShortestSize([32, 40, 57], max_size), ae.FixedSizeCrop(8)]
            ours = {(int(h), int(w)) for h, w, *_ in lines(policy, "resized", size, 60)}
            assert ours == theirs


def test_a_random_size_is_at_least_a_pixel():
    """torchvision fails there."""
    for op in (ae.RandomShortestSize(1, 2), ae.ScaleJitter((1, 1), (0.1, 0.1)), ae.LetterBox(1)):
        plan = ae.Policy([op, ae.FixedSizeCrop(4)]).sample([0], [(3, 500)])
        assert plan.finish.size == (4, 4)


# Distributions


def test_the_shorter_edge_is_any_of_the_sizes_alike():
    sides = lines([ae.RandomShortestSize([32, 40, 57]), ae.FixedSizeCrop(8)], "resized")[:, 0]
    assert stats.chisquare(np.unique(sides, return_counts=True)[1]).pvalue > SURE
    assert set(sides) == {32, 40, 57}


def test_random_resize_is_drawn_as_torchvisions():
    theirs = [d["size"][0] for d in drawn(v2.RandomResize(30, 40))]
    ours = lines([ae.RandomResize(30, 40), ae.FixedSizeCrop(8)], "resized")[:, 0].astype(int)
    counts = [np.bincount(values, minlength=41)[30:] for values in (ours, theirs)]
    assert [count[-1] for count in counts] == [0, 0]  # max_size is never reached
    assert stats.chi2_contingency([count[:-1] for count in counts]).pvalue > SURE


@pytest.mark.parametrize("target", [(64, 100), (100, 64)])  # width and height are not alike
def test_scale_jitter_is_drawn_as_torchvisions(target):
    theirs = np.array([d["size"] for d in drawn(v2.ScaleJitter(target))])
    ours = lines([ae.ScaleJitter(target), ae.FixedSizeCrop(8)], "resized")[:, :2]
    for axis in (0, 1):
        assert stats.ks_2samp(ours[:, axis], theirs[:, axis]).pvalue > SURE
        assert abs(ours[:, axis].max() - theirs[:, axis].max()) <= 1
        assert abs(ours[:, axis].min() - theirs[:, axis].min()) <= 1


def test_zoom_out_is_drawn_as_torchvisions():
    padding = np.array([d["padding"] for d in drawn(v2.RandomZoomOut())])
    left, top, right, bottom = padding.T
    theirs = [SIZE[0] + top + bottom, SIZE[1] + left + right, top, left]
    ours = lines([ae.RandomZoomOut(p=1), ae.Resize((8, 8))], "on a canvas").T
    for mine, other in zip(ours, theirs, strict=False):
        assert stats.ks_2samp(mine, other).pvalue > SURE
    # The canvas keeps the aspect ratio to within what is cut off.
    np.testing.assert_allclose(ours[1], ours[0] * SIZE[1] / SIZE[0], atol=2)


@pytest.mark.parametrize("p", [0.2, 0.7])
def test_zoom_out_happens_with_probability_p(p):
    policy = ae.Policy([ae.RandomZoomOut(p=p, side_range=(2, 3)), ae.Resize((8, 8))])
    plan = policy.sample(np.arange(N), np.tile(SIZE, (N, 1)))
    happens = sum("canvas" in plan.explain(i) for i in range(N))
    assert stats.binomtest(happens, N, p).pvalue > SURE


def test_fixed_size_crops_are_at_every_place_alike():
    top, left = lines(ae.FixedSizeCrop((81, 150)), "crop")[:, 2:4].astype(int).T
    assert set(left) == {0}
    assert stats.chisquare(np.bincount(top, minlength=10)).pvalue > SURE
    assert len(np.bincount(top)) == 10


# What is refused


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ae.Pad((1, 2, 3)), r"Pad\.padding: got \(1, 2, 3\), expected 1, 2 or 4"),
        (lambda: ae.Pad(-1), r"Pad\.padding: got -1, expected"),
        (lambda: ae.RandomShortestSize([]), r"RandomShortestSize\.min_size: got \[\], expected"),
        (lambda: ae.RandomShortestSize(0), r"RandomShortestSize\.min_size: got 0, expected"),
        (lambda: ae.RandomShortestSize(5, 0), r"RandomShortestSize\.max_size: got 0, expected"),
        (lambda: ae.RandomResize(9, 9), r"RandomResize: got min_size 9 and max_size 9, expected"),
        (lambda: ae.ScaleJitter(9), r"ScaleJitter\.target_size: got 9, expected \(width, height\)"),
        (lambda: ae.ScaleJitter((9, 9), (0, 1)), r"ScaleJitter\.scale_range: got 0, expected"),
        (lambda: ae.RandomZoomOut(side_range=(0.5, 2)), r"RandomZoomOut\.side_range: got 0\.5"),
        (lambda: ae.FixedSizeCrop((1, 2, 3)), r"FixedSizeCrop\.size: got"),
        (lambda: ae.PadIfSmaller(0), r"PadIfSmaller\.size: got 0"),
        (lambda: ae.LetterBox(0), r"LetterBox\.size: got 0"),
    ],
)
def test_what_is_out_of_range_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
