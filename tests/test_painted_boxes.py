"""One object is painted white and all else black: its box must be where the white is, and as much of it
must show as the box says. The pixels are the executors'; nothing here is worked out as boxes are.
"""

import dataclasses

import numpy as np
import pytest
import torch
from generated import examples
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import maximum_filter

import augengine as ae

N, H, W = 5, 120, 160
GEOMETRY = [
    [ae.RandomResizedCrop(128, (0.3, 1))],
    [ae.RandomCrop(112, padding=8), ae.RandomHorizontalFlip()],
    [ae.RandomAffine(40, (0.1, 0.1), (0.8, 1.3), (-15, 15)), ae.CenterCrop(120)],
    [ae.RandomRotation(180, expand=True), ae.Resize((128, 128))],
    [ae.RandomPerspective(0.3, 1), ae.Resize((128, 144))],
    [ae.RandomQuarterTurn(), ae.Resize((120, 120)), ae.RandomVerticalFlip()],
    [ae.CenterCrop(100), ae.RandomRotation(30), ae.RandomResizedCrop(120, (0.5, 1))],
    [ae.Resize(130), ae.RandomCrop(120), ae.RandomPerspective(0.3, 1)],
]
FILTERS = [[], [ae.GaussianBlur(3, 0.6)], [ae.RandomAdjustSharpness(0.5, 1)]]
MIXES = [
    [],
    [ae.CutMix()],
    [ae.MixUp()],
    [ae.Mosaic()],
    [ae.CutMix(), ae.MixUp()],
    [ae.MixUp(), ae.CutMix()],
    [ae.Mosaic(), ae.MixUp(), ae.CutMix()],
    [ae.MixUpOrCutMix()],
]
ERASING = [
    [],
    [ae.RandomErasing(1)],
    [ae.RandomErasing(1, count=3)],
    [ae.RandomErasing(1, value="random")],
]


@st.composite
def policies(draw):
    """(ops, the same without mixes and erasing): a filter somewhere in the geometry, then layers."""
    geometry, some = draw(st.sampled_from(GEOMETRY)), draw(st.sampled_from(FILTERS))
    at = draw(st.integers(0, len(geometry)))
    image = [*geometry[:at], *some, *geometry[at:]]
    mixes, erasing = draw(st.sampled_from(MIXES)), draw(st.sampled_from(ERASING))
    erased_first = draw(st.booleans()) and not any(isinstance(op, ae.Mosaic) for op in mixes)
    return [*image, *(erasing + mixes if erased_first else mixes + erasing)], image


def painted(plan, box):
    """[N, H, W] each: how white the object of sample 0 is in the outputs, and all of sample 0."""
    x0, y0, x1, y1 = box
    black = torch.zeros(N, 3, H, W)
    one, all_of_it = black.clone(), black.clone()
    one[0, :, y0:y1, x0:x1] = 1
    all_of_it[0] = 1
    under = ae.execute(plan, black)  # erased boxes and noise
    return ((ae.execute(plan, part) - under)[:, 0].numpy() for part in (one, all_of_it))


def looks(plan, i):
    """The views with a label that show sample 0 in output i."""
    views = {int(v) for v, w in zip(plan.view[i], plan.weight[i], strict=True) if v >= 0 and w > 0}
    return [v for v in views if plan.roots()[v] == 0]


@examples(400)
@given(policies(), st.data())
def test_a_box_is_where_the_white_is(policy, data):
    """Within a pixel; none is lost and none is made up, down to a share of half a step of a byte."""
    # Not at the image's edge, where it is not told how much of a pixel is the image at all.
    x0, y0 = data.draw(st.integers(3, W - 40)), data.draw(st.integers(3, H - 40))
    box = (x0, y0, data.draw(st.integers(x0 + 25, W - 3)), data.draw(st.integers(y0 + 25, H - 3)))
    plan = ae.Policy(policy[0]).sample(range(N), [(H, W)] * N, seed=data.draw(st.integers(0, 9999)))
    one, all_of_it = painted(plan, box)
    found = ae.boxes(plan, [[box], *[[]] * (N - 1)], min_visible=0, min_size=0)
    for i in range(N):
        there = all_of_it[i] > 1 / 510
        # How much of a pixel is the object, whatever the sample's share of it.
        part = np.where(there, one[i] / np.where(there, all_of_it[i], 1), 0)
        boxes = found[i].boxes
        if len(looks(plan, i)) != 1:  # such as in two tiles of a mosaic
            inside = np.zeros(part.shape, bool)
            for left, top, right, bottom in boxes.round().astype(int):
                inside[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1] = True
            assert inside[part > 0.5].all()
            continue
        # Of what is some pixels small, pixels do not tell the extent.
        if len(boxes) == 0:
            assert (part > 0.5).sum() < 3
            continue
        if (boxes[0, 2:] - boxes[0, :2]).min() < 3 or found[i].visible[0] < 0.15:
            continue
        # No white lies outside by more than a pixel, and white is as near to each edge.
        # (On a slanted edge that a crop has cut through the image, part of a pixel is no image.)
        cut = all_of_it[i] < 0.75 * maximum_filter(all_of_it[i], 5)
        surely, perhaps = extent((part > 0.5) & ~cut), extent(part > 0.02)
        assert (boxes[0, :2] <= surely[:2] + 1).all()
        assert (boxes[0, 2:] >= surely[2:] - 1).all()
        assert (boxes[0, :2] >= perhaps[:2] - 1).all()
        assert (boxes[0, 2:] <= perhaps[2:] + 1).all()


