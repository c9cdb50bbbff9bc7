"""`upkeep`, and `python -m upkeep`."""

from upkeep.cli import cli


def main() -> None:
    """Run the command line and exit."""
    cli.main()


if __name__ == "__main__":
    main()
