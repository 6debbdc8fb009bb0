"""Pseudo-labels: which answers of a teacher become labels, and how many for each class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from .answers import answers
from .batches import Samples
from .data import UNKNOWN, Data
from .policies import plain
from .run import Run


@dataclass(frozen=True)
class PseudoLabels:
    """ids: [n] of the images that are kept, an image more than once where its class is filled up. copy:
    [n], 0 for its first, 1 … for the next. rows: [n, classes] float32. confidence: [n] in (0, 1]."""

    ids: np.ndarray
    copy: np.ndarray
    rows: np.ndarray
    confidence: np.ndarray

    def samples(self, data: Data) -> Samples:
        """What a loader goes through; copies have ids of their own, and so draws of their own."""
        return Samples(data.images, self.ids, self.rows, self.ids + self.copy * len(data.truth))

    def told(self, data: Data) -> dict[str, Any]:
        """For people: how many were kept, and how many of those are right where that is known. (Training
        never sees it.)"""
        first = self.copy == 0
        truth, made = data.truth[self.ids[first]], self.rows[first].argmax(1)
        known = truth != UNKNOWN
        told: dict[str, Any] = {
            "kept": int(first.sum()),
            "of": len(data.unlabelled),
            "samples": len(self.ids),
            "by_class": np.bincount(made, minlength=len(data.classes)).tolist(),
        }
        if known.any():
            told["right"] = round(float((truth == made)[known].mean()), 6)
        return told


def choose(
    logits: torch.Tensor, ids, *, threshold: float, balance: bool, soft: bool
) -> PseudoLabels:
    """The answers that are kept. logits: [n, classes], of these ids.

    threshold: least probability of the likeliest class. soft: the row is the distribution and not the
    class alone. balance: every class gets as many as there are on average; a class with more keeps
    its surest ones, one with fewer repeats its own (Xie et al. 2020). A class without any stays so.
    """
    ids = np.asarray(ids)
    probabilities = torch.softmax(logits.double(), dim=1).numpy()
    confidence, found = probabilities.max(axis=1), probabilities.argmax(axis=1)
    classes = probabilities.shape[1]
    surest = np.argsort(-confidence, kind="stable")
    surest = surest[confidence[surest] >= threshold]
    picked, copy = surest, np.zeros(len(surest), np.int64)
    if balance:
        each = -(-len(surest) // classes)
        mine = [surest[found[surest] == c] for c in range(classes)]
        picked = np.concatenate([np.resize(of, each if len(of) else 0) for of in mine])
        copy = np.concatenate(
            [np.arange(each) // len(of) for of in mine if len(of)] or [np.zeros(0, np.int64)]
        )
    rows = probabilities[picked] if soft else np.eye(classes)[found[picked]]
    return PseudoLabels(ids[picked], copy, rows.astype(np.float32), confidence[picked])


def with_labels_of(
    run: Run, stage: str, teacher, data: Data, settings
) -> tuple[Samples, dict[str, Any]]:
    """(the labelled images, and the unlabelled ones with a teacher's labels; what to tell of those).

    settings: threshold, balance and soft of `choose`, and how often labelled images are repeated.
    """
    how = {name: getattr(settings, name) for name in ("threshold", "balance", "soft")}
    pseudo = labelled_by(run, stage, teacher, data, **how)
    run.say(f"{stage}: {pseudo.told(data)}")
    labelled = Samples.of(data, data.labelled, data.rows(data.labelled))
    repeated = labelled.repeated(settings.repeat, len(data.truth))
    return repeated.and_more(pseudo.samples(data)), pseudo.told(data)


def labelled_by(run: Run, stage: str, teacher, data: Data, **how) -> PseudoLabels:
    """The teacher's labels for the unlabelled images, seen without noise; asked for once a stage.

    how: of `choose`. Raises ValueError if nothing is left to learn from.
    """
    if not len(data.unlabelled):
        raise ValueError(
            f"{stage}: no image is unlabelled, expected some to label. Pass --labels with fewer for each "
            "class, or a folder with unlabelled/."
        )
    file = run.stage(stage) / "pseudo.safetensors"
    if file.exists():
        return PseudoLabels(**load_file(file))
    logits = answers(run, teacher, Samples.of(data, data.unlabelled), plain(data))
    made = choose(logits, data.unlabelled, **how)
    if not len(made.ids):
        raise ValueError(
            f"{stage}: no answer of the teacher reaches the threshold {how['threshold']}, expected some. "
            "Lower --threshold, or train the teacher for longer."
        )
    if run.main:
        file.parent.mkdir(parents=True, exist_ok=True)
        _save(made, file)
    run.accelerator.wait_for_everyone()
    return made


def _save(made: PseudoLabels, file: Path) -> None:
    beside = file.with_suffix(".partial")
    save_file({name: np.ascontiguousarray(value) for name, value in vars(made).items()}, beside)
    beside.replace(file)
