"""`make gpu`, its notebook and its peers, as far as a machine without a card can tell."""

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import augengine as ae

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "docs" / "gpu.ipynb"


@pytest.fixture
def gpu_peers(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import gpu_peers

    return gpu_peers


def _targets():
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))


@pytest.mark.skipif(
    bool(shutil.which("nvidia-smi")) or Path("/dev/kfd").exists(), reason="there is a card"
)
def test_without_a_card_make_gpu_says_so_and_installs_nothing(tmp_path):
    command = ["make", "-s", "gpu", f"VENV={tmp_path / 'venv'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    (line,) = done.stdout.splitlines()
    assert "make gpu: there is no CUDA or ROCm card here" in line
    assert not (tmp_path / "venv").exists()


def test_the_notebook_is_one():
    """By the rules of nbformat 4.5."""
    content = json.loads(NOTEBOOK.read_text("utf-8"))
    assert content.keys() == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    names = [cell["id"] for cell in content["cells"]]
    assert len(set(names)) == len(names)
    for cell in content["cells"]:
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", cell["id"])
        assert isinstance(cell["metadata"], dict)
        assert all(line.endswith("\n") for line in cell["source"][:-1])
        more = {"outputs", "execution_count"} if cell["cell_type"] == "code" else set()
        assert cell.keys() == {"cell_type", "id", "metadata", "source", *more}
        if more:
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


def test_the_notebook_runs_what_there_is():
    content = json.loads(NOTEBOOK.read_text("utf-8"))
    lines = [
        line.rstrip("\n")
        for cell in content["cells"]
        if cell["cell_type"] == "code"
        for line in cell["source"]
    ]
    commands = [line[1:] for line in lines if line.startswith("!")]
    ast.parse("\n".join("pass" if line.startswith("!") else line for line in lines))
    assert set(re.findall(r"make ([a-z-]+)", "".join(commands))) == {"gpu"} <= _targets()
    for command in commands:
        assert subprocess.run(["sh", "-n", "-c", command]).returncode == 0


def _planes(count=4):
    return torch.randint(0, 256, (count, 3, 40, 44), dtype=torch.uint8)


def _crop(size=(24, 28)):
    normalize = ae.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.25))
    crop = ae.RandomResizedCrop(size, antialias=False)
    return ae.Policy([crop, ae.RandomHorizontalFlip(), normalize])


PEERS = {
    "torchvision v2, each image": "torchvision",
    "torchvision v2, one draw for the batch, no mix": "torchvision",
    "kornia": "kornia",
    "torchtransform, no mix": "torchtransform",
    "DALI's pipeline, no mix": "nvidia.dali",
}


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_makes_the_same_batch_of_one_colour(gpu_peers, name):
    """Whatever is drawn, a crop and a flip of one colour are that colour: shape, range and the
    normalisation are then those of ours."""
    pytest.importorskip(PEERS[name])
    colour = torch.tensor([30, 120, 240], dtype=torch.uint8)
    planes = colour.view(1, 3, 1, 1).expand(4, 3, 40, 44).contiguous()
    work = gpu_peers.PEERS[name](_crop(), torch.device("cpu"))
    expected = ae.Engine(_crop())(planes, ids=range(4), layout="NCHW").images
    got = work(planes)
    assert got.dtype == torch.float32
    assert got.shape == expected.shape
    assert (got - expected).abs().max() < 1e-4


def test_what_a_peer_does_not_have_it_says(gpu_peers):
    cpu = torch.device("cpu")
    policy = ae.Policy([ae.RandomShadow(p=1.0), ae.RandomDefocus(p=1.0)])
    for name in PEERS:
        if "DALI" in name or "torchtransform" in name:
            pytest.importorskip(PEERS[name])
        with pytest.raises(gpu_peers.Untranslated):
            gpu_peers.PEERS[name](policy, cpu)(_planes())


def test_each_peer_is_optional(gpu_peers):
    """What is not installed is an ImportError of its own, which becomes a row."""
    for name in (
        "CV-CUDA's Compose, one draw for the batch, no mix",
        "triton-augment, no resize, no mix",
    ):
        if not torch.cuda.is_available():
            with pytest.raises((ImportError, RuntimeError, AssertionError)):
                gpu_peers.PEERS[name](_crop(), torch.device("cpu"))(_planes())


@pytest.mark.parametrize(
    ("body", "passed", "note"),
    [
        ("pass", True, ""),
        ("assert 0", False, "ended with 1"),
        ("while True: pass", False, "not done"),
    ],
)
def test_the_marked_tests_come_first(body, passed, note, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import gpu

    (tmp_path / "test_it.py").write_text(
        "import pytest\n\n@pytest.mark.gpu\ndef test_marked():\n"
        f"    {body}\n\ndef test_another():\n    assert 0\n"
    )
    monkeypatch.setattr(gpu, "ROOT", tmp_path)
    done, row = gpu.tests(4.0 if note == "not done" else 60.0)
    assert done == passed
    assert note in row.note
    assert bool(row.note) != passed
