"""Tests that want Triton's interpreter: ordinary items, which a process of their own runs.

Triton reads TRITON_INTERPRET once, when it is imported, and the tests of Triton's compiler need it
unset. So items of one folder are collected here like all others, and the plugin below has each of
them run by a child process in which the variable is set. The child starts with the first such item,
one for each pytest-xdist worker, and sends back pytest's own reports.

With TRITON_INTERPRET=1 in the environment there is no child: `--pdb` works then.
"""

import os
import subprocess
import sys
import tempfile
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol


class Interpreter:
    """A plugin: runs the items of a folder in the child.

    Args:
        folder: absolute path of the folder that holds the tests.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.child = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item, nextitem):
        if self.folder not in item.path.parents:
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._reports(item):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        # What earlier items have set up in this process and the next one does not need.
        item.session._setupstate.teardown_exact(nextitem)
        return True

    def pytest_sessionfinish(self):
        if self.child:
            self.child.end()

    def _reports(self, item):
        config, begin = item.config, time.time()
        if self.child is None:
            self.child = Child(config, self.folder)
        data = self.child.run(item.nodeid)
        output = self.child.output()
        if config.option.capture == "no":
            sys.stdout.write(output)
        if data is None:
            code = self.child.end()
            self.child = None
            message = f"Triton's interpreter ran this test, and its process ended with {code}.\n\n"
            return [_crashed(item, message + output, begin)]
        reports = [config.hook.pytest_report_from_serializable(config=config, data=d) for d in data]
        for report in reports:
            if output and report.failed:
                report.sections.append(("Captured output of the interpreter's process", output))
        return reports


def _crashed(item, text, begin):
    end = time.time()
    return pytest.TestReport(
        item.nodeid,
        item.location,
        dict.fromkeys(item.keywords, 1),
        outcome="failed",
        longrepr=text,
        when="call",
        duration=end - begin,
        start=begin,
        stop=end,
    )


class Child:
    """A pytest in another process, which runs the items that it is told."""

    def __init__(self, config, folder):
        self.pipe, theirs = Pipe()
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 (end() closes it)
        # What is asked of this pytest, as far as it shapes a report, and xdist's own variables, which
        # would make a worker of the child.
        arguments = [f"--rootdir={config.rootpath}", f"--tb={config.option.tbstyle}"]
        arguments += ["-v"] * config.option.verbose + ["-l"] * config.option.showlocals
        for name in ("thorough", "beyond_quick"):
            arguments += [f"--{name.replace('_', '-')}"] * config.getoption(name, False)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno()), *arguments, str(folder)],
            env=environment | {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""},
            stdout=self.file,
            stderr=self.file,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self.begin = 0
        self.pipe.send(sys.path)

    def run(self, nodeid):
        """The item's reports, in a form that can be sent; None if the child died of it."""
        try:
            self.pipe.send(nodeid)
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.wait()
            return None

    def output(self):
        """What the child has written since the last call."""
        begin, self.begin = self.begin, os.fstat(self.file.fileno()).st_size
        # The child has the same file position, which a read would move.
        return os.pread(self.file.fileno(), self.begin - begin, begin).decode("utf-8", "replace")

    def end(self):
        """Close, wait and return the exit code."""
        self.pipe.close()
        self.file.close()
        return self.process.wait()


class Served:
    """The child's plugin: runs what comes through the pipe until it is closed."""

    def __init__(self, pipe):
        self.pipe = pipe

    def pytest_runtestloop(self, session):
        items = {item.nodeid: item for item in session.items}
        config = session.config
        if session.testsfailed:
            return None  # pytest says which files could not be imported
        while True:
            try:
                item = items[self.pipe.recv()]
            except EOFError:
                return True
            reports = runtestprotocol(item, nextitem=None, log=False)
            sys.stdout.flush()
            self.pipe.send(
                [
                    config.hook.pytest_report_to_serializable(config=config, report=report)
                    for report in reports
                ]
            )


def main(descriptor, *arguments):
    pipe = Connection(int(descriptor))
    sys.path[:] = pipe.recv()
    # The parent shows what is written, beside the report that it belongs to.
    apart = ["-p", "no:cacheprovider", "-p", "no:xdist", "--capture=no"]
    return pytest.main([*apart, *arguments], plugins=[Served(pipe)])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
