"""FixMatch (Sohn et al. 2020): a weak view of an unlabelled image gives its label, the strong view learns it.

    loss = −Σ y · log softmax(model(weak x))
         + λ · [max p ≥ τ] · −log softmax(model(strong u))[argmax p],   p = softmax(model(weak u))

Both views come of one call, of one `Views`. With averaged weights (`ema`) it is those that label.
"""

from __future__ import annotations

import torch
from torch.nn.functional import one_hot

from . import models
from .answers import accuracy
from .batches import Samples
from .data import Data
from .fit import Fit
from .losses import cross_entropy
from .policies import named, weak_and_strong
from .run import Run


def train(run: Run, stage: str, settings, data: Data):
    """settings: a PseudoLabel's. The frozen model."""
    done = run.model(stage, data)
    if done is not None:
        return done
    run.seed(stage)
    model = models.create(settings.model, classes=len(data.classes), channels=data.channels)
    known = Samples.of(data, data.labelled, data.rows(data.labelled))
    labelled = run.loader(known, named(settings.policy, data))
    unknown = Samples.of(data, data.unlabelled)
    unlabelled = run.loader(unknown, weak_and_strong(data), times=settings.ratio)
    fit = Fit(
        run, stage, model, models.groups(model, settings.lr, settings.weight_decay),
        steps=unlabelled.steps, test=lambda m: accuracy(run, m, data),
    )  # fmt: skip
    for epoch in fit.epochs():
        parts = zip(labelled.during(epoch, unlabelled.steps), unlabelled.epoch(epoch), strict=True)
        for of_known, of_unknown in parts:
            x, y = of_known.batch.images, of_known.batch.labels
            weak, strong = of_unknown.batch["weak"], of_unknown.batch["strong"]
            run.sheet(stage, [("teacher: weak", weak), ("student: strong", strong)])

            # One pass, so that BatchNorm sees all three alike.
            logits = fit.model(torch.cat([x, weak.images, strong.images]))
            of_x, of_weak, of_strong = logits.split([len(x), len(weak.images), len(strong.images)])
            if fit.average is not None:
                with torch.no_grad(), run.accelerator.autocast():
                    of_weak = fit.answering(weak.images)
            confidence, found = torch.softmax(of_weak.detach().float(), dim=1).max(dim=1)
            kept = (confidence >= settings.threshold).float()

            supervised = of_known.mean(cross_entropy(of_x, y))
            target = one_hot(found, len(data.classes)).float()
            consistent = of_unknown.mean(kept * cross_entropy(of_strong, target))
            loss = supervised + settings.unlabelled_weight * consistent
            fit.step(loss, labelled=supervised, unlabelled=consistent, kept=of_unknown.mean(kept))
    return fit.finish()
