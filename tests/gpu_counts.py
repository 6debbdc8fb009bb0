"""What a recipe's kernels execute for a pixel, on the branches that its plans take, without a GPU.

The executor launches kernels that are compiled for a device and not run; each launch is then followed
through its PTX (ptx.py), a thread of as many programs as tell the mean.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from time import perf_counter
from unittest import mock

import numpy as np
import ptx
import torch
from gpu import NVIDIA, Pretended

import augengine as ae
from augengine.policy.policy import Policy

SIZE = 224
CROP = [ae.RandomResizedCrop(SIZE, antialias=False), ae.RandomHorizontalFlip()]
NORMALIZE = ae.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
JITTER = [ae.ColorJitter(0.8, 0.8, 0.8, 0.2)]
RECIPES = {
    "crop + flip": [*CROP, NORMALIZE],
    "affine + flip + brightness": [
        ae.RandomAffine(15, translate=(0.1, 0.1), scale=(0.9, 1.1), antialias=False),
        ae.CenterCrop(SIZE), ae.RandomHorizontalFlip(), ae.RandomBrightness(0.2), NORMALIZE,
    ],
    "RandAugment": [*CROP, ae.RandAugment(2, 9), NORMALIZE],
    "RandAugment + CutMix": [*CROP, ae.RandAugment(2, 9), ae.CutMix(), NORMALIZE],
    "SimCLR": [
        ae.RandomResizedCrop(SIZE), ae.RandomHorizontalFlip(), ae.RandomApply(JITTER, 0.8),
        ae.RandomGrayscale(0.2), ae.GaussianBlur(23, (0.1, 2.0), p=0.5), NORMALIZE,
    ],
    # Each pixel of the output is measured, and filtered.
    "statistics": [ae.CenterCrop(SIZE), ae.RandomEqualize(1.0), NORMALIZE],
    "filters": [ae.CenterCrop(SIZE), ae.GaussianBlur(9, (0.1, 2.0)), NORMALIZE],
    "sharpness": [ae.CenterCrop(SIZE), ae.RandomAdjustSharpness(2.0, 1.0), NORMALIZE],
}  # fmt: skip
BATCH = 32


@dataclass
class Launch:
    name: str
    compiled: object
    arguments: dict
    grid: tuple

    @property
    def parameters(self):
        """What the compiled kernel is given, in its order: those that are no constants of it."""
        signature = self.compiled.src.signature
        values = [self.arguments[name] for name, kind in signature.items() if kind != "constexpr"]
        return [v.data_ptr() if isinstance(v, torch.Tensor) else int(v) for v in values] + [0, 0]

    @property
    def programs(self):
        return np.prod(self.grid)


@contextmanager
def recorded(device):
    """The launches of the executor, compiled for the device and recorded."""
    from triton.backends.compiler import GPUTarget
    from triton.runtime import driver

    from augengine.kernels.gpu import executor as gpu

    class Target(Pretended):
        def get_current_target(self):
            return GPUTarget("cuda", NVIDIA[device], 32)

    launches = []

    class Recorder:
        def __init__(self, kernel):
            self.kernel = kernel
            kernel.device_caches.clear()

        def __getitem__(self, grid):
            def launch(*values, **constants):
                compiled = self.kernel.warmup(*values, grid=grid, **constants)
                arguments = dict(zip(self.kernel.arg_names, values, strict=False)) | constants
                whole = (*grid, 1, 1)[:3]
                launches.append(Launch(self.kernel.__name__, compiled, arguments, whole))

            return launch

    names = ("draw_in_eights", "draw_one_by_one", "complete", "filter_rows")
    kernels = {name: Recorder(getattr(gpu, name)) for name in names}
    with (
        mock.patch.object(driver, "_active", Target()),
        mock.patch.multiple(gpu, INTERPRETED=True, **kernels),
    ):
        yield launches


@dataclass
class Run:
    """What the executor did for a batch of a recipe, on the host."""

    launches: list
    uploaded: object
    pixels: int
    microseconds: dict  # of its parts


def run_of(recipe, device):
    from augengine.kernels.gpu import executor as gpu
    from augengine.kernels.gpu.lower import lower

    images = torch.zeros(BATCH, 256, 256, 3, dtype=torch.uint8)
    sources = ae.Sources.of(images, "NHWC")
    policy = Policy(RECIPES[recipe])
    lower(policy.sample(np.arange(BATCH), sources.sizes))  # what is done once is not measured
    marks = [perf_counter()]
    plan = policy.sample(np.arange(BATCH), sources.sizes, dtype="bfloat16")
    marks.append(perf_counter())
    lowered = lower(plan)
    marks.append(perf_counter())
    with recorded(device) as launches:
        begin = perf_counter()
        uploaded = gpu.upload(lowered, sources)
        marks.append(marks[-1] + perf_counter() - begin)
        gpu.launch(uploaded, torch.empty(plan.shape, dtype=torch.bfloat16))
    taken = 1e6 * np.diff(marks)
    parts = dict(
        zip(("sample", "lower", "upload"), taken.round().astype(int).tolist(), strict=True)
    )
    return Run(launches, uploaded, len(plan) * SIZE * SIZE, parts)


@cache
def executed_by(recipe, device):
    """Instructions a pixel of the batch, by kernel: a thread's, times the threads, of all launches."""
    run = run_of(recipe, device)
    buffer = run.uploaded.buffer
    memory = ptx.Memory({buffer.data_ptr(): buffer.numpy()})
    total = {}
    for launch in run.launches:
        kernel = ptx.Kernel(launch.compiled.asm["ptx"])
        # All that measure, since they write; of others a few of each output.
        count = launch.programs if launch.name == "complete" else min(launch.programs, 3 * BATCH)
        numbers = np.linspace(0, launch.programs - 1, count).astype(int)
        chosen = zip(*np.unravel_index(numbers, launch.grid), strict=True)
        taken = [
            ptx.executed(kernel, launch.parameters, tuple(map(int, each)), memory)
            for each in chosen
        ]
        threads = 32 * launch.compiled.metadata.num_warps
        name = launch.name.strip("_")
        more = float(np.mean(taken) * threads * launch.programs / run.pixels)
        total[name] = total.get(name, 0) + more
    return {name: round(each, 1) for name, each in total.items()} | {
        "all": round(sum(total.values()), 1)
    }
