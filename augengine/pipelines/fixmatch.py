"""FixMatch (Sohn et al. 2020): a weak view of an unlabelled image gives its label, the strong view learns it.

    loss = −Σ y · log softmax(model(weak x))
         + λ · [max p ≥ τ] · −log softmax(model(strong u))[argmax p],   p = softmax(model(weak u))

One call of the engine gives both views, by one `Views`. With averaged weights (`ema`) it is those that
label. `confidence` says what else may stand for [max p ≥ τ], and how answers are aligned.
"""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from torch import nn

from ..loading.batch import Batch
from ..policy.policy import Policy
from . import models
from .batches import Samples
from .confidence import SOFTMATCH, Confidence
from .data import Data
from .fit import Fit
from .losses import cross_entropy
from .policies import weak_and_strong
from .run import Run


def fixmatch(
    run: Run,
    stage: str,
    data: Data,
    spec: str,
    policy: Policy,
    *,
    threshold: float,
    ratio: int,
    unlabelled_weight: float,
    weights: str,
    align: bool,
    momentum: float,
    soft: bool,
) -> nn.Module:
    """Train a model on labelled and unlabelled images. A stage that is finished is not trained again.

    Args:
        run: Run that the stage belongs to.
        stage: Name of the stage.
        data: Data set.
        spec: Model, as `models.create` takes it.
        policy: Policy that augments the labelled images.
        threshold: τ, the least confidence of an answer that becomes a label, in [0, 1].
        ratio: Unlabelled images in a batch for each labelled one.
        unlabelled_weight: λ, the weight of the unlabelled loss.
        weights: As of `Confidence`.
        align: Whether answers are aligned: with the labels' classes, or of "softmatch" evenly.
        momentum: As of `Confidence`.
        soft: As of `Confidence`.

    Returns:
        The trained model, frozen.
    """
    finished = run.model(stage, data)
    if finished is not None:
        return finished
    run.seed(stage)
    model = models.create(spec, classes=len(data.classes), channels=data.channels)
    labelled = run.loader(Samples.labelled(data), policy)
    unlabelled = run.loader(Samples.unlabelled(data), weak_and_strong(data), times=ratio)
    classes = len(data.classes)
    shares = torch.from_numpy(data.rows(data.labelled).mean(0))
    even = torch.full((classes,), 1 / classes)
    confidence = Confidence(
        classes, weights=weights, threshold=threshold, momentum=momentum, soft=soft,
        target=(even if weights == SOFTMATCH else shares) if align else None,
    )  # fmt: skip
    fit = Fit(
        run, stage, model, models.parameter_groups(model, run.settings.lr, run.settings.weight_decay),
        steps=unlabelled.steps, data=data, memory=confidence,
    )  # fmt: skip
    for epoch in fit.epochs():
        parts = zip(labelled.during(epoch, unlabelled.steps), unlabelled.epoch(epoch), strict=True)
        for part_x, part_u in parts:
            x = part_x.batch.images
            weak, strong = (cast(Batch, part_u.batch[name]) for name in ("weak", "strong"))
            run.sheet(stage, [("teacher: weak", weak), ("student: strong", strong)])

            # All go through the model in one call, so that BatchNorm sees all three alike.
            logits = fit.model(torch.cat([x, weak.images, strong.images]))
            logits_x, logits_weak, logits_strong = logits.split(
                [len(x), len(weak.images), len(strong.images)]
            )
            if fit.average is not None:
                with torch.no_grad(), run.accelerator.autocast():
                    logits_weak = fit.eval_model(weak.images)
            labels = confidence(
                logits_weak.detach(), partial(run.mean, part_u), run.samples(part_u)
            )
            supervised = part_x.mean(cross_entropy(logits_x, part_x.labels))
            consistency = part_u.mean(labels.weights * cross_entropy(logits_strong, labels.rows))
            loss = supervised + unlabelled_weight * consistency
            fit.step(
                loss, labelled=supervised, unlabelled=consistency, kept=part_u.mean(labels.weights)
            )
    return fit.finish()
