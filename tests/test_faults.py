"""What goes wrong around a loop: workers that are lost, errors and Ctrl-C anywhere, forks, threads.

Right batches are those of the same policy in a loop in which nothing goes wrong. What may hang or end a
process runs in one of its own, for a minute at most.
"""

import copy
import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from cases import quick_or_thorough
from loading import HOW, IMAGES, POLICY, dense, drawing_threads, expected, same
from torch.utils.data import DataLoader, Dataset, IterableDataset

import augengine as ae
from augengine import threads
from augengine.kernels.cpu import executor

pytestmark = pytest.mark.usefixtures("nothing_is_left_running")

FORK = multiprocessing.get_context("fork")
PLAIN = [ae.CenterCrop(16), ae.RandomRotation(30)]
MINUTE = 60


@pytest.fixture(scope="module", autouse=True)
def compiled():
    ae.Engine(PLAIN)(IMAGES[:1], ids=[0], epoch=0)


class Pictures(Dataset):
    """Of which one ends the process that reads it, or raises."""

    def __init__(self, end=None):
        self.end = end

    def __len__(self):
        return 48

    def __getitem__(self, index):
        if index == 21 and self.end is not None:
            self.end()
        return torch.full((3, 20, 20), index, dtype=torch.uint8), index


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def left():
    os._exit(3)


def raises():
    raise KeyError("the picture")


def interrupted():
    raise KeyboardInterrupt


def build(kind, data, persistent=False, workers=2):
    how = {"batch_size": 4, "num_workers": workers, "persistent_workers": persistent}
    if kind == "keyed":
        return ae.keyed(DataLoader(data, collate_fn=ae.Collate(PLAIN), **how))
    collate = {"collate": ae.Collate, "pack": ae.pack}.get(kind, lambda policy: None)(PLAIN)
    loader = DataLoader(ae.WithIds(data), collate_fn=collate, **how)
    if kind != "collate":
        loader = ae.DeviceLoader(loader, None if kind == "pack" else PLAIN, device="cpu")
        loader.set_epoch(0)
    else:
        collate.set_epoch(0)
    return loader


@pytest.fixture(scope="module")
def right():
    """Batches of the loop in which nothing goes wrong."""
    return [batch.images.clone() for batch in build("collate", Pictures(), workers=0)]


def are_right(batches, right):
    return all(torch.equal(got, wanted) for got, wanted in zip(batches, right, strict=False))


def in_a_process(work):
    """What work() returns in a forked process, which must end within a minute."""
    receiver, sender = FORK.Pipe(duplex=False)
    process = FORK.Process(target=lambda: sender.send(work()))
    process.start()
    sender.close()
    try:
        assert receiver.poll(MINUTE)
        result = receiver.recv()
        process.join(MINUTE)
        assert process.exitcode == 0
        return result
    finally:
        process.kill()
        process.join()


# Workers that are lost

LOST = quick_or_thorough(
    [("pack", killed, False), ("pack", left, True), ("collate", killed, False)],
    [
        ("dense", killed, False),
        ("dense", interrupted, True),
        ("pack", killed, True),
        ("keyed", killed, True),
        ("collate", interrupted, True),
    ],
    unpack=True,
)


@pytest.mark.parametrize(("kind", "end", "persistent"), LOST)
def test_a_worker_that_is_lost_in_mid_epoch(kind, end, persistent, right):
    """Who is lost is named, what came before is right, and a DeviceLoader begins anew. (Of a DataLoader
    itself the error is torch's, which may be that of the connection; one that persists stays broken.)"""

    def work():
        data, got, error = Pictures(end), [], None
        loader = build(kind, data, persistent)
        try:
            for batch in loader:
                got.append(batch.images.clone())
                if kind in ("collate", "keyed"):  # torch's handler raises anywhere, again and again
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        except (RuntimeError, OSError, EOFError) as caught:
            error = repr(caught)
        data.end = None
        if persistent and kind in ("collate", "keyed"):
            loader = build(kind, data, persistent)
        if kind == "keyed":
            loader.sampler.set_epoch(0)
        again = [batch.images.clone() for batch in loader]
        return are_right(got, right), len(got), error, are_right(again, right), len(again)

    before_are_right, before, error, again_are_right, again = in_a_process(work)
    assert error is not None
    if kind in ("pack", "dense"):
        assert "RuntimeError" in error
        assert "pid" in error
    assert before_are_right
    assert before <= 5
    assert again_are_right
    assert again == 12


