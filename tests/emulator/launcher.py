"""Runs the emulator with the extension: `python launcher.py`, in the emulator's own virtual environment.

It ends with whoever started it, however that ends: then its standard input is closed.
"""

import os
import sys
import threading

import extension
from ministack.app import main


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


threading.Thread(target=_end_with_parent, daemon=True).start()
extension.install()
main()
