"""The published policies. Every sample of a batch draws its own operations and magnitudes.

Two dialects, since libraries mean different magnitudes by the same name: "torchvision"
(torchvision.transforms.v2) and "timm" (timm.data.auto_augment). `spaces` has their tables. torchvision's
default interpolation is nearest; here a policy has one interpolation, by default bilinear.
"""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from enum import Enum
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np

from ...checks import any_true, number
from ...elementary import log
from ..keyed import below, dirichlet_variate, gamma_draws, normal
from . import actions, spaces
from .arguments import (
    BOUNDLESS,
    Custom,
    Fill,
    Interpolation,
    Limits,
    Number,
    OneOrInterval,
    Threshold,
    WholeNumber,
    kept,
)
from .levels import told_by_level
from .op import LAYER, VIEW, Op
from .strength import magnitude, pulled

DIALECTS = ("torchvision", "timm")
TIMM_LEVELS = 10


class Turn(NamedTuple):
    """The uniform numbers [n] of one turn, in which a sample may meet one operation."""

    which: np.ndarray  # operation
    whether: np.ndarray  # it happens
    sign: np.ndarray  # of its magnitude
    level: np.ndarray  # of its magnitude, or the first of two numbers for a normal one
    spread: np.ndarray  # the second of those
    coin: np.ndarray  # whether, under a strength below 1, an operation without a magnitude happens


_DRAWS = len(Turn._fields)  # of a turn


def _dialect(where: str, value: Any) -> str:
    if value not in DIALECTS:
        raise ValueError(
            f"{where}: got {value!r}, expected one of {', '.join(DIALECTS)}. Pass one of these."
        )
    return value


_Dialect = Annotated[Literal["torchvision", "timm"], Custom(_dialect, "'torchvision' or 'timm'")]
_Count = Annotated[int, WholeNumber(0, 64)]
_Bins = Annotated[int, WholeNumber(2, 10**6)]
_Spread = Annotated[float, Number(0, 1e9)]


@dataclass(frozen=True, repr=False)
class _Published(Op):
    """What published policies share."""

    def __post_init__(self) -> None:
        # timm fills with grey, where the policy's own colour is not asked for.
        if getattr(self, "dialect", None) == "timm" and getattr(self, "fill", None) is None:
            object.__setattr__(self, "fill", 128.0)
        super().__post_init__()

    @property
    def units_of_fill(self) -> str | None:
        """The dtype in whose units the fill is; None: that of the images. timm has bytes alone."""
        return "uint8" if getattr(self, "dialect", None) == "timm" else None


