"""`campusnet refunds`: what two operators type, and what they are told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.till import fen_of
from models.refund import RefundStatus
from sandbox.credentials import Credentials
from tests.models_of_money.world import make_template
from tests.payments.refunds.refund_world import RefundWorld
from tests.rig import make_config, toml


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def world(
    template: Path, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RefundWorld]:
    built = RefundWorld(template, tmp_path / "world.db", credentials, monkeypatch)
    yield built
    built.close()


@pytest.fixture
def config(world: RefundWorld, tmp_path: Path, credentials: Credentials) -> Path:
    made = make_config(
        tmp_path,
        credentials,
        site="http://127.0.0.1:9",
        platform="http://127.0.0.1:9",
        database_url=world.database.url,
        redis_url="redis://127.0.0.1:1/0",
    )
    return toml(made, tmp_path)


def campusnet(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["refunds", arguments[0], "--config", str(config), *arguments[1:]])


def test_one_person_asks_another_approves_and_the_list_shows_it(world: RefundWorld, config: Path) -> None:
    order_no = world.paid(credited=True)
    asked = campusnet(config, "request", order_no, "--amount", "2.50", "--reason", "充错", "--by", "anna")
    assert asked.exit_code == 0, asked.output
    number = asked.output.split()[0]
    waiting = campusnet(config, "list", "--waiting").output
    assert number in waiting
    assert "2.50" in waiting
    assert order_no in waiting
    alone = campusnet(config, "approve", number, "--by", "anna")
    assert (alone.exit_code, "E-TWO" in alone.output) == (1, True)
    assert campusnet(config, "approve", number, "--by", "bert").exit_code == 0
    assert campusnet(config, "list", "--waiting").output == "没有待批准的退款\n"
    world.later()
    assert world.state(number) == RefundStatus.PROCESSING


def test_the_same_request_again_is_the_same_refund_while_it_waits(world: RefundWorld, config: Path) -> None:
    wanted = ("request", world.paid(credited=True), "--amount", "2.50", "--reason", "充错", "--by")
    asked = campusnet(config, *wanted, "anna")
    assert campusnet(config, *wanted, "An na").output == asked.output
    assert len(campusnet(config, "list").output.splitlines()) == 1
    assert campusnet(config, "reject", asked.output.split()[0], "--by", "bert").exit_code == 0
    assert campusnet(config, *wanted, "anna").output.split()[0] != asked.output.split()[0]


def test_a_rejected_refund_moves_nothing(world: RefundWorld, config: Path) -> None:
    order_no = world.paid(credited=True)
    asked = campusnet(config, "request", order_no, "--amount", "5", "--reason", "充错", "--by", "anna")
    number = asked.output.split()[0]
    assert campusnet(config, "reject", number, "--by", "bert").exit_code == 0
    assert campusnet(config, "approve", number, "--by", "bert").exit_code == 1
    world.later()
    assert (world.state(number), world.sent()) == (RefundStatus.CLOSED, 0)


@pytest.mark.parametrize("amount", ["0", "5.01", "-1", "0.001", "五元", "NaN", "Infinity", "1e-3", ""])
def test_an_amount_that_cannot_be_refunded_is_one_line_of_error(
    world: RefundWorld, config: Path, amount: str
) -> None:
    order_no = world.paid(credited=True)
    failed = campusnet(config, "request", order_no, f"--amount={amount}", "--reason", "充错", "--by", "anna")
    assert failed.exit_code in {1, 2}
    assert "Traceback" not in failed.output
    assert campusnet(config, "list").output == "没有退款\n"


@pytest.mark.parametrize(("typed", "fen"), [("5", 500), ("5.5", 550), ("0.01", 1), ("12.30", 1230)])
def test_yuan_are_read_exactly(typed: str, fen: int) -> None:
    assert fen_of(typed) == fen
