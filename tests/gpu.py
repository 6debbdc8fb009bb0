"""The GPU executor without a GPU: drawn by Triton's interpreter, or compiled ahead of time."""

import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from cases import assert_close
from generated import tolerance_of


def assert_agrees(case, plan, more=0.0, either=None):
    """The GPU executor draws what torch does, within the tolerance of parity and `more`, but for the
    pixels `either` [N, 1, H, W] (generated.at_a_jump). The output is poisoned first, so a value that
    is never written fails too."""
    expected = case.draw("torch", plan)
    byte = plan.finish.dtype == "uint8"
    poison = torch.full_like(expected, 0xAB if byte else torch.nan)
    got = case.draw("gpu", plan, out=poison)
    assert got is poison
    assert torch.isfinite(got.float()).all()
    # The interpreter cuts a bfloat16 off where a GPU rounds it: a step more.
    largest = 3.0 if plan.finish.std else 1.0
    step = largest * 2**-7 if plan.finish.dtype == "bfloat16" else 0.0
    if either is not None:
        got, expected = (x.masked_fill(either, 0) for x in (got, expected))
    assert_close(got, expected, tolerance_of(plan) + step + more)


def assert_mostly_agrees(case, plan, more, few):
    """assert_agrees, but for a share `few` of the values, where a tone inverts on a threshold."""
    if not few:
        assert_agrees(case, plan, more)
        return
    got, expected = case.draw("gpu", plan), case.draw("torch", plan)
    apart = (got - expected).abs() > tolerance_of(plan) + more
    assert apart.float().mean() <= few


# Compiled ahead of time


@dataclass(frozen=True)
class Compiled:
    """The kernel for one device. Instructions are counted without the NOPs behind its end."""

    registers: int
    stack: int  # bytes a thread; registers that are spilled lie there
    shared: int  # bytes a program
    instructions: float  # a pixel, every branch counted once
    loads: float  # a pixel
    stores: float  # a pixel

    def __str__(self):
        return (
            f"{self.registers} registers, {self.stack} B stack, {self.shared} B shared; a pixel: "
            f"{self.instructions:g} instructions, {self.loads:g} loads, {self.stores:g} stores"
        )


NVIDIA = {"sm_80": 80, "sm_90": 90, "sm_100": 100}
FLAGS = ("PROJECTIVE", "WIDE", "BORDERS", "STEPS", "LAYERS", "FILLS")


def compiled(
    device, source="uint8", out="bf16", channels=3, packed=True, channels_last=False, needs=(),
    block=(4, 128), far=False,
):  # fmt: skip
    """Compile `draw` for a device that is not here: sm_80 … or gfx942. needs: of FLAGS, which hold.
    As the executor compiles it for a contiguous output whose width is a multiple of 16."""
    from augengine.kernels.gpu import draw as gpu_draw
    from augengine.kernels.gpu import executor as gpu

    stride_of_1 = "stride_c" if channels_last else "stride_x"
    constants = {
        "SOURCE": gpu.SOURCE_TYPES[getattr(torch, source)],
        "CHANNELS": channels,
        "PACKED": packed,
        "FAR": far,
        "BLOCK_H": block[0],
        "BLOCK_W": block[1],
        stride_of_1: 1,
        **{flag: flag in needs for flag in FLAGS},
    }
    aligned, warps = {"out_ptr", "width", "stride_n", "stride_c", "stride_y"}, gpu.WARPS
    if {"WIDE", "STEPS"} & set(needs):  # draw_one_by_one
        aligned, warps = {"out_ptr"}, gpu.WARPS_WIDE if "WIDE" in needs else gpu.WARPS
    pointers, pixels = {"out_ptr": f"*{out}"}, block[0] * block[1]
    return _counted(gpu_draw.draw_in_eights, device, pointers, constants, aligned, pixels, warps)


def compiled_statistics(device, source="uint8", channels=3):
    """Compile `complete` for packed images."""
    from augengine.kernels.gpu import executor as gpu
    from augengine.kernels.gpu import statistics as gpu_statistics

    constants = {
        "SOURCE": gpu.SOURCE_TYPES[getattr(torch, source)],
        "CHANNELS": channels,
        "PACKED": True,
        "FAR": False,
        "BLOCK": gpu_statistics.BLOCK,
    }
    return _counted(
        gpu_statistics.complete, device, {"measured_views_ptr": "*fp32"}, constants,
        {"measured_views_ptr"}, gpu_statistics.BLOCK, gpu_statistics.WARPS,
    )  # fmt: skip


