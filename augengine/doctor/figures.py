"""What was measured, as data: `Cost` of a part, `Machine`, and `Figures` of them all."""

from __future__ import annotations

import os
import statistics
from dataclasses import dataclass
from typing import Literal

import torch

from ..demo import measure
from ..demo.machine import usable_cores

# Half the distance of the quartiles, as a share of the median, above which a figure is called rough.
MOST_SPREAD = 0.15


@dataclass(frozen=True)
class Cost:
    """What one part of the pipeline costs.

    Args:
        part: Name of the part, such as "decode".
        images: Number of images that a round handles.
        seconds: Seconds that each round took.
        first: Seconds of the round before them, which warms up and does not count.
        nbytes: Bytes that an image takes on the way, where the part is a way.
        busy: Core-seconds in a second of it: below 1 it waits for a disk, a network or a clock.

    Example:
        >>> from augengine.doctor import Cost
        >>> cost = Cost("decode", 64, (0.30, 0.32, 0.34))
        >>> cost.median, cost.rate, round(cost.spread, 3)
        (0.32, 200.0, 0.031)
    """

    part: str
    images: int
    seconds: tuple[float, ...]
    first: float = 0.0
    nbytes: int = 0
    busy: float = 1.0

    @property
    def median(self) -> float:
        """Seconds of the median round."""
        return statistics.median(self.seconds)

    @property
    def each(self) -> float:
        """Seconds that one image takes."""
        return self.median / self.images

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.images / self.median

    @property
    def spread(self) -> float:
        """Half the distance of the quartiles, as a share of the median."""
        if len(self.seconds) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return (high - low) / 2 / self.median

    @property
    def rough(self) -> bool:
        """Whether the rounds differ too much, or are too few, for a firm figure."""
        return len(self.seconds) < 3 or self.spread > MOST_SPREAD


@dataclass(frozen=True)
class Machine:
    """The machine, as far as it matters here.

    Args:
        name: Processor, in words.
        cores: Number of cores that this process may use.
        threads: Number of threads that torch computes with.
        gpu: Name of the CUDA device, or None.
        load: Number of other processes that wanted to run, as a share of all its cores.
    """

    name: str
    cores: int
    threads: int
    gpu: str | None = None
    load: float = 0.0


@dataclass(frozen=True)
class Figures:
    """What was measured, part by part. Decode, plan, draw and transport are costs of one core.

    Args:
        machine: Machine that it was measured on.
        data: Dataset, in words.
        policy: Policy, in words.
        model: Model, in words.
        batch_size: Number of images in a batch.
        device: Device that the model runs on, "cpu" or "cuda".
        dtype: Dtype that images are drawn in.
        decode: Cost of reading a sample from the dataset, without augmentation.
        plan: Cost of deciding what happens to it.
        draw: Cost of drawing it on one core.
        draw_on_all: Cost of drawing it with all of torch's threads.
        send_drawn: Cost of a drawn batch's way from a worker to the main process.
        send_uint8: Cost of the same batch's way in uint8.
        send_packed: Cost of a packed batch's way: the images as they came, and their plans.
        step: Cost of the model's step: forward, backward and the optimiser.
        draw_on_gpu: Cost of drawing it on the GPU, the copy to it included, or None without one.
        variants: Costs of the model's step in other ways of computing, each apart.
        start: Seconds until a worker that is started gives its first batch.
        loader: Cost of a whole loader, as a loop without a model sees it, or None.
        place: Where that loader augments, "collate" or "pack"; None if not by us.
        workers: Number of its workers.
        given: Whether that loader is the user's own, and not one built as is advised.
    """

    machine: Machine
    data: str
    policy: str
    model: str
    batch_size: int
    device: str
    dtype: str
    decode: Cost
    plan: Cost
    draw: Cost
    draw_on_all: Cost
    send_drawn: Cost
    send_uint8: Cost
    send_packed: Cost
    step: Cost
    draw_on_gpu: Cost | None = None
    variants: tuple[Cost, ...] = ()
    start: float = 0.0
    loader: Cost | None = None
    place: Literal["collate", "pack", "main"] | None = None
    workers: int | None = None
    given: bool = False

    @property
    def costs(self) -> tuple[Cost, ...]:
        """All costs, in the order of an image's way."""
        found = (
            self.decode, self.plan, self.draw, self.draw_on_all, self.draw_on_gpu, self.send_drawn,
            self.send_uint8, self.send_packed, self.step, *self.variants, self.loader,
        )  # fmt: skip
        return tuple(cost for cost in found if cost is not None)

    @property
    def trains_on_gpu(self) -> bool:
        """Whether the model's step leaves the cores to the workers."""
        return self.device.startswith("cuda")


def this_machine() -> Machine:
    """The machine that this runs on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    name = measure.machine().rpartition(",")[0]
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    return Machine(name, usable_cores(), torch.get_num_threads(), gpu, load)
