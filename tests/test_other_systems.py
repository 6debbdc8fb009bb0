"""macOS and Windows, as far as Linux can play them: what they lack is taken away before anything of ours is
imported. What this cannot show is their compilers and the rights of their files; CI's smoke runs do."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Libraries of others first: what they use is theirs to know.
BEFORE = """
    import mmap, os, shutil, sys, tempfile
    import numba, PIL.Image, simplejpeg, timm, torch, accelerate, matplotlib.pyplot
    from pathlib import Path
    lacks_of_macos = ["sched_getaffinity", "sched_setaffinity", "posix_fallocate"]
    lacks_of_windows = lacks_of_macos + [
        "register_at_fork", "fork", "geteuid", "getuid", "preadv", "pread", "pwrite", "statvfs",
        "O_NONBLOCK", "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW",
    ]
    def take(names):
        for name in names:
            delattr(os, name)
"""
MACOS = """
    take(lacks_of_macos)
    sys.platform = "darwin"
"""
WINDOWS = """
    take(lacks_of_windows)
    for name in ("MAP_PRIVATE", "PROT_READ", "PROT_WRITE"):
        delattr(mmap, name)
    for name in ("fcntl", "resource", "pwd", "grp"):
        sys.modules[name] = None
    sys.platform = "win32"
    opens = os.open
    def no_folders(path, *rest, **named):
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", str(path))
        return opens(path, *rest, **named)
    os.open = no_folders
    shutil._use_fd_functions = False  # as on a system without dir_fd
    os.environ["LOCALAPPDATA"] = os.environ.pop("XDG_CACHE_HOME", None) or str(Path.home() / ".cache")
"""
BASICS = """
    import numpy as np, augengine as ae
    from augengine.kernels import CPU_EXECUTORS
    from augengine.kernels.cpu import folder as kept
    assert kept._instead == [] and kept.cache_folder().is_dir() and not kept._instead
    folder = Path(tempfile.mkdtemp())
    rng = np.random.default_rng(0)
    for name in ("cat/a.png", "cat/b.png", "dog/c.png", "dog/d.png"):
        path = folder / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(rng.integers(0, 256, (40, 50, 3), np.uint8)).save(path)
    pictures = ae.Folder(folder / "pictures")
    assert len(pictures) == 4 and not ae.check_images(pictures).damaged
    policy = ae.Policy([ae.RandomResizedCrop(32), ae.RandAugment(), ae.CutMix(), ae.Normalize(0.5, 0.25)])
    (folder / "policy.yaml").write_text(policy.to_yaml(), "utf-8")
    assert ae.Policy.from_yaml((folder / "policy.yaml").read_text("utf-8")) == policy
    engine = ae.Engine(policy, num_classes=2)
    images, labels, ids = zip(*(pictures[i] for i in range(4)))
    batch = engine(list(images), list(labels), ids=list(ids), epoch=0)
    assert batch.images.shape == (4, 3, 32, 32) and batch.images.std() > 0.1
    batch.plan.save(folder / "plan.safetensors")
    assert ae.Plan.load(folder / "plan.safetensors") == batch.plan
    from torch.utils.data import DataLoader
    loader = ae.keyed(DataLoader(pictures, 2, collate_fn=ae.Collate(policy, num_classes=2)))
    loader.sampler.set_epoch(0)
    assert sum(len(images) for images, _ in loader) == 4
    from augengine.demo import machine, measure
    assert machine.usable_cores() >= 1 and measure.machine()
"""
TRAINING = """
    from augengine.pipelines import load_model
    from augengine.pipelines.finetune import Finetune, run
    run(Finetune(data=str(folder / "pictures"), model="digitnet_8", size=16, epochs=1, batch_size=2, cpu=True,
                 output=str(folder / "run")))
    assert load_model(folder / "run").classes == ("cat", "dog")
"""
REFUSED = """
    for call in (lambda: ae.cache(pictures, folder / "cache"), lambda: LogitCache(folder / "answers", None)):
        from augengine.pipelines.logit_cache import LogitCache
        try:
            call()
        except OSError as error:
            assert "without locks of files, such as Windows" in str(error)
        else:
            raise SystemExit("taken")
"""
TAKEN = """
    from augengine.pipelines.logit_cache import CacheKey, LogitCache
    cached = ae.cache(pictures, folder / "cache")
    assert len(cached) == 4 and cached[0][0].shape == (40, 50, 3)
    key = CacheKey("teacher", "policy", "data", seed=0, classes=2, samples=4, top=2)
    with LogitCache(folder / "answers", key) as answers:
        answers.write(0, [1], torch.tensor([[1.0, 2.0]]))
        assert answers.read(0, [1])[1].all()
"""


@pytest.mark.thorough
@pytest.mark.parametrize(
    "parts",
    [(MACOS, BASICS, TRAINING, TAKEN), (WINDOWS, BASICS, TRAINING, REFUSED)],
    ids=["macOS", "Windows"],
)
def test_what_works_without_what_linux_has(parts):
    program = "".join(map(textwrap.dedent, (BEFORE, *parts)))
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
