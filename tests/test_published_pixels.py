"""Every operation of the published policies, at every bin or level and with both signs, against
torchvision's functionals and timm's PIL functions. Both executors, a piece of a photograph.

All bins of an operation are samples of one batch, so that each has a magnitude of its own. What
is tied to bytes in torchvision and PIL (posterize, solarize, autocontrast, equalize, invert) is
equal to the bit. Elsewhere torchvision cuts off fractions where we round, which makes 1/255; for
saturation and contrast it cuts the grey off too, times 1 − factor, which makes 2/255. There the
floats show what was meant.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from cases import as_float, assert_close, each_executor
from photos import patch
from PIL import Image
from published import (
    ENHANCEMENTS,
    GEOMETRY,
    SAYS,
    TORCHVISION,
    chains,
    drawn,
    plain,
    sampled,
    shares_of,
    timm,
    timm_arguments,
)
from scipy.ndimage import gaussian_filter
from torchvision.transforms import v2

import augengine as ae
from augengine.policy.ops import spaces
from augengine.policy.ops.op import Op

PHOTO = patch("astronaut", 64, 80)
HEIGHT, WIDTH = PHOTO.shape[1:]
SPACES = {name: ours for name, (_, ours, _) in TORCHVISION.items()} | {"timm": spaces.TIMM}
EXACT = ("Posterize", "Solarize", "AutoContrast", "Equalize", "Invert")
AWAY = {"Brightness": 1, "Sharpness": 1, "Color": 2, "Contrast": 2}  # bytes, from torchvision's
FILL = 77


@dataclass(frozen=True)
class Applied(Op):
    """One operation of a space, sample i at its level and with its sign."""

    space: str
    name: str
    levels: tuple
    signs: tuple
    bins: int = 0
    interpolation: str | None = None
    fill: float | None = None

    def _decide(self, draft, rows, place):
        entry = SPACES[self.space][self.name]
        if entry.value is None:
            entry.act(draft, rows)
        elif entry.act is not None:
            levels, signs = np.array(self.levels, float)[rows], np.array(self.signs)[rows]
            entry.act(draft, rows, entry.value(levels, self.bins, signs, draft.frame[rows]))


def both_signs(levels):
    return (*levels, *levels), (1,) * len(levels) + (-1,) * len(levels)


def applied(op, executor, images=PHOTO, dtype="uint8"):
    """(one output for each level of an `Applied`, the plan)."""
    n = len(op.levels)
    sizes = np.tile([HEIGHT, WIDTH], (n, 1))
    plan = ae.Policy(op).sample(np.arange(n), sizes, dtype=dtype)
    return ae.execute(plan, images[None].repeat(n, 1, 1, 1), executor=executor), plan


def torchvisions(policy, name, image, interpolation="bilinear", fill=0):
    """What torchvision makes of the image at every bin, with both signs."""
    space, _, bins = TORCHVISION[policy]
    magnitudes, signed = space[name]
    magnitudes = magnitudes(bins, HEIGHT, WIDTH)
    levels, signs = both_signs(range(bins))
    peer = v2.RandAugment(interpolation=interpolation, fill=fill)
    return torch.stack(
        [
            peer._apply_image_or_video_transform(
                image,
                name,
                0.0 if magnitudes is None else float(magnitudes[i]) * (sign if signed else 1),
                peer.interpolation,
                peer._fill,
            )
            for i, sign in zip(levels, signs, strict=True)
        ]
    )


def every_bin(policy, name, **how):
    bins = TORCHVISION[policy][2]
    return Applied(policy, name, *both_signs(range(bins)), bins, **how)


def of_kind(names):
    return [
        (policy, name)
        for policy, (space, _, _) in TORCHVISION.items()
        for name in space
        if name in names
    ]


# torchvision


@each_executor
@pytest.mark.parametrize(("policy", "name"), of_kind(EXACT))
def test_what_is_tied_to_bytes_is_torchvisions_to_the_bit(policy, name, executor):
    got, _ = applied(every_bin(policy, name), executor)
    expected = torchvisions(policy, name, PHOTO)
    different = (got != expected).flatten(1).any(1).nonzero().flatten().tolist()
    assert not different, f"differs at bins {different}"


@each_executor
@pytest.mark.parametrize(("policy", "name"), of_kind(ENHANCEMENTS))
def test_an_enhancement_is_torchvisions_at_every_bin(policy, name, executor):
    op = every_bin(policy, name)
    floats, _ = applied(op, executor, as_float(PHOTO), "float32")
    assert_close(floats, torchvisions(policy, name, as_float(PHOTO)), 1e-6)
    bytes_, _ = applied(op, executor)
    assert_close(bytes_, torchvisions(policy, name, PHOTO), AWAY[name])
    # PIL and torchvision round what sharpness smooths before they blend; so do we, on bytes.
    assert_close(bytes_, 255 * floats, 1.45 if name == "Sharpness" else 0.501)


@each_executor
@pytest.mark.parametrize(("policy", "name"), of_kind(GEOMETRY))
def test_bilinear_geometry_is_torchvisions_at_every_bin(policy, name, executor):
    op = every_bin(policy, name, fill=FILL)
    share = torchvisions(policy, name, torch.ones(1, HEIGHT, WIDTH)).expand(-1, 3, -1, -1)
    inside, outside = share > 0.9999, share == 0
    assert inside.float().mean(dim=(1, 2, 3)).min() > 0.25
    floats, _ = applied(op, executor, as_float(PHOTO), "float32")
    expected = torchvisions(policy, name, as_float(PHOTO), fill=FILL / 255)
    # Coordinates of some 80 in float32: errors of 1e-5 pixels, across the steepest edges.
    assert_close(floats[inside], expected[inside], 1e-5)
    assert (floats[outside] == np.float32(FILL / 255)).all()
    bytes_, _ = applied(op, executor)
    expected_bytes = torchvisions(policy, name, PHOTO, fill=FILL)
    halves = ((255 * expected) % 1 - 0.5).abs() < 5e-3  # rounded to even there, up here
    assert_close(bytes_[inside], expected_bytes[inside], 1)
    assert torch.equal(bytes_[inside & ~halves], expected_bytes[inside & ~halves])
    assert (bytes_[outside] == FILL).all()


def clear_of_ties(plan):
    """Where the source point of an output pixel is not on the border of two source pixels."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    points = np.stack([x, y, np.ones_like(x)]).reshape(3, -1)
    old = (plan.inv_matrix.astype(float) @ points)[:, :2].reshape(-1, 2, HEIGHT, WIDTH)
    return torch.from_numpy((np.abs(old - np.round(old)) > 1e-4).all(axis=1))


