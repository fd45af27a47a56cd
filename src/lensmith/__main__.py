"""`python -m lensmith`, and the console script."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; an interruption while it is still being imported ends it without a traceback, by 130."""
    try:
        from lensmith.cli import main as run

        run()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