def compiled_filters(device, dtype="u8", channels=3):
    """Compile `filter_rows`."""
    from augengine.kernels.gpu import filter as gpu_filter

    pointers = {
        "out_ptr": f"*{dtype}",
        "pictures_ptr": f"*{dtype}",
        "scratch_ptr": "*fp32",
        "filters_ptr": "*fp32",
    }
    constants = {"CHANNELS": channels, "BLOCK": gpu_filter.BLOCK}
    return _counted(
        gpu_filter.filter_rows, device, pointers, constants, {*pointers}, gpu_filter.BLOCK,
        gpu_filter.WARPS,
    )  # fmt: skip


def _counted(function, device, pointers, constants, aligned, pixels, warps=4):
    """Compile, for a program of so many pixels. aligned: arguments known to be multiples of 16, beside
    the tables."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from augengine.kernels.gpu import executor as gpu

    names = ("views_ptr", "steps_ptr", "curves_ptr", "layers_ptr", "finish_ptr")
    tables = dict.fromkeys(names, "*fp32")
    known = {"images_ptr": "*i64", **tables, **pointers, **dict.fromkeys(constants, "constexpr")}
    names = function.arg_names
    attributes = {
        (i,): [["tt.divisibility", 16]]
        for i, name in enumerate(names)
        if name in aligned and name not in constants
    }
    on_nvidia = device in NVIDIA
    kernel = triton.compile(
        ASTSource(
            function, {name: known.get(name, "i32") for name in names}, constants, attributes
        ),
        target=GPUTarget("cuda", NVIDIA[device], 32) if on_nvidia else GPUTarget("hip", device, 64),
        options=gpu.OPTIONS | {"num_warps": warps},
    )
    count = _counted_sass if on_nvidia else _counted_amdgcn
    return count(kernel, pixels / (warps * (32 if on_nvidia else 64)))


def _tool(name, flag, kernel):
    """What a tool of Triton's says of a compiled kernel."""
    path = Path(sys.modules["triton"].__file__).parent / "backends/nvidia/bin" / name
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        return subprocess.run([path, flag, file.name], capture_output=True, text=True).stdout


def sass_of(kernel):
    """The names of a compiled kernel's instructions, without the NOPs behind its end."""
    text = _tool("nvdisasm", "-c", kernel)
    lines = re.findall(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ +)?([\w.]+)", text, re.M)
    return [name for name in lines if name != "NOP"]


def _counted_sass(kernel, pixels):
    usage = _tool("cuobjdump", "-res-usage", kernel)
    usage = {k: int(v) for k, v in re.findall(r"(REG|STACK|SHARED|LOCAL):(\d+)", usage)}
    lines = sass_of(kernel)
    return Compiled(
        usage["REG"],
        usage["STACK"],
        kernel.metadata.shared,
        len(lines) / pixels,
        sum(name.startswith("LDG") for name in lines) / pixels,
        sum(name.startswith("STG") for name in lines) / pixels,
    )


def _counted_amdgcn(kernel, pixels):
    text = kernel.asm["amdgcn"]
    number = {
        name: int(re.search(rf"\.{name}:\s+(\d+)", text)[1])
        for name in (
            "vgpr_count",
            "vgpr_spill_count",
            "sgpr_spill_count",
            "private_segment_fixed_size",
        )
    }
    lines = re.findall(r"^\t([sv]_\w+|(?:global|buffer|flat|ds|scratch)_\w+)", text, re.M)
    return Compiled(
        number["vgpr_count"],
        number["private_segment_fixed_size"] + 4 * number["sgpr_spill_count"],
        kernel.metadata.shared,
        len(lines) / pixels,
        sum("_load" in name and name[0] != "s" for name in lines) / pixels,
        sum("_store" in name for name in lines) / pixels,
    )


# As on a GPU, up to the launch


class Pretended:
    """A driver that says that there is an H100."""

    def get_current_target(self):
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0


class CompiledOnly:
    """A kernel whose launch compiles what the arguments ask for, and stops there."""

    def __init__(self, kernel):
        self.kernel = kernel

    def __getitem__(self, grid):
        return lambda *args, **constants: self.kernel.warmup(*args, grid=grid, **constants)

    @property
    def variants(self):
        return sum(len(cache[0]) for cache in self.kernel.device_caches.values())