@dataclass(frozen=True, repr=False)
class RandAugment(_Published):
    """Some operations, drawn with replacement, at one magnitude (Cubuk et al. 2020). Equals
    torchvision's or timm's, with other operations for every sample.

    Args:
        num_ops: Whole number of operations, 0 … 64.
        magnitude: Level: in torchvision's dialect a bin, 0 … num_magnitude_bins − 1; in timm's
            0 … max_magnitude, where levels above 10 extrapolate.
        num_magnitude_bins: Whole number of bins, 2 … 1000000 (torchvision).
        interpolation: Filter name, 'bilinear', 'bicubic' or 'nearest'; None is bilinear.
        fill: Colour outside the image in the units of the images, one number or one a channel, or bytes as
            text, such as '#80'; None is the policy's, in timm's dialect, whose
            fills are bytes, 128.
        dialect: Whose operations and magnitudes: 'torchvision' or 'timm'.
        p: Probability in [0, 1] of each operation; None is 1 (torchvision) or 0.5 (timm).
        magnitude_std: Standard deviation of each operation's level, 0 or more, cut to its range;
            above 100 the level is uniform from 0 to magnitude.
        max_magnitude: Highest level, above 0 (timm); None is 10.
        increasing: Whether all operations grow with the magnitude (timm's inc1).
        choices: Set of operations of timm: '3a', '3aw' or 'weights'; None is its fifteen.
        weights: Operations with their weights of 0 or more, in place of a set; they are drawn without
            replacement, as in timm. None weighs none.

    Raises:
        ValueError: A level is outside its range, arguments of one dialect come with the other, or more
            weighted operations are asked for than there are.

    Example:
        >>> policy = ae.Policy([ae.Resize((32, 32)), ae.RandAugment(2, 9)])
        >>> policy.sample([0], [(32, 32)]).explain(0)
        'resized to 32×32, saturation ×0.73, sheared +0.09 vertically'
    """

    num_ops: _Count = 2
    magnitude: float = 9
    num_magnitude_bins: _Bins = 31
    interpolation: Interpolation = None
    fill: Fill = None
    _: KW_ONLY
    dialect: _Dialect = "torchvision"
    p: Annotated[float | None, Number(0, 1)] = None
    magnitude_std: _Spread = 0.0
    max_magnitude: float | None = None
    increasing: bool = False
    choices: Literal["3a", "3aw", "weights"] | None = None
    weights: Mapping[str, float] | Sequence[tuple[str, float]] | None = None

    def _check(self) -> None:
        name, timm = "RandAugment", self.dialect == "timm"
        most = self._most
        if timm:
            most = number(f"{name}.max_magnitude", self._most, 1e-9, 1e3)
        if not timm and (self.increasing or self.choices or self.max_magnitude is not None):
            raise ValueError(
                f"{name}: got increasing, choices or max_magnitude, which are timm's, with "
                f"dialect={self.dialect!r}. Pass dialect='timm', or leave them out."
            )
        if self.weights is not None and (self.choices or self.increasing):
            raise ValueError(
                f"{name}: got weights beside choices or increasing, expected one of them. Name the "
                "operations in weights, such as 'ColorIncreasing'."
            )
        if self.choices not in (None, "3a", "3aw", "weights"):
            raise ValueError(
                f"{name}.choices: got {self.choices!r}, expected '3a', '3aw' or 'weights'. Leave it "
                "out for timm's fifteen operations."
            )
        level = _level(f"{name}.magnitude", self.magnitude, most, self.dialect)
        object.__setattr__(self, "magnitude", level)
        object.__setattr__(self, "weights", _weights(self))
        if self._weighted and self.num_ops > sum(weight > 0 for weight in self._names.values()):
            raise ValueError(
                f"{name}.num_ops: got {self.num_ops} of {len(self._names)} weighted operations, which are "
                "drawn without replacement. Ask for fewer."
            )

    @property
    def _most(self) -> float:
        """The highest level."""
        if self.dialect == "torchvision":
            return self.num_magnitude_bins - 1
        return TIMM_LEVELS if self.max_magnitude is None else self.max_magnitude

    @property
    def _weighted(self) -> bool:
        return self.weights is not None or self.choices in ("3aw", "weights")

    @property
    def _names(self) -> dict[str, float]:
        """{operation: weight}."""
        if self.weights is not None:
            return dict(self.weights)
        if self.dialect == "torchvision":
            return dict.fromkeys(spaces.RAND_AUGMENT, 1.0)
        return spaces.TIMM_CHOICES[self.choices or ("increasing" if self.increasing else "rand")]

    def _decide(self, draft, rows, place):
        timm, names = self.dialect == "timm", self._names
        entries = _entries(spaces.TIMM if timm else spaces.RAND_AUGMENT, names)
        weighing = len(entries) if self._weighted else 0
        uniform = draft.uniform(place, _DRAWS * self.num_ops + weighing, rows)
        turns = _turns(uniform, self.num_ops)
        if self._weighted:
            # The shortest of exponential waits with these rates: a weighted draw, without replacement.
            rates = np.maximum(np.array([*names.values()]), 1e-300)
            waits = -log(uniform[:, _DRAWS * self.num_ops :]) / rates
            choices = list(np.argsort(waits, axis=1, kind="stable").T)
        else:
            choices = [below(turn.which, len(entries)) for turn in turns]
        p = self.p if self.p is not None else 0.5 if timm else 1.0
        for turn, choice in zip(turns, choices, strict=False):
            level = _noisy(self.magnitude, self.magnitude_std, self._most, turn)
            choice = np.where(turn.whether <= p, choice, -1)
            _carry_out(draft, rows, entries, choice, level, turn, self.num_magnitude_bins)


