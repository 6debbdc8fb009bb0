"""The first call compiles and says so; later processes take the kernel from numba's cache, and forked
ones from their parent. numba is imported safely whoever has replaced a builtin.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from augengine.kernels import forks
from augengine.kernels.cpu import cache

FIRST_CALL = """
import json, sys, torch, augengine as ae
images = torch.randint(0, 256, (2, 3, 40, 40), dtype=torch.uint8)
engine = ae.Engine([ae.RandomResizedCrop(32), ae.RandomRotation(20)], executor=sys.argv[1])
before = "numba" in sys.modules
total = engine(images, ids=[0, 1], epoch=0).images.sum().item()
again = engine(images, ids=[0, 1], epoch=0).images.sum().item()
compiled = cached = 0
if sys.argv[1] == "cpu":
    from augengine.kernels.cpu.draw import draw
    compiled = sum(draw.stats.cache_misses.values())
    cached = sum(draw.stats.cache_hits.values())
print(json.dumps([[compiled, cached], before, "numba" in sys.modules, total == again]))
"""


def first_call(executor="cpu", **env):
    """[kernels compiled, kernels from the cache], whether numba was loaded before and after the call,
    whether a second call gave the same, and stderr."""
    inherited = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR" or not env}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FIRST_CALL, executor],
        capture_output=True,
        text=True,
        check=True,
        env=inherited | env,
    )
    return *json.loads(done.stdout), done.stderr


def test_the_torch_executor_needs_no_numba():
    _, before, after, same, said = first_call("torch")
    assert not before
    assert not after
    assert same
    assert said == ""


def test_a_warm_start_compiles_nothing():
    first_call()  # fills the cache if nobody has
    counts, before, after, same, said = first_call()
    assert counts == [0, 1]
    assert (before, after, same, said) == (False, True, True, "")


@pytest.mark.thorough
def test_three_cold_starts_after_one_that_was_killed(tmp_path):
    """One of them says that it compiles, does, and fills the cache for all."""
    command = [sys.executable, "-W", "ignore", "-c", FIRST_CALL, "cpu"]
    env = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    how = {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    how["env"] = env | {"XDG_CACHE_HOME": str(tmp_path)}
    with subprocess.Popen(command, **how) as killed:
        assert "compiling" in killed.stderr.readline()
        time.sleep(0.5)
        killed.send_signal(signal.SIGKILL)
    starts = [subprocess.Popen(command, **how) for _ in range(3)]
    told = [start.communicate() for start in starts]
    assert sum(said.count("augengine: compiling the CPU kernel") for _, said in told) == 1
    counts = [json.loads(out) for out, _ in told]
    assert sorted(count for count, *_ in counts) == [[0, 1]] * 2 + [[1, 0]]
    assert all(same for *_, same in counts)
    assert sum(said.count("augengine: compiling the sampler") for _, said in told) == 1
    files = sorted(path.name.partition("-")[0] for path in tmp_path.rglob("*.compiled"))
    assert files == ["decide", "draw"]
    assert first_call(XDG_CACHE_HOME=str(tmp_path))[0] == [0, 1]


# Programs that replace builtins, each in a process that has imported torch only.
REPLACED = """
import builtins, functools, os, sys, types
import numpy as np, torch

own = {name: getattr(builtins, name) for name in ("print", "len", "max", "zip")}
utils = types.ModuleType("utils")
sys.modules["utils"] = utils
exec('''
import builtins
builtin_print = builtins.print

def silent(*args, force=False, **kwargs):
    if force:
        builtin_print(*args, **kwargs)
''', vars(utils))

class Printer:
    def __call__(self, *args, **kwargs):
        own["print"](*args, **kwargs)

def lengthened(*args):
    return own["len"](*args)

def zipped(*args, **kwargs):
    return own["zip"](*args, **kwargs)

def largest(*args, **kwargs):
    return own["max"](*args, **kwargs)

