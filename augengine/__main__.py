"""`python -m augengine` is `augengine`."""

from .cli import main

if __name__ == "__main__":
    main()
