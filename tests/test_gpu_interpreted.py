"""The GPU kernel under Triton's interpreter, which must be chosen before Triton is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_interpreted_kernel_agrees_with_torch():
    pytest.importorskip("triton", reason="the gpu executor is built on triton")
    body = Path(__file__).with_name("gpu_interpreted_body.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(body)]
    run = subprocess.run(
        command,
        cwd=body.parent.parent,
        env=os.environ | {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-8000:] + run.stderr[-2000:]
