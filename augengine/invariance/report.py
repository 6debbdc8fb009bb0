"""What a check of labels found: `LabelReport`, in words, as JSON, as pictures."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .intervals import Interval
from .judge import BREAKS, Confusion

if TYPE_CHECKING:
    from rich.console import Console

NAMED = 3  # pairs of classes that a verdict names


@dataclass(frozen=True)
class Learned:
    """What a net tells that has learned an operation, on half of the images.

    Args:
        steps: Number of batches that it has learned with the operation.
        strength: Strength at which it has learned it.
        augmented: Accuracy on augmented held-out images.
        plain: Accuracy on plain ones.
    """

    steps: int
    strength: float
    augmented: Interval
    plain: Interval


@dataclass(frozen=True)
class Finding:
    """What was found of one operation at one strength.

    Args:
        op: How the policy says the operation.
        strength: Strength in (0, 1]: the share of its magnitude, or of the images that meet an operation
            without one.
        drawn: Share of images that meet it under the policy.
        accuracy: Accuracy of the plain model on images that all meet it.
        confidence: Mean probability of the right class.
        fall: How much less the plain model tells of them than of plain ones.
        learned: What a net tells that has learned the operation; None where the plain net of the check tells
            enough for a verdict.
        remains: How much less is told then, of plain or augmented images, than a plain net tells of plain ones.
        confusions: Pairs of classes that are mixed up, the worst first; empty unless labels break.
        verdict: "safe", "harder", "breaks labels" or "not enough images to tell".
    """

    op: str
    strength: float
    drawn: float
    accuracy: Interval
    confidence: float
    fall: Interval
    learned: Learned | None
    remains: Interval
    confusions: tuple[Confusion, ...]
    verdict: str

    @property
    def words(self) -> str:
        """The verdict, with the classes that are mixed up."""
        if self.verdict != BREAKS:
            return self.verdict
        pairs = [str(pair) for pair in self.confusions[:NAMED]]
        more = len(self.confusions) - len(pairs)
        if not pairs:
            return f"{BREAKS}: of many classes"
        return f"{BREAKS}: {', '.join(pairs)}" + (f" and {more} more" if more else "")


@dataclass(frozen=True, eq=False)
class Worst:
    """A held-out image that the plain model takes for another class once it is augmented.

    Args:
        op: How the policy says the operation.
        image: Name of the image.
        label: Name of its class.
        answer: Name of the class that the model says.
        confidence: Probability that the model gives it.
        words: What was done to the image, as its plan says it.
        original: uint8 (H, W, 3).
        augmented: uint8 (h, w, 3), as the model sees it.
    """

    op: str
    image: str
    label: str
    answer: str
    confidence: float
    words: str
    original: np.ndarray = field(repr=False)
    augmented: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class LabelReport:
    """What `check_labels` found. `print(report)` says it in words.

    Args:
        data: Name of the data, or its folder.
        policy: Name of the policy.
        model: The plain model, whose falls are measured.
        net: The net that is trained for the verdicts.
        classes: Names of the classes.
        trained_on: Number of images that nets learn.
        held_out: Number of images that are asked about, none of which is learned.
        draws: Number of augmented draws of each.
        steps: Number of batches of one learning.
        seed: Seed.
        plain: Accuracy of the plain model on plain held-out images.
        level: Accuracy of the check's own plain net, with which nets that have learned an operation compare.
        chance: Accuracy of who always answers the commonest class.
        smallest_confusion: Smallest share of two classes' images that would be seen to be mixed up.
        findings: What was found, operation by operation, from the weakest strength up.
        unchecked: Name and reason of each operation that is not checked.
        damaged: Name and reason of each image that could not be decoded.
        note: Why no verdict is given, or None.
        warning: What makes the verdicts less sure, or None.
        worst: Images that the plain model takes for other classes, operation by operation.
    """

    data: str
    policy: str
    model: str
    net: str
    classes: tuple[str, ...]
    trained_on: int
    held_out: int
    draws: int
    steps: int
    seed: int
    plain: Interval
    level: Interval
    chance: float
    smallest_confusion: float
    findings: tuple[Finding, ...]
    unchecked: tuple[tuple[str, str], ...]
    damaged: tuple[tuple[str, str], ...]
    note: str | None
    warning: str | None
    worst: tuple[Worst, ...]

    @property
    def broken(self) -> list[str]:
        """The operations that break labels at some strength that was checked."""
        names = [finding.op for finding in self.findings if finding.verdict == BREAKS]
        return list(dict.fromkeys(names))

    def verdict(self, op: str) -> str:
        """The verdict of an operation at its greatest strength, with the classes that are mixed up.

        Args:
            op: How the policy says it, or the beginning of that.

        Raises:
            KeyError: When no operation is called so.
        """
        of_op = [finding for finding in self.findings if finding.op.startswith(op)]
        if not of_op:
            raise KeyError(f"check: got {op}, expected one of {[f.op for f in self.findings]}.")
        strongest = max(finding.strength for finding in of_op)
        return next(finding for finding in of_op if finding.strength == strongest).words

    def to_json(self) -> str:
        """All of it but the pixels, as JSON; the same command gives the same text."""
        content = {
            entry.name: getattr(self, entry.name)
            for entry in dataclasses.fields(self)
            if entry.name not in ("findings", "worst")
        }
        for name in ("plain", "level"):
            content[name] = getattr(self, name)._asdict()
        content["findings"] = [_plain(finding) for finding in self.findings]
        pixels = ("original", "augmented")
        content["worst"] = [
            {k: v for k, v in vars(worst).items() if k not in pixels} for worst in self.worst
        ]
        return json.dumps(content, indent=1, ensure_ascii=False)

    def plot(self, file: Path | str) -> None:
        """Draw accuracy over strength, a panel for each operation; write the whole file or none.

        Args:
            file: PNG file that is written.
        """
        from .plot import draw_curves

        draw_curves(self, Path(file))

    def plot_worst(self, file: Path | str) -> None:
        """Draw the images that the plain model takes for other classes: as they are, and augmented.

        Args:
            file: PNG file that is written.
        """
        from .plot import draw_worst

        draw_worst(self, Path(file))

    def print(self, console: Console | None = None) -> None:
        """Print the table and what it rests on.

        Args:
            console: Console of rich; None is a new one.
        """
        from .table import show

        show(self, console)

    def __str__(self) -> str:
        from .table import text

        return text(self)


def _plain(finding: Finding) -> dict[str, object]:
    content = dataclasses.asdict(finding) | {"words": finding.words}
    for name in ("accuracy", "fall", "remains"):
        content[name] = getattr(finding, name)._asdict()
    if finding.learned is not None:
        for name in ("augmented", "plain"):
            content["learned"][name] = getattr(finding.learned, name)._asdict()
    content["confusions"] = [
        pair._asdict() | {"excess": pair.excess._asdict()} for pair in finding.confusions
    ]
    return content