def test_torch_that_does_not_see_that_a_worker_has_ended(right):
    """Then it raises what the connection met. This happens in some runs only, so here it always does."""
    process = FORK.Process(target=left)

    class Batches:
        def __init__(self):
            self._workers = [process]

        def __iter__(self):
            return self

        def __next__(self):
            process.start()
            raise ConnectionResetError(104, "Connection reset by peer")

    with pytest.raises(
        RuntimeError,
        match=r"DeviceLoader: got ConnectionResetError since a worker of the loader has ended \(pid "
        r"\d+, exit code 3\), expected its batch\. See",
    ) as caught:
        next(iter(ae.DeviceLoader(Batches(), PLAIN, device="cpu")))
    assert isinstance(caught.value.__cause__, ConnectionResetError)


def test_an_error_of_a_worker_holds_no_workers():
    """Though it is kept, and no garbage collected: its frames would hold the loader's iterator, which
    then waits for each worker five seconds."""
    loader = build("pack", Pictures(raises))
    gc.disable()
    try:
        with pytest.raises(KeyError, match="the picture") as caught:
            list(loader)
        limit = time.monotonic() + 4
        while multiprocessing.active_children() and time.monotonic() < limit:
            time.sleep(0.01)
        assert not multiprocessing.active_children()
        assert "Caught KeyError in DataLoader worker process" in str(caught.value)
    finally:
        gc.enable()


# Errors and Ctrl-C in a part of the loop


class Stumbling:
    """What stumbles the third time, if it is to."""

    def __init__(self, error):
        self.error, self.calls = error, 0

    def __call__(self):
        self.calls += 1
        if self.calls == 3 and self.error is not None:
            raise self.error

    @staticmethod
    def consumed():
        """What the loop does with a batch."""


