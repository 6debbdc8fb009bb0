"""Transfer learning: a pretrained body under a new head, frozen or at a low learning rate.

    loss = −Σ y · log softmax(head(body(x)))

The embedded default needs no hub: a body learns the digits 0–4 from all their labels and is carried
over to 5–9, of which few are labelled.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated

from torch import nn

from ..checks import number, whole_number
from . import models
from .answers import accuracy
from .batches import Samples
from .data import Data
from .fit import Fit
from .losses import cross_entropy
from .policies import training_policy
from .run import Run
from .settings import LARGEST, Settings
from .supervised import supervised

MOST_GRID = 32
KNOWN_DIGITS, NEW_DIGITS = "0-4", "5-9"


@dataclass(frozen=True, kw_only=True)
class Finetune(Settings):
    """The settings of transfer learning; raises as `Settings` does."""

    epochs: Annotated[int, "Passes over the labelled images."] = 100
    batch_size: Annotated[int, "Images in a batch, of all processes together."] = 32
    evaluate_every: Annotated[int, "Epochs between evaluations and checkpoints."] = 10
    model: Annotated[
        str,
        "The model: NAME (random weights), pretrained:NAME (such as efficientnet_lite0, whose weights an "
        "installed package has, or any of timm's from a hub), NAME@FILE, or a run's folder or file. Default: "
        "pretrained:resnet50; for digits a body that learns 0-4 first.",
    ] = ""
    frozen: Annotated[
        bool, "Train the head alone; BatchNorm's statistics of the body stay too."
    ] = False
    head_lr: Annotated[float, "The highest learning rate while the head alone is trained."] = 1e-2
    head_epochs: Annotated[
        int, "Passes that train the head alone before the whole model is (Kumar et al. 2022)."
    ] = 0
    body_lr: Annotated[float, "The body's learning rate, as a share of --lr."] = 0.1
    layer_decay: Annotated[
        float, "The learning rate of a layer, as a share of the next one's. 1: all alike."
    ] = 1.0
    body_epochs: Annotated[int, "Passes over the digits 0-4, for the default body."] = 20
    grid: Annotated[
        int,
        "The head sees the mean of the body's last map in each of this many times this many parts of the "
        "picture. 1: over the whole picture, as pretrained heads do. A frozen body of small images wants 4.",
    ] = 1
    dropout: Annotated[float, "The share of features that is dropped before the head."] = 0.0
    drop_path: Annotated[float, "The rate of stochastic depth."] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number("body_epochs", self.body_epochs, 1, LARGEST)
        whole_number("head_epochs", self.head_epochs, 0, LARGEST)
        number("head_lr", self.head_lr, 0)
        whole_number("grid", self.grid, 1, MOST_GRID)
        for name in ("body_lr", "layer_decay", "dropout", "drop_path"):
            number(name, getattr(self, name), 0, 1)
        if self.frozen and self.model and models.is_random(self.model):
            raise ValueError(
                f"finetune: got --frozen with {self.model}, whose weights are random. A head on a random body "
                "learns from features that mean nothing, so its accuracy says nothing of the model. "
                "Pass pretrained:NAME or a file of weights, or leave --frozen out."
            )


def run(settings: Finetune, *, resume: bool = False) -> dict[str, float]:
    """Train as the settings say.

    Args:
        settings: Settings of the run.
        resume: Whether the run in the settings' folder goes on.

    Returns:
        What results.json holds: the model's accuracy on the test images.
    """
    run = Run(settings, "finetune", resume=resume)
    spec = settings.model
    if not spec and settings.data == "digits":
        settings = dataclasses.replace(settings, classes=settings.classes or NEW_DIGITS)
        spec = _train_body(run, settings)
    spec = spec or "pretrained:resnet50"
    data = run.data(settings, spec)
    if settings.head_epochs and not settings.frozen:
        # A new head on a whole model at once would first bend the body to its random weights.
        _train(run, "head", settings, data, spec, frozen=True, epochs=settings.head_epochs)
        spec = str(run.stage("head"))
    model = _train(
        run, "model", settings, data, spec, frozen=settings.frozen, epochs=settings.epochs
    )
    results = {"accuracy": accuracy(run, model, data)}
    run.close(model, results)
    return results


def _train_body(run: Run, settings: Finetune) -> str:
    """Train a body on other digits, with all their labels. Returns its folder."""
    data = run.data(dataclasses.replace(settings, classes=KNOWN_DIGITS, labels=0))
    policy = training_policy(settings.policy, data)
    supervised(
        run, "body", data, "digitnet_16", Samples.labelled(data), policy, epochs=settings.body_epochs
    )  # fmt: skip
    return str(run.stage("body"))


def _train(
    run: Run, stage: str, settings: Finetune, data: Data, spec: str, *, frozen: bool, epochs: int
) -> nn.Module:
    """Train a stage, unless it is finished: the head alone where the body is frozen, or all."""
    finished = run.model(stage, data)
    if finished is not None:
        return finished
    run.seed(stage)
    model = models.create(
        spec, classes=len(data.classes), channels=data.channels,
        dropout=settings.dropout, drop_path=settings.drop_path, grid=settings.grid,
    )  # fmt: skip
    if frozen:
        models.freeze(model)
        models.head(model).requires_grad_(True)
    groups = models.parameter_groups(
        model,
        settings.head_lr if frozen else settings.lr,
        settings.weight_decay,
        # A model from random weights has no body to be careful with.
        body=1.0 if models.is_random(spec) else settings.body_lr,
        layer_decay=settings.layer_decay,
    )
    loader = run.loader(Samples.labelled(data), training_policy(settings.policy, data))
    fit = Fit(
        run, stage, model, groups, steps=loader.steps, epochs=epochs, data=data,
    )  # fmt: skip
    for epoch in fit.epochs():
        if frozen:
            # BatchNorm's statistics, dropout and stochastic depth of the body rest.
            fit.raw_model.eval()
        for part in loader.epoch(epoch):
            run.sheet(stage, [("seen", part.batch)])
            logits = fit.model(part.batch.images)
            fit.step(part.mean(cross_entropy(logits, part.labels)))
    return fit.finish()
