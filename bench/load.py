"""The load generator, a process of its own: `python -m bench.load PORT FILE CONNECTIONS WARM_UP SECONDS`.

Sends prepared requests over kept-alive connections, one at a time on each, and prints what it saw
as JSON. Standard library only, and no work per message beyond sending, receiving and two clocks.
"""

from __future__ import annotations

import itertools
import json
import selectors
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

LENGTH = struct.Struct(">I")
# Of so many messages, the body of one is kept to be looked into.
SAMPLE_EVERY = 50
RECEIVE_BYTES = 65536
SILENCE_S = 20.0
HEAD_END = b"\r\n\r\n"


@dataclass
class Seen:
    """What came back: one latency for each message, and a few bodies to look into."""

    latencies_ns: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


class _Line:
    """One kept-alive connection with at most one request on its way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SILENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sent_ns = 0
        self._received = b""

    def send(self, request: bytes) -> None:
        self._received = b""
        self._sent_ns = time.perf_counter_ns()
        self.socket.sendall(request)

    def receive(self) -> tuple[int, bytes] | None:
        """Latency and body when the answer is complete."""
        chunk = self.socket.recv(RECEIVE_BYTES)
        if not chunk:
            raise ConnectionError("the server hung up")
        self._received += chunk
        head, found, body = self._received.partition(HEAD_END)
        if not found or len(body) < _length(head):
            return None
        latency_ns = time.perf_counter_ns() - self._sent_ns
        if not head.startswith(b"HTTP/1.1 200") or not body.startswith(b"<xml>"):
            raise ValueError(f"not an answer: {self._received[:300]!r}")
        return latency_ns, body


def pack(requests: Iterable[bytes]) -> bytes:
    """Requests as the file holds them."""
    return b"".join(LENGTH.pack(len(request)) + request for request in requests)


def unpack(data: bytes) -> Iterator[bytes]:
    """The requests of a file."""
    place = 0
    while place < len(data):
        (size,) = LENGTH.unpack_from(data, place)
        yield data[place + LENGTH.size : place + LENGTH.size + size]
        place += LENGTH.size + size


def drive(port: int, requests: Iterator[bytes], connections: int, seconds: float) -> tuple[float, Seen]:
    """Send until the requests or the seconds are used up, and wait for what is on its way.

    Returns: seconds from the first request to the last answer, and what came back.
    """
    seen = Seen()
    with selectors.DefaultSelector() as selector:
        lines = [_Line(port) for _ in range(connections)]
        began_s = time.perf_counter()
        until_ns = time.perf_counter_ns() + int(seconds * 1e9)
        for line, request in zip(lines, requests, strict=False):
            line.send(request)
            selector.register(line.socket, selectors.EVENT_READ, line)
        while selector.get_map():
            ready = selector.select(SILENCE_S)
            if not ready:
                raise TimeoutError("no answer")
            for key, _ in ready:
                if not _serve(key.data, requests, seen, until_ns):
                    selector.unregister(key.fileobj)
        took_s = time.perf_counter() - began_s
    for line in lines:
        line.socket.close()
    return took_s, seen


def _serve(line: _Line, waiting: Iterator[bytes], seen: Seen, until_ns: int) -> bool:
    """Whether something is still on its way on this connection."""
    answered = line.receive()
    if answered is None:
        return True
    following = next(waiting, None) if time.perf_counter_ns() < until_ns else None
    if following is not None:
        line.send(following)
    latency_ns, body = answered
    seen.latencies_ns.append(latency_ns)
    if len(seen.latencies_ns) % SAMPLE_EVERY == 1:
        seen.bodies.append(body)
    return following is not None


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ValueError("no Content-Length")


def main(arguments: list[str]) -> None:
    """Warm up, measure, print."""
    port, connections, warm_up = int(arguments[0]), int(arguments[2]), int(arguments[3])
    requests = unpack(Path(arguments[1]).read_bytes())
    drive(port, itertools.islice(requests, warm_up), connections, SILENCE_S)
    took_s, seen = drive(port, requests, connections, float(arguments[4]))
    print(
        json.dumps(
            {
                "took_s": took_s,
                "latencies_ns": seen.latencies_ns,
                "bodies": [body.decode() for body in seen.bodies],
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