@pytest.mark.parametrize("error", [KeyError("here"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("part", ["dataset", "collate", "engine", "consumer"])
@pytest.mark.parametrize("kind", ["collate", "pack", "dense"])
def test_an_error_in_a_part_of_the_loop(part, error, kind, right, monkeypatch):
    """It comes once, as it is; no thread stays, and the next pass is right."""
    stumble = Stumbling(error)
    loader = build(kind, Pictures(), workers=0)
    inner = loader if kind == "collate" else loader.loader
    owner, name = {
        "dataset": (Pictures, "__getitem__"),
        "collate": (type(inner.collate_fn), "_batch"),
        "engine": (ae.Engine, "plan"),
        "consumer": (Stumbling, "consumed"),
    }[part]
    if part == "collate" and kind == "dense":
        owner, name = torch.utils.data._utils.fetch._MapDatasetFetcher, "fetch"
    before = getattr(owner, name)

    def stumbling(*args, **how):
        stumble()
        return before(*args, **how)

    monkeypatch.setattr(owner, name, stumbling)

    def loop():
        for batch in loader:
            Stumbling.consumed()
            got.append(batch.images.clone())

    got = []
    with pytest.raises(type(error)) as caught:
        loop()
    assert caught.value is error
    assert are_right(got, right)
    assert not drawing_threads()
    got = []
    if kind != "collate":
        loader.set_epoch(0)
    loop()
    assert len(got) == 12
    assert are_right(got, right)


def test_an_interrupted_draw_waits_for_its_threads(monkeypatch):
    """They write by address into memory that the caller lets go of. A second Ctrl-C changes nothing."""
    running, ended, release = threading.Semaphore(0), [], threading.Event()

    def work(begin, end):
        running.release()
        release.wait(MINUTE)
        if begin == 0:
            raise KeyError("a range")
        time.sleep(0.1)
        ended.append(begin)

    waits, wait = [], threads.wait

    def interrupted_once(futures):
        waits.append(futures)
        if len(waits) == 1:
            raise KeyboardInterrupt
        return wait(futures)

    def let_go():
        for _ in range(3):
            assert running.acquire(timeout=MINUTE)
        release.set()

    monkeypatch.setattr(threads, "wait", interrupted_once)
    monkeypatch.setattr(executor.torch, "get_num_threads", lambda: 3)
    helper = threading.Thread(target=let_go)
    helper.start()
    with pytest.raises(KeyError, match="a range"):
        executor._spread(work, 3)
    assert sorted(ended) == [1, 2]
    assert len(waits) >= 2
    helper.join()


# Endings


def handles():
    gc.collect()
    return len(os.listdir("/proc/self/fd")), threading.active_count(), len(os.listdir("/dev/shm"))


def handles_after(before):
    """The handles once there are no more than before, or after a minute.

    A thread that was told to end is not waited for by torch: it is counted until it runs again.
    """
    deadline = time.monotonic() + MINUTE
    while (now := handles()) > before or now[1:] != before[1:]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return now


@pytest.mark.parametrize("kind", ["pack", "dense"])
def test_iterations_that_are_left_in_all_ways_leave_nothing(kind):
    loader = build(kind, Pictures(), workers=1)

    def batches():
        yield from loader

    def close():
        generator = batches()
        next(generator)
        generator.close()

    def forget():
        cycle = [iter(loader)]
        cycle.append(cycle)
        next(cycle[0])

    def leave():
        for _ in loader:
            break

    def never_begin():
        iter(loader)

    list(loader)
    before = handles()
    for end in (close, forget, leave, never_begin):
        end()
        assert handles_after(before)[1:] == before[1:], end
    assert handles_after(before)[0] <= before[0]


ENDINGS = """
import os, signal, sys, threading, time
import torch, augengine as ae
from torch.utils.data import DataLoader
# What runs in the background, as tests may, has Ctrl-C ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(2)
data = [(torch.zeros(3, 300, 300, dtype=torch.uint8), 0)] * 100_000
how = dict(batch_size=8, num_workers=2, persistent_workers=True, multiprocessing_context="fork")
loader = ae.keyed(DataLoader(data, collate_fn=ae.pack(ae.RandomRotation(30)), **how))
batches = iter(ae.DeviceLoader(loader, device="cpu"))
next(batches), next(batches)
others = iter(ae.keyed(DataLoader(data, collate_fn=ae.Collate(ae.RandomRotation(30)), **how)))
next(others)
print("begun", flush=True)
if sys.argv[1] == "exit":
    raise SystemExit(7)
for batch in batches:
    next(others)
"""


@pytest.mark.parametrize(
    "end", quick_or_thorough(["exit", "all"], ["the process"])
)  # who hears the Ctrl-C
def test_a_process_that_ends_in_mid_iteration(end):
    """By itself, or by Ctrl-C, which a terminal sends to its workers too: within seconds."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", ENDINGS, end],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout.readline() == "begun\n"
        if end != "exit":
            time.sleep(0.3)
            (os.kill if end == "the process" else os.killpg)(process.pid, signal.SIGINT)
        began = time.monotonic()
        _, said = process.communicate(timeout=MINUTE)
        assert time.monotonic() - began < 20
        if end == "exit":
            assert (process.returncode, said) == (7, "")
        else:
            assert process.returncode in (1, -signal.SIGINT), said
            assert "KeyboardInterrupt" in said or "DataLoader worker" in said
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
    finally:
        process.kill()
        process.wait()


# Forks and processes


def test_an_iteration_does_not_go_on_in_a_fork():
    """Its thread stays in the parent, so the child would wait for ever; another iteration works."""
    loader = ae.DeviceLoader(list(dense()), POLICY, device="cpu", **HOW)
    loader.set_epoch(0)
    batches = iter(loader)
    next(batches)

    def work():
        with pytest.raises(RuntimeError, match=r"DeviceLoader: got an iteration that the parent"):
            next(batches)
        return [batch.images.numpy() for batch in loader]

    wanted = expected(dense())
    for got, batch in zip(in_a_process(work), wanted, strict=True):
        assert np.array_equal(got, batch.images.numpy())
    assert all(map(same, batches, wanted[1:]))


def test_an_engine_that_drew_with_threads_draws_in_a_fork(monkeypatch):
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        engine = ae.Engine(PLAIN)
        wanted = engine(IMAGES, ids=range(24), epoch=0).images
        got = in_a_process(lambda: engine(IMAGES, ids=range(24), epoch=0).images.numpy())
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(got, wanted.numpy())


class Drawn(IterableDataset):
    """Batches of a DeviceLoader, in a worker."""

    def __iter__(self):
        loader = ae.DeviceLoader(list(dense()), POLICY, device="cpu", **HOW)
        loader.set_epoch(0)
        for batch in loader:
            yield batch.images


def test_a_device_loader_inside_a_worker():
    got = list(DataLoader(Drawn(), batch_size=None, num_workers=1))
    for images, wanted in zip(got, expected(dense()), strict=True):
        assert torch.equal(images, wanted.images)


# Threads


@pytest.mark.parametrize("name", ["cpu", "torch"])
def test_eight_threads_draw_one_plan(name):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    cases = []
    for size in (9, 24, 40):
        images = torch.nn.functional.interpolate(IMAGES.float(), (size, size + 3)).to(torch.uint8)
        ops = [ae.GaussianBlur(3), ae.RandomEqualize(0.5), *POLICY]
        plan = ae.Policy(ops).sample(range(24), [(size, size + 3)] * 24)
        cases.append((plan, images, ae.execute(plan, images, executor=name)))
    try:
        with ThreadPoolExecutor(8) as pool:
            drawn = [
                (pool.submit(ae.execute, plan, images, executor=name), wanted)
                for _ in range(8)
                for plan, images, wanted in cases
            ]
            for future, wanted in drawn:
                assert torch.equal(future.result(), wanted)
    finally:
        torch.set_num_threads(threads)


def test_eight_threads_on_one_engine_whose_strength_and_policy_change():
    """Each batch is one of those that a strength and a policy make: nothing in between. Copies of the
    engine, made meanwhile, draw the same."""
    policies = [ae.Policy(PLAIN), ae.Policy([*PLAIN, ae.GaussianBlur(3), ae.CutMix()])]
    strengths = (0.0, 0.4, 1.0)
    engine = ae.Engine(policies[0], num_classes=24)
    allowed = {
        (ids, policy, strength): ae.Engine(policies[policy], num_classes=24, strength=strength)(
            IMAGES[ids : ids + 8], ids=range(ids, ids + 8), epoch=1
        ).images
        for ids in (0, 8, 16)
        for policy in (0, 1)
        for strength in strengths
    }
    stop, errors, seen = threading.Event(), [], set()

    def draw(number):
        first = 8 * (number % 3)
        try:
            for turn in range(12):
                drawer = engine
                if turn % 4 == 3:
                    copied = (copy.copy, copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e)))
                    drawer = copied[number % 3](engine)
                images = drawer(
                    IMAGES[first : first + 8], ids=range(first, first + 8), epoch=1
                ).images
                found = [
                    key
                    for key, wanted in allowed.items()
                    if key[0] == first and torch.equal(images, wanted)
                ]
                assert found
                seen.update(found)
        except BaseException as error:
            errors.append(error)

    def change():
        turn = 0
        while not stop.is_set():
            engine.strength = strengths[turn % 3]
            engine.policy = policies[turn // 3 % 2]
            turn += 1
            time.sleep(0.001)

    changing = threading.Thread(target=change)
    drawing = [threading.Thread(target=draw, args=(number,)) for number in range(8)]
    for thread in (changing, *drawing):
        thread.start()
    for thread in drawing:
        thread.join(MINUTE)
    stop.set()
    changing.join()
    assert not errors
    assert len({key[1:] for key in seen}) > 2
