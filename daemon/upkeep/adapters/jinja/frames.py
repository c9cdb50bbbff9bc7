"""What is said over a worker's pipes: four bytes of length, then that many bytes."""

import struct

HEADER = struct.Struct(">I")

TEXT = b"T"
"""First byte of an answer that is a rendered text in UTF-8."""

JSON = b"J"
"""First byte of any other answer."""

READY = b"R"
"""The answer a worker gives once, before any question: it can be asked."""

LARGEST = 1 << 30
"""No frame is longer; a length beyond it means that the pipe carries something else."""


def framed(body: bytes) -> bytes:
    """The body as it goes over the pipe."""
    return HEADER.pack(len(body)) + body
