"""The published policies. Every sample of a batch draws its own operations and magnitudes.

Two dialects, since libraries mean different magnitudes by the same name: "torchvision"
(torchvision.transforms.v2) and "timm" (timm.data.auto_augment). `spaces` has their tables.
Shared arguments:
interpolation: None, "bilinear" or "nearest"; torchvision's default is nearest, here a policy has one
interpolation, by default bilinear. fill: 0 … 255; None is the policy's, in timm's dialect 128.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from ...checks import number, one_or_interval, whole
from ..keyed import below, dirichlet_variate, gamma_draws, normal
from . import actions, spaces
from .arguments import colour, interpolation_name
from .op import LAYER, VIEW, Op
from .strength import magnitude, pulled

DIALECTS = ("torchvision", "timm")
TIMM_LEVELS = 10
_TURN = 6  # draws a turn: which operation, whether, its sign, two for its level, strength's coin


@dataclass(frozen=True)
class RandAugment(Op):
    """num_ops operations, drawn with replacement, at one magnitude (Cubuk et al. 2020).

    magnitude: torchvision: a bin, 0 … num_magnitude_bins − 1. timm: 0 … max_magnitude, 10 by default;
    levels above 10 extrapolate. p: of each operation; None: 1 (torchvision), 0.5 (timm).
    magnitude_std: spread of each operation's magnitude, normal and cut to its range; above 100:
    uniform from 0 to magnitude. increasing: timm's `inc1`, all operations grow with the magnitude.
    choices: timm's other sets, "3a", "3aw", "weights". weights: {operation: weight} instead;
    operations that are weighted are drawn without replacement in timm, here too.
    """

    num_ops: int = 2
    magnitude: float = 9
    num_magnitude_bins: int = 31
    interpolation: str | None = None
    fill: Any = None
    _: KW_ONLY
    dialect: str = "torchvision"
    p: float | None = None
    magnitude_std: float = 0.0
    max_magnitude: float | None = None
    increasing: bool = False
    choices: str | None = None
    weights: Any = None

    def __post_init__(self):
        _check_shared(self)
        name, timm = "RandAugment", self.dialect == "timm"
        _check_count(f"{name}.num_ops", self.num_ops, 0, 64)
        _check_count(f"{name}.num_magnitude_bins", self.num_magnitude_bins, 2, 10**6)
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
        self._set(
            magnitude=_level(f"{name}.magnitude", self.magnitude, most, self.dialect),
            p=None if self.p is None else number(f"{name}.p", self.p, 0, 1),
            magnitude_std=number(f"{name}.magnitude_std", self.magnitude_std, 0, 1e9),
            weights=_weights(self),
        )
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
        uniform = draft.uniform(place, _TURN * self.num_ops + weighing, rows)
        turns = _turns(uniform, self.num_ops)
        if self._weighted:
            # The shortest of exponential waits with these rates: a weighted draw, without replacement.
            rates = np.maximum(np.array([*names.values()]), 1e-300)
            choices = np.argsort(-np.log(uniform[:, _TURN * self.num_ops :]) / rates, axis=1).T
        else:
            choices = below(turns[:, :, 0], len(entries))
        p = self.p if self.p is not None else 0.5 if timm else 1.0
        for turn, choice in zip(turns, choices, strict=False):
            level = _noisy(self.magnitude, self.magnitude_std, self._most, turn)
            choice = np.where(turn[:, 1] <= p, choice, -1)
            _carry_out(draft, rows, entries, choice, level, turn, self.num_magnitude_bins)


@dataclass(frozen=True)
class TrivialAugmentWide(Op):
    """One operation, its magnitude uniform over the bins (Müller and Hutter 2021)."""

    num_magnitude_bins: int = 31
    interpolation: str | None = None
    fill: Any = None

    def __post_init__(self):
        _check_shared(self)
        where = "TrivialAugmentWide.num_magnitude_bins"
        _check_count(where, self.num_magnitude_bins, 2, 10**6)

    def _decide(self, draft, rows, place):
        entries = [*spaces.TRIVIAL_AUGMENT_WIDE.values()]
        (turn,) = _turns(draft.uniform(place, _TURN, rows), 1)
        level = below(turn[:, 3], self.num_magnitude_bins)
        choice = below(turn[:, 0], len(entries))
        _carry_out(draft, rows, entries, choice, level, turn, self.num_magnitude_bins)


@dataclass(frozen=True)
class AutoAugment(Op):
    """A sub-policy of two operations, drawn from 25 (Cubuk et al. 2019).

    policy: torchvision: "imagenet", "cifar10", "svhn"; timm: "original", "originalr", "v0", "v0r".
    magnitude_std: timm's mstd, normal noise on each level.
    """

    policy: str = "imagenet"
    interpolation: str | None = None
    fill: Any = None
    _: KW_ONLY
    dialect: str = "torchvision"
    magnitude_std: float = 0.0

    def __post_init__(self):
        name = getattr(self.policy, "value", self.policy)  # torchvision's AutoAugmentPolicy
        self._set(policy=name)
        _check_shared(self)
        known = spaces.AUTO_AUGMENT_POLICIES[self.dialect]
        if name not in known:
            raise ValueError(
                f"AutoAugment.policy: got {name!r}, expected one of {', '.join(known)} in the dialect "
                f"{self.dialect}. Pass one of these."
            )
        std = number("AutoAugment.magnitude_std", self.magnitude_std, 0, 1e9)
        self._set(magnitude_std=std)

    def _decide(self, draft, rows, place):
        timm = self.dialect == "timm"
        space = spaces.TIMM if timm else spaces.AUTO_AUGMENT
        policies = spaces.AUTO_AUGMENT_POLICIES[self.dialect][self.policy]
        number_of, entries = {name: k for k, name in enumerate(space)}, [*space.values()]
        uniform = draft.uniform(place, 1 + 2 * _TURN, rows)
        which = below(uniform[:, 0], len(policies))
        for k, turn in enumerate(_turns(uniform[:, 1:], 2)):
            names, p, levels = zip(*(sub[k] for sub in policies), strict=True)
            choice = np.array([number_of[name] for name in names])[which]
            choice = np.where(turn[:, 1] <= np.array(p)[which], choice, -1)
            most = TIMM_LEVELS if timm else 9
            level = _noisy(
                np.array(levels)[which], self.magnitude_std, most, turn, always_normal=True
            )
            _carry_out(draft, rows, entries, choice, level, turn, bins=10)


@dataclass(frozen=True)
class AugMix(Op):
    """Chains of operations, blended with each other and with the image (Hendrycks et al. 2020).

    m₀ · image + m₁ · Σ wᵢ · chainᵢ with (m₀, m₁) and w drawn from Dirichlet(alpha, …). severity:
    torchvision: a bin below it, of 10; timm: a level up to it, of 10. chain_depth: operations in a
    chain; −1: 1 to 3. all_ops: brightness, colour, contrast and sharpness too (torchvision).
    No op on the image may follow, since the chains are layers by then.
    """

    severity: int = 3
    mixture_width: int = 3
    chain_depth: int = -1
    alpha: float = 1.0
    all_ops: bool = True
    interpolation: str | None = None
    fill: Any = None
    _: KW_ONLY
    dialect: str = "torchvision"
    stages = (VIEW, LAYER)

    def __post_init__(self):
        _check_shared(self)
        _level("AugMix.severity", self.severity, 10, self.dialect, least=1)
        if self.dialect == "torchvision":
            _check_count("AugMix.severity", self.severity, 1, 10)
        _check_count("AugMix.mixture_width", self.mixture_width, 1, 64)
        if self.chain_depth != -1:
            _check_count("AugMix.chain_depth", self.chain_depth, 1, 64)
        self._set(alpha=number("AugMix.alpha", self.alpha, 1e-3, 1e3))
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
            uniform = draft.uniform(place + 1 + k, 1 + _TURN * longest, rows)
            depth = 1 + below(uniform[:, 0], 3) if self.chain_depth == -1 else longest
            for t, turn in enumerate(_turns(uniform[:, 1:], longest)):
                choice = np.where(t < depth, below(turn[:, 0], len(entries)), -1)
                level = self.severity * turn[:, 3] if timm else below(turn[:, 3], self.severity)
                _carry_out(draft, chain, entries, choice, level, turn, bins=10)
            chains.append(chain)
        draft.overlay(rows, np.stack(chains, axis=1), shares)


@dataclass(frozen=True)
class ThreeAugment(Op):
    """One of solarize, grey and Gaussian blur (DeiT III's 3-Augment, Touvron et al. 2022; timm's `3a`).

    threshold: of solarize, 0 … 256. sigma: of the blur, in pixels (timm's radius).
    """

    threshold: float = 128
    sigma: Any = (0.1, 2.0)

    def __post_init__(self):
        self._set(
            threshold=number("ThreeAugment.threshold", self.threshold, 0, 256),
            sigma=one_or_interval("ThreeAugment.sigma", self.sigma, 0, 1e3),
        )

    def _decide(self, draft, rows, place):
        uniform = draft.uniform(place, 3, rows)
        strength = draft.strength[rows]
        choice = below(uniform[:, 0], 3)
        darker, drained, blurred = (choice == k for k in range(3))
        threshold = pulled(self.threshold, 256, strength[darker])
        actions.solarize(draft, rows[darker], threshold)
        actions.grey(draft, rows[drained & (uniform[:, 2] < strength)])
        sigma = magnitude(uniform[:, 1], self.sigma, 0, strength)
        actions.blur(draft, rows[blurred], sigma[blurred])


@dataclass(frozen=True)
class UniformAugment(Op):
    """num_ops operations with uniform magnitudes, each with a probability that is uniform as well
    (LingChen et al. 2020), on Fast AutoAugment's ranges. Its Cutout is an op of its own: `Cutout`."""

    num_ops: int = 2
    interpolation: str | None = None
    fill: Any = None

    def __post_init__(self):
        _check_shared(self)
        _check_count("UniformAugment.num_ops", self.num_ops, 0, 64)

    def _decide(self, draft, rows, place):
        entries = [*spaces.UNIFORM_AUGMENT.values()]
        for turn in _turns(draft.uniform(place, _TURN * self.num_ops, rows), self.num_ops):
            choice = np.where(turn[:, 1] < turn[:, 4], below(turn[:, 0], len(entries)), -1)
            _carry_out(draft, rows, entries, choice, turn[:, 3], turn)


@dataclass(frozen=True)
class FixMatchAugment(Op):
    """The RandAugment of FixMatch's strong view (Sohn et al. 2020; ranges as in USB): num_ops
    operations, each at a uniform magnitude. `presets.fixmatch` adds its crop, flip and Cutout."""

    num_ops: int = 2
    interpolation: str | None = None
    fill: Any = None

    def __post_init__(self):
        _check_shared(self)
        _check_count("FixMatchAugment.num_ops", self.num_ops, 0, 64)

    def _decide(self, draft, rows, place):
        entries = [*spaces.FIX_MATCH.values()]
        for turn in _turns(draft.uniform(place, _TURN * self.num_ops, rows), self.num_ops):
            choice = below(turn[:, 0], len(entries))
            _carry_out(draft, rows, entries, choice, turn[:, 3], turn)


def _turns(uniform, count: int):
    """[count, n, 6]: the draws of each turn."""
    return uniform[:, : _TURN * count].reshape(len(uniform), count, _TURN).transpose(1, 0, 2)


def _entries(space, names):
    return [space[name] for name in names]


def _noisy(level, std: float, most: float, turn, always_normal=False):
    """[n] levels, spread about `level` and cut to [0, most]; above 100 uniform, unless `always_normal`."""
    if std == 0:
        level = np.clip(np.broadcast_to(level, len(turn)), 0, most)
        whole_ = (level == np.round(level)).all()
        return level.astype(np.int64) if whole_ else level
    if std > 100 and not always_normal:
        return np.clip(level * turn[:, 3], 0, most)
    return np.clip(level + std * normal(turn[:, 3], turn[:, 4]), 0, most)


def _carry_out(draft, rows, entries, choice, level, turn, bins=None):
    """For each row the entry that it chose (−1: none), at its level.

    turn: [n, 6] draws; 2 is the sign's, and 5 decides, under a strength below 1, whether an operation
    without a magnitude happens.
    """
    sign = np.where(turn[:, 2] <= 0.5, -1.0, 1.0)
    strength, frame = draft.strength[rows], draft.frame[rows]
    weaker = (strength < 1).any()
    # Sorted by choice, so that each entry's rows lie together.
    order = np.argsort(choice, kind="stable")
    ends = np.searchsorted(choice[order], np.arange(len(entries) + 1))
    told: list[tuple] = []
    for entry, begin, end in zip(entries, ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        if entry.act is None or begin == end:
            continue
        now = order[begin:end]
        if entry.value is None:
            told.append((entry.act, rows[now[turn[now, 5] < strength[now]]], ()))
            continue
        value = entry.value(level[now], bins, sign[now], frame[now])
        if weaker:
            weaker_value = pulled(value, entry.neutral, strength[now])
            weaker_value = np.round(weaker_value) if entry.whole else weaker_value
            value = np.where(strength[now] < 1, weaker_value, value)
        told.append((entry.act, rows[now], (value,)))
    actions.carry_out(draft, told)


def _check_shared(op):
    """dialect, interpolation and fill."""
    name = type(op).__name__
    dialect = getattr(op, "dialect", None)
    if dialect not in (None, *DIALECTS):
        raise ValueError(
            f"{name}.dialect: got {dialect!r}, expected one of {', '.join(DIALECTS)}. Pass one of "
            "these."
        )
    fill = 128 if op.fill is None and dialect == "timm" else op.fill
    op._set(
        interpolation=interpolation_name(name, op.interpolation), fill=colour(f"{name}.fill", fill)
    )


def _check_count(where: str, value, least: int, most: int):
    if not whole(value) or not least <= value <= most:
        raise ValueError(
            f"{where}: got {value!r}, expected a whole number {least} … {most}. Pass one of these."
        )


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
    given = op.weights.items() if isinstance(op.weights, Mapping) else op.weights
    space = spaces.TIMM if op.dialect == "timm" else spaces.RAND_AUGMENT
    pairs = tuple((name, number("RandAugment.weights", weight, 0)) for name, weight in given)
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
