"""A run and its folder: settings, metrics, checkpoints, pictures, and what is finished already."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list, is_tensorboard_available, set_seed
from rich import progress as bars
from torch import nn

from .. import systems
from ..datasets.check import check_images
from ..loading.batch import Batch, BatchOfViews
from ..policy.policy import Policy
from ..policy.views import Views
from ..untrusted import opened, parse_json
from . import checkpoint, inputs, models, pictures, policies
from . import data as datasets
from .batches import Loader, Part, Samples
from .checkpoint import Training
from .data import Data
from .files import write_json, written
from .inputs import Inputs
from .pictures import Metrics
from .settings import Settings

CONFIG, METRICS, CURVES, SHEET = "config.json", "metrics.jsonl", "curves.png", "seen.png"
RESULTS = "results.json"
MOST_METRICS = 1 << 26  # bytes; a line has some 150
CHECKPOINT = "checkpoint-"

# What results.json holds: accuracies, and by stage some figures of it.
Figures = dict[str, float | int | list[int]]
Results = dict[str, float | Figures]


class Run:
    """A pipeline at work, in all its processes, with its folder.

    A run is made of stages. Each stage is a training with checkpoints of its own; a stage that is
    finished has its model in the folder, and is not trained again when the run is resumed.

    Args:
        settings: Settings of the pipeline, which are written to the folder.
        pipeline: Name of the pipeline, for the folder's default name.
        resume: Whether the folder's run goes on, or a new one begins.

    Raises:
        ValueError: When a new run would write over another one, or there is none to resume, or it began
            with other settings. `output`, `root` and `workers` may differ.
    """

    def __init__(self, settings: Settings, pipeline: str, *, resume: bool = False):
        self.settings = settings
        self.folder = Path(settings.output or f"runs/{pipeline}")
        # An earlier run in this process may have had another precision.
        AcceleratorState._reset_state()
        self.accelerator = Accelerator(
            cpu=settings.cpu,
            mixed_precision=settings.precision,
            log_with="tensorboard" if is_tensorboard_available() else None,
            project_dir=self.folder,
        )
        config = self.folder / CONFIG
        exists = config.exists()
        # A run that has learned nothing yet, since a setting was wrong, say, may be started over.
        outputs = (models.WEIGHTS, f"{CHECKPOINT}*")
        has_learned = any(any(self.folder.glob(f"*/{name}")) for name in outputs)
        # All processes look before the first one writes.
        self.accelerator.wait_for_everyone()
        if exists and has_learned and not resume:
            raise ValueError(
                f"run: {self.folder} holds a run already. Go on with it by --resume {self.folder}, or name "
                "another --output."
            )
        if resume and not exists:
            raise ValueError(f"run: {self.folder} holds no run to go on with. Leave --resume out.")
        if resume:
            settings.check_same(type(settings).load(config), config)
        if self.is_main and not resume:
            self.folder.mkdir(parents=True, exist_ok=True)
            settings.save(config)
        self.accelerator.wait_for_everyone()
        if self.accelerator.log_with:
            self.accelerator.init_trackers("tensorboard")
        # What is written beside the weights of the models that are trained on the data named last.
        self.notes: dict[str, str] = {}
        self.watched = "test"  # what evaluations during training look at

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.accelerator.is_main_process

    def say(self, text: str) -> None:
        """Print a line, once for all processes."""
        self.accelerator.print(text)

    def data(self, settings: Settings, *specs: str, known: Inputs | None = None) -> Data:
        """The data that the settings name, which is said. One process goes first, since it may have to
        download.

        Args:
            settings: Settings that name it.
            specs: Models that are begun with. The images are normalised as the weights of the first that
                has any expect it; without, as the data set's own are.
            known: What is expected, if it is known without a model.

        Raises:
            ValueError: When there is nothing to learn from, or too little.
            OSError: When CIFAR is neither there nor to be had.
        """
        with self.accelerator.main_process_first():
            data = datasets.load(settings)
        if settings.corrupt == "skip" and isinstance(data.images, datasets.Files):
            damaged = self._damaged(data.images)
            if damaged:
                data = datasets.load(settings, damaged)
        data = self._as_expected(data, specs, known)
        self.notes, self.watched = policies.notes(data), data.watched[0]
        self.say(data.summary)
        return data

    def _as_expected(self, data: Data, specs: Sequence[str], known: Inputs | None) -> Data:
        """The data, normalised as is known, or as the first of the models with weights expects it."""
        wanted = [("the cache", known), *((spec, inputs.expected(spec)) for spec in specs)]
        fitting = [(name, own) for name, of in wanted if of and (own := of.of(data.channels))]
        if not fitting:
            return data
        first, chosen = fitting[0]
        for name, other in fitting[1:]:
            if other != chosen:
                self.say(
                    f"{name} expects {other.in_words()}. It is given what {first} expects, "
                    f"{chosen.in_words()}, since both see the same images."
                )
        return dataclasses.replace(data, **chosen._asdict())

    def _damaged(self, images: datasets.Files) -> list[int]:
        """The ids of the images that cannot be decoded, each of which is named. One process looks."""
        found: list[list[int]] = [[]]
        if self.is_main:
            samples = [(path, None, name) for path, name in zip(images, images.names, strict=True)]
            with bars.Progress(disable=not sys.stdout.isatty()) as bar:
                task = bar.add_task("looking for damaged images", total=len(samples))
                report = check_images(
                    samples, progress=lambda done: bar.update(task, completed=done)
                )
            at = {name: id for id, name in enumerate(images.names)}
            found = [[at[name] for name, _ in report.damaged]]
            for name, reason in report.damaged:
                self.say(f"left out: {name}: {reason}")
            self.say(f"colours: {report.colours}")
        return broadcast_object_list(found)[0]

    @overload
    def loader(self, samples: Samples, policy: Policy, *, times: int = 1) -> Loader[Batch]: ...
    @overload
    def loader(
        self, samples: Samples, policy: Views, *, times: int = 1
    ) -> Loader[BatchOfViews]: ...
    def loader(
        self, samples: Samples, policy: Policy | Views, *, times: int = 1
    ) -> Loader[Batch] | Loader[BatchOfViews]:
        """This process's part of the samples' batches.

        Args:
            samples: Samples that the loader goes through.
            policy: Policy that augments the images.
            times: Size of a batch, in batch sizes of the settings.
        """
        return Loader(
            samples,
            policy,
            batch_size=times * self.settings.batch_size,
            seed=self.settings.seed,
            workers=self.settings.workers,
            accelerator=self.accelerator,
        )

    def mean(self, part: Part[Any], values: torch.Tensor) -> torch.Tensor:
        """The mean of values [n, …], of a process's part, over the whole batch; the same in every process."""
        return self.accelerator.reduce(values.sum(dim=0) * part.share, "mean")

    def samples(self, part: Part[Any]) -> float:
        """The number of samples in the whole batch that a part is of."""
        return self.accelerator.num_processes / part.share

    def seed(self, stage: str) -> None:
        """Let torch's draws in a stage (weights, dropout) depend on the seed and the stage alone."""
        set_seed(stage_seed(self.settings.seed, stage))

    def stage(self, name: str) -> Path:
        """The folder of a stage."""
        return self.folder / name

    def model(self, stage: str, data: Data) -> nn.Module | None:
        """The frozen model of a stage, or None while the stage is not finished."""
        if not (self.stage(stage) / models.WEIGHTS).exists():
            return None
        model = models.create(
            str(self.stage(stage)), classes=len(data.classes), channels=data.channels
        )
        return models.freeze(model).to(self.accelerator.device)

    def finish(self, stage: str, model: nn.Module) -> None:
        """Write a stage's model, and drop its checkpoints."""
        if self.is_main:
            self.stage(stage).mkdir(parents=True, exist_ok=True)
            models.save(model, self.stage(stage) / models.WEIGHTS, self.notes)
            for old in self.checkpoints(stage):
                shutil.rmtree(old)
        self.accelerator.wait_for_everyone()

    def close(self, model: nn.Module, results: Mapping[str, float | Figures]) -> None:
        """Write the run's own model and its results, and end the run."""
        if self.is_main:
            models.save(model, self.folder / models.WEIGHTS, self.notes)
            write_json(self.folder / RESULTS, results)
            self.say(f"written to {self.folder}")
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()

    # Metrics: a line for each evaluation, in the order of training.

    def metrics(self) -> list[Metrics]:
        """All lines that are written, in order. A last one that a kill has torn is left out.

        Raises:
            ValueError: When another line is torn or damaged, with its number.
        """
        file = self.folder / METRICS
        if not file.exists():
            return []
        stream, size = opened(file)
        with stream:
            if size > MOST_METRICS:
                raise ValueError(
                    f"run: {file} has {size:,} bytes, expected {MOST_METRICS:,} at most. Move it elsewhere; "
                    "the run goes on without its lines."
                )
            # What follows the last line's end was never finished, and its epoch has no checkpoint.
            *lines, _ = stream.read(size).split(b"\n")
        return [_line(file, number, line) for number, line in enumerate(lines, 1)]

    def log(self, line: Metrics, step: int) -> None:
        """Append a line, and draw the curves anew.

        Args:
            line: Stage, epoch and figures of an evaluation.
            step: Number of batches that the stage has learned from.
        """
        if not self.is_main:
            return
        try:
            with open(self.folder / METRICS, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                file.flush()
                os.fsync(file.fileno())  # before the checkpoint that follows
        except OSError as error:
            raise OSError(
                f"run: a line of {self.folder / METRICS} could not be written ({error}). Make room, and go on "
                "with --resume."
            ) from error
        pictures.curves(self.metrics(), self.folder / CURVES, self.watched)
        if self.accelerator.log_with:
            values = {k: v for k, v in line.items() if isinstance(v, float)}
            self.accelerator.log({f"{line['stage']}/{k}": v for k, v in values.items()}, step=step)

    def sheet(self, stage: str, rows: Sequence[tuple[str, pictures.BatchSource]]) -> None:
        """Draw what models saw, once a stage.

        Args:
            stage: Name of the stage.
            rows: (title, a Batch or a function that gives one), of the same samples each.
        """
        file = self.stage(stage) / SHEET
        if self.is_main and not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            with written(file) as partial:
                pictures.sheet(f"{self.folder.name}: {stage}", rows, partial)

    # Checkpoints are written beside and renamed, so that a kill leaves the one before.

    def checkpoints(self, stage: str) -> list[Path]:
        """A stage's whole checkpoints, the newest last."""
        paths = self.stage(stage).glob(f"{CHECKPOINT}*")
        return sorted(path for path in paths if path.name.removeprefix(CHECKPOINT).isdigit())

    def checkpoint(self, stage: str, training: Training) -> None:
        """Write a training as it stands at the end of an epoch.

        Raises:
            OSError: When it cannot be written. The checkpoint before it is whole.
        """
        partial = self.stage(stage) / "partial"
        if self.is_main:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        self.accelerator.wait_for_everyone()
        if self.is_main:
            checkpoint.write_state(partial, training, self.accelerator.num_processes)
        checkpoint.write_random(partial, self.accelerator.process_index)
        self.accelerator.wait_for_everyone()
        if self.is_main:
            older = self.checkpoints(stage)
            partial.rename(self.stage(stage) / f"{CHECKPOINT}{training.progress.epoch:06d}")
            systems.sync(self.stage(stage))
            for path in older:
                shutil.rmtree(path)
        self.accelerator.wait_for_everyone()

    def restore(self, stage: str, training: Training) -> bool:
        """Go back to the newest checkpoint. Returns whether there is one.

        Raises:
            ValueError: When a file of it is missing, damaged or of another training.
        """
        checkpoints = self.checkpoints(stage)
        if not checkpoints:
            return False
        processes = checkpoint.read_state(checkpoints[-1], training)
        if processes == self.accelerator.num_processes:
            checkpoint.read_random(checkpoints[-1], self.accelerator.process_index)
        else:
            self.say(
                f"{stage}: the checkpoint is of {processes} process(es), and here are "
                f"{self.accelerator.num_processes}. Dropout begins anew from the seed; plans and order stay."
            )
        return True

    def forget_metrics(self, stage: str, after: int) -> None:
        """Drop the lines of a stage that were written after its checkpoint, which is of epoch `after`."""
        lines = [m for m in self.metrics() if m["stage"] != stage or m["epoch"] <= after]
        if self.is_main and (self.folder / METRICS).exists():
            with written(self.folder / METRICS) as partial:
                partial.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
        self.accelerator.wait_for_everyone()


def _line(file: Path, number: int, text: bytes) -> Metrics:
    """A line of metrics: a stage, an epoch and figures."""
    fix = "Mend or remove that line, and resume."
    try:
        line = parse_json(text)
    except ValueError as error:
        raise ValueError(
            f"run: {file}, line {number}, is torn or damaged ({error}). {fix}"
        ) from None
    if not isinstance(line, dict) or not {"stage", "epoch", "loss", "accuracy"} <= set(line):
        raise ValueError(
            f"run: {file}, line {number}, has no stage, epoch, loss and accuracy. {fix}"
        )
    stage, *figures = (line[name] for name in ("stage", *sorted(set(line) - {"stage"})))
    named = isinstance(stage, str) and re.fullmatch(r"[a-z0-9-]{1,64}", stage)
    if not named or not all(type(value) in (int, float) for value in figures):
        raise ValueError(f"run: {file}, line {number}, holds what is no stage or no number. {fix}")
    return line


def stage_seed(seed: int, stage: str) -> int:
    """The seed of torch's draws in a stage: a hash, so that stages of similar names differ.

    Args:
        seed: Seed of the run.
        stage: Name of the stage.

    Returns:
        An int in [0, 2³²), the same on every machine.
    """
    digest = hashlib.blake2b(f"{seed} {stage}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")
