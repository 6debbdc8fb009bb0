"""Noisy Student (Xie et al. 2020): a teacher labels without noise, a student as large or larger learns with it.

    loss = −Σ y · log softmax(student(noised x)),  y a label or teacher(x)

Noise is RandAugment, dropout and stochastic depth. The student becomes the teacher, and so on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from ..checks import number, whole_number
from . import models
from .answers import accuracy
from .batches import Samples
from .data import Data
from .policies import named, plain
from .pseudo import with_labels_of
from .run import Run
from .settings import Settings
from .supervised import supervised


@dataclass(frozen=True, kw_only=True)
class NoisyStudent(Settings):
    policy: Annotated[str, "The student's noise: randaugment, another name, or a YAML file."] = (
        "randaugment"
    )
    teacher: Annotated[str, "The first one, as --model of finetune."] = "digitnet_8"
    student: Annotated[str, "The students, each as large as the one before or larger."] = (
        "digitnet_16,digitnet_32,digitnet_32"
    )
    teacher_policy: Annotated[str, "As --policy, for the first teacher. Default: the data's."] = ""
    teacher_epochs: Annotated[int, "Passes over the labelled images, for the first teacher."] = 200
    threshold: Annotated[float, "Least confidence of an answer that is kept."] = 0.3
    soft: Annotated[bool, "Learn from the answer's distribution, not from its class."] = True
    balance: Annotated[bool, "As many samples of each class."] = True
    repeat: Annotated[int, "How often labelled images come in a pass over both."] = 4
    dropout: Annotated[float, "Before the student's head."] = 0.2
    drop_path: Annotated[float, "The student's stochastic depth."] = 0.1

    def __post_init__(self):
        super().__post_init__()
        for name in ("threshold", "dropout", "drop_path"):
            number(name, getattr(self, name), 0, 1)
        for name in ("teacher_epochs", "repeat"):
            whole_number(name, getattr(self, name), 1, 2**31 - 1)


def run(settings: NoisyStudent, *, resume: bool = False) -> dict[str, Any]:
    """Train as told; returns what results.json holds."""
    this = Run(settings, "noisy-student", resume=resume)
    data = this.data(settings)
    names = [name.strip() for name in settings.student.split(",")]
    _check_growth([settings.teacher, *names], data)
    labelled = Samples.of(data, data.labelled, data.rows(data.labelled))
    teacher = supervised(
        this, "generation-0", data, settings.teacher, labelled,
        named(settings.teacher_policy, data), epochs=settings.teacher_epochs,
    )  # fmt: skip
    results: dict[str, Any] = {"generation-0": {"accuracy": accuracy(this, teacher, data)}}
    for generation, name in enumerate(names, 1):
        stage = f"generation-{generation}"
        both, told = with_labels_of(this, stage, teacher, data, settings)
        student = supervised(
            this, stage, data, name, both, named(settings.policy, data),
            dropout=settings.dropout, drop_path=settings.drop_path, teacher_saw=plain(data),
        )  # fmt: skip
        results[stage] = {"accuracy": accuracy(this, student, data), **told}
        teacher = student
    results["accuracy"] = results[stage]["accuracy"]
    return this.close(teacher, results)


def _check_growth(names: list[str], data: Data) -> None:
    sizes = []
    for name in names:
        model = models.create(name, classes=len(data.classes), channels=data.channels)
        sizes.append(sum(p.numel() for p in model.parameters()))
    for k in range(1, len(names)):
        if sizes[k] < sizes[k - 1]:
            raise ValueError(
                f"noisy student: {names[k]} has {sizes[k]:,} parameters, its teacher {names[k - 1]} has "
                f"{sizes[k - 1]:,}, expected students as large or larger. Reorder --student; distill is for "
                "smaller ones."
            )
