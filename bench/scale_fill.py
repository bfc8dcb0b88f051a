"""A campus of any size on PostgreSQL, written by the database itself: what ingest and ledger would have left.

Everything follows from the number of an account, so that two campuses differ in size alone, and
`bench.scale_check` can ask the engine whether sampled accounts add up:

- a grant of this month and of the last; every fifth account bought a package, every tenth one before;
- connections of twenty minutes with five reports each, each on a day of its own; with every twentieth
  account the last one is still open;
- every tenth account uses so much that its grant runs out, and its package too where it has one;
- an opening balance and a recharge for each; every thousandth account has 200 recharges;
- three of five accounts are bound to a person; a year of notices.

Reports are written in the order of their time, all accounts in turn: rows of one account lie far apart.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Connection, bindparam, text

from billing.embedded import seed
from models import schema
from models.clock import CAMPUS_ZONE
from models.db.engine import Database

# A day in the second half of a month: all reports fall into that month.
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=CAMPUS_ZONE)
GRANT_BYTES = 30_000_000_000
REPORTS = 5
SESSIONS_MAX = 18
# Accounts with many movements of money: those whose number leaves this rest.
MANY_EVERY, MANY_REST = 1000, 3

# `unit_bytes` is the upload until the first interim report; download is ten times as much. After
# report k an upload stands at k(k+1)/2 units (`:reached`), a whole session is worth ten (`:before` sessions).
_LINES = """
    CREATE TEMPORARY TABLE line ON COMMIT DROP AS
    SELECT n, '24' || lpad(n::text, 8, '0') AS account_no,
        (25000 + n * 7919 % 800000) * CASE WHEN n % 20 IN (0, 7) THEN 400 ELSE 1 END AS unit_bytes,
        timestamptz '2026-11-01 08:00:00+08' + n % 40000 * interval '1 second'
            + n % (18 / :sessions) * interval '1 day' AS first_at,
        timestamptz '2026-11-20 11:30:00+08' + n % 600 * interval '1 second' AS open_at
    FROM generate_series(0, :accounts - 1) n
