"""Breaking and slowing down a connection on purpose, as a network does."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

from flask import Response

from sandbox.faults import Fault

DROPPED = "X-Sandbox-Dropped"


def dropped() -> Response:
    """The mark of an answer that will not be sent; 504 where the server keeps its socket to itself."""
    return Response(status=504, headers={DROPPED: "1"})


def is_dropped(response: Response) -> bool:
    """Whether this answer must not reach the merchant."""
    return DROPPED in response.headers


def drop(environ: dict[str, object]) -> None:
    """Cut the connection behind a WSGI request; the peer sees a reset or an early end."""
    peer = environ.get("werkzeug.socket")
    if isinstance(peer, socket.socket):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.shutdown(socket.SHUT_RDWR)


def misdeliver(response: Response, environ: dict[str, object], fault: Fault | None) -> None:
    """Let the finished answer drip out, or break off in the middle, when that is the fault."""
    if fault is None or fault.name not in {"drip", "cut"}:
        return
    raw = response.get_data()
    pieces = _drops(raw, fault.setting("seconds")) if fault.name == "drip" else _half(raw, environ)
    # What was promised stays, or nobody could tell that something is missing.
    response.content_length = len(raw)
    response.response = pieces


def _drops(raw: bytes, total_s: float) -> Iterator[bytes]:
    pause_s = total_s / max(len(raw), 1)
    for place in range(len(raw)):
        threading.Event().wait(pause_s)
        yield raw[place : place + 1]


def _half(raw: bytes, environ: dict[str, object]) -> Iterator[bytes]:
    yield raw[: len(raw) // 2]
    drop(environ)
