"""The CAS validator against a server that answers what each test wants."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from models.errors import Malformed, Unavailable
from web.identity import Identity, IdentityConfig, TicketRefused
from web.identity_http import ANSWER_LIMIT_BYTES

SERVICE = "https://site.test/h5/bind/callback?state=ab"
NS = 'xmlns:cas="http://www.yale.edu/tp/cas"'


def success(inside: str = "<cas:user>2400101001</cas:user>") -> str:
    return (
        f"<cas:serviceResponse {NS}><cas:authenticationSuccess>{inside}"
        "</cas:authenticationSuccess></cas:serviceResponse>"
    )


def failure(code: str) -> str:
    return (
        f'<cas:serviceResponse {NS}><cas:authenticationFailure code="{code}">no</cas:authenticationFailure>'
        "</cas:serviceResponse>"
    )


class Server(ThreadingHTTPServer):
    """Answers `status` and `body` to everything and remembers the paths."""

    daemon_threads = True
    status = 200
    body = success()
    location = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.paths: list[str] = []
        self.released = threading.Event()
        self.hold = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/cas"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        if self.server.hold:
            self.server.released.wait(10)
            return
        body = self.server.body.encode()
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.released.set()
    made.shutdown()
    made.server_close()
    thread.join(timeout=5)


def identity(server: Server, attribute: str = "", timeout_s: float = 5.0) -> Identity:
    return Identity(IdentityConfig(server.url, attribute, timeout_s))


def test_a_good_ticket_is_worth_an_account(server: Server) -> None:
    assert identity(server).account_of(SERVICE, "ST-1-abc") == "2400101001"
    parts = urlsplit(server.paths[0])
    assert parts.path == "/cas/p3/serviceValidate"
    assert parse_qs(parts.query) == {"service": [SERVICE], "ticket": ["ST-1-abc"]}


def test_a_fresh_login_is_asked_for_and_proved_by_the_server(server: Server) -> None:
    url = identity(server).login_url(SERVICE, fresh=True)
    assert parse_qs(urlsplit(url).query) == {"service": [SERVICE], "renew": ["true"]}
    assert identity(server).account_of(SERVICE, "ST-1-abc", fresh=True) == "2400101001"
    assert parse_qs(urlsplit(server.paths[0]).query)["renew"] == ["true"]


def test_the_account_may_stand_in_a_named_attribute(server: Server) -> None:
    server.body = success(
        "<cas:user>u1</cas:user><cas:attributes><cas:studentNumber>2400101001</cas:studentNumber></cas:attributes>"
    )
    assert identity(server, "studentNumber").account_of(SERVICE, "ST-1") == "2400101001"


@pytest.mark.parametrize(
    ("said", "account_no"),
    [
        ("2400101001@cmcc", "2400101001"),
        ("GUET\\T20080015", "T20080015"),
        ("  ２４００１０１００１ ", "2400101001"),
    ],
)
def test_the_account_is_read_as_everywhere_else(server: Server, said: str, account_no: str) -> None:
    server.body = success(f"<cas:user>{said}</cas:user>")
    assert identity(server).account_of(SERVICE, "ST-1") == account_no


@pytest.mark.parametrize("ticket", ["", "PT-1", "ST-", "ST-a b", "ST-\n", "ST-" + "x" * 300, "ST-汉"])
def test_what_is_no_ticket_is_not_asked_about(server: Server, ticket: str) -> None:
    with pytest.raises(TicketRefused):
        identity(server).account_of(SERVICE, ticket)
    assert server.paths == []


@pytest.mark.parametrize("code", ["INVALID_TICKET", "INVALID_TICKET_SPEC"])
def test_a_worthless_ticket_is_the_persons_to_renew(server: Server, code: str) -> None:
    server.body = failure(code)
    with pytest.raises(TicketRefused):
        identity(server).account_of(SERVICE, "ST-1")


@pytest.mark.parametrize("code", ["INVALID_SERVICE", "INTERNAL_ERROR", ""])
def test_any_other_failure_is_ours_to_repair(server: Server, code: str) -> None:
    server.body = failure(code)
    with pytest.raises(Unavailable):
        identity(server).account_of(SERVICE, "ST-1")


@pytest.mark.parametrize(
    "body",
    [
        "", "<html>", '{"user":"1"}', "<a/>", success("<cas:user></cas:user>"),
        success("<cas:user>1</cas:user><cas:user>2</cas:user>"), success("<user>1</user>"),
        success("<cas:user>' or 1=1 --</cas:user>"),
        success("<cas:user>1<b/>2</cas:user>").replace("cas:user", "cas:x"),
        f"<cas:serviceResponse {NS}></cas:serviceResponse>",
        success().replace("</cas:serviceResponse>", "<cas:authenticationSuccess/></cas:serviceResponse>"),
        "<!DOCTYPE x>" + success(),
        '<!DOCTYPE x [<!ENTITY e "1">]>' + success("<cas:user>&e;</cas:user>"),
        success().replace("www.yale.edu", "evil.test"),
        f"<cas:serviceResponse {NS}><cas:other/></cas:serviceResponse>",
        success() + " " * ANSWER_LIMIT_BYTES,
    ],
)  # fmt: skip
def test_an_answer_that_is_not_exactly_one_account_is_none(server: Server, body: str) -> None:
    server.body = body
    with pytest.raises(Malformed):
        identity(server).account_of(SERVICE, "ST-1")


@pytest.mark.parametrize("status", [404, 500, 503])
def test_an_error_of_the_server_is_no_verdict(server: Server, status: int) -> None:
    server.status = status
    with pytest.raises(Unavailable):
        identity(server).account_of(SERVICE, "ST-1")


def test_a_redirect_is_not_followed(server: Server) -> None:
    server.status, server.location = 302, f"{server.url}/elsewhere"
    with pytest.raises(Unavailable):
        identity(server).account_of(SERVICE, "ST-1")
    assert len(server.paths) == 1


def test_silence_ends_with_the_time_out(server: Server) -> None:
    server.hold = True
    with pytest.raises(Unavailable):
        identity(server, timeout_s=0.2).account_of(SERVICE, "ST-1")


def test_nobody_there_is_unavailable(server: Server) -> None:
    gone = Identity(IdentityConfig("http://127.0.0.1:1/cas"))
    with pytest.raises(Unavailable):
        gone.account_of(SERVICE, "ST-1")
    assert server.paths == []


def test_the_browser_is_sent_with_the_service_intact() -> None:
    url = Identity(IdentityConfig("https://ids.test/authserver")).login_url(SERVICE)
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://ids.test/authserver/login"
    assert parse_qs(parts.query) == {"service": [SERVICE]}