@dataclass(frozen=True, repr=False)
class TrivialAugmentWide(_Published):
    """One operation, its magnitude uniform over the bins (Müller and Hutter 2021). Equals torchvision's.

    Args:
        num_magnitude_bins: Whole number of bins, 2 … 1000000.
        interpolation: Filter name, 'bilinear', 'bicubic' or 'nearest'; None is bilinear.
        fill: Colour outside the image in the units of the images, one number or one a channel, or bytes as
            text, such as '#80'; None is the policy's.

    Example:
        >>> policy = ae.Policy([ae.Resize((32, 32)), ae.TrivialAugmentWide()])
        >>> policy.sample([0], [(32, 32)]).explain(0)
        'resized to 32×32, saturation ×0.70'
    """

    num_magnitude_bins: _Bins = 31
    interpolation: Interpolation = None
    fill: Fill = None

    def _decide(self, draft, rows, place):
        entries = [*spaces.TRIVIAL_AUGMENT_WIDE.values()]
        (turn,) = _turns(draft.uniform(place, _DRAWS, rows), 1)
        level = below(turn.level, self.num_magnitude_bins)
        choice = below(turn.which, len(entries))
        _carry_out(draft, rows, entries, choice, level, turn, self.num_magnitude_bins)


@dataclass(frozen=True, repr=False)
class AutoAugment(_Published):
    """A sub-policy of two operations, drawn from 25 or so (Cubuk et al. 2019). Equals torchvision's or
    timm's.

    Args:
        policy: Table: torchvision's 'imagenet', 'cifar10' or 'svhn' (its AutoAugmentPolicy is taken
            too), timm's 'original', 'originalr', 'v0' or 'v0r'.
        interpolation: Filter name, 'bilinear', 'bicubic' or 'nearest'; None is bilinear.
        fill: Colour outside the image in the units of the images, one number or one a channel, or bytes as
            text, such as '#80'; None is the policy's, in timm's dialect, whose
            fills are bytes, 128.
        dialect: Whose operations and magnitudes: 'torchvision' or 'timm'.
        magnitude_std: Standard deviation of each level, 0 or more (timm's mstd).

    Raises:
        ValueError: The dialect has no such table.

    Example:
        >>> policy = ae.Policy([ae.Resize((32, 32)), ae.AutoAugment()])
        >>> policy.sample([0], [(32, 32)]).explain(0)
        'resized to 32×32, inverted, equalized'
    """

    policy: str | Enum = "imagenet"
    interpolation: Interpolation = None
    fill: Fill = None
    _: KW_ONLY
    dialect: _Dialect = "torchvision"
    magnitude_std: _Spread = 0.0

    def _check(self) -> None:
        name = getattr(self.policy, "value", self.policy)  # torchvision's AutoAugmentPolicy
        object.__setattr__(self, "policy", name)
        known = spaces.AUTO_AUGMENT_POLICIES[self.dialect]
        if name not in known:
            raise ValueError(
                f"AutoAugment.policy: got {name!r}, expected one of {', '.join(known)} in the dialect "
                f"{self.dialect}. Pass one of these."
            )

    def _decide(self, draft, rows, place):
        timm = self.dialect == "timm"
        space = spaces.TIMM if timm else spaces.AUTO_AUGMENT
        policies = spaces.AUTO_AUGMENT_POLICIES[self.dialect][kept(self.policy)]
        number_of, entries = {name: k for k, name in enumerate(space)}, [*space.values()]
        uniform = draft.uniform(place, 1 + 2 * _DRAWS, rows)
        which = below(uniform[:, 0], len(policies))
        for k, turn in enumerate(_turns(uniform[:, 1:], 2)):
            names, p, levels = zip(*(sub[k] for sub in policies), strict=True)
            choice = np.array([number_of[name] for name in names])[which]
            choice = np.where(turn.whether <= np.array(p)[which], choice, -1)
            most = TIMM_LEVELS if timm else 9
            level = _noisy(
                np.array(levels)[which], self.magnitude_std, most, turn, always_normal=True
            )
            _carry_out(draft, rows, entries, choice, level, turn, bins=10)


