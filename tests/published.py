"""What the tests of the published policies share: the numbers of the installed torchvision and timm,
and what a plan says that it drew.

An outcome is what happens to a sample: a tuple of (log text, number), in order. A law is a
dictionary {outcome: probability}.
"""

from collections import Counter, defaultdict
from unittest import mock

import numpy as np
from scipy import stats
from timm.data import auto_augment as timm
from torchvision.transforms import v2

import augengine as ae
from augengine.policy.ops import spaces

SURE = 1e-4  # of a fixed sample: a p-value below it is a wrong distribution, not bad luck

# policy: torchvision's table, ours, torchvision's number of bins
TORCHVISION = {
    "RandAugment": (v2.RandAugment._AUGMENTATION_SPACE, spaces.RAND_AUGMENT, 31),
    "TrivialAugmentWide": (
        v2.TrivialAugmentWide._AUGMENTATION_SPACE,
        spaces.TRIVIAL_AUGMENT_WIDE,
        31,
    ),
    "AutoAugment": (v2.AutoAugment._AUGMENTATION_SPACE, spaces.AUTO_AUGMENT, 10),
    "AugMix": (v2.AugMix._AUGMENTATION_SPACE, spaces.AUG_MIX, 10),
}
GEOMETRY = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
ENHANCEMENTS = ("Brightness", "Color", "Contrast", "Sharpness")
# timm's second names for an operation whose magnitude goes another way.
SUFFIXES = ("Increasing", "Original", "Rel")

SAYS = {
    "ShearX": "sheared %+.2f",
    "ShearY": "sheared %+.2f vertically",
    "TranslateX": "shifted %+.1f px",
    "TranslateY": "shifted %+.1f px down",
    "Rotate": "rotated %+.1f°",
    "Brightness": "brightness ×%.2f",
    "Color": "saturation ×%.2f",
    "Desaturate": "saturation ×%.2f",
    "Contrast": "contrast ×%.2f",
    "Sharpness": "sharpness ×%.2f",
    "Posterize": "posterized to %d bits",
    "Solarize": "solarized from %.1f",
    "SolarizeAdd": "dark tones %+d",
    "GaussianBlur": "blurred σ %.2f",
    "AutoContrast": "autocontrast",
    "Equalize": "equalized",
    "Invert": "inverted",
}

POLICIES = {
    "RandAugment": ae.RandAugment(),
    "RandAugment, noisy": ae.RandAugment(3, 14, magnitude_std=4, p=0.7, fill=(1, 2, 3)),
    "RandAugment, timm": ae.RandAugment(3, dialect="timm", p=0.9),
    "RandAugment, timm inc": ae.RandAugment(
        2, 12, dialect="timm", increasing=True, magnitude_std=0.5, max_magnitude=15
    ),
    "RandAugment, timm 3a": ae.RandAugment(dialect="timm", choices="3a", p=1),
    "RandAugment, timm 3aw": ae.RandAugment(dialect="timm", choices="3aw", magnitude_std=101, p=1),
    "RandAugment, timm weights": ae.RandAugment(dialect="timm", choices="weights", p=1),
    "RandAugment, weighted": ae.RandAugment(weights={"Rotate": 2, "Color": 1, "Equalize": 0.5}),
    "TrivialAugmentWide": ae.TrivialAugmentWide(),
    **{f"AutoAugment, {name}": ae.AutoAugment(name) for name in ("imagenet", "cifar10", "svhn")},
    **{
        f"AutoAugment, timm {name}": ae.AutoAugment(name, dialect="timm", magnitude_std=0.5)
        for name in ("original", "originalr", "v0", "v0r")
    },
    "AugMix": ae.AugMix(),
    "AugMix, partial": ae.AugMix(5, 2, 1, 0.5, all_ops=False),
    "AugMix, timm": ae.AugMix(dialect="timm"),
    "ThreeAugment": ae.ThreeAugment(),
    "UniformAugment": ae.UniformAugment(3),
    "FixMatchAugment": ae.FixMatchAugment(),
}


def plain(name):
    """The operation that a name of timm's stands for: PosterizeIncreasing is a Posterize."""
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def given(name, magnitude):
    """The number that torchvision's functional gets for a magnitude; of solarize in bytes."""
    if name.startswith("Translate"):
        return float(int(magnitude))
    if name in ENHANCEMENTS:
        return 1.0 + magnitude
    return 255.0 * magnitude if name == "Solarize" else float(magnitude)


