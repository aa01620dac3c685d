"""The entry point of the `keeper` command and of `python -m keeper`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from keeper.cli.app import run

    sys.exit(run())


if __name__ == "__main__":
    main()
