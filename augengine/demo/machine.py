"""The machine and the process: processor, versions, heap, and one thread for every library."""

from __future__ import annotations

import math
import os
import platform
from datetime import date
from importlib import metadata
from pathlib import Path

import torch

from ..systems import cores
from . import measure

# Freed memory is kept and used again; without these glibc returns a batch to the system and
# page-faults the next one in. They are read when a process starts.
REUSED_HEAP = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
}
# OpenMP's for torch and NumPy, numba's, and rayon's for what is written in Rust. OpenCV, torch and DALI
# are told by their own functions.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS"), "1"
)

PACKAGES = (
    "torch", "numpy", "numba", "llvmlite", "torchvision", "albumentations", "opencv-python-headless",
    "variopinta", "augrs-py", "torchtransform", "kornia", "timm", "pillow", "simplejpeg", "nvidia-dali-cuda120",
)  # fmt: skip


def heap() -> str:
    """The heap that this process was started with: "reused" or "ordinary"."""
    reused = all(os.environ.get(name) == value for name, value in REUSED_HEAP.items())
    return "reused" if reused else "ordinary"


def about() -> dict[str, object]:
    """What a result depends on beside what was measured."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "cpu": measure.machine(),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "versions": versions,
        "heap": heap(),
        "date": date.today().isoformat(),
    }


def use_one_thread() -> None:
    """Torch, and so we, and OpenCV, if it is here."""
    torch.set_num_threads(1)
    try:
        import cv2
    except ImportError:
        return
    cv2.setNumThreads(0)


def fresh(environment: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of a process that measures: a heap that keeps what is freed, one thread."""
    given = os.environ if environment is None else environment
    quiet = {"NO_ALBUMENTATIONS_UPDATE": "1", "PYTHONWARNINGS": "ignore"}  # of the peers
    return {**given, **REUSED_HEAP, **ONE_THREAD, **quiet}


def usable_cores() -> int:
    """The number of cores that this process may use: by its affinity, and by its control group's quota,
    which a container sets."""
    return max(1, math.floor(min(cores(), _quota())))


def _quota(root: Path = Path("/sys/fs/cgroup")) -> float:
    """Cores' worth of time that the control group is given, of version 2 or 1; infinite without one."""
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            text = " ".join((root / file).read_text("utf-8") for file in files)
        except OSError:
            continue
        quota, period = text.split()[:2]
        if quota not in ("max", "-1"):
            return float(quota) / float(period)
    return math.inf
