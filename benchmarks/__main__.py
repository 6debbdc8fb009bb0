"""`python -m benchmarks`: run them with the ordinary heap and with the reused one, and write the
table to benchmarks/results/cpu.md. Arguments go to pytest.

Ends with 1 if a row has no result, because the machine was too busy."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from . import report

HERE = Path(__file__).parent
RESULT = HERE / "results" / "cpu.md"


def main(arguments: list[str]) -> int:
    contents = []
    with tempfile.TemporaryDirectory() as folder:
        for name, heap in [("ordinary", {}), ("reused", report.REUSED_HEAP)]:
            print(f"benchmarks with the {name} heap …", flush=True)
            path = Path(folder, f"{name}.json")
            # A heap's settings are read when a process starts.
            environment = {k: v for k, v in os.environ.items() if k not in report.REUSED_HEAP}
            done = subprocess.run(
                [sys.executable, "-m", "pytest", HERE.name, "--json", path, *arguments],
                cwd=HERE.parent,
                env=environment | heap,
            )
            if done.returncode:
                return done.returncode
            contents.append(json.loads(path.read_text("utf-8")))
    merged = {
        "machine": contents[0]["machine"],
        "runs": [run for content in contents for run in content["runs"]],
    }
    text = report.markdown(merged)
    print("\n" + text)
    refusals = report.refusals(merged)
    print(*refusals, sep="\n")
    if arguments:
        print(f"{RESULT} is left as it is: these were not the standard settings.")
        return int(bool(refusals))
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text("# On a CPU, one core\n\nWritten by `make bench`.\n\n" + text, "utf-8")
    print(f"written to {RESULT}")
    return int(bool(refusals))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