@each_executor
@pytest.mark.parametrize(("policy", "name"), of_kind(GEOMETRY))
def test_nearest_geometry_is_torchvisions_at_every_bin(policy, name, executor):
    op = every_bin(policy, name, fill=FILL, interpolation="nearest")
    got, plan = applied(op, executor)
    expected = torchvisions(policy, name, PHOTO, "nearest", FILL)
    clear = clear_of_ties(plan)
    assert clear.float().mean() > 0.9
    equal = (got == expected).all(dim=1)[clear]
    assert equal.all(), f"{equal.float().mean():.5f} of the pixels are equal"


TEXT_NAMES = {SAYS[name]: name for name in spaces.AUG_MIX}


def replayed(outcome, image):
    """(what torchvision makes of a chain of one operation as the plan words it, where it is so)."""
    ((text, number),) = outcome
    name = TEXT_NAMES[text]
    magnitude = 0.0 if number is None else number - 1 if name in ENHANCEMENTS else number
    magnitude = magnitude / 255 if name == "Solarize" else magnitude
    peer = v2.AugMix()

    def apply(picture):
        return peer._apply_image_or_video_transform(
            picture, name, magnitude, peer.interpolation, peer._fill
        )

    inside = torch.ones(1, HEIGHT, WIDTH)
    made = as_float(apply(image)) if name in EXACT else apply(as_float(image))
    return made, (apply(inside) if name in GEOMETRY else inside)[0] > 0.9999


