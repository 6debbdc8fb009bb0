"""What the tests of framework pages train on, how they see what was drawn, and how they start ranks."""

import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

import augengine as ae

COUNT = 1080
HERE = Path(__file__).resolve().parent

# A turn is a real number, so two draws that are alike to the bit are one draw. No flips: these are digits.
OPS = [ae.RandomResizedCrop(32, scale=(0.7, 1)), ae.RandomRotation(15)]


@cache
def arrays():
    """Images [COUNT, 32, 32, 3], uint8, and the digits on them."""
    images, labels = load_digits(return_X_y=True)
    grey = (images[:COUNT].reshape(-1, 8, 8) * 15.9).astype(np.uint8)
    large = grey.repeat(4, axis=1).repeat(4, axis=2)
    return np.stack([large, 255 - large, large], axis=-1), labels[:COUNT]


class Digits(torch.utils.data.Dataset):
    """Pairs (image (3, 32, 32), digit)."""

    def __len__(self):
        return COUNT

    def __getitem__(self, index):
        images, labels = arrays()
        return torch.from_numpy(images[index]).movedim(-1, 0), int(labels[index])


def classifier():
    """A small model, the same one each time."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 5, stride=2),
        torch.nn.ReLU(),
        torch.nn.Conv2d(16, 32, 3, stride=2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(32 * 6 * 6, 10),
    )


def loss_that_notes(losses):
    """Cross entropy, which keeps each of its values in a list."""

    def criterion(logits, labels):
        loss = torch.nn.functional.cross_entropy(logits, labels)
        losses.append(loss.item())
        return loss

    return criterion


class Draw(tuple):
    """(rank, epoch, id, occurrence, the matrix of the view in hexadecimal)."""

    rank, epoch, id, occurrence, matrix = (
        property(lambda self, at=at: self[at]) for at in range(5)
    )


@contextmanager
def drawn(path):
    """A function that gives all `Draw`s that engines have decided since, in this process, in ranks that
    `record` too, and in workers that they have forked."""
    plain = ae.Engine.plan
    record(path)
    try:
        yield lambda: read(path)
    finally:
        ae.Engine.plan = plain


def record(path):
    """From now on each draw that this process, or a worker forked from it, decides is written to a file."""
    plain = ae.Engine.plan

    def plan(self, *args, **options):
        decided = plain(self, *args, **options)
        note(decided, path)
        return decided

    ae.Engine.plan = plan


def note(plan, path):
    """Write the draws of a plan to a file."""
    lines = "".join(
        json.dumps(
            [
                int(os.environ.get("RANK", 0)),
                plan.epoch,
                int(plan.ids[at]),
                int(plan.occurrence[at]),
                plan.inv_matrix[plan.view[at, 0]].tobytes().hex(),
            ]
        )
        + "\n"
        for at in range(len(plan))
    )
    # One write of a file that is open to append: lines of several processes do not mix.
    with open(path, "ab", buffering=0) as file:
        file.write(lines.encode())


def read(path):
    return [Draw(json.loads(line)) for line in Path(path).read_text("utf-8").splitlines()]


def by_key(draws):
    """{(epoch, id, occurrence): matrix}; a key that comes twice must have been drawn alike."""
    found = {}
    for draw in draws:
        key = (draw.epoch, draw.id, draw.occurrence)
        assert found.setdefault(key, draw.matrix) == draw.matrix, key
    return found


def all_differ(draws, count):
    """No two of `count` draws are alike."""
    assert len(draws) == count
    alike = [
        matrix for matrix, times in Counter(draw.matrix for draw in draws).items() if times > 1
    ]
    assert not alike, [draw[:4] for draw in draws if draw.matrix == alike[0]]


def falls(losses):
    """The loss of the last fifth is well below that of the first."""
    fifth = max(1, len(losses) // 5)
    first, last = np.mean(losses[:fifth]), np.mean(losses[-fifth:])
    assert last < 0.8 * first, (first, last)


def leave():
    """End a rank whose work is done, at once: one in a dozen is aborted by C++ as it takes down the threads
    of torch's process group and of what accelerate imports, long after Python has ended."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def launch(module, function, folder, world=2, **env):
    """Call module.function(folder) in `world` processes at once, as torchrun would start them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "1",
        "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)]),
        **env,
    }
    code = f"import {module}, task; {module}.{function}({str(folder)!r}); task.leave()"
    logs = [Path(folder) / f"rank{rank}.log" for rank in range(world)]
    ranks = []
    try:
        for rank, log in enumerate(logs):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            with log.open("wb") as file:
                ranks.append(
                    subprocess.Popen(
                        [sys.executable, "-c", code],
                        env=os.environ | common | own,
                        stdout=file,
                        stderr=subprocess.STDOUT,
                    )
                )
        until = time.monotonic() + 240
        # One that fails leaves the others waiting for it.
        while any(rank.poll() is None for rank in ranks) and not any(r.poll() for r in ranks):
            assert time.monotonic() < until, "ranks take over four minutes\n" + said(logs)
            time.sleep(0.05)
    finally:
        time.sleep(0.2)
        for rank in ranks:
            rank.kill()
            rank.wait()
    assert all(rank.returncode == 0 for rank in ranks), said(logs)
    return said(logs)


def said(logs):
    return "\n".join(f"--- {log.name}\n{log.read_text('utf-8')}" for log in logs)
