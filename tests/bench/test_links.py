"""The link of the chaos run: forwards, and then swallows without closing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from bench.links import Link, to_port

PATIENCE_S = 10.0


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends everything back."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(client: socket.socket) -> None:
        while data := client.recv(1024):
            client.sendall(data)
        client.close()

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(client,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield int(listener.getsockname()[1])
    listener.close()


@pytest.fixture
def link(echo: int) -> Iterator[Link]:
    made = Link(to_port(echo))
    yield made
    made.close()


def opened(link: Link) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=PATIENCE_S)


def test_what_is_sent_comes_through(link: Link) -> None:
    with opened(link) as client:
        client.sendall(b"hello")
        assert client.recv(16) == b"hello"


def test_a_swallowed_connection_is_silent_and_stays_open(link: Link) -> None:
    with opened(link) as client:
        client.sendall(b"one")
        assert client.recv(16) == b"one"
        link.swallow(0.0)
        client.sendall(b"two")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(16)
    with opened(link) as later:
        later.sendall(b"three")
        assert later.recv(16) == b"three"


def test_a_link_that_leads_nowhere_closes(echo: int) -> None:
    del echo
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    made = Link(to_port(port))
    try:
        with opened(made) as client:
            assert client.recv(16) == b""
    finally:
        made.close()