"""

_PEOPLE = (
    """INSERT INTO account (account_no, name, kind, department, active, balance_fen, created_at)
    SELECT account_no, '学生', 'undergraduate', '', true,
        5000 - CASE WHEN n % 5 = 0 THEN 1000 ELSE 0 END - CASE WHEN n % 10 = 0 THEN 1000 ELSE 0 END
            + CASE WHEN n % 1000 = 3 THEN 200000 ELSE 0 END,
        timestamptz '2026-09-01 08:00:00+08'
    FROM line ORDER BY n""",
    """INSERT INTO person (openid, created_at)
    SELECT 'o' || lpad(n::text, 27, '0'), timestamptz '2026-09-02 08:00:00+08'
    FROM line WHERE n % 5 < 3 ORDER BY n""",
    """INSERT INTO binding (person_id, account_no, bound_at)
    SELECT id, '24' || right(openid, 8), created_at FROM person ORDER BY id""",
    """INSERT INTO notice (title, body, published_at)
    SELECT '公告 ' || n, repeat('网络维护。', 60), timestamptz '2026-11-01 08:00+08' - n * interval '1 week'
    FROM generate_series(0, 51) n""",
)

_LOTS = (
    """INSERT INTO traffic_lot
        (account_no, kind, grant_policy_id, total_bytes, used_bytes, starts_at, ends_at)
    SELECT account_no, 'grant', (SELECT min(id) FROM grant_policy), 30000000000, 0,
        timestamptz '2026-10-01 00:00:00+08', timestamptz '2026-11-01 00:00:00+08'
    FROM line ORDER BY n""",
    """INSERT INTO traffic_lot
        (account_no, kind, package_code, rule_id, total_bytes, used_bytes, starts_at, ends_at, closed_at)
    SELECT account_no, 'package', 'P10', (SELECT min(id) FROM traffic_rule), 20000000000, 0,
        timestamptz '2026-10-01 00:10:00+08', timestamptz '2026-11-01 00:10:00+08',
        timestamptz '2026-11-01 00:20:00+08'
    FROM line WHERE n % 10 = 0 ORDER BY n""",
    """INSERT INTO traffic_lot
        (account_no, kind, grant_policy_id, total_bytes, used_bytes, starts_at, ends_at)
    SELECT account_no, 'grant', (SELECT min(id) FROM grant_policy), 30000000000,
        least(30000000000, 11 * unit_bytes * 10 * :sessions),
        timestamptz '2026-11-01 00:00:00+08', timestamptz '2026-12-01 00:00:00+08'
    FROM line ORDER BY n""",
    """INSERT INTO traffic_lot
        (account_no, kind, package_code, rule_id, total_bytes, used_bytes, starts_at, ends_at)
    SELECT account_no, 'package', 'P10', (SELECT min(id) FROM traffic_rule), 20000000000,
        least(20000000000, greatest(0, 11 * unit_bytes * 10 * :sessions - 30000000000)),
        timestamptz '2026-11-01 00:20:00+08', timestamptz '2026-12-01 00:20:00+08'
    FROM line WHERE n % 5 = 0 ORDER BY n""",
)

# Keys as ledger and exchange make them; both legs in a row, the account's first.
_MONEY = (
    """CREATE TEMPORARY TABLE movement ON COMMIT DROP AS
    SELECT nextval(pg_get_serial_sequence('ledger_entry', 'id')) AS id, found.* FROM (
        SELECT 1 AS turn, n, 'opening:' || account_no AS key, 'opening' AS kind, '' AS memo, account_no,
            2000 AS amount_fen, 'clearing:opening' AS other, timestamptz '2026-09-01 08:00:00+08' AS at
        FROM line
        UNION ALL
        SELECT 2, n, 'credit:r20260930' || lpad(n::text, 11, '0'), 'credit', '', account_no,
            3000, 'clearing:payments', timestamptz '2026-09-30 08:00:00+08'
        FROM line
        UNION ALL
        SELECT 3, n, 'exchange:x' || id, 'exchange', '10元不限量套餐', account_no,
            -1000, 'income:packages', starts_at
        FROM line JOIN traffic_lot USING (account_no) WHERE package_code IS NOT NULL
        UNION ALL
        SELECT 4 + k, n, 'credit:r20261002' || lpad(k::text, 3, '0') || lpad(n::text, 8, '0'), 'credit', '',
            account_no, 1000, 'clearing:payments', timestamptz '2026-11-02 08:00+08' + k * interval '1 hour'
        FROM line, generate_series(0, 199) k WHERE n % 1000 = 3
        ORDER BY turn, n, at
    ) found""",
    """INSERT INTO ledger_entry (id, key, kind, memo, at) SELECT id, key, kind, memo, at FROM movement""",
    """INSERT INTO ledger_posting (entry_id, book, amount_fen)
    SELECT id, leg.book, leg.amount_fen FROM movement CROSS JOIN LATERAL (VALUES
        ('account:' || account_no, movement.amount_fen), (other, -movement.amount_fen)
    ) leg (book, amount_fen)""",
    """INSERT INTO purchase (key, account_no, package_code, package_name, price_fen, quota_bytes,
        carried_bytes, lot_id, balance_fen, at, ends_at)
    SELECT 'x' || id, account_no, 'P10', '10元不限量套餐', 1000, 20000000000, 0, id,
        5000 - 1000 * row_number() OVER (PARTITION BY account_no ORDER BY id), starts_at, ends_at
    FROM traffic_lot WHERE kind = 'package' ORDER BY id""",
)

# One session of each account: `:before` came before it, `:sessions` in all.
_SESSION = (
    """CREATE TEMPORARY TABLE running ON COMMIT DROP AS
    SELECT nextval(pg_get_serial_sequence('accounting_session', 'id')) AS id, n, account_no, unit_bytes,
        stays_open, grant_id, package_id,
        CASE WHEN stays_open THEN open_at
            ELSE first_at + :before * (18 / :sessions) * interval '1 day' END AS began_at
    FROM (
        SELECT line.*, n % 20 = 0 AND :before = :sessions - 1 AS stays_open,
            month_lot.id AS grant_id, package_lot.id AS package_id
        FROM line
        JOIN traffic_lot month_lot ON month_lot.account_no = line.account_no
            AND month_lot.kind = 'grant' AND month_lot.starts_at = timestamptz '2026-11-01 00:00:00+08'
        LEFT JOIN traffic_lot package_lot ON package_lot.account_no = line.account_no
            AND package_lot.kind = 'package' AND package_lot.closed_at IS NULL
        ORDER BY n
    ) line""",
    """INSERT INTO accounting_session (id, account_no, nas, session_no, address, started_at, nas_started_at,
        last_at, up_bytes, down_bytes, ended_at, end_reason)
    SELECT id, account_no, 'BRAS-' || n % 8, to_hex(:before) || '-' || lpad(to_hex(n), 8, '0'), '10.70.1.2',
        began_at, began_at, began_at + interval '20 minutes', unit_bytes * 10, unit_bytes * 100,
        CASE WHEN NOT stays_open THEN began_at + interval '20 minutes' END,
        CASE WHEN NOT stays_open THEN 'stop' END
    FROM running""",
    """INSERT INTO usage_day (account_no, used_on, up_bytes, down_bytes, fast_bytes, throttled_bytes)
    SELECT account_no, (began_at AT TIME ZONE 'Asia/Shanghai')::date, unit_bytes * 10, unit_bytes * 100,
        least(room, 110 * unit_bytes * (:before + 1)) - least(room, 110 * unit_bytes * :before),
        110 * unit_bytes
            - least(room, 110 * unit_bytes * (:before + 1)) + least(room, 110 * unit_bytes * :before)
    FROM (SELECT *, 30000000000 + CASE WHEN package_id IS NULL THEN 0 ELSE 20000000000 END AS room
        FROM running) with_room""",
)

# One report of that session: after it stand `:reached` units, before it stood `:stood`.
_REPORT = (
    """INSERT INTO usage_sample (accounting_session_id, event_at, kind, up_octets, down_octets, up_wide,
        down_wide, began_at, received_at)
    SELECT id, began_at + :k * interval '5 minutes',
        CASE WHEN :k = 0 THEN 'start' WHEN :k = 4 AND NOT stays_open THEN 'stop' ELSE 'interim' END,
        unit_bytes * :reached, unit_bytes * 10 * :reached, true, true,
        began_at, began_at + :k * interval '5 minutes'
    FROM running""",
    """INSERT INTO lot_use (lot_id, used_on, used_bytes, at)
    SELECT grant_id, (began_at AT TIME ZONE 'Asia/Shanghai')::date, used_bytes,
        began_at + :k * interval '5 minutes'
    FROM (SELECT *, least(30000000000, 11 * unit_bytes * (10 * :before + :reached))
        - least(30000000000, 11 * unit_bytes * (10 * :before + :stood)) AS used_bytes FROM running) uses
    WHERE used_bytes > 0""",
    """INSERT INTO lot_use (lot_id, used_on, used_bytes, at)
    SELECT package_id, (began_at AT TIME ZONE 'Asia/Shanghai')::date, used_bytes,
        began_at + :k * interval '5 minutes'
    FROM (SELECT *, least(50000000000, greatest(30000000000, 11 * unit_bytes * (10 * :before + :reached)))
        - least(50000000000, greatest(30000000000, 11 * unit_bytes * (10 * :before + :stood))) AS used_bytes
        FROM running WHERE package_id IS NOT NULL) uses
    WHERE used_bytes > 0""",
)


def fill(database: Database, *, accounts: int, records: int) -> None:
    """Tables, and rows in them: `records` reports of `accounts` accounts, rounded down to whole sessions."""
    schema.upgrade(database)
    with database.transaction() as session:
        seed.seed_catalogue(session)
        seed.seed_grant_policy(session, quota_bytes=GRANT_BYTES)
    sessions = max(1, min(SESSIONS_MAX, records // (accounts * REPORTS)))
    with database.engine.begin() as connection:
        _write(connection, {"accounts": accounts, "sessions": sessions})
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        # With the map of what everybody may see, as after a night of the usual upkeep.
        connection.execute(text("VACUUM (ANALYZE)"))


def noon() -> datetime:
    """The clock of this campus: it stands still."""
    return NOW


def openid_of(number: int) -> str:
    """The person of this account; numbers that leave 3 or 4 when divided by 5 have none."""
    return f"o{number:027d}"


def _write(connection: Connection, sizes: dict[str, int]) -> None:
    # What refers to what is right by construction; looking it up for each row would double the time.
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    for statement in (_LINES, "ANALYZE line", *_PEOPLE, *_LOTS, "ANALYZE traffic_lot", *_MONEY):
        _run(connection, statement, sizes)
    for before in range(sizes["sessions"]):
        for statement in _SESSION:
            _run(connection, statement, sizes | {"before": before})
        for k in range(REPORTS):
            counters = {"before": before, "k": k, "reached": k * (k + 1) // 2, "stood": k * (k - 1) // 2}
            for statement in _REPORT:
                _run(connection, statement, counters)
        _run(connection, "DROP TABLE running", {})


def _run(connection: Connection, statement: str, given: dict[str, int]) -> None:
    clause = text(statement)
    wanted = clause.compile().params.keys()
    # With their type: by its value alone, the driver would send a small number as a small type.
    typed = [bindparam(name, given[name], BigInteger) for name in wanted]
    connection.execute(clause.bindparams(*typed))
