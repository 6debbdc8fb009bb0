"""Pseudo-labelling: learn from the labelled, label the rest, learn from both (Lee 2013).

    loss = −Σ y · log softmax(model(x)),  y a label or the model's own earlier answer

Labels are hard or soft, above a threshold of confidence, balanced over classes. `--online` is
FixMatch, which labels while it learns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from ..checks import number, whole_number
from . import fixmatch
from .answers import accuracy
from .batches import Samples
from .policies import named
from .pseudo import with_labels_of
from .run import Run
from .settings import Settings
from .supervised import supervised


@dataclass(frozen=True, kw_only=True)
class PseudoLabel(Settings):
    model: Annotated[str, "As --model of finetune."] = "digitnet_16"
    rounds: Annotated[int, "How often the unlabelled images are labelled."] = 1
    first_epochs: Annotated[int, "Passes over the labelled images alone, before that."] = 200
    threshold: Annotated[float, "Least confidence of an answer that is kept."] = 0.8
    soft: Annotated[bool, "Learn from the answer's distribution, not from its class."] = False
    balance: Annotated[bool, "As many samples of each class."] = True
    repeat: Annotated[int, "How often labelled images come in a pass over both."] = 4
    online: Annotated[bool, "FixMatch: weak views label, strong views learn."] = False
    ratio: Annotated[int, "FixMatch: unlabelled images for each labelled one."] = 4
    unlabelled_weight: Annotated[float, "FixMatch: of the unlabelled loss."] = 1.0

    def __post_init__(self):
        super().__post_init__()
        for name in ("rounds", "first_epochs", "repeat", "ratio"):
            whole_number(name, getattr(self, name), 1, 2**31 - 1)
        number("threshold", self.threshold, 0, 1)
        number("unlabelled_weight", self.unlabelled_weight, 0)


def run(settings: PseudoLabel, *, resume: bool = False) -> dict[str, Any]:
    """Train as told; returns what results.json holds."""
    this = Run(settings, "pseudo-label", resume=resume)
    data = this.data(settings)
    if settings.online:
        model = fixmatch.train(this, "fixmatch", settings, data)
        return this.close(model, {"accuracy": accuracy(this, model, data)})
    policy = named(settings.policy, data)
    labelled = Samples.of(data, data.labelled, data.rows(data.labelled))
    model = supervised(
        this, "labelled", data, settings.model, labelled, policy, epochs=settings.first_epochs
    )
    results: dict[str, Any] = {"labelled_only": accuracy(this, model, data)}
    for number_ in range(1, settings.rounds + 1):
        stage = f"round-{number_}"
        both, told = with_labels_of(this, stage, model, data, settings)
        model = supervised(this, stage, data, settings.model, both, policy)
        results[stage] = {"accuracy": accuracy(this, model, data), **told}
    results["accuracy"] = accuracy(this, model, data)
    return this.close(model, results)
