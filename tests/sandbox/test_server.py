"""The server: loopback only, one connection for many requests, the /sim/ API, a process of its own."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from sandbox.credentials import Credentials
from sandbox.engine import Site
from sandbox.server import Sandbox
from tests.sandbox.oa_rig import OaRig, wait_until

SITE = Site("http://127.0.0.1:9", "http://127.0.0.1:9/wechat")


def test_only_loopback_addresses_are_served(credentials: Credentials) -> None:
    with pytest.raises(ValueError, match="loopback"):
        Sandbox(credentials, SITE, host="0.0.0.0")


def test_one_connection_serves_many_requests(oa: OaRig) -> None:
    connection = http.client.HTTPConnection(urlsplit(oa.url).netloc)
    used: set[int] = set()
    for path in ("/sim/health", "/sim/clock", "/nothing", "/sim/students"):
        connection.request("GET", path)
        used.add(id(connection.sock))
        connection.getresponse().read()
    connection.close()
    assert len(used) == 1


def test_a_body_without_a_length_is_refused(oa: OaRig) -> None:
    host, port = urlsplit(oa.url).netloc.split(":")
    with socket.create_connection((host, int(port))) as peer:
        peer.sendall(b"POST /sim/reset HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert peer.recv(100).startswith(b"HTTP/1.1 411")


def test_a_reset_connection_is_a_network_error_for_the_caller(oa: OaRig) -> None:
    oa.fault("ip", "reset")
    with pytest.raises(requests.ConnectionError):
        oa.code("/cgi-bin/getcallbackip")
    assert oa.look("wire")["exchanges"][-1]["status"] == 0


def test_wire_can_be_awaited(oa: OaRig) -> None:
    seen = oa.look("wire")["exchanges"]
    last = seen[-1]["id"] if seen else 0
    oa.act("follow")
    later = oa.look(f"wire?after={last}&wait=5")["exchanges"]
    assert [item["kind"] for item in later] == ["push.subscribe"]
    assert oa.look(f"wire?after={later[-1]['id']}")["exchanges"] == []


def test_transcript_can_be_awaited_and_continued(oa: OaRig) -> None:
    oa.act("follow")
    oa.act("text", {"text": "one"})
    first = oa.look("students/xiaoming/transcript?after=0&wait=5")["bubbles"]
    oa.act("text", {"text": "two"})
    rest = oa.look(f"students/xiaoming/transcript?after={first[-1]['id']}")["bubbles"]
    assert [item["text"] for item in rest] == ["two"]


def test_students_have_stable_openids_and_can_be_enrolled(oa: OaRig) -> None:
    students = oa.look("students")["students"]
    assert len(students) == 5
    assert {len(item["openid"]) for item in students} == {28}
    assert students[0]["openid"] == oa.xiaoming
    body = {"id": "new", "name": "新同学", "account_no": "2500000001"}
    assert oa.sim("students", body)["openid"].startswith("o")
    again = oa.http.post(f"{oa.url}/sim/students", json=body)
    assert again.status_code == 409
    oa.act("follow", student="new")
    assert oa.look("students/new")["following"] is True


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("students/xiaoming/network", {"network": "moon"}),
        ("students/xiaoming/raw", {"fields": {}}),
        ("clock/advance", {"seconds": -1}),
        ("clock/advance", {}),
        ("message_mode", {"mode": "compat"}),
        ("users/bulk", {"count": 0}),
        ("faults", {"name": 1, "place": "push"}),
        ("wire/999999/replay", {}),
    ],
)
def test_impossible_wishes_are_refused_with_a_reason(oa: OaRig, path: str, body: dict[str, object]) -> None:
    answer = oa.http.post(f"{oa.url}/sim/{path}", json=body)
    assert answer.status_code in {400, 404}
    assert answer.json()["error"]


def test_faults_are_listed_and_cleared(oa: OaRig) -> None:
    oa.fault("push", "delay", times=None, chance=0.5, args={"seconds": 1})
    (shown,) = oa.look("faults")["faults"]
    assert shown == {
        "name": "delay",
        "place": "push",
        "times": None,
        "nth": 1,
        "chance": 0.5,
        "from_at": None,
        "until_at": None,
        "args": {"seconds": 1.0},
    }
    assert oa.http.delete(f"{oa.url}/sim/faults").json() == {"faults": []}


def test_reset_forgets_everything_but_the_clock(oa: OaRig) -> None:
    oa.act("follow")
    oa.sim("users/bulk", {"count": 5})
    token = oa.token()
    before = oa.look("clock")["timestamp"]
    oa.pass_time(3600)
    oa.sim("reset")
    assert oa.look("students/xiaoming")["following"] is False
    assert oa.bubbles() == []
    assert oa.api("/cgi-bin/user/get", token=token)["errcode"] == 40001
    assert oa.look("clock")["timestamp"] >= before + 3600


def test_as_a_process_it_issues_credentials_once_serves_and_stops(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sandbox", "--dir", str(tmp_path), "--port", "0"]
    issued = []
    for _ in range(2):
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        ) as process:
            assert process.stdout is not None
            url = process.stdout.readline().split()[1]
            with requests.Session() as session:
                session.trust_env = False
                health = session.get(f"{url}/sim/health").json()
                assert session.get(f"{url}/sim/clock").json()["shared"] is False
            process.send_signal(signal.SIGTERM)
            wait_until(lambda process=process: process.poll() is not None)  # type: ignore[misc]
            assert process.returncode == 0
        issued.append(health["app_id"])
    assert issued[0] == issued[1]
    assert (tmp_path / "credentials.json").stat().st_mode & 0o077 == 0
