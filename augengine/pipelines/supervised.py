"""Learning from labels, hard or soft: what the methods that need a first model begin with.

loss = −Σ y · log softmax(model(x))
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..loading.batch import Batch
from ..loading.engine import Engine
from ..policy.policy import Policy
from . import models
from .answers import accuracy
from .batches import Part, Samples
from .data import Data
from .fit import Fit
from .losses import cross_entropy
from .pictures import SHOWN
from .run import Run


def supervised(
    run: Run, stage: str, data: Data, what: str, samples: Samples, policy, *,
    epochs: int | None = None, dropout: float = 0.0, drop_path: float = 0.0, teacher_saw: Policy | None = None,
):  # fmt: skip
    """Train `what`, as models.create takes it, on the samples; the frozen model.

    A stage of the run that is finished already is not trained again. teacher_saw: the policy under
    which a teacher labelled the samples, for the contact sheet.
    """
    done = run.model(stage, data)
    if done is not None:
        return done
    run.seed(stage)
    model = models.create(
        what, classes=len(data.classes), channels=data.channels,
        dropout=dropout, drop_path=drop_path,
    )  # fmt: skip
    loader = run.loader(samples, policy)
    fit = Fit(
        run, stage, model, models.groups(model, run.settings.lr, run.settings.weight_decay),
        steps=loader.steps, epochs=epochs, test=lambda m: accuracy(run, m, data),
    )  # fmt: skip
    for epoch in fit.epochs():
        for part in loader.epoch(epoch):
            saw: list[tuple[str, Any]] = [("student" if teacher_saw else "seen", part.batch)]
            if teacher_saw is not None:
                clean = partial(_as_the_teacher, run, part, samples, teacher_saw)
                saw.insert(0, ("teacher", clean))
            run.sheet(stage, saw)
            logits = fit.model(part.batch.images)
            fit.step(part.mean(cross_entropy(logits, part.batch.labels)))
    return fit.finish()


def _as_the_teacher(run: Run, part: Part, samples: Samples, policy: Policy) -> Batch:
    """The part's first samples, under the policy that their labels were given under."""
    place = {int(sample): i for i, sample in enumerate(samples.ids)}
    ids = part.ids[:SHOWN]
    images = [samples[place[int(sample)]][0] for sample in ids]
    return Engine(policy, seed=run.settings.seed)(images, ids=ids)
