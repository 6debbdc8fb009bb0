"""Knowledge distillation: a student learns from a teacher's answers to the very same augmented images.

    loss = T² · KL(softmax(t / T) ‖ softmax(s / T)) + hard · −Σ y · log softmax(s)

(Hinton, Vinyals and Dean 2015; one view for both: Beyer et al. 2022; with `standardize` t and s are
z-scores: Sun et al. 2024.) Images without labels have
y = 0, so only the first term counts. A plan is a function of its key, so the teacher's answers can be
kept on disk (`cache`), and later students train without the teacher.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from torch import nn

from ..checks import number, whole_number
from ..loading.batch import Batch
from ..policy.policy import Policy
from . import models
from .answers import accuracy
from .batches import Part, Samples
from .data import Data
from .fit import Fit
from .inputs import Inputs, of_policy
from .logit_cache import CacheKey, LogitCache
from .losses import cross_entropy, distillation
from .policies import evaluation_policy, training_policy
from .run import Run
from .settings import LARGEST, Settings
from .supervised import supervised

EMA, CACHE = "ema", "cache"


@dataclass(frozen=True, kw_only=True)
class Distill(Settings):
    """The settings of distillation; raises as `Settings` does."""

    teacher: Annotated[
        str,
        "The teacher: a run's folder or file, or pretrained:NAME; a bare NAME is trained on the labelled "
        "images first; ema: the student's own average (--ema); cache: --cache alone.",
    ] = "digitnet_32"
    student: Annotated[str, "The student, as --model of finetune."] = "digitnet_8"
    temperature: Annotated[float, "The temperature T of the loss."] = 4.0
    standardize: Annotated[
        bool,
        "Give both models' logits mean 0 and deviation 1 for each image first (Sun et al. 2024); a "
        "temperature of 2 is usual then.",
    ] = False
    hard: Annotated[float, "The weight of the labels' loss beside the teacher's."] = 1.0
    teacher_epochs: Annotated[int, "Passes over the labelled images, for a teacher by NAME."] = 200
    cache: Annotated[
        str, "A file of the teacher's answers. Those in it are read, the others are added."
    ] = ""
    top: Annotated[int, "The number of classes that the cache holds of each answer."] = 64
    replay: Annotated[
        int,
        "The number of epochs whose views come again and again, with their answers; a cache need then hold "
        "no more. 0: every epoch has its own.",
    ] = 0
    unlabelled: Annotated[bool, "Learn from the images without labels too."] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        number("temperature", self.temperature, 1e-3)
        number("hard", self.hard, 0)
        whole_number("top", self.top, 1, LARGEST)
        whole_number("teacher_epochs", self.teacher_epochs, 1, LARGEST)
        whole_number("replay", self.replay, 0, LARGEST)
        if self.teacher == EMA and not 0 < self.ema < 1:
            raise ValueError(
                f"distill: got --teacher ema with --ema {self.ema}, expected a decay between 0 and 1. Pass "
                "--ema 0.99, for one."
            )
        if self.teacher == CACHE and not self.cache:
            raise ValueError(
                "distill: got --teacher cache without --cache, expected the file that a run with a teacher "
                "has written. Pass it."
            )
        if self.teacher == EMA and self.cache:
            raise ValueError(
                "distill: got --cache with --teacher ema, whose answers change with every step. Leave "
                "--cache out."
            )


def run(settings: Distill, *, resume: bool = False) -> dict[str, float]:
    """Train as the settings say.

    Args:
        settings: Settings of the run.
        resume: Whether the run in the settings' folder goes on.

    Returns:
        What results.json holds: the accuracies of student and teacher on the test images.
    """
    run = Run(settings, "distill", resume=resume)
    # The teacher's pixels come first: it does not learn, and both see the same.
    specs = [spec for spec in (settings.teacher, settings.student) if spec not in (EMA, CACHE)]
    data = run.data(settings, *specs, known=_known(settings))
    teacher = None if settings.teacher in (EMA, CACHE) else _teacher(run, settings, data)
    student = run.model("student", data)
    if student is None:
        student = _train_student(run, settings, data, teacher)
    results = {"student": accuracy(run, student, data)}
    if teacher is not None:
        results["teacher"] = accuracy(run, teacher, data)
    run.close(student, results)
    return results


def _known(settings: Distill) -> Inputs | None:
    """What the teacher's pixels were, where there is no teacher but its cache."""
    if settings.teacher != CACHE or not Path(settings.cache).is_file():
        return None
    policy = LogitCache.key_of(settings.cache).evaluation
    return of_policy(policy, settings.cache) if policy else None


