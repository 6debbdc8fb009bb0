"""What every training has besides its loss: optimiser, schedule, averaged weights, progress, checkpoints.

for epoch in fit.epochs():
    for part in loader.epoch(epoch):
        fit.step(part.mean(losses))
model = fit.finish()
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from typing import Any, cast

import torch
from rich import progress as bars
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from . import models
from .answers import accuracy
from .checkpoint import Progress, Training
from .data import Data
from .pictures import Metrics
from .run import Run

WARM_UP = 0.1  # of all steps


class Fit:
    """The training of one model: a stage of a run.

    A stage that was begun goes on from its last checkpoint, whose metrics it then repeats.

    Args:
        run: Run that the training belongs to.
        stage: Name of the stage.
        model: Model that is trained; parameters without gradients are left alone.
        groups: Parameter groups with their learning rates.
        steps: Number of batches in an epoch.
        data: Data set, whose watched images evaluations look at.
        epochs: Number of passes of the training; by default those of the run's settings.
        memory: What the loss remembers from batch to batch, as buffers, which checkpoints hold.
    """

    def __init__(
        self,
        run: Run,
        stage: str,
        model: nn.Module,
        groups: list[models.ParameterGroup],
        *,
        steps: int,
        data: Data,
        epochs: int | None = None,
        memory: nn.Module | None = None,
    ):
        self.run, self.stage, self.data = run, stage, data
        self.model_name = models.name_of(model)
        self.total = run.settings.epochs if epochs is None else epochs
        self.steps = steps
        model = model.to(run.accelerator.device)
        self.memory = None if memory is None else memory.to(run.accelerator.device)
        decay = run.settings.ema
        self.average = ModelEmaV3(model, decay, use_warmup=True) if decay else None
        optimizer = torch.optim.AdamW(cast(list[dict[str, Any]], groups))
        self.schedule = LambdaLR(optimizer, lambda step: warm_cosine(step, self.total * steps))
        accelerator = run.accelerator
        # The accelerator holds what it has prepared, an earlier stage's too.
        accelerator.free_memory()
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        self.progress = Progress()
        self._sums: dict[str, torch.Tensor] = {}
        if run.restore(stage, self._training()):
            if self.progress.step != self.progress.epoch * steps:
                raise ValueError(
                    f"{stage}: the checkpoint has {self.progress.step} steps in {self.progress.epoch} epochs, "
                    f"expected {steps} an epoch. Resume with the same images and the same batch size."
                )
            run.say(f"{stage}: going on after epoch {self.progress.epoch}")
        run.forget_metrics(stage, self.progress.epoch)

    def _training(self) -> Training:
        """What a checkpoint is of."""
        return Training(
            model=self.raw_model,
            average=None if self.average is None else self.average.module,
            optimizer=self.optimizer,
            schedule=self.schedule,
            scaler=self.run.accelerator.scaler,
            progress=self.progress,
            memory=self.memory,
        )

    @property
    def raw_model(self) -> nn.Module:
        """The model that is trained, without what distributes it."""
        return self.run.accelerator.unwrap_model(self.model)

    @property
    def eval_model(self) -> nn.Module:
        """The model that is tested, kept and teaches: the averaged weights, where there are such."""
        return self.raw_model if self.average is None else self.average.module

    def epochs(self) -> Iterator[int]:
        """The epochs that are left. After each, metrics and a checkpoint are written when due."""
        columns = (
            bars.TextColumn("{task.description:<36}"), bars.BarColumn(), bars.MofNCompleteColumn(),
            bars.TimeRemainingColumn(),
        )  # fmt: skip
        # Where nobody watches, in a file say, each evaluation is a line: see _close.
        quiet = not (self.run.is_main and sys.stdout.isatty())
        with bars.Progress(*columns, disable=quiet) as bar:
            task = bar.add_task(
                self.stage, total=self.total * self.steps, completed=self.progress.step
            )
            self._tick = lambda: bar.advance(task)
            for epoch in range(self.progress.epoch, self.total):
                self.model.train()
                start = time.perf_counter()
                yield epoch
                self._close(epoch, time.perf_counter() - start)
                last = self.progress.accuracy
                tested = f"{self.stage}: {100 * last:.1f} % of the {self.data.watched[0]} right"
                bar.update(task, description=tested if last else None)

    def step(self, loss: torch.Tensor, **more: torch.Tensor) -> None:
        """Learn from a batch.

        Args:
            loss: This process's share of the batch's mean loss.
            more: Such shares of other quantities, for the metrics.
        """
        self.run.accelerator.backward(loss)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        self.progress.step += 1
        if self.average is not None:
            self.average.update(self.raw_model, step=self.progress.step)
        # The sums stay where they are: to read them here would wait for the device.
        for name, value in {"loss": loss, **more}.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.detach()
        self._tick()

    def _close(self, epoch: int, seconds: float) -> None:
        """After an epoch: test, log and write a checkpoint, if it is time to."""
        done = epoch + 1
        self.progress.epoch = done
        sums, self._sums = self._sums, {}
        if done % self.run.settings.evaluate_every and done != self.total:
            return
        line: Metrics = {"stage": self.stage, "epoch": done}
        for name, value in sums.items():
            mean = self.run.accelerator.reduce(value, "mean") / self.steps
            line[name] = round(float(mean), 6)
        if not math.isfinite(line["loss"]):
            raise FloatingPointError(
                f"{self.stage}: the loss of epoch {done} is {line['loss']}, expected a number. Lower --lr, or "
                "take --precision no."
            )
        self._average_statistics()
        part, ids = self.data.watched
        right = accuracy(self.run, self.eval_model, self.data, ids)
        self.progress.accuracy = line["accuracy"] = round(right, 6)
        self.run.log(line | {"seconds_an_epoch": round(seconds, 3)}, self.progress.step)
        if not sys.stdout.isatty():
            self.run.say(
                f"{self.stage}: epoch {done} of {self.total}, training loss {line['loss']:.4g}, "
                f"{100 * line['accuracy']:.1f} % of the {part} right"
            )
        self.run.checkpoint(self.stage, self._training())

    @torch.no_grad()
    def _average_statistics(self) -> None:
        """BatchNorm's statistics, which each process has of its own parts, become their mean."""
        if self.run.accelerator.num_processes == 1:
            return
        for model in dict.fromkeys((self.raw_model, self.eval_model)):
            for buffer in model.buffers():
                if buffer.is_floating_point():
                    buffer.copy_(self.run.accelerator.reduce(buffer, "mean"))

    def finish(self) -> nn.Module:
        """Write the trained model into the run's folder; returns it, frozen."""
        model = self.eval_model
        models.set_name(model, self.model_name)
        self.run.finish(self.stage, model)
        return models.freeze(model)


def warm_cosine(step: int, steps: int) -> float:
    """The share of the highest learning rate: linear for a tenth of the steps, then a cosine to 0.

    Args:
        step: Step, from 0.
        steps: Number of all steps.
    """
    warm_up = max(1, round(WARM_UP * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))
