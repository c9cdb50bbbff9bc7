"""`upkeep`, and `python -m upkeep`."""

import os

from upkeep.cli import cli


def main() -> None:
    """Run the command line and exit."""
    # What is written, the database and mirrors among it, is nobody else's to read.
    os.umask(0o077)
    cli.main()


if __name__ == "__main__":
    main()
