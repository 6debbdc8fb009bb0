"""`python -m benchmarks.code`: what LLVM makes of the CPU kernel for two processors, counted.

    python -m benchmarks.code            prints the counts beside those that are committed
    python -m benchmarks.code --write    renews benchmarks/results/cpu-code.json, some two minutes

A count has no noise. The kernel is compiled for x86-64-v3 (AVX2) and x86-64-v4 (AVX-512), whatever the
machine is, and never run. Of each part the instructions are counted; the loops that are one block, which
the hot ones are; those of them that work on vectors of 32 bytes and more; and the calls of libm and its
like, each of which is a scalar in a loop. A loop that is no longer a vector loop shows here, on a machine
that is as busy as it likes. Counts hold for one version of LLVM: after another numba they are renewed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULT = HERE / "results" / "cpu-code.json"
# With the features by which the kernel itself chooses; a name implies the rest.
TARGETS = {"x86-64-v3": "+avx2,+fma", "x86-64-v4": "+avx2,+fma,+avx512f"}
MORE = 1.05  # of the committed instructions, that there may be

_LABEL = re.compile(r"^(\.?[\w$.]+|\".*\"):")
_VECTOR = re.compile(r"%[yz]mm\d+")
# Single or double, plain or in vectors.
_LIBM = re.compile(
    r"[$ \t*](__svml_\w+|(?:sin|cos|tan|exp|exp2|expm1|log|log2|log10|log1p|pow|fmod|sincos|floor|ceil|rint"
    r"|round|trunc|hypot|cbrt|atan|atan2)f?)\b(?!\()"
)


def counted(assembly: str) -> dict[str, Any]:
    """What the assembly of one part holds.

    Args:
        assembly: Text as LLVM prints it, in AT&T's notation.

    Returns:
        Numbers of "instructions", "loops" (blocks that jump to their own beginning), "vector_loops" (those
        that work on 32 bytes and more), and "libm", the functions of libm that are called, with how often.
    """
    instructions, loops, vector_loops = 0, 0, 0
    libm: dict[str, int] = {}
    label, vector = "", False
    for line in assembly.splitlines():
        if found := _LABEL.match(line):
            label, vector = found[1], False
            continue
        text = line.split("#")[0].strip()
        if not text or text.startswith("."):
            continue
        instructions += 1
        vector = vector or bool(_VECTOR.search(text))
        if called := _LIBM.search(text):
            libm[called[1]] = libm.get(called[1], 0) + 1
        if text.startswith("j"):
            if text.split()[-1] == label:
                loops += 1
                vector_loops += vector
            elif not text.startswith("jmp"):
                continue  # a way out; the block goes on
            label = ""
    return {
        "instructions": instructions,
        "loops": loops,
        "vector_loops": vector_loops,
        "libm": dict(sorted(libm.items())),
    }


def compiled_for(target: str) -> dict[str, dict[str, Any]]:
    """The counts of each part of the kernel, compiled for a processor in a process of its own.

    Args:
        target: LLVM's name of the processor.
    """
    environment = os.environ | {"NUMBA_CPU_NAME": target, "NUMBA_CPU_FEATURES": TARGETS[target]}
    command = [sys.executable, "-m", "benchmarks.code", "--child"]
    done = subprocess.run(
        command, cwd=HERE.parent, env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def all_counts() -> dict[str, Any]:
    """The counts for all targets, with the version of LLVM's that they hold for."""
    targets = {target: compiled_for(target) for target in TARGETS}
    return {"llvmlite": metadata.version("llvmlite"), "targets": targets}


def worse(before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """A line for each count that is worse than the committed one.

    Args:
        before: Committed counts.
        now: Counts of this tree.
    """
    for target, parts in before["targets"].items():
        for part, old in parts.items():
            new = now["targets"][target].get(part)
            if new is None:
                yield f"{target}, {part}: it is no more"
                continue
            if new["instructions"] > MORE * old["instructions"]:
                yield f"{target}, {part}: {new['instructions']:,} instructions, {old['instructions']:,} before"
            if new["vector_loops"] < old["vector_loops"]:
                yield f"{target}, {part}: {new['vector_loops']} vector loops, {old['vector_loops']} before"
            for name, times in new["libm"].items():
                if times > old["libm"].get(name, 0):
                    yield f"{target}, {part}: {name} is called {times} times, {old['libm'].get(name, 0)} before"


def _compile_only() -> dict[str, dict[str, Any]]:
    """Draw a batch with functions that are compiled, and not called."""
    import numpy as np
    from numba.core.caching import NullCache

    import augengine as ae
    from augengine.kernels.cpu.cache import load_kernels

    kernels = load_kernels()
    for function in kernels.compiled.values():
        function._cache = NullCache()

        def compile_only(*arguments: Any, function: Any = function) -> None:
            function._compile_for_args(*arguments)

        module = sys.modules[function.py_func.__module__]
        for place in (module, kernels):
            for name, value in list(vars(place).items()):
                if value is function:
                    setattr(place, name, compile_only)
    policy = ae.Policy([ae.GaussianBlur(5), ae.RandomEqualize(1), ae.RandomRotation(20)])
    ae.Engine(policy)([np.zeros((40, 40, 3), np.uint8)], ids=[0])
    return {
        part: counted("\n".join(o.library.get_asm_str() for o in function.overloads.values()))
        for part, function in kernels.compiled.items()
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.code", description=__doc__)
    parser.add_argument("--write", action="store_true", help="renew the committed counts")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        print(json.dumps(_compile_only()))
        return 0
    now = all_counts()
    print(json.dumps(now, indent=1))
    if options.write:
        RESULT.write_text(json.dumps(now, indent=1) + "\n", "utf-8")
        return 0
    lines = list(worse(json.loads(RESULT.read_text("utf-8")), now))
    print(*lines, sep="\n")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
