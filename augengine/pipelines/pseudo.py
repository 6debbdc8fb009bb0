"""Pseudo-labels: which answers of a teacher become labels, and how many for each class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..aliases import Ids
from .answers import answers
from .batches import Samples
from .data import UNKNOWN, Data
from .files import check_tensors, read_tensors, write_tensors
from .policies import evaluation_policy
from .run import Figures, Run

_FIX = "Put a copy back, or move the file elsewhere; the images are then labelled anew."
MOST_COPIES = 2**31 - 1  # of an image


@dataclass(frozen=True)
class PseudoLabels:
    """The answers of a teacher that became labels.

    Args:
        ids: [n] ints, the ids of the images; more than once each where a class is filled up.
        copy: [n] ints, 0 for an image's first entry, 1 … for the next ones.
        rows: [n, classes] float32, the label rows.
        confidence: [n] in (0, 1], the probability of the likeliest class.
    """

    ids: np.ndarray
    copy: np.ndarray
    rows: np.ndarray
    confidence: np.ndarray

    def samples(self, data: Data) -> Samples:
        """What a loader goes through. Copies have ids of their own, and so draws of their own."""
        return Samples(data.images, self.ids, self.rows, self.ids + self.copy * len(data.truth))

    def summary(self, data: Data) -> Figures:
        """Figures for people: how many labels there are, and the share of right ones if it is known.

        Training never sees that share.
        """
        first = self.copy == 0
        truth, label = data.truth[self.ids[first]], self.rows[first].argmax(1)
        known = truth != UNKNOWN
        figures: Figures = {
            "kept": int(first.sum()),
            "of": len(data.unlabelled),
            "samples": len(self.ids),
            "by_class": np.bincount(label, minlength=len(data.classes)).tolist(),
        }
        if known.any():
            figures["right"] = round(float((truth == label)[known].mean()), 6)
        return figures


def choose(
    logits: torch.Tensor, ids: Ids, *, threshold: float, balance: bool, soft: bool
) -> PseudoLabels:
    """Choose which answers become labels.

    Args:
        logits: [n, classes], a teacher's answers.
        ids: [n] ints, the ids of the images that are answered.
        threshold: Least probability of the likeliest class, in [0, 1].
        balance: Whether every class gets as many samples as there are on average. A class with more
            keeps its surest ones, a class with fewer repeats its own (Xie et al. 2020), and a class
            without any stays without.
        soft: Whether a label row is the distribution, or the likeliest class alone.
    """
    ids = np.asarray(ids)
    probabilities = torch.softmax(logits.double(), dim=1).numpy()
    confidence, label = probabilities.max(axis=1), probabilities.argmax(axis=1)
    classes = probabilities.shape[1]
    surest = np.argsort(-confidence, kind="stable")
    surest = surest[confidence[surest] >= threshold]
    chosen, copy = surest, np.zeros(len(surest), np.int64)
    if balance:
        each = -(-len(surest) // classes)
        by_class = [of for c in range(classes) if len(of := surest[label[surest] == c])]
        # Without any, an empty list cannot be concatenated.
        chosen = np.concatenate([surest[:0], *(np.resize(of, each) for of in by_class)])
        copy = np.concatenate([copy[:0], *(np.arange(each) // len(of) for of in by_class)])
    rows = probabilities[chosen] if soft else np.eye(classes)[label[chosen]]
    return PseudoLabels(ids[chosen], copy, rows.astype(np.float32), confidence[chosen])


def student_samples(
    run: Run,
    stage: str,
    teacher: nn.Module,
    data: Data,
    *,
    threshold: float,
    balance: bool,
    soft: bool,
    repeat: int,
) -> tuple[Samples, Figures]:
    """What a student learns from: the labelled images, and the unlabelled ones with a teacher's labels.

    Args:
        run: Run that the stage belongs to.
        stage: Student's stage, whose folder keeps the labels.
        teacher: Model that labels.
        data: Data set.
        threshold: As of `choose`.
        balance: As of `choose`.
        soft: As of `choose`.
        repeat: Number of times that the labelled images come, for each time the others do.

    Returns:
        The samples, and figures of the pseudo-labels for people.

    Raises:
        ValueError: When no image is unlabelled, or no answer reaches the threshold.
    """
    labels = _teacher_labels(run, stage, teacher, data, threshold, balance, soft)
    figures = labels.summary(data)
    run.say(f"{stage}: {figures}")
    labelled = Samples.labelled(data).repeat(repeat, len(data.truth))
    return labelled.plus(labels.samples(data)), figures


def _teacher_labels(
    run: Run,
    stage: str,
    teacher: nn.Module,
    data: Data,
    threshold: float,
    balance: bool,
    soft: bool,
) -> PseudoLabels:
    """The teacher's labels for the unlabelled images, seen without noise; computed once a stage."""
    if not len(data.unlabelled):
        raise ValueError(
            f"{stage}: no image is unlabelled, expected some to label. Pass --labels with fewer for each "
            "class, or a folder with unlabelled/."
        )
    file = run.stage(stage) / "pseudo.safetensors"
    if file.exists():
        return _load(file, data)
    logits = answers(run, teacher, Samples.unlabelled(data), evaluation_policy(data))
    labels = choose(logits, data.unlabelled, threshold=threshold, balance=balance, soft=soft)
    if not len(labels.ids):
        raise ValueError(
            f"{stage}: no answer of the teacher reaches the threshold {threshold}, expected some. "
            "Lower --threshold, or train the teacher for longer."
        )
    if run.is_main:
        file.parent.mkdir(parents=True, exist_ok=True)
        _save(labels, file)
    run.accelerator.wait_for_everyone()
    return labels


def _save(labels: PseudoLabels, file: Path) -> None:
    arrays = {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in vars(labels).items()}
    write_tensors(file, arrays, {})


def _load(file: Path, data: Data) -> PseudoLabels:
    """What `_save` wrote, of this data. Raises ValueError, with the file's name."""
    tensors, _ = read_tensors(file, _FIX)
    n, classes = tensors["ids"].numel() if "ids" in tensors else 0, len(data.classes)
    expected = {
        "ids": torch.empty(n, dtype=torch.int64, device="meta"),
        "copy": torch.empty(n, dtype=torch.int64, device="meta"),
        "rows": torch.empty(n, classes, dtype=torch.float32, device="meta"),
        "confidence": torch.empty(n, dtype=torch.float64, device="meta"),
    }
    check_tensors(file, tensors, expected, _FIX)
    ids, copy = tensors["ids"], tensors["copy"]
    rows, confidence = tensors["rows"], tensors["confidence"]
    right = (
        n > 0
        and bool(np.isin(ids.numpy(), data.unlabelled).all())
        and bool(((copy >= 0) & (copy <= MOST_COPIES)).all())
        and bool(((rows >= 0) & (rows <= 1)).all())
        and bool(((confidence >= 0) & (confidence <= 1)).all())
    )
    if not right:
        raise ValueError(f"run: {file} holds what is no label of these images. {_FIX}")
    return PseudoLabels(**{name: tensor.numpy().copy() for name, tensor in tensors.items()})
