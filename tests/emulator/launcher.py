"""Runs the emulator with the extension: `python launcher.py`, in the emulator's own virtual environment."""

import extension
from ministack.app import main

extension.install()
main()
