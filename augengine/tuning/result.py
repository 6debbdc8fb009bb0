"""What tuning found: `TuneResult`, and the comparisons that it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..policy.policy import Policy
from . import report
from .arms import Arm, EngineStrength
from .halving import Rung
from .prune import Pruned
from .scores import Difference
from .split import Split

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Effect:
    """What one operation does.

    Args:
        name: Name of the operation.
        alone: What it adds to a training without augmentation, in log-likelihood; None where the
            training without it was not done.
        within: What the chosen policy loses without it, or where none was chosen, the best other; None where
            it is no part of that.
    """

    name: str
    alone: Difference | None
    within: Difference | None

    @property
    def harms(self) -> bool:
        """Whether the policy is better without it, not by chance."""
        return self.within is not None and self.within.below

    @property
    def verdict(self) -> str:
        """helps, harms, both (by the company that it has), or not clear."""
        known = [one for one in (self.alone, self.within) if one is not None]
        helps, harms = any(one.above for one in known), any(one.below for one in known)
        if helps and harms:
            return "both"
        return "helps" if helps else "harms" if harms else "not clear"


@dataclass(frozen=True)
class Comparison:
    """The chosen arm beside another, on the outer part.

    Args:
        other: Arm that it is compared with.
        why: What that arm is to the user: the default, no augmentation, …
        log_likelihood: By how much the chosen one is above.
        accuracy: Likewise, in [−1, 1]; None where nobody said what was right.
    """

    other: Arm
    why: str
    log_likelihood: Difference
    accuracy: Difference | None

    @property
    def better(self) -> bool:
        """Whether the chosen one gains, not by chance, and no accuracy is lost for it."""
        return self.log_likelihood.above and (self.accuracy is None or self.accuracy.mean >= 0)

    @property
    def worse(self) -> bool:
        """Whether it loses, not by chance."""
        return self.log_likelihood.below


@dataclass(frozen=True, repr=False)
class TuneResult:
    """Which policy to train with, how strong, and why. `print(result)` says it in words.

    `Engine(result.policy, strength=result.strength)` augments so; `result.to_yaml()` says both in one
    policy.

    Args:
        chosen: Arm that was chosen on the inner part.
        default: Arm that it has to beat.
        rungs: What each rung of the halving gave.
        effects: What single operations do.
        comparisons: The chosen arm beside the default, and others, on the outer part.
        split: Which samples were for what.
        seeds: Number of seeds of each arm on the outer part.
        seed: Seed of it all.
        pruned: Policies that were not tried, since a plainly trained model is at chance under them.
        mended: The chosen arm where its policy is one of those that were given without what harms; else None.
        proven: Of few samples, the arm that was chosen without each fold, which that fold proves; else empty.
    """

    chosen: Arm
    default: Arm
    rungs: tuple[Rung[Arm], ...]
    effects: tuple[Effect, ...]
    comparisons: tuple[Comparison, ...]
    split: Split
    seeds: int
    seed: int
    pruned: tuple[Pruned, ...] = ()
    mended: Arm | None = None
    proven: tuple[Arm, ...] = ()

    @property
    def better(self) -> bool:
        """Whether the chosen arm beats the default on samples that no choice has seen."""
        return self.gain.better

    @property
    def gain(self) -> Comparison:
        """The chosen arm beside the default."""
        return self.comparisons[0]

    @property
    def arm(self) -> Arm:
        """What to use: the chosen arm where it is better, else the default."""
        return self.chosen if self.better else self.default

    @property
    def policy(self) -> Policy:
        """The policy to use, at full strength."""
        return self.arm.policy

    @property
    def strength(self) -> EngineStrength:
        """How strong: what `Engine(strength=…)` takes."""
        return self.arm.strength

    @property
    def table(self) -> tuple[report.Row, ...]:
        """The arms, those that went furthest first, and of these the best first."""
        return report.rows(self)

    def to_yaml(self) -> str:
        """The policy to use at its strength, as `Policy.from_yaml` reads it."""
        return self.arm.scaled.to_yaml()

    def to_json(self) -> str:
        """All figures, as JSON. They have no times in them: the same run gives the same text."""
        return report.to_json(self)

    def to_markdown(self) -> str:
        """The tables and sentences, for a page."""
        return report.to_markdown(self)

    def print(self, console: Console | None = None) -> None:
        """Print the tables and sentences.

        Args:
            console: Console of rich; None is a new one.
        """
        report.print_result(self, console)

    def __str__(self) -> str:
        return report.to_text(self)

    def __repr__(self) -> str:
        return f"TuneResult({self.arm.name!r}, better={self.better}, {len(self.table)} arms)"
