"""`python -m benchmarks.gpu`: the GPU executor on a CUDA card, beside what memory allows and the peers.

First our pixels are compared with the torch executor's in float64, on plans never seen before; on a
difference there is no number. Times are by CUDA events behind work that keeps the card busy, so that
the host's part is not in them; the host's part has rows of its own. Ends within eight minutes, and
writes benchmarks/results/gpu.md and gpu.json after each row. With --tests (`make gpu`) the tests that
are marked gpu run first, and must pass.

Codes: 1 no card, 2 wrong pixels or none, 3 failed tests, 4 the time is up in the midst of a row, 5 a
section failed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import torch

import augengine as ae
from augengine.demo import measure
from augengine.demo.measure import Timing

from . import gpu_check, workloads
from .gpu_peers import PEERS
from .gpu_report import Row, row, show, write

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "benchmarks" / "results" / "gpu.md"
BATCH, SOURCE, OUTPUT = 256, workloads.SOURCE, workloads.OUTPUT
WHAT = (
    f"Batch {BATCH}, crops of photographs, {SOURCE}² uint8 → {OUTPUT}² bfloat16 normalised, parameters "
    "for every sample, where a row says nothing else."
)
# In all; what the tests may take of it; and what is left for the last row when no other is begun.
SECONDS, TEST_SECONDS, SPARE = 470.0, 150.0, 40.0
PEER_PACKAGES = ("kornia", "torchtransform", "cvcuda-cu12", "nvidia-dali-cuda120", "triton-augment")
FAILED = "failed: "  # the note of a section that did not end
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
    """Each tile, and the pixels of a thread in eights or one by one."""
    from augengine.kernels.gpu import executor as gpu
    from augengine.kernels.gpu.lower import lower
    from augengine.kernels.gpu.tables import TILES

    for name, policy in POLICIES.items():
        batch = prepared(policy)[0]
        orders = (("in a row", gpu.draw_in_eights), ("one by one", gpu.draw_one_by_one))
        for tile, (order, kernel), warps in product(TILES, orders, (2, 4)):
            held = gpu.upload(lower(batch.plan, tile), batch.sources)
            with replaced(
                gpu, draw_in_eights=kernel, draw_one_by_one=kernel, WARPS=warps, WARPS_WIDE=warps
            ):
                timing = on_the_card(lambda i, h=held, b=batch: gpu.launch(h, b.out), 30)
            size = f"{tile[0]}×{tile[1]}, {warps} warps"
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
            return engine(images, labels, ids=ids, epoch=next(epoch), layout="NHWC")

        ours = until_done(draw, 30)
        yield row(f"{name}: augengine, sampling included", ours, "ms", 1e3)
        for peer, make in PEERS.items():
            try:
                work = make(policy, planes.device)
                timing = until_done(lambda w=work, i=planes: w(i), 10, 8.0)
            except Exception as error:
                note = f"{type(error).__name__}: {error!s:.80}"
                yield Row(f"{name}: {peer}", float("nan"), "ms", note=note)
                continue
            ratio = f"augengine is {timing.median / ours.median:.1f}× as fast"
            yield row(f"{name}: {peer}", timing, "ms", 1e3, note=ratio)


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
            dtype=torch.bfloat16, memory_format=torch.channels_last, layout="NHWC",
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
    card = torch.cuda.get_device_properties(0)
    hip = getattr(torch.version, "hip", None)
    runtime = f"ROCm {hip}" if hip else f"CUDA {torch.version.cuda}"
    return {
        "card": f"{card.name}, {card.total_memory >> 30} GiB, {card.multi_processor_count} SMs",
        "driver": f"driver {_driver()}, {runtime}",
        "versions": measure.versions("torch", "triton", "numpy", "torchvision", *PEER_PACKAGES),
        "date": date.today().isoformat(),
    }


def _driver() -> str:
    for command in (
        ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
        ["cat", "/sys/module/amdgpu/version"],
    ):
        if shutil.which(command[0]):
            answer = subprocess.run(command, capture_output=True, text=True).stdout.split()
            if answer:
                return answer[0]
    return "unknown"


def tests(seconds: float) -> tuple[bool, Row]:
    """Run the tests that are marked gpu, with their progress on the terminal: did they pass, and a row."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-n", "0", "-q", "-x"]
    try:
        code = subprocess.run(command, cwd=ROOT, timeout=seconds).returncode
        note = "" if code == 0 else f"pytest ended with {code}"
    except subprocess.TimeoutExpired:
        code, note = 1, f"not done in {seconds:.0f} s"
    return code == 0, Row("tests marked gpu", time.perf_counter() - begin, "s", note=note)


def collected(
    name: str,
    section: Iterator[Row],
    until: float,
    keep: Callable[[list[Row]], None] = lambda rows: None,
) -> list[Row]:
    """A section's rows, which `keep` is given as each is known. What fails, or comes after the time is up, is
    a row that says so."""
    rows: list[Row] = []
    try:
        for each in section:
            rows.append(each)
            if time.perf_counter() > until:
                rows.append(Row("the rest", float("nan"), "", note="left out: the time is up"))
                break
            keep(rows)
    except Exception as error:
        traceback.print_exc()
        rows.append(Row(name, float("nan"), "", note=f"{FAILED}{error!s:.120}"))
    keep(rows)
    return rows


def _out_of_time() -> None:
    print(f"benchmarks.gpu: the time is up. {RESULT} has the rows that were done.", flush=True)
    os._exit(4)


def main(arguments: Sequence[str] = ()) -> int:
    if not torch.cuda.is_available():
        print(
            "benchmarks.gpu: there is no CUDA device here, expected one. Run it on such a machine."
        )
        return 1
    # What was written so far stays, if a row hangs: each is written when it is known.
    watch = threading.Timer(SECONDS, _out_of_time)
    watch.daemon = True
    watch.start()
    until = time.perf_counter() + SECONDS - SPARE
    machine = about()
    sections: dict[str, list[Row]] = {}
    if "--tests" in arguments:
        passed, tested = tests(TEST_SECONDS)
        sections["Tests"] = [tested]
        if not passed:
            write(RESULT, machine, WHAT, sections)
            print(f"benchmarks.gpu: the tests fail, so there are no numbers. See {RESULT}.")
            return 3
    found: list[gpu_check.Found] = []

    def pixels() -> Iterator[Row]:
        seed = time.time_ns() % 2**32
        for each in gpu_check.each_error(torch.device("cuda"), "gpu", seed):
            found.append(each)
            yield each.row(Row)

    def keep(name: str, rows: list[Row]) -> None:
        sections[name] = rows
        write(RESULT, machine, WHAT, sections)

    collected("Pixels", pixels(), until, partial(keep, "Pixels"))
    show("Pixels, compared with the torch executor in float64", sections["Pixels"])
    if len(found) < len(gpu_check.CASES) or not all(f.within for f in found):
        print("benchmarks.gpu: the pixels are not as they should be, so there are no numbers.")
        return 2
    copy = bandwidth()
    # What is worth most comes first, lest the time be up.
    failed = False
    for name, section in {
        "Time and floor": floors(copy),
        "Training": training(),
        "Peers": against_peers(),
        "Variants of the launch": variants(),
    }.items():
        rows = collected(name, section, until, partial(keep, name))
        failed |= any(each.note.startswith(FAILED) for each in rows)
        show(name, sections[name])
        torch.cuda.empty_cache()
    print(f"written to {RESULT} and {RESULT.with_suffix('.json').name}")
    return 5 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
