"""From figures to images per second: where augmentation may run, with how many workers.

worker = decode + plan + draw + send        seconds that an image takes in a worker
busy   = worker, less what decode waits     core-seconds of it
device = step (+ draw, where the device draws)
feed   = min(workers, cores · worker / busy) / worker
rate   = min(feed, 1 / device)              where the model runs on a GPU
rate   = min(the same, cores / (busy + threads · device)) on the CPU, whose cores both share
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from .figures import Cost, Figures

Place = Literal["collate", "pack", "main"]

# So much faster than the model the workers are to be, since no pipeline is even.
RESERVE = 1.1
# Ways within so much of the fastest are as good: the simplest of them is taken.
AS_GOOD = 0.95
# Workers a core, at most, where reading a sample waits for a disk or a network.
MOST_PER_CORE = 4
# A part of the way, as it is called.
NAMES = {
    "decode": "decoding",
    "plan": "deciding (plan)",
    "draw": "drawing",
    "send": "transport to the main process",
    "step": "the model's step",
}


@dataclass(frozen=True)
class Way:
    """A way to run the pipeline, and what it would sustain.

    Args:
        place: Where augmentation runs: "collate" in the workers, "pack" where workers decide and the
            device draws, "main" in the main process.
        workers: Number of workers.
        in_worker: Seconds that an image takes in a worker, by part.
        on_device: Seconds that an image takes in the main process or on its device, by part.
        at_once: Number of workers that can run at once on the cores that they can have.
        rate: Images per second of the whole.
        feed: Images per second that the workers could give a model that takes no time.
        take: Images per second that the device could take, were they there.
    """

    place: Place
    workers: int
    in_worker: dict[str, float]
    on_device: dict[str, float]
    at_once: float
    rate: float
    feed: float
    take: float

    @property
    def rates(self) -> dict[str, float]:
        """Images per second that each part alone could sustain."""
        running = min(self.workers, self.at_once)
        found = {part: running / seconds for part, seconds in self.in_worker.items() if seconds > 0}
        found |= {part: 1 / seconds for part, seconds in self.on_device.items() if seconds > 0}
        return {part: found[part] for part in NAMES if part in found}

    @property
    def bottleneck(self) -> str:
        """The part that holds the others up: the slowest one of the side that is slower."""
        side = self.on_device if self.workers == 0 or self.take <= self.feed else self.in_worker
        return max(side, key=lambda part: side[part])


def cost_of(figures: Figures, one: Way, part: str) -> Cost:
    """The cost that a part of a way was taken from.

    Args:
        figures: Figures that the way was made of.
        one: Way.
        part: Name of one of its parts.
    """
    if part == "draw" and part not in one.in_worker:
        on_gpu = figures.trains_on_gpu and figures.draw_on_gpu is not None
        drawn_there = figures.draw_on_gpu if on_gpu and one.place != "collate" else None
        return drawn_there or figures.draw_on_all
    if part == "send" and one.place == "pack":
        return figures.send_packed
    found = {"decode": figures.decode, "plan": figures.plan, "draw": figures.draw}
    return (found | {"send": figures.send_drawn, "step": figures.step})[part]


def way(figures: Figures, place: Place, workers: int | None = None) -> Way:
    """What a way would sustain.

    Args:
        figures: Figures that were measured.
        place: Place of augmentation.
        workers: Number of workers; None takes as many as help. In the main process it is 0.
    """
    decode, plan, draw = figures.decode.each, figures.plan.each, figures.draw.each
    step, cores = figures.step.each, figures.machine.cores
    on_gpu = figures.trains_on_gpu and figures.draw_on_gpu is not None
    drawn_there = (
        figures.draw_on_gpu.each if on_gpu and figures.draw_on_gpu else figures.draw_on_all.each
    )
    # The main process has a core of its own, which asks the GPU for its work.
    for_workers = max(1, cores - 1) if figures.trains_on_gpu else cores
    if place == "main" or workers == 0:
        drawn = figures.draw_on_all.each if place == "collate" else drawn_there
        serial = {"decode": decode, "plan": plan, "draw": drawn, "step": step}
        rate = 1 / sum(serial.values())
        feed = 1 / (decode + plan + drawn)
        return Way(place, 0, {}, serial, for_workers, rate, feed, 1 / step)
    if place == "collate":
        in_worker = {"decode": decode, "plan": plan, "draw": draw, "send": figures.send_drawn.each}
        on_device = {"step": step}
    else:
        in_worker = {"decode": decode, "plan": plan, "send": figures.send_packed.each}
        on_device = {"draw": drawn_there, "step": step}
    worker, device = sum(in_worker.values()), sum(on_device.values())
    busy = worker - decode * (1 - figures.decode.busy)
    at_once = min(for_workers * worker / busy, MOST_PER_CORE * for_workers)
    shared = math.inf
    if not figures.trains_on_gpu:
        # A step and a draw on the CPU keep torch's threads busy.
        shared = cores / (busy + min(figures.machine.threads, cores) * device)
        device = max(on_device.values())  # a thread draws while the model's step runs
    take = 1 / device
    if workers is None:
        wanted = RESERVE * take if figures.trains_on_gpu else min(take, shared)
        workers = max(1, min(math.floor(at_once), math.ceil(wanted * worker - 1e-9)))
    feed = min(workers, at_once) / worker
    return Way(place, workers, in_worker, on_device, at_once, min(feed, take, shared), feed, take)


def all_ways(figures: Figures) -> list[Way]:
    """The three ways with as many workers as help each, the fastest first; those that are as good stand
    in the order of what they ask of a loop: none, Collate, pack."""
    found = [way(figures, "main"), way(figures, "collate"), way(figures, "pack")]
    most = max(one.rate for one in found)
    good = [one for one in found if one.rate >= AS_GOOD * most]
    others = sorted((one for one in found if one not in good), key=lambda one: -one.rate)
    return good + others


def best_way(figures: Figures) -> Way:
    """The way that is advised: the simplest of those that are within 5 % of the fastest."""
    return all_ways(figures)[0]


def way_now(figures: Figures) -> Way | None:
    """The way that the examined loader goes, or None if none was given."""
    if figures.place is None or figures.workers is None or not figures.given:
        return None
    return way(figures, figures.place, figures.workers)