REPLACEMENTS = {
    "named": {"print": utils.silent},
    "lambda": {"print": lambda *args, **kwargs: own["print"](*args, **kwargs)},
    "instance": {"print": Printer()},
    "partial": {"print": functools.partial(own["print"], flush=True)},
    "builtin": {"print": sys.stderr.write},
    "several": {"print": utils.silent, "len": lengthened, "max": largest, "zip": zipped},
}

def run(theirs, augengine_first):
    if augengine_first:
        import augengine
    for name, value in theirs.items():
        setattr(builtins, name, value)
    import augengine as ae
    engine = ae.Engine(ae.Policy(ae.RandomResizedCrop(32)))
    batch = engine([np.zeros((40, 40, 3), np.uint8)], ids=[0])
    assert tuple(batch.images.shape) == (1, 3, 32, 32)
    for name, value in own.items():
        assert getattr(builtins, name) is theirs.get(name, value), name
        setattr(builtins, name, value)

def own_numba_code():
    import numba

    @numba.njit
    def tell(values):
        for value, other in zip(values, values):
            print("numba says", value, len(values), max(value, other))

    tell(np.arange(1))

for kind, theirs in REPLACEMENTS.items():
    for augengine_first in (False, True):
        child = os.fork()
        if not child:
            status = 1
            try:
                run(theirs, augengine_first)
                if kind == "several" and not augengine_first:
                    own_numba_code()
                status = 0
            except BaseException as error:
                sys.stderr.write(f"{kind}, augengine first: {augengine_first}: {error!r}")
            sys.stdout.flush()
            os._exit(status)
        assert os.waitpid(child, 0)[1] == 0, kind
"""


def test_replaced_builtins_stay_and_numba_gets_the_originals():
    """As in programs that print on the first rank only: DETR, DeiT, MAE and DINO name such a function
    `print`. numba's own code, compiled afterwards, knows the original builtins."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", REPLACED], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == "numba says 0 1 0"


def test_what_another_thread_replaces_meanwhile_stays(monkeypatch):
    import builtins

    from augengine.kernels.cpu.originals import original_builtins

    own = builtins.print

    def first(*arguments):
        own(*arguments)

    def second(*arguments):
        own(*arguments)

    monkeypatch.setattr(builtins, "print", first)
    with original_builtins():
        assert builtins.print is own
    assert builtins.print is first
    with original_builtins():
        builtins.print = second
    assert builtins.print is second
    with pytest.raises(KeyError), original_builtins():
        raise KeyError
    assert builtins.print is second


FORKS = """
import gc, json, os, sys, torch, augengine as ae
from torch.utils.data import DataLoader

def loaded():
    draw = sys.modules.get("augengine.kernels.cpu.draw")
    return 0 if draw is None else len(draw.draw.overloads)

def numba_after_a_fork():
    child = os.fork()
    if not child:
        os._exit("numba" in sys.modules)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

class Told:
    def __init__(self, collate):
        self.collate = collate

    def __call__(self, samples):
        before = loaded()
        self.collate(samples)
        from augengine.kernels.cpu.draw import draw
        return before, loaded(), sum(draw.stats.cache_misses.values())

policy = [ae.RandomResizedCrop(32), ae.RandomHorizontalFlip()]
seen = {"no collate": numba_after_a_fork()}
others = [ae.pack(policy), ae.Collate(policy, executor="torch")]
seen["none that draws with numba"] = numba_after_a_fork()
collate = ae.Collate(policy)
del collate
gc.collect()
seen["one that is gone"] = numba_after_a_fork()

data = [(torch.zeros(3, 40, 48, dtype=torch.uint8), 0)] * 8
collate = ae.Collate(policy)
collate.set_epoch(0)
seen["construction"] = int("numba" in sys.modules)
loader = DataLoader(ae.WithIds(data), batch_size=2, num_workers=2, collate_fn=Told(collate))
seen["batches"] = [batch for epoch in range(2) for batch in loader]
seen["parent"] = loaded()
print(json.dumps(seen))
"""