def _teacher(run: Run, settings: Distill, data: Data) -> nn.Module:
    if models.is_random(settings.teacher):
        finished = run.model("teacher", data)
        if finished is not None:
            return finished
        return supervised(
            run, "teacher", data, settings.teacher, Samples.labelled(data),
            training_policy(settings.policy, data), epochs=settings.teacher_epochs,
        )  # fmt: skip
    teacher = models.teacher(settings.teacher, classes=len(data.classes), channels=data.channels)
    return teacher.to(run.accelerator.device)


def _train_student(run: Run, settings: Distill, data: Data, teacher: nn.Module | None) -> nn.Module:
    run.seed("student")
    student = models.create(settings.student, classes=len(data.classes), channels=data.channels)
    policy = training_policy(settings.policy, data)
    samples = Samples.labelled(data)
    if settings.unlabelled:
        samples = samples.plus(Samples.unlabelled(data))
    loader = run.loader(samples, policy)
    fit = Fit(
        run, "student", student,
        models.parameter_groups(student, settings.lr, settings.weight_decay),
        steps=loader.steps, data=data,
    )  # fmt: skip
    with _cache(run, settings, data, policy, teacher, samples.ids) as cache:
        if settings.teacher == EMA:
            teacher = fit.eval_model
        for epoch in fit.epochs():
            drawn = epoch % settings.replay if settings.replay else epoch
            for part in loader.epoch(drawn):
                run.sheet("student", [("student and teacher", part.batch)])
                answers = _answers(run, teacher, cache, drawn, part)
                logits = fit.model(part.batch.images)
                losses = distillation(
                    logits, answers, settings.temperature, standardize=settings.standardize
                )
                soft = part.mean(losses)
                hard = part.mean(cross_entropy(logits, part.labels))
                fit.step(soft + settings.hard * hard, soft=soft, hard=hard)
            if cache is not None:
                cache.flush()
    return fit.finish()


@torch.no_grad()
def _answers(
    run: Run, teacher: nn.Module | None, cache: LogitCache | None, epoch: int, part: Part[Batch]
) -> torch.Tensor:
    """The teacher's logits for the part's images; from the cache, if it holds them all."""
    images = part.batch.images
    if cache is None:
        assert teacher is not None
        with run.accelerator.autocast():
            return teacher(images).float()
    answers, present = cache.read(epoch, part.ids)
    if present.all():
        return answers.to(images.device)
    assert teacher is not None, "_cache has looked whether the cache holds all"
    # The teacher answers the whole part, so that a run which was killed amid its rows gets the same
    # once more. The answers are read back, so that the first student too learns from what is kept.
    with run.accelerator.autocast():
        cache.write(epoch, part.ids, teacher(images))
    return cache.read(epoch, part.ids)[0].to(images.device)


def _cache(
    run: Run,
    settings: Distill,
    data: Data,
    policy: Policy,
    teacher: nn.Module | None,
    ids: np.ndarray,
) -> AbstractContextManager[LogitCache | None]:
    """The cache that the settings name, as a context, or a context of None if they name none.

    Without a teacher the cache must hold the answers for all `ids` and epochs.
    """
    if not settings.cache:
        return nullcontext()
    if policy.mixes:
        raise ValueError(
            "distill: got --cache with a policy that mixes images. A partner is drawn among the batch at "
            "hand, so an answer belongs to a batch and not to a sample. Take the mix out of the policy, or "
            "leave --cache out."
        )
    if settings.precision != "no":
        run.say(f"cache: answers are computed in {settings.precision}, and kept as they come")
    holds_all_classes = settings.top >= len(data.classes)
    if settings.standardize and not holds_all_classes:
        raise ValueError(
            f"distill: got --standardize with --top {settings.top} of {len(data.classes)} classes, expected "
            f"all of them, since a deviation is over all logits. Pass --top {len(data.classes)}."
        )
    key = CacheKey(
        teacher=LogitCache.key_of(settings.cache).teacher
        if teacher is None
        else models.fingerprint(teacher),
        policy=policy.fingerprint,
        data=data.key,
        seed=settings.seed,
        classes=len(data.classes),
        samples=len(data.truth),
        top=min(settings.top, len(data.classes)),
        temperature=0.0 if holds_all_classes else settings.temperature,
        evaluation=evaluation_policy(data).to_yaml(),
    )
    with run.accelerator.main_process_first():
        cache = LogitCache(Path(settings.cache), key)
    if cache.torn_rows:
        run.say(f"cache: {cache.torn_rows} rows were torn by a kill and are computed anew")
    epochs = min(settings.epochs, settings.replay or settings.epochs)
    if teacher is None and (missing := cache.missing(epochs, ids)):
        raise ValueError(
            f"distill: the cache lacks {missing:,} of the {epochs * len(ids):,} answers that the run will ask "
            "for, and there is no teacher. Pass --teacher, or --replay with as many epochs as it holds."
        )
    return cache
