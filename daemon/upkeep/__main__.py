"""`upkeep`, and `python -m upkeep`."""

import os
import resource

from upkeep.cli import cli


def main() -> None:
    """Run the command line and exit."""
    # For all that is started from here as well: what is written, the database and mirrors among it, is nobody else's to
    # read, and memory that holds secrets is not dumped.
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    cli.main()


if __name__ == "__main__":
    main()