@each_executor
@pytest.mark.parametrize("width", [1, 3])
def test_augmix_is_the_sum_of_the_image_and_its_chains(width, executor):
    """m₀ · image + m₁ · Σ wᵢ · chainᵢ, with torchvision's operations as the plan says them."""
    n = 60
    sizes, images = np.tile([HEIGHT, WIDTH], (n, 1)), PHOTO[None].repeat(n, 1, 1, 1)
    plan = ae.Policy(ae.AugMix(mixture_width=width, chain_depth=1)).sample(np.arange(n), sizes)
    got = ae.execute(plan, images, executor=executor)
    shares = torch.from_numpy(shares_of(plan)).float()
    said = [drawn(plan, views) for views in chains(plan)]
    assert len({text for outcomes in said for ((text, _),) in outcomes}) == len(spaces.AUG_MIX)
    for i, outcomes in enumerate(said):
        expected, everywhere = shares[i, 0] * as_float(PHOTO), torch.ones(HEIGHT, WIDTH, dtype=bool)
        for share, outcome in zip(shares[i, 1:], outcomes, strict=True):
            made, inside = replayed(outcome, PHOTO)
            expected, everywhere = expected + share * made, everywhere & inside
        sharp = any(text == SAYS["Sharpness"] for ((text, _),) in outcomes)
        assert_close(got[i][:, everywhere], expected[:, everywhere], 1 / 255 if sharp else 1e-5)


# timm

LEVELS, SIGNS = both_signs(range(11))
PIL_PHOTO = Image.fromarray(PHOTO.permute(1, 2, 0).numpy())
TIMM_GEOMETRY = (*GEOMETRY[:2], "TranslateXRel", "TranslateYRel", "Rotate")


def timms(name, picture, fill):
    """What timm makes of a PIL image at every level, with both signs. Our translations go to the
    right and down where timm's go to the left and up, as often as the other way."""
    made = []
    of = 1 if name.startswith("Translate") else None
    for level, sign in zip(LEVELS, SIGNS, strict=True):
        arguments = ()
        if timm.LEVEL_TO_ARG[name] is not None:
            (argument,) = timm_arguments(name, [level], -sign if of else sign, of)
            arguments = (1 - argument,) if name == "Desaturate" else (argument.item(),)
        if plain(name) == "Posterize" and arguments == (0,):
            made.append(torch.zeros_like(PHOTO))  # no bit is kept; Pillow 13 refuses to say so
            continue
        image = timm.NAME_TO_OP[name](
            picture, *arguments, resample=Image.Resampling.BILINEAR, fillcolor=fill
        )
        made.append(torch.from_numpy(np.array(image)).reshape(HEIGHT, WIDTH, -1).movedim(-1, 0))
    return torch.stack(made)


@each_executor
@pytest.mark.parametrize("name", [n for n in spaces.TIMM if n != "GaussianBlur"])
def test_a_timm_operation_is_timms_at_every_level(name, executor):
    """On bytes. PIL cuts fractions off where we round: 1/255. Its autocontrast multiplies in another
    order than torchvision's, so that some products fall on the other side of a whole number."""
    got, _ = applied(Applied("timm", name, LEVELS, SIGNS), executor)
    expected = timms(name, PIL_PHOTO, (128,) * 3)
    if name in TIMM_GEOMETRY:
        ring = np.zeros((HEIGHT, WIDTH), np.uint8)  # PIL repeats the outermost pixels a half
        ring[1:-1, 1:-1] = 255
        inside = timms(name, Image.fromarray(ring), 0)[:, 0] == 255
        assert inside.float().mean(dim=(1, 2)).min() > 0.4
        got, expected = (images.movedim(1, -1)[inside] for images in (got, expected))
    assert_close(got, expected, 0 if plain(name) in (*EXACT[:2], *EXACT[3:], "SolarizeAdd") else 1)