@dataclass(frozen=True, repr=False)
class AugMix(_Published):
    """Chains of operations, blended with each other and with the image (Hendrycks et al. 2020):
    m₀ · image + m₁ · Σ wᵢ · chainᵢ with (m₀, m₁) and w drawn from Dirichlet(alpha, …). No op on the
    image may follow, since the chains are layers by then.

    Args:
        severity: Level, 1 … 10: in torchvision's dialect a whole number, of ten bins those below it
            are drawn; in timm's the highest level.
        mixture_width: Whole number of chains, 1 … 64.
        chain_depth: Whole number of operations in a chain, 1 … 64, or −1 for 1 to 3.
        alpha: Parameter in [0.001, 1000] of the Dirichlet distributions.
        all_ops: Whether brightness, colour, contrast and sharpness are among the operations
            (torchvision).
        interpolation: Filter name, 'bilinear', 'bicubic' or 'nearest'; None is bilinear.
        fill: Colour outside the image in the units of the images, one number or one a channel, or bytes as
            text, such as '#80'; None is the policy's, in timm's dialect, whose
            fills are bytes, 128.
        dialect: Whose operations and magnitudes: 'torchvision' or 'timm'.

    Raises:
        ValueError: A number is outside its range, or all_ops=False comes with timm's dialect.

    Example:
        >>> policy = ae.Policy([ae.Resize((32, 32)), ae.AugMix(mixture_width=1)])
        >>> policy.sample([0], [(32, 32)]).explain(0)
        'resized to 32×32, 73 % over it: posterized to 4 bits, autocontrast'
    """

    severity: float = 3
    mixture_width: Annotated[int, WholeNumber(1, 64)] = 3
    chain_depth: int = -1
    alpha: Annotated[float, Number(1e-3, 1e3)] = 1.0
    all_ops: bool = True
    interpolation: Interpolation = None
    fill: Fill = None
    _: KW_ONLY
    dialect: _Dialect = "torchvision"
    stages = (VIEW, LAYER)

    def _check(self) -> None:
        _level("AugMix.severity", self.severity, 10, self.dialect, least=1)
        if self.dialect == "torchvision":
            WholeNumber(1, 10).check("AugMix.severity", self.severity)
        if self.chain_depth != -1:
            WholeNumber(1, 64).check("AugMix.chain_depth", self.chain_depth)
        if not self.all_ops and self.dialect == "timm":
            raise ValueError(
                "AugMix.all_ops: got False with dialect='timm', which has one set. Leave it out."
            )

    @property
    def places(self):
        return 1 + self.mixture_width

    def _decide(self, draft, rows, place):
        width, timm = self.mixture_width, self.dialect == "timm"
        if timm:
            entries = [*spaces.TIMM_AUG_MIX.values()]
        else:
            kept = (k for k in spaces.AUG_MIX if self.all_ops or k not in spaces.ENHANCEMENTS)
            entries = _entries(spaces.AUG_MIX, kept)
        each = gamma_draws(self.alpha)
        uniform = draft.uniform(place, (2 + width) * each, rows)
        mixed = dirichlet_variate(uniform[:, : 2 * each], self.alpha, 2)
        shares = dirichlet_variate(uniform[:, 2 * each :], self.alpha, width)
        # Strength pulls towards the image itself, too.
        shares = shares * (mixed[:, 1] * draft.strength[rows])[:, None]
        longest = 3 if self.chain_depth == -1 else self.chain_depth
        chains = []
        for k in range(width):
            chain = draft.fork(rows)
            uniform = draft.uniform(place + 1 + k, 1 + _DRAWS * longest, rows)
            depth = 1 + below(uniform[:, 0], 3) if self.chain_depth == -1 else longest
            for t, turn in enumerate(_turns(uniform[:, 1:], longest)):
                choice = np.where(t < depth, below(turn.which, len(entries)), -1)
                level = self.severity * turn.level if timm else below(turn.level, self.severity)
                _carry_out(draft, chain, entries, choice, level, turn, bins=10)
            chains.append(chain)
        draft.overlay(rows, np.stack(chains, axis=1), shares)


