"""`python -m benchmarks.gpu`: the GPU executor on a CUDA card, beside what memory allows and the peers.

First our pixels are compared with the torch executor's in float64, on plans never seen before; on a
difference there is no number. Times are by CUDA events behind work that keeps the card busy, so that
the host's part is not in them; the host's part has rows of its own. Ends within eight minutes, and
writes benchmarks/results/gpu.md and gpu.json after each section.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

import augengine as ae
from augengine.demo import measure, peers
from augengine.demo.measure import Timing

from . import gpu_check, workloads
from .gpu_report import Row, row, show, write

RESULT = Path(__file__).parent / "results" / "gpu.md"
BATCH, SOURCE, OUTPUT = 256, workloads.SOURCE, workloads.OUTPUT
WHAT = (
    f"Batch {BATCH}, crops of photographs, {SOURCE}² uint8 → {OUTPUT}² bfloat16 normalised, parameters "
    "for every sample, where a row says nothing else."
)
SECONDS = 480.0
COPY_BYTES = 1 << 30
ROTATED = 4  # batches in turn, since one of them may lie in the second-level cache

CROP, RAND_AUGMENT = "crop + flip", "crop + flip + RandAugment(2, 9) + CutMix"
# Without antialiasing, as the peers crop.
POLICIES = {
    CROP: ae.Policy(
        [
            ae.RandomResizedCrop(OUTPUT, antialias=False),
            ae.RandomHorizontalFlip(),
            ae.Normalize(workloads.MEAN, workloads.STD),
        ]
    ),
    RAND_AUGMENT: workloads.POLICIES[RAND_AUGMENT],
}

FLOORS = {CROP: 1.5, RAND_AUGMENT: 3.0}  # asked for: times of what memory allows
SLOWER = 1.02  # asked for: a training step, of one with a constant batch


# Timing


def on_the_card(work: Callable[[int], object], rounds: int = 60) -> Timing:
    """What work(round) takes on the card, launches of the host not counted."""
    for i in range(5):
        work(i)
    marks = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(rounds)]
    for i, (start, end) in enumerate(marks):
        torch.cuda._sleep(2_000_000)  # about a millisecond, in which the host gets ahead
        start.record()
        work(i)
        end.record()
        torch.cuda.synchronize()
    return Timing(tuple(start.elapsed_time(end) / 1e3 for start, end in marks))


def on_the_host(work: Callable[[int], object], rounds: int = 60) -> Timing:
    """What work(round) takes in this process until it returns, the card being idle before."""
    taken = []
    for i in range(5 + rounds):
        torch.cuda.synchronize()
        taken.append(measure.timed(lambda i=i: work(i)))
    return Timing(tuple(taken[5:]))


def until_done(work: Callable[[], object], rounds: int, seconds: float = 15.0) -> Timing:
    """What work() takes until the card is done: fewer rounds, though three, if time is short."""

    def whole():
        work()
        torch.cuda.synchronize()

    return measure.interleaved({"work": whole}, rounds, seconds)["work"]


# Sections: each yields its rows as they are known


def bandwidth() -> Timing:
    source = torch.zeros(COPY_BYTES, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return on_the_card(lambda i: target.copy_(source))


def floors(copy: Timing) -> Iterator[Row]:
    """Kernels as multiples of what memory allows, and the host's part."""
    from augengine.kernels.gpu import executor as gpu

    yield Row("copy bandwidth", 2 * COPY_BYTES / copy.median / 1e9, "GB/s", copy.spread, len(copy))
    for name, policy in POLICIES.items():
        batches = prepared(policy)
        floor = floor_of(batches[0].plan, copy)
        held = [gpu.upload(b.lowered, b.sources) for b in batches]
        kernel = on_the_card(lambda i, h=held, b=batches: gpu.launch(h[i % ROTATED], b[0].out))
        note = f"{1e6 * kernel.median:.0f} µs, floor {1e6 * floor:.0f} µs"
        yield row(f"{name}: kernels", kernel, "× floor", 1 / floor, FLOORS[name], note)

        def draw(i, batches=batches):
            batch = batches[i % ROTATED]
            return gpu.draw(batch.lowered, batch.sources, batch.out)

        yield row(f"{name}: host, packed elsewhere", on_the_host(draw), "ms", 1e3, 0.2)

        def whole(i, policy=policy, batches=batches):
            batch = batches[i % ROTATED]
            return gpu.draw(gpu.lower(planned(policy, epoch=i)), batch.sources, batch.out)

        yield row(f"{name}: host, with sampling", on_the_host(whole), "ms", 1e3, 2.0)


