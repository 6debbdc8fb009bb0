"""Knowledge distillation: a student learns from a teacher's answers to the very same augmented images.

    loss = T² · KL(softmax(t / T) ‖ softmax(s / T)) + hard · −Σ y · log softmax(s)

(Hinton, Vinyals and Dean 2015; one view for both: Beyer et al. 2022.) Images without labels have
y = 0, so only the first term. A plan is a function of its key, so the teacher's answers can be kept
(`cache`), and later students train without the teacher.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch

from ..checks import number, whole_number
from . import models
from .answers import accuracy
from .batches import Part, Samples
from .data import Data
from .fit import Fit
from .logit_cache import CacheKey, LogitCache
from .losses import cross_entropy, distillation
from .policies import named
from .run import Run
from .settings import Settings
from .supervised import supervised

EMA, CACHE = "ema", "cache"


@dataclass(frozen=True, kw_only=True)
class Distill(Settings):
    teacher: Annotated[
        str,
        "A run's folder or file, or pretrained:NAME; a bare NAME is trained on the labelled images first; "
        "ema: the student's own average (--ema); cache: --cache alone.",
    ] = "digitnet_32"
    student: Annotated[str, "As --model of finetune."] = "digitnet_8"
    temperature: Annotated[float, "T of the loss."] = 4.0
    hard: Annotated[float, "Weight of the labels beside the teacher."] = 1.0
    teacher_epochs: Annotated[int, "Passes over the labelled images, for a teacher by NAME."] = 200
    cache: Annotated[str, "A file of the teacher's answers, read, and written where they miss."] = (
        ""
    )
    top: Annotated[int, "Classes kept of each answer in the cache."] = 64

    def __post_init__(self):
        super().__post_init__()
        number("temperature", self.temperature, 1e-3)
        number("hard", self.hard, 0)
        whole_number("top", self.top, 1, 2**31 - 1)
        whole_number("teacher_epochs", self.teacher_epochs, 1, 2**31 - 1)
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


def run(settings: Distill, *, resume: bool = False) -> dict[str, Any]:
    """Train as told; returns what results.json holds."""
    this = Run(settings, "distill", resume=resume)
    data = this.data(settings)
    teacher = None if settings.teacher in (EMA, CACHE) else _teacher(this, settings, data)
    student = this.model("student", data)
    if student is None:
        student = _learn(this, settings, data, teacher)
    results = {"student": accuracy(this, student, data)}
    if teacher is not None:
        results["teacher"] = accuracy(this, teacher, data)
    return this.close(student, results)


def _teacher(this: Run, settings: Distill, data: Data) -> torch.nn.Module:
    if models.is_random(settings.teacher):
        made = this.model("teacher", data)
        if made is not None:
            return made
        samples = Samples.of(data, data.labelled, data.rows(data.labelled))
        return supervised(
            this, "teacher", data, settings.teacher, samples, named(settings.policy, data),
            epochs=settings.teacher_epochs,
        )  # fmt: skip
    made = models.teacher(settings.teacher, classes=len(data.classes), channels=data.channels)
    return made.to(this.accelerator.device)


def _learn(this: Run, settings: Distill, data: Data, teacher) -> torch.nn.Module:
    this.seed("student")
    student = models.create(settings.student, classes=len(data.classes), channels=data.channels)
    policy = named(settings.policy, data)
    samples = Samples.of(data, data.labelled, data.rows(data.labelled)).and_more(
        Samples.of(data, data.unlabelled)
    )
    loader = this.loader(samples, policy)
    fit = Fit(
        this, "student", student, models.groups(student, settings.lr, settings.weight_decay),
        steps=loader.steps, test=lambda m: accuracy(this, m, data),
    )  # fmt: skip
    with _cache(this, settings, data, policy, teacher, samples.ids) as cache:
        if settings.teacher == EMA:
            teacher = fit.answering
        for epoch in fit.epochs():
            for part in loader.epoch(epoch):
                images, rows = part.batch.images, part.batch.labels
                this.sheet("student", [("student and teacher", part.batch)])
                answers = _answers(this, teacher, cache, epoch, part)
                logits = fit.model(images)
                soft = part.mean(distillation(logits, answers, settings.temperature))
                hard = part.mean(cross_entropy(logits, rows))
                fit.step(soft + settings.hard * hard, soft=soft, hard=hard)
            if cache is not None:
                cache.flush()
    return fit.finish()


@torch.no_grad()
def _answers(this: Run, teacher, cache, epoch: int, part: Part) -> torch.Tensor:
    """The teacher's logits for the part's images; from the cache, where there is one and they are there."""
    images = part.batch.images
    if cache is None:
        with this.accelerator.autocast():
            return teacher(images).float()
    answers, there = cache.read(epoch, part.ids)
    if there.all():
        return answers.to(images.device)
    assert teacher is not None, "_cache has looked whether all are there"
    # The whole part, so that a run which was killed amid its rows asks for the same once more; and read
    # back, so that the first student too learns from what is kept.
    with this.accelerator.autocast():
        cache.write(epoch, part.ids, teacher(images))
    return cache.read(epoch, part.ids)[0].to(images.device)


def _cache(this: Run, settings: Distill, data: Data, policy, teacher, ids):
    """The cache that the settings name, as a context; of None if they name none. Without a teacher it
    must hold the answers for all `ids` and epochs."""
    if not settings.cache:
        return nullcontext()
    if policy.mixes:
        raise ValueError(
            "distill: got --cache with a policy that mixes images. A partner is drawn among the batch at "
            "hand, so an answer belongs to a batch and not to a sample. Take the mix out of the policy, or "
            "leave --cache out."
        )
    if settings.precision != "no":
        this.say(f"cache: answers are computed in {settings.precision}, and kept as they come")
    all_kept = settings.top >= len(data.classes)
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
        temperature=0.0 if all_kept else settings.temperature,
    )
    with this.accelerator.main_process_first():
        cache = LogitCache(Path(settings.cache), key)
    if cache.torn:
        this.say(f"cache: {cache.torn} rows were torn by a kill and are computed anew")
    if teacher is None and (lacking := cache.missing(settings.epochs, ids)):
        raise ValueError(
            f"distill: the cache lacks {lacking:,} of the {settings.epochs * len(ids):,} answers that the run "
            "will ask for, and there is no teacher. Pass --teacher, or as many --epochs as it holds."
        )
    return cache