@dataclass(frozen=True, repr=False)
class ThreeAugment(Op):
    """One of solarize, grey and Gaussian blur (DeiT III's 3-Augment, Touvron et al. 2022; timm's `3a`).

    Args:
        threshold: Brightness from which solarize inverts, in the units of the images, 0 or more, or a byte
            as text, such as '#80'.
        sigma: Standard deviation of the blur in pixels, in [0, 1000], one number or (lowest, highest)
            (timm's radius).

    Example:
        >>> policy = ae.Policy([ae.Resize((32, 32)), ae.ThreeAugment()])
        >>> policy.sample([0], [(32, 32)]).explain(0)
        'resized to 32×32, grey'
    """

    threshold: Threshold = "#80"
    sigma: Annotated[Limits, OneOrInterval(0, 1e3, unit="pixels")] = (0.1, 2.0)

    def _decide(self, draft, rows, place):
        byte = draft.in_bytes("ThreeAugment.threshold", kept(self.threshold), above=1)
        uniform = draft.uniform(place, 3, rows)
        strength = draft.strength[rows]
        actions.needs_rgb(draft, "ThreeAugment")
        choice = below(uniform[:, 0], 3)
        darker, grey, blurred = (choice == k for k in range(3))
        threshold = pulled(byte, 256, strength[darker])
        actions.solarize(draft, rows[darker], threshold)
        actions.grey(draft, rows[grey & (uniform[:, 2] < strength)])
        sigma = magnitude(uniform[:, 1], self.sigma, 0, strength)
        actions.blur(draft, rows[blurred], sigma[blurred])


@dataclass(frozen=True, repr=False)
class UniformAugment(_Published):
    """Some operations with uniform magnitudes, each with a probability that is uniform as well (LingChen
    et al. 2020), on Fast AutoAugment's ranges. Its Cutout is an op of its own: `Cutout`.

    Args:
        num_ops: Whole number of operations, 0 … 64.
        interpolation: Filter name, 'bilinear', 'bicubic' or 'nearest'; None is bilinear.
        fill: Colour outside the image in the units of the images, one number or one a channel, or bytes as
            text, such as '#80'; None is the policy's.

    Example:
        >>> policy = ae.Policy([ae.Resize((32, 32)), ae.UniformAugment()])
        >>> policy.sample([0], [(32, 32)]).explain(0)
        'resized to 32×32, sharpness ×0.64'
    """

    num_ops: _Count = 2
    interpolation: Interpolation = None
    fill: Fill = None

    def _decide(self, draft, rows, place):
        entries = [*spaces.UNIFORM_AUGMENT.values()]
        for turn in _turns(draft.uniform(place, _DRAWS * self.num_ops, rows), self.num_ops):
            # The probability is uniform too; nothing here needs `spread` for a level.
            choice = np.where(turn.whether < turn.spread, below(turn.which, len(entries)), -1)
            _carry_out(draft, rows, entries, choice, turn.level, turn)


@dataclass(frozen=True, repr=False)
class FixMatchAugment(_Published):
    """The RandAugment of FixMatch's strong view (Sohn et al. 2020; ranges as in USB): operations at
    uniform magnitudes. `presets.fixmatch` adds its crop, flip and Cutout.

    Args:
        num_ops: Whole number of operations, 0 … 64.
        interpolation: Filter name, 'bilinear', 'bicubic' or 'nearest'; None is bilinear.
        fill: Colour outside the image in the units of the images, one number or one a channel, or bytes as
            text, such as '#80'; None is the policy's.

    Example:
        >>> policy = ae.Policy([ae.Resize((32, 32)), ae.FixMatchAugment()])
        >>> policy.sample([0], [(32, 32)]).explain(0)
        'resized to 32×32, sharpness ×0.32, saturation ×0.89'
    """

    num_ops: _Count = 2
    interpolation: Interpolation = None
    fill: Fill = None

    def _decide(self, draft, rows, place):
        entries = [*spaces.FIX_MATCH.values()]
        for turn in _turns(draft.uniform(place, _DRAWS * self.num_ops, rows), self.num_ops):
            choice = below(turn.which, len(entries))
            _carry_out(draft, rows, entries, choice, turn.level, turn)