def variants() -> Iterator[Row]:
    """Each tile, and the pixels of a thread in fours or one by one."""
    from augengine.kernels.gpu import executor as gpu

    for name, policy in POLICIES.items():
        batch = prepared(policy)[0]
        held = gpu.upload(batch.lowered, batch.sources)
        for order, kernel in (("in fours", gpu.draw_in_fours), ("one by one", gpu.draw_one_by_one)):
            for tile in gpu.TILES:
                with replaced(
                    gpu, draw_in_fours=kernel, draw_one_by_one=kernel, tile_for=lambda w, t=tile: t
                ):
                    timing = on_the_card(lambda i, h=held, b=batch: gpu.launch(h, b.out))
                size = f"{tile[0]}×{tile[1]}"
                yield row(f"{name}: pixels {order}, tiles {size}", timing, "µs", 1e6)


def against_peers() -> Iterator[Row]:
    """The same policy by libraries that work op by op, on the same card; float32, as they make it."""
    for name, policy in POLICIES.items():
        images = torch.from_numpy(workloads.crops(BATCH)).cuda()
        planes = images.permute(0, 3, 1, 2).contiguous()
        engine = ae.Engine(policy, num_classes=1000 if policy.mixes else None)
        labels, ids = torch.arange(BATCH, device="cuda"), np.arange(BATCH)
        epoch = iter(range(1 << 62))

        def draw(engine=engine, images=images, labels=labels, ids=ids, epoch=epoch):
            return engine(images, labels, ids=ids, epoch=next(epoch))

        ours = until_done(draw, 30)
        yield row(f"{name}: augengine, sampling included", ours, "ms", 1e3)
        contenders = {
            "kornia": lambda p=policy, i=planes: _peer(peers.kornia(p), i),
            "torchvision v2, each image": lambda p=policy, i=planes: _peer(
                peers.torchvision(p), list(i)
            ),
            "torchvision v2, one draw for the batch, no mix": lambda p=policy, i=planes: _whole(
                p, i
            ),
        }
        for peer, make in contenders.items():
            try:
                timing = until_done(make(), 10)
            except Exception as error:
                yield Row(f"{name}: {peer}", float("nan"), "ms", note=f"failed: {error!s:.80}")
                continue
            ratio = f"augengine is {timing.median / ours.median:.1f}× as fast"
            yield row(f"{name}: {peer}", timing, "ms", 1e3, note=ratio)


def _peer(work, images):
    return lambda: work(images, None)


def _whole(policy: ae.Policy, images: torch.Tensor):
    """A v2 transform draws one set of parameters for what it is given. Its CutMix wants labels, and is
    left out."""
    from torchvision.transforms import v2

    auto = any(isinstance(op, ae.RandAugment) for op in policy.transforms)
    work = v2.Compose(
        [
            v2.RandomResizedCrop(OUTPUT, antialias=False),
            v2.RandomHorizontalFlip(),
            *([v2.RandAugment(2, 9)] if auto else []),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(workloads.MEAN, workloads.STD, inplace=True),
        ]
    )
    return lambda: work(images)


def training() -> Iterator[Row]:
    """ResNet-50 in bfloat16: what a step takes with augmented batches and with one constant batch."""
    from torchvision.models import resnet50

    model = resnet50().cuda().to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, foreach=True)

    def step(images, labels):
        with torch.autocast("cuda", torch.bfloat16):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    shape = (BATCH, 3, OUTPUT, OUTPUT)
    constant = torch.randn(shape, dtype=torch.bfloat16, device="cuda")
    constant = constant.to(memory_format=torch.channels_last)
    target = torch.rand(BATCH, 1000, device="cuda").softmax(1)
    same = steps(step, iter(lambda: (constant, target), None))
    yield row("ResNet-50, constant batch", same, "ms a step", 1e3)
    pinned = torch.from_numpy(workloads.crops(BATCH)).pin_memory()
    batches = Constant((pinned, torch.arange(BATCH), np.arange(BATCH)))
    for name, policy in POLICIES.items():
        loader = ae.DeviceLoader(
            batches, policy, device="cuda", prefetch=2, num_classes=1000, label_smoothing=0.1,
            dtype=torch.bfloat16, memory_format=torch.channels_last,
        )  # fmt: skip
        timing = steps(step, ((batch.images, batch.labels) for batch in loader))
        note = f"{100 * (timing.median / same.median - 1):+.1f} % to the constant batch"
        at_most = 1e3 * SLOWER * same.median
        yield row(f"ResNet-50, {name}", timing, "ms a step", 1e3, at_most, note)