def test_forked_workers_have_the_kernel_of_their_parent():
    first_call()  # fills the cache if nobody has
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS], capture_output=True, text=True, check=True
    )
    seen = json.loads(done.stdout)
    batches, parent = seen.pop("batches"), seen.pop("parent")
    assert seen == {
        "no collate": 0,
        "none that draws with numba": 0,
        "one that is gone": 0,
        "construction": 0,
    }
    assert parent >= 1
    # Before a worker's first draw it has all, and that draw neither loads nor compiles.
    assert batches == [[parent, parent, 0]] * 8


class Owner:
    """Somebody who draws in children."""


def status_of_a_fork(child):
    """What child(), run in a forked process, returns: a number."""
    number = os.fork()
    if not number:
        status = 99
        try:
            status = child()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def lock_is_free():
    return int(cache.loading.acquire(timeout=1))


def test_a_fork_does_not_fail_with_the_kernel(monkeypatch, capfd):
    """A damaged cache, say. Who draws meets the error; who forks does not."""
    owner, calls = Owner(), []
    forks.load_before_forks(owner)

    def damaged():
        calls.append(owner)
        raise RuntimeError("damaged")

    monkeypatch.setattr(cache, "load_cached", damaged)
    assert status_of_a_fork(lock_is_free) == 1
    assert calls
    assert capfd.readouterr().err == ""
    assert lock_is_free() == 1
    cache.loading.release()


def test_a_fork_waits_for_a_thread_that_compiles():
    """Otherwise the child would wait for a thread that it does not have."""
    owner, compiling, finished = Owner(), threading.Event(), []
    forks.load_before_forks(owner)

    def compile_for_a_while():
        with cache.loading:
            compiling.set()
            time.sleep(0.3)
            finished.append(True)

    thread = threading.Thread(target=compile_for_a_while)
    thread.start()
    assert compiling.wait(60)
    assert status_of_a_fork(lambda: lock_is_free() + 2 * len(finished)) == 3
    thread.join()


def test_a_fork_does_not_wait_for_ever(monkeypatch):
    owner, compiling, stop = Owner(), threading.Event(), threading.Event()
    forks.load_before_forks(owner)
    monkeypatch.setattr(forks, "MOST_WAIT", 0.1)

    def compile_until_told():
        with cache.loading:
            compiling.set()
            stop.wait(60)

    thread = threading.Thread(target=compile_until_told)
    thread.start()
    assert compiling.wait(60)
    try:
        assert status_of_a_fork(lambda: 5) == 5
    finally:
        stop.set()
        thread.join()


COLD_WORKERS = """
import torch, augengine as ae
from torch.utils.data import DataLoader
data = [(torch.zeros(3, 40, 48, dtype=torch.uint8), 0)] * 8
collate = ae.Collate([ae.RandomResizedCrop(32)])
collate.set_epoch(0)
for batch in DataLoader(ae.WithIds(data), batch_size=2, num_workers=2, collate_fn=collate):
    pass
"""


@pytest.mark.thorough
def test_workers_compile_once_on_a_cold_cache(tmp_path):
    inherited = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", COLD_WORKERS],
        capture_output=True,
        text=True,
        check=True,
        env=inherited | {"XDG_CACHE_HOME": str(tmp_path)},
    )
    assert done.stderr.count("augengine: compiling the CPU kernel") == 1
    assert done.stderr.count("augengine: compiling the sampler") == 1
    assert len(list((tmp_path / "augengine").rglob("draw-*"))) == 1


def test_a_compiler_that_is_switched_off_is_named():
    """numba reads the setting as it is imported; what it would run is no plain Python."""
    code = (
        "import numpy as np, augengine as ae\n"
        "plan = ae.Policy(ae.CenterCrop(8)).sample([0], [(9, 9)])\n"
        "try: ae.execute(plan, np.zeros((1, 9, 9, 3), np.uint8), executor='cpu')\n"
        "except ValueError as error: print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.startswith(
        "execute: NUMBA_DISABLE_JIT is set, and the cpu executor is compiled"
    )