def _turns(uniform: np.ndarray, count: int) -> list[Turn]:
    """The first `count` turns of uniform numbers [n, count · 6 or more]."""
    return [Turn(*uniform.T[_DRAWS * t : _DRAWS * (t + 1)]) for t in range(count)]


def _entries(space, names):
    return [space[name] for name in names]


def _noisy(level, std: float, most: float, turn, always_normal=False):
    """[n] levels, spread about `level` and cut to [0, most]; above 100 uniform, unless `always_normal`."""
    if std == 0:
        level = np.clip(np.broadcast_to(level, len(turn.level)), 0, most)
        is_whole = (level == np.round(level)).all()
        return level.astype(np.int64) if is_whole else level
    if std > 100 and not always_normal:
        return np.clip(level * turn.level, 0, most)
    return np.clip(level + std * normal(turn.level, turn.spread), 0, most)


def _carry_out(draft, rows, entries, choice, level, turn, bins=None):
    """Tell the draft, for each row, the entry that it chose (−1: none), at its level."""
    for entry in entries if draft.channels not in (1, 3) else ():
        # Of all that may be drawn, so that it does not depend on the draw.
        if isinstance(entry.act, actions.Step) and entry.act.rgb:
            actions.needs_rgb(draft, entry.act.text.split()[0])
    sign = np.where(turn.sign <= 0.5, -1.0, 1.0)
    strength, frame = draft.strength[rows], draft.frame[rows]
    weaker = any_true(strength < 1)
    if not weaker and told_by_level(draft, rows, entries, choice, level, sign, bins):
        return
    # Sorted by choice, so that each entry's rows lie together.
    order = np.argsort(choice, kind="stable")
    ends = np.searchsorted(choice[order], np.arange(len(entries) + 1)).tolist()
    rows, frame = rows.take(order), frame.take(order, 0)
    level, sign, strength = level.take(order), sign.take(order), strength.take(order)
    happens = turn.coin.take(order) < strength
    operations: list[actions.Operation] = []
    for entry, now in zip(entries, map(slice, ends[:-1], ends[1:]), strict=True):
        if entry.act is None or now.start == now.stop:
            continue
        if entry.value is None:
            operations.append(actions.Operation(entry.act, rows[now][happens[now]]))
            continue
        value = entry.value(level[now], bins, sign[now], frame[now])
        if weaker:
            weaker_value = pulled(value, entry.neutral, strength[now])
            weaker_value = np.round(weaker_value) if entry.whole else weaker_value
            value = np.where(strength[now] < 1, weaker_value, value)
        operations.append(actions.Operation(entry.act, rows[now], (value,)))
    actions.carry_out(draft, operations)


def _level(where: str, value, most: float, dialect: str, least: float = 0):
    value = number(where, value)
    if not least <= value <= most:
        raise ValueError(
            f"{where}: got {value:g}, expected {least:g} … {most:g} in the dialect {dialect}. "
            f"The nearest is {min(max(value, least), most):g}."
        )
    return value


def _weights(op):
    """(operation, weight) pairs, from a mapping or such pairs."""
    if op.weights is None:
        return None
    items = op.weights.items() if isinstance(op.weights, Mapping) else op.weights
    space = spaces.TIMM if op.dialect == "timm" else spaces.RAND_AUGMENT
    pairs = tuple(
        (name, number("RandAugment.weights", weight, 0, BOUNDLESS)) for name, weight in items
    )
    unknown = [name for name, _ in pairs if name not in space]
    if unknown or not any(weight for _, weight in pairs):
        import difflib

        near = difflib.get_close_matches(str(unknown[0]), space, 1, 0) if unknown else [*space][:1]
        came = f"got {unknown[0]!r}" if unknown else "got no weight above 0"
        raise ValueError(
            f"RandAugment.weights: {came}, expected operations of the dialect {op.dialect} with weights. "
            f"The nearest is {near[0]!r}."
        )
    return pairs