def extent(white):
    """x0, y0, x1, y1 about the pixels that are white."""
    rows, columns = np.nonzero(white)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def area_of_all(plan, view, box):
    """The area of a box as a view shows it, uncut: its corners through one inverse after the other."""
    x0, y0, x1, y1 = box
    corners = np.array([[x0, y0, 1], [x1, y0, 1], [x1, y1, 1], [x0, y1, 1]], float).T
    chain = [view]
    while plan.source[chain[-1]] >= N:
        chain.append(plan.source[chain[-1]] - N)
    for step in reversed(chain):
        corners = np.linalg.inv(plan.inv_matrix[step].astype(float)) @ corners
    x, y = corners[:2] / corners[2]
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


@examples(300)
@given(policies(), st.integers(0, 9999))
def test_the_visible_share_is_that_of_the_white(policy, seed):
    """Within one per cent of the object, and the few pixels of a blurred rim."""
    box = (34, 24, 110, 90)
    plan = ae.Policy(policy[0]).sample(range(N), [(H, W)] * N, seed=seed)
    one, all_of_it = painted(plan, box)
    found = ae.boxes(plan, [[box], *[[]] * (N - 1)], min_visible=0, min_size=0)
    for i in range(N):
        if len(views := looks(plan, i)) != 1:
            continue
        there = all_of_it[i] > 1 / 510
        part = np.where(there, one[i] / np.where(there, all_of_it[i], 1), 0)
        whole = area_of_all(plan, views[0], box)
        visible = found[i].visible[0] if len(found[i].visible) else 0.0
        assert visible == pytest.approx(part.sum() / whole, abs=0.01 + 4 / whole)


@pytest.mark.parametrize("least", [0.1, 0.3, 0.5, 0.9])
def test_what_shows_less_than_the_least_is_left_out(least):
    """Counted in pixels, of an image that is only cropped and erased."""
    policy = ae.Policy(
        [ae.RandomCrop(80), ae.RandomErasing(1, scale=(0.1, 0.5)), ae.RandomErasing(1)]
    )
    plan = policy.sample(range(200), [(H, W)] * 200, seed=1)
    image = torch.zeros(200, 3, H, W)
    image[:, :, 30:90, 40:100] = 1
    # Erased with black, so that what is white is seen.
    shows = ae.execute(plan, image)[:, 0].sum(dim=(1, 2)).numpy() / 3600
    found = ae.boxes(plan, [[(40, 30, 100, 90)]] * 200, min_visible=least)
    kept = np.array([len(part.boxes) == 1 for part in found])
    sure = np.abs(shows - least) > 1e-3
    assert (kept == (shows >= least))[sure].all()
    assert 20 < kept.sum() < 200 or least == 0.9


def test_a_share_of_less_than_half_a_byte_is_not_there():
    """A MixUp of which nothing can be seen brings no box."""
    plan = ae.Policy(ae.MixUp()).sample(range(400), [(16, 16)] * 400, seed=2)
    found = ae.boxes(plan, [[(2, 2, 14, 14)]] * 400)
    assert {len(part.boxes) for part in found} == {1, 2}
    for i, part in enumerate(found):
        own, other = 1 - plan.alpha[i, 1], plan.alpha[i, 1]
        assert len(part.boxes) == sum(share >= 1 / 510 for share in (own, other))
        np.testing.assert_allclose(part.share.sum(), 1, atol=1 / 255)


def test_what_lies_over_the_horizon_keeps_its_part_before_it():
    """A perspective that takes a part of the image through infinity: the share is that of the image."""
    plan = ae.Policy(ae.RandomPerspective(0.2, 1)).sample([0], [(64, 64)])
    matrix = plan.inv_matrix.copy()
    # Seen where 1 − x / 40 > 0 of the output, which shows x / (1 − x / 40) of the source and turns at 40.
    matrix[0] = np.linalg.inv([[1, 0, 0], [0, 1, 0], [-1 / 40, 0, 1]])
    plan = dataclasses.replace(plan, inv_matrix=matrix)
    image = torch.zeros(1, 3, 64, 64)
    image[..., 10:20, 10:60] = 1
    white = ae.execute(plan, image)[0, 0] > 0.5
    placed = ae.boxes(plan, [[(10, 10, 60, 20)]], min_visible=0)[0]
    columns = np.nonzero(white.any(0).numpy())[0]
    np.testing.assert_allclose(placed.boxes[0, [0, 2]], [columns.min(), columns.max() + 1], atol=1)
    # x of the output up to 64 shows x / (1 + x / 40) of the source, from 10 on, where it is in the box.
    least = 10 / (1 - 10 / 40)
    assert placed.boxes[0, 0] == pytest.approx(least, abs=1e-3)
    assert 0 < placed.visible[0] < (64 / (1 + 64 / 40) - 10) / 50 + 1e-3
