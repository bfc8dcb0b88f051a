"""A notice for 50,000 people, sent by a process that is killed in the middle and started again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from app.cli import main
from app.phone import link_in
from bot.broadcast import Broadcaster
from models.notice import BatchStatus, Broadcast, BroadcastBatch, BroadcastStatus
from tests.rig import Rig, eventually, toml

ROOT = Path(__file__).parent.parent.parent
PEOPLE = 50_000
CALLS = 5
KEY = "weekend"
TITLE, BODY = "周末停网维护", "本周六 0:00 至 2:00 全校停网维护。"


class Operator:
    """Types `campusnet broadcast …` at a console, one process for each command."""

    def __init__(self, config_path: Path) -> None:
        self._config_path = config_path

    def run(self, command: str, *arguments: str) -> str:
        """What a command prints; it has to succeed."""
        done = subprocess.run(
            self._line(command, arguments), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def started(self, command: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command that is still at work; killed at the end of the block at the latest."""
        with subprocess.Popen(self._line(command, arguments), cwd=ROOT, stdout=subprocess.DEVNULL) as process:
            try:
                yield process
            finally:
                process.kill()

    def _line(self, command: str, arguments: tuple[str, ...]) -> list[str]:
        config = ("--config", str(self._config_path))
        return [sys.executable, "-m", "app.cli", "broadcast", command, *config, *arguments]


def batches(rig: Rig) -> list[BroadcastBatch]:
    with rig.house.database.reading() as session:
        return list(session.scalars(select(BroadcastBatch).order_by(BroadcastBatch.seq)))


def everybody(rig: Rig, folder: Path) -> Path:
    """A list file of all followers, with one line twice and a comment."""
    openids = [follower.openid for follower in rig.sandbox.oa.followers.subscribed()]
    assert len(openids) == PEOPLE
    path = folder / "followers.txt"
    path.write_text("\n".join(["# all followers", *openids, "", openids[0]]), encoding="utf-8")
    return path


@pytest.mark.long
def test_a_broadcast_killed_in_the_middle_reaches_everybody_exactly_once(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    rig = make_rig(workers=0)
    reader = rig.phone()
    reader.follow()
    reader.api("POST", "/sim/users/bulk", {"count": PEOPLE - 1})
    operator = Operator(toml(rig.config, tmp_path))
    notice_id = operator.run("write", "--title", TITLE, "--body", BODY).split()[-1]
    sending = ("send", notice_id, "--key", KEY, "--list", str(everybody(rig, tmp_path)), "--yes")
    kill_after_the_third_call(rig, operator, sending)
    assert "5 calls, 3 to go" in operator.run(*sending)
    broadcaster = Broadcaster(rig.house.database, rig.house.wechat, rig.house.web.clock)
    # The result of the third call came while nobody knew its number: it has to be asked for.
    eventually(lambda: broadcaster.poll(KEY).status == BroadcastStatus.DONE, "all results", timeout_s=60)
    check_deliveries(rig)
    assert broadcaster.send(KEY).sent == CALLS
    check_deliveries(rig)
    assert sum(TITLE in str(bubble.get("text")) for bubble in reader.messages()) == 1
    told = reader.say("公告")
    assert TITLE in told
    page = reader.open(link_in(told, f"/h5/notices/{notice_id}"))
    assert BODY in page.text


def test_a_preview_reaches_one_person_only(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(workers=0)
    reader, other = rig.phone(), rig.phone("xiaohong")
    reader.follow()
    other.follow()
    broadcaster = Broadcaster(rig.house.database, rig.house.wechat, rig.house.web.clock)
    broadcaster.preview(broadcaster.write_notice(TITLE, BODY), reader.openid)
    assert BODY in reader.wait_for(TITLE)
    assert not any(TITLE in str(bubble.get("text")) for bubble in other.messages())


def test_an_aborted_confirmation_leaves_nothing_for_the_next_sending(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    """`--all` answered with n, then `--tag 2 --yes`: what goes out is what was printed last."""
    rig = make_rig(workers=0)
    reader = rig.phone()
    reader.follow()
    config = str(toml(rig.config, tmp_path))

    def type_in(command: str, *arguments: str, said: str | None = None) -> Result:
        line = ["broadcast", command, *arguments, "--config", config]
        return CliRunner().invoke(main, line, input=said)

    notice_id = type_in("write", "--title", TITLE, "--body", BODY).output.strip()
    aborted = type_in("send", notice_id, "--all", said="n\n")
    assert aborted.exit_code == 1
    assert "all followers" in aborted.output
    assert batches(rig) == []
    sent = type_in("send", notice_id, "--tag", "2", "--yes")
    assert f"notice-{notice_id}: tag 2, 1 calls, 1 to go" in sent.output
    assert not any(TITLE in str(bubble.get("text")) for bubble in reader.messages())
    with rig.house.database.reading() as session:
        stored = session.scalars(select(Broadcast)).one()
    assert (stored.audience, stored.audience_arg, stored.content) == ("tag", "2", f"{TITLE}\n\n{BODY}")
    again = type_in("send", notice_id, "--all", "--yes")
    assert (again.exit_code, "标签 2" in again.output) == (1, True)
    assert len(batches(rig)) == len(jobs(rig)) == 1
    assert type_in("send", notice_id, "--tag", "2", "--yes").exit_code == 0
    assert len(jobs(rig)) == 1


def kill_after_the_third_call(rig: Rig, operator: Operator, sending: tuple[str, ...]) -> None:
    """SIGKILL at the worst moment: the platform has the third call, its answer is on the way."""
    student = rig.phone()
    student.api("POST", "/sim/faults", {"name": "none", "place": "mass", "times": 2})
    unanswered = {"name": "effect_then_timeout", "place": "mass", "args": {"seconds": 4.0}}
    student.api("POST", "/sim/faults", unanswered)
    with operator.started(*sending) as process:
        eventually(lambda: len(jobs(rig)) == 3, "the third call", timeout_s=60)
        process.kill()
        process.wait()
    statuses = [batch.status for batch in batches(rig)]
    assert set(statuses[:2]) <= {BatchStatus.SUBMITTED, BatchStatus.SENT}
    assert statuses[2:] == [BatchStatus.PLANNED] * 3
    assert [batch.submitted_at is None for batch in batches(rig)[2:]] == [False, True, True]


def jobs(rig: Rig) -> list[dict[str, object]]:
    found: list[dict[str, object]] = rig.phone().api("GET", "/sim/mass/summary")["jobs"]
    return found


def check_deliveries(rig: Rig) -> None:
    """As the platform saw it: five calls, each person once, and our books agree."""
    summary = rig.phone().api("GET", "/sim/mass/summary")
    assert len(summary["jobs"]) == CALLS
    assert [(c["total"], c["people"], c["max_per_openid"]) for c in summary["contents"]] == [
        (PEOPLE, PEOPLE, 1)
    ]
    ours = batches(rig)
    assert {batch.status for batch in ours} == {BatchStatus.SENT}
    assert {batch.msg_id for batch in ours} == {str(job["msg_id"]) for job in summary["jobs"]}
