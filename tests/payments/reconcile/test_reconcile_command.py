"""`campusnet reconcile` on the production wiring."""

from __future__ import annotations

import stat
from collections.abc import Callable
from datetime import date, datetime, timedelta
from itertools import takewhile
from pathlib import Path

import pytest
from click.testing import CliRunner

from app.metrics import HouseCollector
from app.reconciling import reconcile_group
from models.clock import CAMPUS_ZONE, campus_date, month_before, months_earlier, utc_now
from models.statement import ReconRun, ReconStatus
from payments.reconcile.result import TRADE
from tests.payments.reconcile.bill_maker import Paid, write_bill
from tests.payments.reconcile.fund_maker import Flow, write_flow
from tests.rig import Rig, toml


def run(config: Path, *arguments: str) -> tuple[int, str]:
    commands = list(takewhile(lambda word: not word.startswith("-"), arguments))
    rest = arguments[len(commands) :]
    result = CliRunner().invoke(reconcile_group, [*commands, "--config", str(config), *rest])
    return result.exit_code, result.output


def exposed(path: Path) -> Path:
    """A file of before, which everyone can read."""
    path.touch()
    path.chmod(0o644)
    return path


@pytest.mark.usefixtures("open_umask")
def test_a_day_is_compared_reported_and_signed(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    rig = make_rig(workers=0)
    config = toml(rig.config, tmp_path)
    yesterday: date = campus_date(utc_now()) - timedelta(days=1)
    noon = utc_now().astimezone(CAMPUS_ZONE).replace(hour=12) - timedelta(days=1)
    bill = write_bill(tmp_path / "bill.csv", [Paid("MEAL01", "t1", 500, at=noon)])
    on = f"--date={yesterday}"

    assert run(config, "report", on)[0] == 1
    code, output = run(config, on, f"--file={bill}")
    assert code == 0, output
    assert "FOREIGN: 1" in output
    code, output = run(config, on, f"--file={bill}", "--foreign-prefix=MEAL")
    assert code == 0, output
    assert "no differences" in output

    target = exposed(tmp_path / "report.csv")
    assert run(config, "report", on, f"--csv={target}")[0] == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    code, output = run(config, "report", on, f"--csv={tmp_path / 'nowhere' / 'report.csv'}")
    assert (code, "无法写入" in output) == (1, True)
    assert target.read_bytes().startswith(b"\xef\xbb\xbf")

    code, output = run(config, "sign", on, "--by=会计王")
    assert code == 0, output
    code, output = run(config, on, f"--file={bill}")
    assert code == 1
    assert "E-SIGNED" in output
    assert "会计王" in run(config, "report", on)[1]


@pytest.mark.usefixtures("open_umask")
def test_a_month_of_fund_flow_is_compared_written_for_finance_and_signed(
    make_rig: Callable[..., Rig], tmp_path: Path
) -> None:
    config = toml(make_rig(workers=0).config, tmp_path)
    month = month_before(campus_date(utc_now()))
    at = datetime(month.year, month.month, 3, 12, tzinfo=CAMPUS_ZONE)
    bill = write_flow(tmp_path / "flow.csv", [Flow(at, "t1", "t1", "交易", 500, "MEAL01")])
    of, target = f"--month={month:%Y-%m}", exposed(tmp_path / "funds.csv")

    assert run(config, "funds", "report", of)[0] == 1
    code, output = run(config, "funds", of, f"--file={bill}", "--foreign-prefix=MEAL", f"--csv={target}")
    assert code == 0, output
    assert "期初结余 0.00，期末结余 5.00" in output
    assert "FUND_DAY_OPEN：1" in output
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert target.read_bytes().startswith(b"\xef\xbb\xbf")
    assert f"{month:%Y-%m}-03,0.00,1,5.00," in target.read_text(encoding="utf-8-sig")

    code, output = run(config, "funds", "sign", of, "--by=出纳李")
    assert code == 0, output
    assert "未结待办 1 项" in output
    assert "需要另一位同事" in output
    code, output = run(config, "funds", "sign", of, "--by=出纳\u200b李")
    assert (code, "E-TWO" in output) == (1, True)
    code, output = run(config, "funds", "sign", of, "--by=会计王")
    assert code == 0, output
    code, output = run(config, "funds", of, f"--file={bill}")
    assert (code, "E-SIGNED" in output) == (1, True)
    assert "签字：出纳李、会计王" in run(config, "funds", "report", of)[1]
    assert run(config, "funds")[0] == 2


def test_today_cannot_be_reconciled(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    config = toml(make_rig(workers=0).config, tmp_path)
    code, output = run(config, f"--date={campus_date(utc_now())}")
    assert code == 1
    assert "今天" in output


def test_days_without_a_result_are_shown(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    rig = make_rig(workers=0)
    config = toml(rig.config, tmp_path)
    today = campus_date(utc_now())
    first = months_earlier(today, 3) - timedelta(days=2)
    with rig.house.database.transaction() as session:
        session.add(
            ReconRun(bill_on=first, kind=TRADE, status=ReconStatus.DONE, totals={}, started_at=utc_now())
        )
    bill = write_bill(tmp_path / "bill.csv", [])
    code, output = run(config, f"--date={today - timedelta(days=1)}", f"--file={bill}")
    assert code == 0, output
    assert f"微信支付已不再提供账单，无法对账 1 天：{first + timedelta(days=1)}" in output
    assert f"天：{first + timedelta(days=2)}、" in output.split("尚未对账")[1]
    metrics = {
        family.name: family.samples[0].value
        for family in HouseCollector(rig.house.database, utc_now).collect()
        if len(family.samples) == 1
    }
    assert metrics["campusnet_reconcile_days_without_bill"] == 1
    assert metrics["campusnet_reconcile_days_due"] == (today - first).days - 3