def gaussian(sigma):
    """SciPy's blur of the photograph, borders reflected about the outermost pixels."""
    reach = {"mode": "mirror", "radius": int(np.ceil(4 * sigma))}
    planes = PHOTO.numpy().astype(float)
    return torch.from_numpy(np.stack([gaussian_filter(plane, sigma, **reach) for plane in planes]))


@each_executor
def test_gaussian_blur_is_a_gaussian_and_near_pils_boxes(executor):
    """PIL passes three boxes over the picture, whose variance together is sigma²: 4/255 away. At a
    sigma of 0.29 a sampled Gaussian's variance is not sigma² = 0.084 but 0.005, PIL's is 0.078: 9/255."""
    got, _ = applied(Applied("timm", "GaussianBlur", LEVELS, SIGNS), executor)
    expected = timms("GaussianBlur", PIL_PHOTO, None)
    for i, level in enumerate(LEVELS):
        (sigma,) = timm_arguments("GaussianBlur", [level], 1, None)
        assert_close(got[i], gaussian(sigma), 0.501)
        inner = (slice(None), slice(8, -8), slice(8, -8))  # borders: mirrored here, repeated there
        ours, pils = got[i][inner], expected[i][inner]
        assert_close(ours, pils, 9 if sigma < 0.3 else 4)
        assert (ours.float() - pils.float()).abs().mean() < 0.7


@each_executor
def test_three_augment_is_one_of_timms_three(executor):
    n = 40
    sizes, images = np.tile([HEIGHT, WIDTH], (n, 1)), PHOTO[None].repeat(n, 1, 1, 1)
    plan = ae.Policy(ae.ThreeAugment()).sample(np.arange(n), sizes, dtype="uint8")
    got = ae.execute(plan, images, executor=executor)
    met = set()
    for i, ((text, number),) in enumerate(drawn(plan)):
        met.add(text)
        if text == SAYS["GaussianBlur"]:
            assert_close(got[i], gaussian(number), 0.501)
            continue
        grey = text == "grey"
        theirs = timm.desaturate(PIL_PHOTO, 1.0) if grey else timm.solarize(PIL_PHOTO, 128)
        expected = torch.from_numpy(np.array(theirs)).movedim(-1, 0)
        assert_close(got[i], expected, 1 if grey else 0)
    assert len(met) == 3


@each_executor
@pytest.mark.parametrize(
    ("policy", "shade"),
    [
        (ae.RandAugment(1, 30, weights={"TranslateX": 1}), 0),
        (ae.RandAugment(1, 30, weights={"TranslateX": 1}, fill=(9, 99, 199)), (9, 99, 199)),
        (ae.RandAugment(1, 10, weights={"TranslateXRel": 1}, dialect="timm", p=1), 128),
        (ae.RandAugment(1, 10, weights={"TranslateXRel": 1}, dialect="timm", p=1, fill=7), 7),
    ],
    ids=["torchvision", "torchvision, filled", "timm", "timm, filled"],
)
def test_what_a_translation_uncovers_is_the_fill(policy, shade, executor):
    """timm's own default is grey; its factory passes the mean of the dataset instead."""
    images = PHOTO[None].repeat(16, 1, 1, 1)
    plan = sampled(policy, 16, (HEIGHT, WIDTH), dtype="uint8")
    got, sides = ae.execute(plan, images, executor=executor), set()
    for new, ((_, shift),) in zip(got, drawn(plan), strict=True):
        sides.add(np.sign(shift))
        kept = int(abs(shift))
        bare, moved = new[..., :kept], new[..., kept:]
        if shift < 0:
            bare, moved = new[..., WIDTH - kept :], new[..., : WIDTH - kept]
        expected = PHOTO[..., : WIDTH - kept] if shift > 0 else PHOTO[..., kept:]
        assert (bare == torch.tensor(shade, dtype=torch.uint8).reshape(-1, 1, 1)).all()
        assert torch.equal(moved, expected)
    assert sides == {-1, 1}
