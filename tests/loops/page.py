"""The pages of docs/frameworks, run: each Python block is a user's loop, of ten lines at most.

What a page leaves out (the dataset, the model, the step of the training) is given by its test. Counted are
the lines that a user writes: not empty ones, comments and imports. A line that would not stand there
without this package ends with the comment `# augengine`.
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "frameworks"
MOST = 10
MARK = "# augengine"


def blocks(name):
    """The Python blocks of a page, in order."""
    text = (PAGES / f"{name}.md").read_text("utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.S | re.M)


def counts(block):
    """(how many lines a user writes, how many of them are marked)."""
    imports = {
        line
        for node in ast.walk(ast.parse(block))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for line in range(node.lineno, node.end_lineno + 1)
    }
    lines = [
        line
        for number, line in enumerate(block.splitlines(), 1)
        if number not in imports and line.strip() and not line.lstrip().startswith("#")
    ]
    return len(lines), sum(line.endswith(MARK) for line in lines)


def summary(name):
    """A line for each block that marks what changes: `name: N lines, M changed`."""
    several = [block for block in blocks(name) if MARK in block]
    for at, block in enumerate(several, 1):
        lines, changed = counts(block)
        yield f"{name}{f' {at}' if len(several) > 1 else ''}: {lines} lines, {changed} changed"


def run(name, names, block=1):
    """Run a block of a page, the first by default, where `names` are known; everything that it names.

    It is refused if it has more lines than a page may have, or changes none.
    """
    source = blocks(name)[block - 1]
    lines, changed = counts(source)
    print(f"{name}: {lines} lines, {changed} changed")
    assert lines <= MOST, f"{name}: {lines} lines, at most {MOST}"
    assert changed > 0, f"{name}: no line is marked {MARK!r}"
    ours = [line for line in source.splitlines() if re.search(r"\bae\.", line)]
    assert all(line.endswith(MARK) for line in ours), f"{name}: lines of ours without {MARK!r}"
    # As a file's name the page's, so that errors lead there; as a module's one that pickle finds nothing in.
    known = {"__name__": f"page_{name}", **names}
    exec(compile(source, str(PAGES / f"{name}.md"), "exec"), known)
    return known
