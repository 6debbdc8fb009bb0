"""Transfer learning: a pretrained body under a new head, frozen or at a low learning rate.

    loss = −Σ y · log softmax(head(body(x)))

The embedded default needs no hub: a body learns the digits 0–4 from all their labels and is carried
over to 5–9, of which few are labelled.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any

from ..checks import number, whole_number
from . import models
from .answers import accuracy
from .batches import Samples
from .data import Data
from .fit import Fit
from .losses import cross_entropy
from .policies import named
from .run import Run
from .settings import Settings
from .supervised import supervised

KNOWN_DIGITS, NEW_DIGITS = "0-4", "5-9"


@dataclass(frozen=True, kw_only=True)
class Finetune(Settings):
    epochs: Annotated[int, "Passes over the labelled images."] = 100
    batch_size: Annotated[int, "Of all processes together."] = 32
    evaluate_every: Annotated[int, "Epochs between evaluations and checkpoints."] = 10
    model: Annotated[
        str,
        "NAME (random weights), pretrained:NAME, NAME@FILE, or a run's folder or file. Default: "
        "pretrained:resnet50; for digits a body that learns 0-4 first.",
    ] = ""
    frozen: Annotated[bool, "Train the head alone; BatchNorm's statistics stay too."] = False
    head_lr: Annotated[float, "The highest learning rate while the head alone is trained."] = 1e-2
    head_epochs: Annotated[
        int, "Passes that train the head alone before the whole model is (Kumar et al. 2022)."
    ] = 0
    body_lr: Annotated[float, "The body's learning rate, as a share of --lr."] = 0.1
    layer_decay: Annotated[float, "What a layer has of the next one's rate. 1: all alike."] = 1.0
    body_epochs: Annotated[int, "Passes over the digits 0-4, for the default body."] = 20
    dropout: Annotated[float, "Before the head."] = 0.0
    drop_path: Annotated[float, "Stochastic depth."] = 0.0

    def __post_init__(self):
        super().__post_init__()
        whole_number("body_epochs", self.body_epochs, 1, 2**31 - 1)
        whole_number("head_epochs", self.head_epochs, 0, 2**31 - 1)
        number("head_lr", self.head_lr, 0)
        for name in ("body_lr", "layer_decay", "dropout", "drop_path"):
            number(name, getattr(self, name), 0, 1)
        if self.frozen and self.model and models.is_random(self.model):
            raise ValueError(
                f"finetune: got --frozen with {self.model}, whose weights are random. A head on a random body "
                "learns from features that mean nothing, so its accuracy says nothing of the model. "
                "Pass pretrained:NAME or a file of weights, or leave --frozen out."
            )


def run(settings: Finetune, *, resume: bool = False) -> dict[str, Any]:
    """Train as told; returns what results.json holds."""
    this = Run(settings, "finetune", resume=resume)
    what = settings.model
    if not what and settings.data == "digits":
        settings = dataclasses.replace(settings, classes=settings.classes or NEW_DIGITS)
        what = _learned_body(this, settings)
    what = what or "pretrained:resnet50"
    data = this.data(settings)
    if settings.head_epochs and not settings.frozen:
        # A new head on a whole model at once would first bend the body to its random weights.
        _train(this, "head", settings, data, what, frozen=True, epochs=settings.head_epochs)
        what = str(this.stage("head"))
    model = _train(
        this, "model", settings, data, what, frozen=settings.frozen, epochs=settings.epochs
    )
    return this.close(model, {"accuracy": accuracy(this, model, data)})


def _learned_body(this: Run, settings: Finetune) -> str:
    """A body that has learned other digits, from all their labels: where it lies."""
    data = this.data(dataclasses.replace(settings, classes=KNOWN_DIGITS, labels=0))
    samples = Samples.of(data, data.labelled, data.rows(data.labelled))
    supervised(
        this, "body", data, "digitnet_16", samples, named(settings.policy, data),
        epochs=settings.body_epochs,
    )  # fmt: skip
    return str(this.stage("body"))


def _train(
    this: Run, stage: str, settings: Finetune, data: Data, what: str, *,
    frozen: bool, epochs: int,
):  # fmt: skip
    """A stage, unless it is finished: the head alone, or all of the model."""
    done = this.model(stage, data)
    if done is not None:
        return done
    this.seed(stage)
    model = models.create(
        what, classes=len(data.classes), channels=data.channels,
        dropout=settings.dropout, drop_path=settings.drop_path,
    )  # fmt: skip
    if frozen:
        models.frozen(model)
        models.head(model).requires_grad_(True)
    groups = models.groups(
        model,
        settings.head_lr if frozen else settings.lr,
        settings.weight_decay,
        # A model from random weights has no body to be careful with.
        body=1.0 if models.is_random(what) else settings.body_lr,
        layer_decay=settings.layer_decay,
    )
    samples = Samples.of(data, data.labelled, data.rows(data.labelled))
    loader = this.loader(samples, named(settings.policy, data))
    fit = Fit(
        this, stage, model, groups, steps=loader.steps, epochs=epochs,
        test=lambda m: accuracy(this, m, data),
    )  # fmt: skip
    for epoch in fit.epochs():
        if frozen:
            fit.bare.eval()  # BatchNorm's statistics, dropout and stochastic depth of the body rest
        for part in loader.epoch(epoch):
            this.sheet(stage, [("seen", part.batch)])
            logits = fit.model(part.batch.images)
            fit.step(part.mean(cross_entropy(logits, part.batch.labels)))
    return fit.finish()
