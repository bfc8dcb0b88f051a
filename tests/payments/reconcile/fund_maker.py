"""WeChat's fund-flow bill, written from the document, and a month of it that a test fills."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from models.clock import CAMPUS_ZONE, campus_date
from models.db.engine import Database
from models.money import yuan
from models.refund import Refund, RefundStatus, ReversalStatus
from models.statement import Difference, ReconRun, ReconStatus
from payments.reconcile import monthly, runs
from payments.reconcile.result import FUNDFLOW, TRADE
from payments.reconcile.runs import Summary
from payments.views import OrderView
from tests.builders import World

HEADER = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),"
    "资金变更提交申请人,备注,业务凭证号"
)
TOTALS = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"


@dataclass
class Flow:
    """A row of the bill; `fen` with its sign. `balance_fen` None: what follows from the rows before."""

    at: datetime
    business_no: str
    flow_no: str
    business: str
    fen: int
    voucher: str
    remark: str = ""
    balance_fen: int | None = None

    def line(self, balance_fen: int) -> str:
        fields = [
            f"{self.at.astimezone(CAMPUS_ZONE):%Y-%m-%d %H:%M:%S}",
            self.business_no,
            self.flow_no,
            "交易",
            self.business,
            "收入" if self.fen > 0 else "支出",
            yuan(abs(self.fen)),
            yuan(balance_fen),
            "1900000001API",
            self.remark,
            self.voucher,
        ]
        return f"`{',`'.join(fields)}"


def write_flow(path: Path, rows: Sequence[Flow], opening_fen: int = 0, /, **totals: str) -> Path:
    """The file of these rows; `totals` replaces figures of the last line."""
    left_fen, lines = opening_fen, []
    for row in rows:
        left_fen = left_fen + row.fen if row.balance_fen is None else row.balance_fen
        lines.append(row.line(left_fen))
    came, went = [row.fen for row in rows if row.fen > 0], [-row.fen for row in rows if row.fen <= 0]
    said = {"rows": f"{len(rows)}.0", "income_rows": f"{len(came)}.0", "income": yuan(sum(came))}
    said |= {"expense_rows": f"{len(went)}.0", "expense": yuan(sum(went))} | totals
    whole = [HEADER, *lines, TOTALS, f"`{',`'.join(said.values())}"]
    path.write_bytes(b"\xef\xbb\xbf" + "".join(f"{line}\r\n" for line in whole).encode())
    return path


@dataclass
class Books:
    """What the trade bill of a day says, in fen; the fee in thousandths of one."""

    settled: int = 0
    refunded: int = 0
    fee: int = 0


@dataclass
class FundWorld(World):
    """A month of payments and refunds: in our books, in the trade bills, in the fund-flow bills."""

    folder: Path = field(default_factory=Path)
    opening_fen: int = 0
    rows: list[Flow] = field(default_factory=list)
    trade: dict[date, Books] = field(default_factory=dict)

    def day(self, on: date, hour: int = 12) -> None:
        """Go on to noon of this campus day, which has a trade bill."""
        self.clock.now = datetime(on.year, on.month, on.day, hour, tzinfo=CAMPUS_ZONE)
        self.trade.setdefault(on, Books())

    @property
    def today(self) -> Books:
        return self.trade[campus_date(self.clock())]

    def income(self, view: OrderView, **changes: Any) -> Flow:
        """Write the trade row of an order into the bill."""
        values: dict[str, Any] = {
            "at": self.clock(),
            "business_no": f"42{view.order_no}",
            "flow_no": f"42{view.order_no}",
            "business": "交易",
            "fen": view.amount_fen,
            "voucher": f"{view.order_no}01",
        }
        self.rows.append(Flow(**{**values, **changes}))
        return self.rows[-1]

    def took(self, fen: int) -> OrderView:
        """Paid, and in the trade bill of the day."""
        view = self.paid(fen)
        self.today.settled += fen
        return view

    def expense(self, refund: Refund, **changes: Any) -> Flow:
        """Write the row of a refund into the bill."""
        values: dict[str, Any] = {
            "at": self.clock(),
            "business_no": refund.refund_id,
            "flow_no": f"42{refund.out_trade_no[:-2]}",
            "business": "退款",
            "fen": -refund.amount_fen,
            "voucher": refund.out_refund_no,
        }
        self.rows.append(Flow(**{**values, **changes}))
        return self.rows[-1]

    def gave_back(self, view: OrderView, fen: int, **changes: Any) -> Refund:
        """A refund that WeChat accepted today, and that is in the trade bill."""
        now = self.clock()
        values: dict[str, Any] = {
            "status": RefundStatus.SUCCESS,
            "success_at": now,
            "billed_on": campus_date(now),
            "refund_id": f"50{view.order_no}",
        }
        with self.database.transaction() as session:
            refund = Refund(
                order_id=view.id,
                out_refund_no=f"f{view.order_no}01",
                out_trade_no=f"{view.order_no}01",
                amount_fen=fen,
                reason="test",
                origin="ours",
                reversal=ReversalStatus.DONE,
                held=True,
                requested_by="a",
                created_at=now,
                changed_at=now,
                **{**values, **changes},
            )
            session.add(refund)
        self.today.refunded += fen
        return refund

    def reconciled(self, *but: date) -> None:
        """Every day so far has its daily result, except these."""
        with self.database.transaction() as session:
            known = runs.days_done(session, date(2000, 1, 1), TRADE)
            for on, books in self.trade.items():
                if on in known or on in but:
                    continue
                now, totals = self.clock(), {"bill": vars(books) if any(vars(books).values()) else None}
                session.add(
                    ReconRun(
                        bill_on=on,
                        kind=TRADE,
                        status=ReconStatus.DONE,
                        totals=totals,
                        started_at=now,
                        finished_at=now,
                    )
                )

    def bills(self) -> list[Path]:
        """The bills of all days with rows, one file each."""
        left_fen, paths = self.opening_fen, []
        by_day: dict[date, list[Flow]] = {}
        for row in self.rows:
            by_day.setdefault(campus_date(row.at), []).append(row)
        for on, rows in sorted(by_day.items()):
            paths.append(write_flow(self.folder / f"flow-{on}.csv", rows, left_fen))
            for row in rows:
                left_fen = left_fen + row.fen if row.balance_fen is None else row.balance_fen
        return paths

    def run(self, month: date, **options: Any) -> Summary:
        return monthly.run_files(self.services, month, self.bills(), **options)

    def found(self, month: date) -> set[tuple[str, str, str]]:
        """Kind, key and action of every difference."""
        return {(one.kind, one.key, one.action) for one in self.differences(month)}

    def differences(self, month: date) -> list[Difference]:
        with self.database.reading() as session:
            return list(runs.differences_of(session, month, FUNDFLOW))


def fund_world(database: Database, folder: Path) -> FundWorld:
    """An empty one."""
    return FundWorld(database, folder=folder)
