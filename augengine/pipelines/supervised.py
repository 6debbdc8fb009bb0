"""Learning from labels, hard or soft: what the methods that need a first model begin with.

loss = −Σ y · log softmax(model(x))
"""

from __future__ import annotations

from functools import partial

from torch import nn

from ..loading.batch import Batch
from ..loading.engine import Engine
from ..policy.policy import Policy
from . import models
from .batches import Part, Samples
from .data import Data
from .fit import Fit
from .losses import cross_entropy
from .pictures import SHOWN, BatchSource
from .run import Run


def supervised(
    run: Run,
    stage: str,
    data: Data,
    spec: str,
    samples: Samples,
    policy: Policy,
    *,
    epochs: int | None = None,
    dropout: float = 0.0,
    drop_path: float = 0.0,
    teacher_policy: Policy | None = None,
) -> nn.Module:
    """Train a model on samples with label rows. A stage that is finished is not trained again.

    Args:
        run: Run that the stage belongs to.
        stage: Name of the stage.
        data: Data set, for classes and evaluations.
        spec: Model, as `models.create` takes it.
        samples: Samples that are learned.
        policy: Policy that augments the images.
        epochs: Passes over the samples; by default those of the run's settings.
        dropout: As of `models.create`.
        drop_path: As of `models.create`.
        teacher_policy: Policy under which a teacher labelled the samples. It adds a row to the
            contact sheet.

    Returns:
        The trained model, frozen.
    """
    finished = run.model(stage, data)
    if finished is not None:
        return finished
    run.seed(stage)
    model = models.create(
        spec, classes=len(data.classes), channels=data.channels,
        dropout=dropout, drop_path=drop_path,
    )  # fmt: skip
    loader = run.loader(samples, policy)
    fit = Fit(
        run, stage, model, models.parameter_groups(model, run.settings.lr, run.settings.weight_decay),
        steps=loader.steps, epochs=epochs, data=data,
    )  # fmt: skip
    for epoch in fit.epochs():
        for part in loader.epoch(epoch):
            rows: list[tuple[str, BatchSource]] = [
                ("student" if teacher_policy else "seen", part.batch)
            ]
            if teacher_policy is not None:
                clean = partial(_teacher_batch, run, part, samples, teacher_policy)
                rows.insert(0, ("teacher", clean))
            run.sheet(stage, rows)
            logits = fit.model(part.batch.images)
            fit.step(part.mean(cross_entropy(logits, part.labels)))
    return fit.finish()


def _teacher_batch(run: Run, part: Part[Batch], samples: Samples, policy: Policy) -> Batch:
    """The part's first samples, under the policy that their teacher saw them under."""
    position = {int(sample): i for i, sample in enumerate(samples.ids)}
    ids = part.ids[:SHOWN]
    images = [samples[position[int(sample)]][0] for sample in ids]
    return Engine(policy, seed=run.settings.seed)(images, ids=ids)
