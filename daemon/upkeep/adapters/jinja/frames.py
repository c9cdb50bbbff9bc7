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


PIECE = 1 << 16
"""So many bytes are read from a pipe at once."""


class Frames:
    """The frames that arrive over a pipe, in pieces of whatever length."""

    def __init__(self) -> None:
        self._held = bytearray()

    def add(self, piece: bytes) -> None:
        """What was read."""
        self._held += piece

    def take(self) -> bytes | None:
        """The next frame's body; None until all of it is there. ValueError when the pipe carries something else."""
        if len(self._held) < HEADER.size:
            return None
        (length,) = HEADER.unpack_from(self._held)
        if length > LARGEST:
            raise ValueError(length)
        end = HEADER.size + length
        if len(self._held) < end:
            return None
        body = bytes(memoryview(self._held)[HEADER.size : end])
        del self._held[:end]
        return body


def framed(body: bytes) -> bytes:
    """The body as it goes over the pipe."""
    return HEADER.pack(len(body)) + body
