"""`campusnet accounting` on the production wiring."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from app.accounting import accounting_group, read_file
from app.config_sections import BillingSection, EmbeddedSection
from billing.embedded.traffic import demo_records
from models.clock import CAMPUS_ZONE, campus_date, utc_now
from models.errors import Forged, Unavailable
from tests.billing.network import Nas
from tests.rig import Rig, toml

ACCOUNT = "2400101001"
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=CAMPUS_ZONE)


def run(config: Path, command: str, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(accounting_group, [command, "--config", str(config), *arguments])
    return result.exit_code, result.output


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    return make_rig(workers=0)


def test_a_file_is_counted_on_its_own_days_and_only_once(rig: Rig, tmp_path: Path) -> None:
    config = toml(rig.config, tmp_path)
    account = ACCOUNT
    nas = Nas(NOON, account=account)
    rows = [nas.interim(300 * step, step, 2 * step, received_at="") for step in range(1, 4)]
    lines = tmp_path / "records.jsonl"
    lines.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    table = tmp_path / "records.csv"
    with table.open("w", encoding="utf-8", newline="") as target:
        writer = csv.DictWriter(target, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)

    assert run(config, "import", str(lines)) == (0, "counted: 3\n")
    assert run(config, "import", str(table)) == (0, "known: 3\n")
    (found,) = rig.house.web.billing.sessions(account)
    assert (found.started_at, found.up_bytes, found.down_bytes) == (NOON, 3, 6)


def test_lines_that_are_no_records_are_named(rig: Rig, tmp_path: Path) -> None:
    good = Nas(NOON, account=ACCOUNT).start()
    source = tmp_path / "records.jsonl"
    lines = ["{", json.dumps(good), "[]", json.dumps(good | {"account": "nobody"}), '{"event_at": 1e999}']
    source.write_bytes("\n".join(lines).encode() + b"\n\xff\xfe\n")
    code, output = run(toml(rig.config, tmp_path), "import", str(source))
    assert code == 1
    for said in ("line 1: malformed record", "line 3: malformed", "line 4: no_account", "counted: 1"):
        assert said in output
    assert "line 2:" not in output


def test_a_file_is_read_line_by_line(tmp_path: Path) -> None:
    source = tmp_path / "records.jsonl"
    source.write_text('{"kind": "on"}\n' * 3, encoding="utf-8")
    records = read_file(source)
    assert next(records) == (1, {"kind": "on"})


def test_invented_traffic_goes_on_where_it_was(rig: Rig, tmp_path: Path) -> None:
    config = toml(rig.config, tmp_path)
    code, output = run(config, "demo", "--days=2", "--seed=7")
    assert code == 0, output
    assert output.startswith("counted: ")
    code, again = run(config, "demo", "--days=2", "--seed=7")
    assert code == 0, again
    assert f"known: {output.removeprefix('counted: ').strip()}" in again
    (yesterday,) = [
        day
        for day in rig.house.web.billing.usage(ACCOUNT)
        if day.on == campus_date(utc_now()) - timedelta(days=1)
    ]
    assert yesterday.up_bytes > 0


def test_the_same_seed_invents_the_same_and_nothing_of_the_future() -> None:
    since, until = NOON - timedelta(days=3), NOON
    first = list(demo_records(["A", "B"], seed=1, since=since, until=until))
    assert first == list(demo_records(["A", "B"], seed=1, since=since, until=until))
    assert first != list(demo_records(["A", "B"], seed=2, since=since, until=until))
    assert max(record["event_at"] for record in first) <= until.timestamp()
    assert {record["kind"] for record in first} == {"start", "interim", "stop"}
    longer = demo_records(["A", "B"], seed=1, since=since, until=until + timedelta(hours=9))
    assert {str(record) for record in first} < {str(record) for record in longer}


SECRET = "an accounting secret of 32 letters"


def test_invented_traffic_is_sent_as_a_network_sends_it(
    make_rig: Callable[..., Rig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(workers=0, billing={"embedded": {"accounting_secret": SECRET}})
    monkeypatch.setattr("app.accounting.open_config", lambda _path: rig.config)
    code, output = run(tmp_path / "config.toml", "traffic", "--once", "--seed=7")
    assert code == 0, output
    assert output.startswith("counted: ")
    assert rig.house.web.billing.sessions(ACCOUNT)
    assert run(tmp_path / "config.toml", "traffic", "--once", "--seed=7")[1].startswith("known: ")


def test_a_report_goes_on_after_the_last_one_that_arrived(
    make_rig: Callable[..., Rig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(workers=0, billing={"embedded": {"accounting_secret": SECRET}})
    monkeypatch.setattr("app.accounting.open_config", lambda _path: rig.config)
    sent: list[list[int]] = []
    answers: Iterator[Counter[str] | Exception]
    answers = iter([Counter(counted=1), Unavailable("away"), Counter(counted=1), Forged("enough")])

    def send(_url: str, _secret: str, records: Iterable[dict[str, Any]], **_: object) -> Counter[str]:
        sent.append([record["event_at"] for record in records])
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("app.accounting.send_all", send)
    monkeypatch.setattr("app.accounting.time.sleep", lambda _s: None)
    code, output = run(tmp_path / "config.toml", "traffic")
    assert (code, "away" in output, "enough" in output) == (1, True, True)
    # The clock hardly moves meanwhile: what has arrived is not sent again.
    assert [bool(events) for events in sent] == [True, False, False, False]


@pytest.mark.parametrize("secret", ["", SECRET])
def test_a_network_with_another_secret_is_told(
    make_rig: Callable[..., Rig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    rig = make_rig(workers=0, billing={"embedded": {"accounting_secret": secret}})
    embedded = EmbeddedSection(accounting_secret=SecretStr("another accounting secret of 32 letters"))
    other = rig.config.model_copy(update={"billing": BillingSection(embedded=embedded)})
    monkeypatch.setattr("app.accounting.open_config", lambda _path: other)
    code, output = run(tmp_path / "config.toml", "traffic", "--once")
    assert (code, "refuses the signature" in output) == (1, True)


def test_a_site_that_is_away_gets_the_traffic_next_time(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = rig.config.site.model_copy(update={"base_url": "http://127.0.0.1:9"})
    away = rig.config.model_copy(update={"site": site})
    monkeypatch.setattr("app.accounting.open_config", lambda _path: away)
    code, output = run(tmp_path / "config.toml", "traffic", "--once")
    assert (code, "http://127.0.0.1:9" in output) == (1, True)


def test_nothing_is_invented_in_production(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    production = rig.config.model_copy(update={"mode": "production"})
    monkeypatch.setattr("app.accounting.open_config", lambda _path: production)
    for command in ("demo", "traffic"):
        code, output = run(tmp_path / "config.toml", command)
        assert code == 1
        assert "production" in output
