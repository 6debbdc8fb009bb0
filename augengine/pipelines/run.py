"""A run and its folder: settings, metrics, checkpoints, pictures, and what is finished already."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import is_tensorboard_available, set_seed

from . import data as datasets
from . import models, pictures
from .batches import Loader, Samples
from .data import Data
from .settings import Settings

CONFIG, METRICS, CURVES, SHEET = "config.json", "metrics.jsonl", "curves.png", "seen.png"
CHECKPOINT = "checkpoint-"


class Run:
    """A pipeline at work, in all its processes, with its folder.

    A run is made of stages, each a training with checkpoints of its own; a stage that is finished
    has its model in the folder, and is not trained again when the run is resumed.
    """

    def __init__(self, settings: Settings, pipeline: str, *, resume: bool = False):
        self.settings = settings
        self.folder = Path(settings.output or f"runs/{pipeline}")
        # Of an earlier run in this process, which may have had another precision.
        AcceleratorState._reset_state()
        self.accelerator = Accelerator(
            cpu=settings.cpu,
            mixed_precision=settings.precision,
            log_with="tensorboard" if is_tensorboard_available() else None,
            project_dir=self.folder,
        )
        config = self.folder / CONFIG
        there = config.exists()
        kept = (models.SAVED, f"{CHECKPOINT}*")
        learned = any(any(self.folder.glob(f"*/{name}")) for name in kept)
        # All processes look before the first one writes.
        self.accelerator.wait_for_everyone()
        if there and learned and not resume:
            raise ValueError(
                f"run: {self.folder} holds a run already. Go on with it by --resume {self.folder}, or name "
                "another --output."
            )
        if resume and not there:
            raise ValueError(f"run: {self.folder} holds no run to go on with. Leave --resume out.")
        if self.main and not resume:
            self.folder.mkdir(parents=True, exist_ok=True)
            settings.save(config)
        self.accelerator.wait_for_everyone()
        if self.accelerator.log_with:
            self.accelerator.init_trackers("tensorboard")

    @property
    def main(self) -> bool:
        return self.accelerator.is_main_process

    def say(self, text: str) -> None:
        self.accelerator.print(text)

    def data(self, settings: Settings) -> Data:
        """The data that the settings name; one process looks first, since it may have to download."""
        with self.accelerator.main_process_first():
            return datasets.of(settings)

    def loader(self, samples: Samples, policy, *, times: int = 1) -> Loader:
        """This process's part of the samples' batches, which are `times` as large as the settings say."""
        return Loader(
            samples,
            policy,
            batch_size=times * self.settings.batch_size,
            seed=self.settings.seed,
            workers=self.settings.workers,
            accelerator=self.accelerator,
        )

    def seed(self, stage: str) -> None:
        """What torch draws in a stage (weights, dropout) depends on the seed and the stage alone."""
        set_seed((self.settings.seed * 1000 + sum(stage.encode()) % 1000) % 2**32)

    def stage(self, name: str) -> Path:
        """The folder of a stage."""
        return self.folder / name

    def model(self, stage: str, data: Data) -> torch.nn.Module | None:
        """The model of a stage, frozen, if that is finished."""
        if not (self.stage(stage) / models.SAVED).exists():
            return None
        made = models.create(
            str(self.stage(stage)), classes=len(data.classes), channels=data.channels
        )
        return models.frozen(made).to(self.accelerator.device)

    def finish(self, stage: str, model: torch.nn.Module) -> None:
        """Keep a stage's model, drop its checkpoints."""
        if self.main:
            self.stage(stage).mkdir(parents=True, exist_ok=True)
            models.save(model, self.stage(stage) / models.SAVED)
            for old in self.checkpoints(stage):
                shutil.rmtree(old)
        self.accelerator.wait_for_everyone()

    def close(self, model: torch.nn.Module, results: dict[str, Any]) -> dict[str, Any]:
        """The run's own model and its results, written; the results again."""
        if self.main:
            models.save(model, self.folder / models.SAVED)
            beside = self.folder / "results.partial"
            beside.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
            beside.replace(self.folder / "results.json")
            self.say(f"written to {self.folder}")
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()
        return results

    # Metrics: a line for each evaluation, in the order of training.

    def metrics(self) -> list[dict[str, Any]]:
        file = self.folder / METRICS
        lines = file.read_text("utf-8").splitlines() if file.exists() else []
        return [json.loads(line) for line in lines]

    def log(self, line: dict[str, Any], step: int) -> None:
        """Append a line, and draw the curves anew."""
        if not self.main:
            return
        with open(self.folder / METRICS, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        pictures.curves(self.metrics(), self.folder / CURVES)
        if self.accelerator.log_with:
            values = {k: v for k, v in line.items() if isinstance(v, float)}
            self.accelerator.log({f"{line['stage']}/{k}": v for k, v in values.items()}, step=step)

    def sheet(self, stage: str, rows: Sequence[tuple[str, Any]]) -> None:
        """Once a stage, what models saw, as a picture. rows: (title, Batch, or a function that gives it)
        of the same samples each."""
        file = self.stage(stage) / SHEET
        if self.main and not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            pictures.sheet(f"{self.folder.name}: {stage}", rows, file)

    # Checkpoints: written beside and renamed, so that a kill leaves the one before.

    def checkpoints(self, stage: str) -> list[Path]:
        """A stage's whole checkpoints, the newest last."""
        found = self.stage(stage).glob(f"{CHECKPOINT}*")
        return sorted(path for path in found if path.name.removeprefix(CHECKPOINT).isdigit())

    def checkpoint(self, stage: str, epoch: int) -> None:
        """Keep everything that the accelerator knows of, as of the end of this epoch."""
        beside = self.stage(stage) / "partial"
        if self.main:
            shutil.rmtree(beside, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(beside), safe_serialization=True)
        self.accelerator.wait_for_everyone()
        if self.main:
            older = self.checkpoints(stage)
            beside.rename(self.stage(stage) / f"{CHECKPOINT}{epoch:06d}")
            for path in older:
                shutil.rmtree(path)
        self.accelerator.wait_for_everyone()

    def restore(self, stage: str) -> bool:
        """Go back to the newest checkpoint, if there is one."""
        found = self.checkpoints(stage)
        if found:
            self.accelerator.load_state(str(found[-1]))
        return bool(found)

    def forget_metrics(self, stage: str, after: int) -> None:
        """Drop the lines of a stage that were written after its checkpoint."""
        kept = [m for m in self.metrics() if m["stage"] != stage or m["epoch"] <= after]
        if self.main and (self.folder / METRICS).exists():
            beside = self.folder / "metrics.partial"
            beside.write_text("".join(json.dumps(line) + "\n" for line in kept), "utf-8")
            beside.replace(self.folder / METRICS)
        self.accelerator.wait_for_everyone()