def timm_arguments(name, levels, coin, size, hparams=timm._HPARAMS_DEFAULT):
    """The numbers that timm comes to at these levels, where its coin falls so: 1 keeps the sign, −1
    turns it. Translations in pixels, and desaturation as the share of colour that is left."""
    with mock.patch("random.random", return_value=0.0 if coin > 0 else 1.0):
        values = np.array([timm.LEVEL_TO_ARG[name](level, hparams)[0] for level in levels])
    if name.startswith("Translate"):
        return values * size
    return 1 - values if name == "Desaturate" else values


def drawn(plan, views=None):
    """What the plan says of each view, by default of each sample's own: a list of outcomes."""
    views = np.arange(len(plan)) if views is None else views
    texts, arguments = plan.log_op[views].tolist(), plan.log_arg[views, :, 0].tolist()
    return [
        tuple(
            line(plan.log_text[op], value) for op, value in zip(ops, values, strict=True) if op >= 0
        )
        for ops, values in zip(texts, arguments, strict=True)
    ]


def chains(plan):
    """[n, width] views of the chains."""
    return plan.view[:, 1:]


def shares_of(plan):
    """[n, 1 + width]: the image's share and each chain's, from the layers' alphas."""
    alpha = plan.alpha.astype(float)
    through = np.cumprod((1 - alpha)[:, ::-1], axis=1)[:, ::-1]
    return alpha * np.concatenate([through[:, 1:], np.ones((len(alpha), 1))], axis=1)


def line(text, value=None):
    """A log line as it stands in a plan, whose numbers are float32."""
    return text, float(np.float32(value)) if "%" in text else None


def sampled(op, n=20_000, size=(224, 224), **how):
    return ae.Policy(op).sample(np.arange(n), np.tile(size, (n, 1)), **how)


# Laws


def mixed(parts):
    """The law of taking one of some laws: parts are (law, probability)."""
    total = defaultdict(float)
    for law, p in parts:
        for outcome, q in law.items():
            total[outcome] += p * q
    return dict(total)


def alike(laws):
    """One of some laws, each as likely."""
    laws = list(laws)
    return mixed((law, 1 / len(laws)) for law in laws)


def then(*laws):
    """Independent draws, one after the other."""
    law = {(): 1.0}
    for more in laws:
        law = mixed(({(*outcome, *o): p for o, p in more.items()}, q) for outcome, q in law.items())
    return law


def maybe(law, p):
    """With probability p, and otherwise nothing."""
    return mixed([(law, p), ({(): 1.0}, 1 - p)])


def torchvision_law(space, name, bins, at, size):
    """One operation of a torchvision space, its bin uniform among `at`."""
    magnitudes, signed = space[name]
    magnitudes = magnitudes(bins, *size)
    if name == "Identity":
        return {(): 1.0}
    if magnitudes is None:
        return {(line(SAYS[name]),): 1.0}
    return alike(
        {(line(SAYS[name], given(name, sign * float(magnitudes[i]))),): 1.0}
        for i in at
        for sign in ((-1, 1) if signed else (1,))
    )


def timm_law(op, size):
    """One of timm's AugmentOps without noise."""
    text = SAYS[plain(op.name)]
    if op.level_fn is None:
        return maybe({(line(text),): 1.0}, op.prob)
    of = size[1] if "X" in op.name else size[0]
    levels = [min(op.magnitude, op.magnitude_max or 10)]
    values = [timm_arguments(op.name, levels, coin, of, op.hparams)[0] for coin in (-1, 1)]
    return maybe(alike({(line(text, value),): 1.0} for value in values), op.prob)


def assert_follows(outcomes, law):
    """Chi-squared; cells that expect less than five are put together."""
    assert abs(sum(law.values()) - 1) < 1e-9
    counts = Counter(outcomes)
    impossible = set(counts) - {outcome for outcome, p in law.items() if p > 0}
    assert not impossible, f"{len(impossible)} outcomes, {sorted(impossible, key=str)[:3]} …"
    cells, seen, expected = [], 0, 0.0
    for outcome in sorted(law, key=law.__getitem__):
        seen, expected = seen + counts[outcome], expected + len(outcomes) * law[outcome]
        if expected >= 5:
            cells.append((seen, expected))
            seen, expected = 0, 0.0
    cells[-1] = (cells[-1][0] + seen, cells[-1][1] + expected)
    assert len(cells) > 1
    pvalue = stats.chisquare(*zip(*cells, strict=True)).pvalue
    assert pvalue > SURE, f"p = {pvalue:.2g} over {len(cells)} cells"
