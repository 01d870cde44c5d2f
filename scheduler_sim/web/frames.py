"""Messages made ready once for many WebSockets, and where a connection takes them (`sockets.py` gives it)."""

import struct
from collections.abc import Callable, Mapping
from typing import Any

FRAMES = "scheduler_sim.frames"
"""The name among the `extensions` of a connection's ASGI scope; its `write` takes what `framed` returns."""

WriteFrame = Callable[[bytes], None]


def framed(text: bytes) -> bytes:
    """Return UTF-8 text as the one frame in which a server sends it (RFC 6455, section 5.2)."""
    length = len(text)
    if length < 126:
        return b"\x81" + bytes((length,)) + text
    if length < 1 << 16:
        return struct.pack(">BBH", 0x81, 126, length) + text
    return struct.pack(">BBQ", 0x81, 127, length) + text


def frame_writer(scope: Mapping[str, Any]) -> WriteFrame | None:
    """Return what takes ready frames for this connection, None where the server has no such thing."""
    write: WriteFrame | None = scope.get("extensions", {}).get(FRAMES, {}).get("write")
    return write
