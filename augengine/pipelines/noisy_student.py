"""Noisy Student (Xie et al. 2020): a teacher labels without noise, a student as large or larger learns with it.

    loss = −Σ y · log softmax(student(noised x)),  y a label or teacher(x)

Noise is RandAugment, dropout and stochastic depth. The student becomes the teacher, and so on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from ..checks import number, whole_number
from . import models
from .answers import accuracy
from .batches import Samples
from .data import Data
from .policies import evaluation_policy, training_policy
from .pseudo import student_samples
from .run import Results, Run
from .settings import LARGEST, Settings
from .supervised import supervised


@dataclass(frozen=True, kw_only=True)
class NoisyStudent(Settings):
    """The settings of Noisy Student; raises as `Settings` does."""

    policy: Annotated[str, "The student's noise: randaugment, another name, or a YAML file."] = (
        "randaugment"
    )
    teacher: Annotated[str, "The first teacher, as --model of finetune."] = "digitnet_8"
    student: Annotated[str, "The students, each as large as the one before or larger."] = (
        "digitnet_16,digitnet_32,digitnet_32"
    )
    teacher_policy: Annotated[
        str, "The policy of the first teacher, as --policy. Default: the data's."
    ] = ""
    teacher_epochs: Annotated[int, "Passes over the labelled images, for the first teacher."] = 200
    threshold: Annotated[float, "The least confidence of an answer that becomes a label."] = 0.3
    soft: Annotated[bool, "Learn from the answer's distribution, not from its class."] = True
    balance: Annotated[bool, "Take as many samples of each class."] = True
    repeat: Annotated[int, "How often labelled images come in a pass over both."] = 4
    dropout: Annotated[
        float, "The share of features that is dropped before the student's head."
    ] = 0.2
    drop_path: Annotated[float, "The rate of the student's stochastic depth."] = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("threshold", "dropout", "drop_path"):
            number(name, getattr(self, name), 0, 1)
        for name in ("teacher_epochs", "repeat"):
            whole_number(name, getattr(self, name), 1, LARGEST)


def run(settings: NoisyStudent, *, resume: bool = False) -> Results:
    """Train as the settings say.

    Args:
        settings: Settings of the run.
        resume: Whether the run in the settings' folder goes on.

    Returns:
        What results.json holds: by generation the accuracy on the test images and figures of the
        pseudo-labels, and the last generation's accuracy.

    Raises:
        ValueError: When a student is smaller than its teacher.
    """
    run = Run(settings, "noisy-student", resume=resume)
    names = [name.strip() for name in settings.student.split(",")]
    data = run.data(settings, settings.teacher, *names)
    _check_growth([settings.teacher, *names], data)
    teacher = supervised(
        run, "generation-0", data, settings.teacher, Samples.labelled(data),
        training_policy(settings.teacher_policy, data), epochs=settings.teacher_epochs,
    )  # fmt: skip
    share = accuracy(run, teacher, data)
    results: Results = {"generation-0": {"accuracy": share}}
    for generation, name in enumerate(names, 1):
        stage = f"generation-{generation}"
        samples, figures = student_samples(
            run, stage, teacher, data, threshold=settings.threshold, balance=settings.balance,
            soft=settings.soft, repeat=settings.repeat,
        )  # fmt: skip
        student = supervised(
            run, stage, data, name, samples, training_policy(settings.policy, data),
            dropout=settings.dropout, drop_path=settings.drop_path,
            teacher_policy=evaluation_policy(data),
        )  # fmt: skip
        share = accuracy(run, student, data)
        results[stage] = {"accuracy": share, **figures}
        teacher = student
    results["accuracy"] = share
    run.close(teacher, results)
    return results


def _check_growth(names: list[str], data: Data) -> None:
    """Raise ValueError unless each model is as large as the one before, or larger."""
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
