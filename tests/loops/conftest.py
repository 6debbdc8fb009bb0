"""At the end the lines of each framework's page are counted, and those that change."""

import page


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("lines of a user's loop, and those that change")
    for name in sorted(path.stem for path in page.PAGES.glob("*.md")):
        for line in page.summary(name):
            terminalreporter.write_line(line)
