"""`python -m augengine` is `augengine`."""

import sys


def main() -> None:
    """What the script `augengine` calls: the command line, which Ctrl-C ends without a traceback, also while
    packages are still imported."""
    try:
        from .cli import main as command_line

        command_line()
    except KeyboardInterrupt:
        print("augengine: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