class Constant:
    """A loader of one batch, 40 times over, from pinned memory."""

    def __init__(self, batch):
        self.batch = batch

    def __iter__(self):
        return iter([self.batch] * 40)

    def __len__(self):
        return 40


def steps(step, batches, warm: int = 10, count: int = 25) -> Timing:
    """Seconds of each training step, from the end of one to the end of the next."""
    marks = []
    for i, (images, labels) in enumerate(batches):
        step(images, labels)
        mark = torch.cuda.Event(enable_timing=True)
        mark.record()
        marks.append(mark)
        if i == warm + count:
            break
    torch.cuda.synchronize()
    counted = marks[warm:]
    return Timing(tuple(a.elapsed_time(b) / 1e3 for a, b in pairwise(counted)))


# What is drawn


@dataclass(frozen=True)
class Prepared:
    plan: ae.Plan
    lowered: object
    sources: ae.Sources
    out: torch.Tensor


def planned(policy: ae.Policy, epoch: int = 0, batch: int = BATCH) -> ae.Plan:
    sizes = np.full((batch, 2), SOURCE, np.int32)
    return policy.sample(np.arange(batch), sizes, epoch=epoch, dtype="bfloat16")


def prepared(policy: ae.Policy) -> list[Prepared]:
    """Batches to be drawn in turn, each from memory of its own."""
    from augengine.kernels.gpu.lower import lower

    images = torch.from_numpy(workloads.crops(BATCH)).cuda()
    made = []
    for epoch in range(ROTATED):
        plan = planned(policy, epoch)
        out = torch.empty(plan.shape, dtype=torch.bfloat16, device="cuda")
        sources = ae.Sources.of(images.clone(), "NHWC")
        made.append(Prepared(plan, lower(plan), sources, out))
    return made


def floor_of(plan: ae.Plan, copy: Timing) -> float:
    """Seconds in which the card moves the bytes that the plan needs."""
    return measure.floor_seconds(measure.floor_bytes(plan), copy, COPY_BYTES)


@contextmanager
def replaced(module, **names):
    before = {name: getattr(module, name) for name in names}
    try:
        for name, value in names.items():
            setattr(module, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


# The run


def about() -> dict[str, str]:
    card, driver = torch.cuda.get_device_properties(0), "unknown"
    if smi := shutil.which("nvidia-smi"):
        ask = [smi, "--query-gpu=driver_version", "--format=csv,noheader"]
        answer = subprocess.run(ask, capture_output=True, text=True).stdout.split()
        driver = answer[0] if answer else driver
    return {
        "card": f"{card.name}, {card.total_memory >> 30} GiB, {card.multi_processor_count} SMs",
        "driver": f"driver {driver}, CUDA {torch.version.cuda}",
        "versions": measure.versions("torch", "triton", "numpy", "torchvision", "kornia"),
        "date": date.today().isoformat(),
    }


def collected(name: str, section: Iterator[Row], until: float) -> list[Row]:
    """A section's rows. What fails, or comes after the time is up, is a row that says so."""
    rows: list[Row] = []
    try:
        for each in section:
            rows.append(each)
            if time.perf_counter() > until:
                rows.append(Row("the rest", float("nan"), "", note="left out: the time is up"))
                break
    except Exception as error:
        rows.append(Row(name, float("nan"), "", note=f"failed: {error!s:.120}"))
    return rows


def main() -> int:
    if not torch.cuda.is_available():
        print(
            "benchmarks.gpu: there is no CUDA device here, expected one. Run it on such a machine."
        )
        return 1
    until = time.perf_counter() + SECONDS
    found = gpu_check.errors_of_fresh_plans(
        torch.device("cuda"), "gpu", seed=time.time_ns() % 2**32
    )
    show("Pixels, compared with the torch executor in float64", [f.row(Row) for f in found])
    if not all(f.within for f in found):
        print("benchmarks.gpu: the pixels differ by more than they may, so there are no numbers.")
        return 2
    machine, copy = about(), bandwidth()
    sections: dict[str, list[Row]] = {"Pixels": [f.row(Row) for f in found]}
    for name, section in {
        "Time and floor": floors(copy),
        "Variants of the launch": variants(),
        "Training": training(),
        "Peers": against_peers(),
    }.items():
        sections[name] = collected(name, section, until)
        show(name, sections[name])
        write(RESULT, machine, WHAT, sections)
        torch.cuda.empty_cache()
    print(f"written to {RESULT} and {RESULT.with_suffix('.json').name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
