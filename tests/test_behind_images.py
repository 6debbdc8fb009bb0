"""What lies behind an image in memory, and which images are drawn with it, changes no bit of its pixels: loads
of vectors reach over what they want, and take another way where memory ends."""

import pytest
import torch

import augengine as ae

POLICIES = {
    "rotation": [ae.RandomRotation(180)],
    "cubic rotation": [ae.RandomRotation(180, interpolation="bicubic")],
    "perspective": [ae.RandomPerspective(p=1)],
    "rotation and shrink": [ae.RandomRotation(30), ae.Resize((4, 5))],
    "wide rotation": [ae.RandomAffine(90, scale=(0.2, 0.5)), ae.CenterCrop((7, 9))],
    "crop": [ae.RandomResizedCrop((9, 13))],
    "cubic crop": [ae.RandomResizedCrop((9, 13), interpolation="bicubic")],
    "enlargement": [ae.Resize((40, 50))],
    "shrink": [ae.Resize((5, 6))],
    "nearest": [ae.Resize((9, 9), interpolation="nearest")],
    "flip": [ae.RandomHorizontalFlip(1), ae.CenterCrop((3, 3))],
    "pad": [ae.RandomCrop((20, 30), padding=6, padding_mode="reflect", pad_if_needed=True)],
    "blur": [ae.GaussianBlur(5)],
    "sharpness": [ae.RandomAdjustSharpness(2, p=1)],
    "equalize": [ae.RandomEqualize(1)],
    "noise": [ae.GaussianNoise()],
}
COUNT = 3


def _drawn(policy, ids, images, layout):
    channels, *size = images.shape[1:] if layout == "NCHW" else images.permute(0, 3, 1, 2).shape[1:]
    plan = policy.sample(ids, [size] * len(ids), channels=channels, dtype="float32")
    return ae.execute(plan, images, executor="cpu", layout=layout)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("ops", POLICIES.values(), ids=POLICIES)
def test_bits_are_the_images_own(ops, dtype, layout):
    policy = ae.Policy(ops)
    for channels in (1, 2, 3, 4, 5, 8):
        for height, width in ((8, 17), (16, 16), (33, 7), (3, 3)):
            shape = (COUNT, height, width, channels)
            if layout == "NCHW":
                shape = (COUNT, channels, height, width)
            pixels = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(height))
            pixels = pixels.to(torch.uint8) if dtype == torch.uint8 else pixels / 255
            within = torch.zeros(pixels.numel() + 4_000, dtype=dtype)[: pixels.numel()].view(shape)
            within.copy_(pixels)
            expected = _drawn(policy, range(COUNT), pixels.clone(), layout)
            assert torch.equal(_drawn(policy, range(COUNT), within, layout), expected)
            for k in range(COUNT):
                alone = _drawn(policy, [k], pixels[[k]].clone(), layout)
                assert torch.equal(alone[0], expected[k]), (channels, height, width, k)
