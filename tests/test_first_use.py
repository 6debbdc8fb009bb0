"""Public names are loaded at their first use; nobody who uses them can tell."""

import json
import subprocess
import sys
import textwrap

# Programs, each for a process that has imported torch and nothing of ours.
PROGRAMS = {
    "by attribute": "import augengine as ae; assert ae.Policy is ae.api.Policy",
    "by name": "from augengine import Policy, ops; assert ops.op.Op and Policy",
    "by star": """
        from augengine import *
        assert Policy and RandomRotation and presets
        assert "import_module" not in globals() and "TYPE_CHECKING" not in globals()
        """,
    "listed": """
        import augengine as ae
        assert {"Policy", "RandomRotation", "execute", "kernels", "__version__"} <= set(dir(ae))
        assert set(ae.__all__) <= set(dir(ae))
        """,
    "a module of ours first": "from augengine import kernels; assert kernels.choose",
    "the middle first": "import augengine.loading.engine as m, augengine; assert m.Engine is augengine.Engine",
    "the bottom first": "from augengine.loading import batch; from augengine import Batch; assert batch.Batch",
    "modules as attributes": """
        import augengine as ae
        assert ae.random_numbers.philox_round and ae.kernels.choose and ae.sheet
        """,
    "no such name": """
        import augengine as ae
        assert not hasattr(ae, "of.no.use") and not hasattr(ae, "__wrapped__")
        try:
            from augengine import Polycy
        except ImportError as error:
            assert "cannot import name 'Polycy' from 'augengine'" in str(error)
        else:
            raise SystemExit("taken")
        """,
    "what is put in its place stays": """
        import augengine as ae
        ae.execute = print
        assert ae.Policy and ae.execute is print
        """,
    "imported again": """
        import importlib, augengine as ae
        policy = ae.Policy
        assert importlib.reload(ae) is ae and ae.Policy is policy and ae.Engine
        """,
    "pickled": """
        import pickle, subprocess, sys, augengine as ae
        data = pickle.dumps([ae.Policy([ae.RandomRotation(9)]), ae.Engine, ae.execute])
        read = "import pickle, sys; p, *_ = pickle.load(sys.stdin.buffer); assert p.fingerprint == sys.argv[1]"
        subprocess.run([sys.executable, "-c", read, ae.Policy([ae.RandomRotation(9)]).fingerprint],
                       input=data, check=True)
        """,
    "by threads at once": """
        import importlib, threading, augengine as ae
        ways = [lambda: ae.Policy, lambda: ae.__all__, lambda: dir(ae), lambda: ae.kernels,
                lambda: importlib.import_module("augengine.loading.batch").Batch,
                lambda: importlib.import_module("augengine.policy.policy").Policy] * 4
        start, done = threading.Barrier(len(ways)), []
        def use(way):
            start.wait()
            done.append(way())
        threads = [threading.Thread(target=use, args=(way,)) for way in ways]
        for thread in threads: thread.start()
        for thread in threads: thread.join(60)
        assert len(done) == len(ways) and all(done), done
        """,
    "compiled": """
        import torch, numpy as np, augengine as ae
        from augengine.policy.policy import Policy
        from augengine.policy.ops import RandomHorizontalFlip
        from augengine.kernels.operator import as_tensor
        plan = Policy([RandomHorizontalFlip(0)]).sample(ids=[0, 1], sizes=[(8, 8)] * 2)
        @torch.compile(backend="eager", fullgraph=True)
        def mean(images, plan, finish):
            return ae.execute_compiled(images, plan, finish).mean()
        assert mean(torch.ones(2, 3, 8, 8), as_tensor(plan), plan.finish) == 1
        """,
    "explained": """
        import pydoc, augengine
        page = pydoc.render_doc(augengine, renderer=pydoc.plaintext)
        assert "class Policy" in page and "execute(plan" in page
        """,
}


IN_FORKS = """
import json, os, sys, torch
for way, program in json.load(sys.stdin).items():
    child = os.fork()
    if not child:
        status = 1
        try:
            exec(program, {})
            status = 0
        except BaseException as error:
            print(f"{way}: {error!r}", file=sys.stderr, flush=True)
        os._exit(status)
    os.waitpid(child, 0)
"""


def test_a_name_is_found_whichever_way_comes_first():
    programs = json.dumps({way: textwrap.dedent(text) for way, text in PROGRAMS.items()})
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IN_FORKS],
        input=programs,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr


def test_a_misspelt_name_is_told_the_nearest():
    program = "import augengine as ae; ae.Polycy"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    said = "AttributeError: module 'augengine' has no attribute 'Polycy'. Did you mean: 'Policy'?"
    assert done.stderr.splitlines()[-1] == said
