"""Pseudo-labelling: learn from the labelled, label the rest, learn from both (Lee 2013).

    loss = −Σ y · log softmax(model(x)),  y a label or the model's own earlier answer

Labels are hard or soft, above a threshold of confidence, balanced over classes. `--online` is
FixMatch, which labels while it learns; `--weights softmatch --align` is SoftMatch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..checks import number, whole_number
from .answers import accuracy
from .batches import Samples
from .confidence import THRESHOLD, WEIGHTS
from .fixmatch import fixmatch
from .policies import training_policy
from .pseudo import student_samples
from .run import Results, Run
from .settings import LARGEST, Settings
from .supervised import supervised


@dataclass(frozen=True, kw_only=True)
class PseudoLabel(Settings):
    """The settings of pseudo-labelling and FixMatch; raises as `Settings` does."""

    model: Annotated[str, "The model, as --model of finetune."] = "digitnet_16"
    rounds: Annotated[int, "How often the unlabelled images are labelled."] = 1
    first_epochs: Annotated[
        int, "Passes over the labelled images alone, before the first round."
    ] = 200
    threshold: Annotated[float, "The least confidence of an answer that becomes a label."] = 0.8
    soft: Annotated[bool, "Learn from the answer's distribution, not from its class."] = False
    balance: Annotated[bool, "Take as many samples of each class."] = True
    repeat: Annotated[int, "How often labelled images come in a pass over both."] = 4
    online: Annotated[bool, "FixMatch: weak views label, strong views learn."] = False
    ratio: Annotated[int, "FixMatch: unlabelled images for each labelled one."] = 4
    unlabelled_weight: Annotated[float, "FixMatch: the weight of the unlabelled loss."] = 1.0
    weights: Annotated[
        str,
        "FixMatch: threshold counts an answer or not; softmatch weighs all by their confidence, with a "
        "moving mean and variance and no --threshold (Chen et al. 2023).",
    ] = THRESHOLD
    align: Annotated[
        bool,
        "FixMatch: give the classes of the answers the shares that the labels' have (ReMixMatch); with "
        "softmatch even ones, for the weights alone.",
    ] = False
    momentum: Annotated[
        float,
        "FixMatch: the decay a step of softmatch's mean and variance and of the answers that --align "
        "looks at. The published 0.999 is for a million steps; for a thousand, 0.99.",
    ] = 0.999

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("rounds", "first_epochs", "repeat", "ratio"):
            whole_number(name, getattr(self, name), 1, LARGEST)
        number("threshold", self.threshold, 0, 1)
        number("unlabelled_weight", self.unlabelled_weight, 0)
        number("momentum", self.momentum, 0, 1)
        self.check_choice("weights", WEIGHTS)
        if not self.online and (self.align or self.weights != THRESHOLD):
            raise ValueError(
                "pseudo label: got --align or --weights softmatch without --online, whose answers they are "
                "about. Pass --online, or leave them out."
            )


def run(settings: PseudoLabel, *, resume: bool = False) -> Results:
    """Train as the settings say.

    Args:
        settings: Settings of the run.
        resume: Whether the run in the settings' folder goes on.

    Returns:
        What results.json holds: accuracies on the test images, and figures of each round's labels.
    """
    run = Run(settings, "pseudo-label", resume=resume)
    data = run.data(settings, settings.model)
    policy = training_policy(settings.policy, data)
    results: Results = {}
    if settings.online:
        model = fixmatch(
            run, "fixmatch", data, settings.model, policy, threshold=settings.threshold,
            ratio=settings.ratio, unlabelled_weight=settings.unlabelled_weight,
            weights=settings.weights, align=settings.align, momentum=settings.momentum,
            soft=settings.soft,
        )  # fmt: skip
    else:
        model = supervised(
            run, "labelled", data, settings.model, Samples.labelled(data), policy,
            epochs=settings.first_epochs,
        )  # fmt: skip
        results["labelled_only"] = accuracy(run, model, data)
        for round_number in range(1, settings.rounds + 1):
            stage = f"round-{round_number}"
            samples, figures = student_samples(
                run, stage, model, data, threshold=settings.threshold, balance=settings.balance,
                soft=settings.soft, repeat=settings.repeat,
            )  # fmt: skip
            model = supervised(run, stage, data, settings.model, samples, policy)
            results[stage] = {"accuracy": accuracy(run, model, data), **figures}
    results["accuracy"] = accuracy(run, model, data)
    run.close(model, results)
    return results
