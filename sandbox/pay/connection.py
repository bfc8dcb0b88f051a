"""Breaking a connection on purpose, as a network does."""

from __future__ import annotations

import socket
import struct

from flask import Response

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
