"""The readers of strangers' files, guided by coverage: needs atheris, which has wheels for Linux and macOS.

    python -m fuzz --coverage 600       # seconds

atheris keeps the inputs that reach a new branch of plan/file.py, plan/checks.py and policy/yaml.py, and changes
those on. What a reader accepts is sampled and drawn as in every other case.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from random import Random


def main(seconds: float) -> int:
    """Fuzz in a process of its own. Returns its exit code: 0 where nothing was found. What was found lies in
    a file of this folder, whose name it prints; `python -m fuzz.coverage FILE` repeats it."""
    if find_spec("atheris") is None:
        print("atheris is not installed: pip install atheris, where it has a wheel")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        limits = [
            f"-max_total_time={seconds:g}",
            "-timeout=20",
            "-rss_limit_mb=8000",
            "-max_len=20000",
        ]
        command = [sys.executable, "-m", "fuzz.coverage", *limits, "-print_final_stats=1", folder]
        write_corpus(Path(folder))
        return subprocess.run(command).returncode


def write_corpus(folder: Path) -> None:
    """Some hundred policies and plans to begin with. The first byte of a file says which it is."""
    from .cases import sampled_by_chance

    for number in range(120):
        policy, plan = sampled_by_chance(Random(f"corpus {number}"))
        Path(folder, f"policy{number}").write_bytes(b"y" + policy.to_yaml().encode())
        Path(folder, f"plan{number}").write_bytes(b"p" + plan.to_bytes())


def _target(data: bytes) -> None:
    """What atheris calls with every input: no exception may leave it."""
    from . import cases
    from .images import small_images

    rng, images = Random(len(data)), small_images()
    if data[:1] == b"p":
        cases.read_plan(rng, data[1:], images)
    else:
        cases.read_policy(rng, lambda text: None, data[1:].decode("utf-8", "replace"), images)


def _fuzz(arguments: list[str]) -> None:
    import atheris

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with atheris.instrument_imports(
        include=["augengine.plan", "augengine.policy.yaml", "augengine.checks", "json"]
    ):
        import augengine  # noqa: F401

        from . import cases, child  # noqa: F401

    child.load()
    atheris.Setup([sys.argv[0], *arguments], _target)
    atheris.Fuzz()


if __name__ == "__main__":
    _fuzz(sys.argv[1:])
