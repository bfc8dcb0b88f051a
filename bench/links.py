"""A TCP link on loopback that can swallow packets: it stops forwarding, and closes nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable

CHUNK = 65_536


class Link:
    """Forwards connections to where `connect` leads; its own end is `port` on 127.0.0.1."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._open: set[_Pair] = set()
        self._lock = threading.Lock()
        self._swallows_until_s = 0.0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow(self, seconds: float) -> None:
        """Forward nothing more on what is open, for good, nor on what is opened in this time."""
        with self._lock:
            self._swallows_until_s = time.monotonic() + seconds
            for pair in self._open:
                pair.swallowed.set()

    def close(self) -> None:
        """Close everything."""
        self._listener.close()
        with self._lock:
            pairs = list(self._open)
        for pair in pairs:
            pair.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = self._connect()
        except OSError:
            client.close()
            return
        pair = _Pair(client, server)
        with self._lock:
            self._open.add(pair)
            if time.monotonic() < self._swallows_until_s:
                pair.swallowed.set()
        back = threading.Thread(target=pair.pump, args=(server, client), daemon=True)
        back.start()
        pair.pump(client, server)
        # The client has gone away; that of a swallowed server's end is never seen.
        pair.close()
        back.join()
        with self._lock:
            self._open.discard(pair)


class _Pair:
    """One connection and its other half."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.swallowed = threading.Event()
        self._client = client
        self._server = server
        for end in (client, server):
            end.settimeout(None)
            if end.family != socket.AF_UNIX:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def pump(self, source: socket.socket, target: socket.socket) -> None:
        """Forward until `source` ends; a swallowed pair reads and forgets."""
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                if not self.swallowed.is_set():
                    target.sendall(data)
        if not self.swallowed.is_set():
            self.close()

    def close(self) -> None:
        """Close both ends."""
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def to_unix(path: str) -> Callable[[], socket.socket]:
    """Return how to connect to a Unix socket."""

    def connect() -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.connect(path)
        except OSError:
            made.close()
            raise
        return made

    return connect


def to_port(port: int) -> Callable[[], socket.socket]:
    """Return how to connect to a port on loopback."""
    return lambda: socket.create_connection(("127.0.0.1", port), timeout=5)
