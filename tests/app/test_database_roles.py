"""Two roles on PostgreSQL: the service works with all of it and cannot change the audit trail."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.cli import main
from app.doctor_books import examine
from app.opening import open_config
from app.wiring import build
from billing.embedded import seed
from models.clock import utc_now
from models.db import roles
from models.db.append_only import APPEND_ONLY
from models.db.engine import Database
from payments.audit import anchor, book_check, hash_chain, ledger_chain
from payments.payouts import transfer_list
from sandbox.credentials import Credentials
from tests.models_of_money import world as world_module
from tests.models_of_money.world import ACCOUNTS, make_template
from tests.payments.payouts.payout_world import PayoutWorld
from tests.payments.refunds.refund_world import ANNA
from tests.postgres import PostgresDatabases
from tests.rig import make_config, toml

pytestmark = pytest.mark.postgres


@dataclass
class TwoRoles:
    """A database that one role owns and another one uses; the roles carry the name of the database."""

    server: PostgresDatabases
    name: str

    @property
    def owner(self) -> str:
        return f"owner_{self.name}"

    @property
    def service(self) -> str:
        return f"service_{self.name}"

    def url(self, role: str) -> str:
        return self.server.url(self.name).replace("postgres@", f"{role}@")

    def administer(self, *statements: str, database: str | None = None) -> None:
        target = f"host={self.server.folder} user=postgres dbname={database or self.name}"
        with psycopg.connect(target, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


@pytest.fixture
def roles_of(postgres_server: PostgresDatabases) -> Iterator[TwoRoles]:
    made = TwoRoles(postgres_server, f"roles_{secrets.token_hex(4)}")
    # As deploy/README.md says.
    made.administer(
        f"CREATE ROLE {made.owner} LOGIN",
        f"CREATE ROLE {made.service} LOGIN",
        f"CREATE DATABASE {made.name} OWNER {made.owner}",
        database="postgres",
    )
    yield made
    postgres_server.drop(made.name)
    made.administer(f"DROP ROLE {made.service}", f"DROP ROLE {made.owner}", database="postgres")


def configured(folder: Path, credentials: Credentials, url: str, owner_url: str = "") -> Path:
    config = make_config(
        folder,
        credentials,
        site="http://127.0.0.1:8000",
        platform="http://127.0.0.1:9",
        database_url=url,
        redis_url="redis://127.0.0.1:9/0",
        database={"owner_url": owner_url},
    )
    return toml(config, folder)


def upgrade(path: Path) -> Result:
    return CliRunner().invoke(main, ["db", "upgrade", "--config", str(path)])


@pytest.fixture
def path(roles_of: TwoRoles, tmp_path: Path, credentials: Credentials) -> Path:
    """The configuration of an installation with two roles, its tables made by the owner."""
    made = configured(tmp_path, credentials, roles_of.url(roles_of.service), roles_of.url(roles_of.owner))
    done = upgrade(made)
    assert done.exit_code == 0, done.output
    return made


@pytest.fixture
def service(roles_of: TwoRoles, path: Path) -> Iterator[Database]:
    del path
    database = Database(roles_of.url(roles_of.service))
    yield database
    database.dispose()


FORBIDDEN = [
    "UPDATE {table} SET {column} = {column}",
    "DELETE FROM {table}",
    "TRUNCATE {table} CASCADE",
    "ALTER TABLE {table} DISABLE TRIGGER {table}_append_only",
    "ALTER TABLE {table} DISABLE TRIGGER ALL",
    "DROP TRIGGER {table}_append_only ON {table}",
    "CREATE TRIGGER other BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION campusnet_append_only()",
    "ALTER TABLE {table} ADD COLUMN other text",
    "DROP TABLE {table} CASCADE",
    "SELECT * FROM {table} FOR UPDATE",
]


def test_the_service_cannot_change_what_is_append_only(service: Database) -> None:
    query = text("SELECT attname FROM pg_attribute WHERE attrelid = CAST(:name AS regclass) AND attnum = 1")
    for table in APPEND_ONLY:
        with service.reading() as session:
            column = session.scalar(query, {"name": table})
        for statement in FORBIDDEN:
            with (
                pytest.raises(ProgrammingError, match=r"permission denied|must be owner"),
                service.transaction() as session,
            ):
                session.execute(text(statement.format(table=table, column=column)))


@pytest.mark.parametrize(
    "statement",
    [
        "SET session_replication_role = replica",
        "CREATE OR REPLACE FUNCTION campusnet_append_only() RETURNS trigger LANGUAGE sql AS 'SELECT NULL'",
        "DROP FUNCTION campusnet_append_only() CASCADE",
        "CREATE TABLE other (id int)",
        "DROP TABLE orders CASCADE",
        "UPDATE alembic_version SET version_num = '0001'",
        "DROP SCHEMA public CASCADE",
    ],
)
def test_the_service_cannot_get_round_the_triggers(service: Database, statement: str) -> None:
    with (
        pytest.raises(ProgrammingError, match=r"permission denied|must be owner"),
        service.transaction() as session,
    ):
        session.execute(text(statement))


def test_the_service_does_its_work_with_its_own_role(
    roles_of: TwoRoles,
    service: Database,
    tmp_path: Path,
    credentials: Credentials,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Payment, credit, refund, counter money, payout, transfer list, seals, anchor, book check."""
    template = make_template(tmp_path)
    with service.transaction() as session:
        rows = [seed.DemoAccount(number, "测试") for number in ACCOUNTS]
        seed.seed_demo_accounts(session, rows, utc_now())
    url = roles_of.url(roles_of.service)
    monkeypatch.setattr(world_module, "Database", lambda _sqlite: Database(url))
    world = PayoutWorld(template, tmp_path / "unused.db", credentials, monkeypatch)
    try:
        order_no = world.paid(500, credited=True)
        number = world.approved(order_no, 200)
        world.work()
        world.ends(number)
        world.later()
        world.cash(2000)
        view = world.agreed()
        world.later()
        assert "WITHDRAWN" in world.states(view)
        assert transfer_list.make_list(world.services, actor=ANNA) is not None
        world.keep_house()
        world.clock.advance(7200)
        ledger_chain.seal_ledger(world.services)
        hash_chain.seal_late(world.services)
        anchor.send(world.services)
        assert book_check.run(world.services).failures == {}
        world.check_books()
    finally:
        world.close()


def test_doctor_is_content_with_two_roles(path: Path) -> None:
    house = build(open_config(path))
    lines = {line.name: line for line in examine(house.config, house)}
    house.close()
    assert (lines["role"].state, lines["books"].state) == ("well", "well")


def test_an_installation_with_one_role_goes_on_working_and_is_told(
    roles_of: TwoRoles, tmp_path: Path, credentials: Credentials
) -> None:
    path = configured(tmp_path, credentials, roles_of.url(roles_of.owner))
    assert upgrade(path).exit_code == 0
    house = build(open_config(path))
    lines = {line.name: line for line in examine(house.config, house)}
    house.close()
    assert lines["role"].state == "warning"
    assert f"{roles_of.owner} owns audit_anchor, journal" in lines["role"].detail


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("GRANT UPDATE ON journal TO {service}", "may change journal"),
        ("GRANT {owner} TO {service}", "owns audit_anchor"),
        ("ALTER TABLE journal_seal OWNER TO {service}", "owns journal_seal"),
        ("GRANT CREATE ON SCHEMA public TO {service}", "may create tables"),
        ("ALTER ROLE {service} SUPERUSER", "is a superuser"),
        ("GRANT TRIGGER ON ledger_posting TO {service}", "may change ledger_posting"),
    ],
)
def test_a_role_that_can_do_more_is_found(roles_of: TwoRoles, path: Path, statement: str, said: str) -> None:
    roles_of.administer(statement.format(service=roles_of.service, owner=roles_of.owner))
    house = build(open_config(path))
    lines = {line.name: line for line in examine(house.config, house)}
    house.close()
    assert lines["role"].state == "wrong"
    assert said in lines["role"].detail


def test_an_upgrade_takes_back_what_was_given_by_hand(roles_of: TwoRoles, path: Path) -> None:
    roles_of.administer(f"GRANT UPDATE ON journal TO {roles_of.service}")
    assert upgrade(path).exit_code == 0
    database = Database(roles_of.url(roles_of.service))
    with database.connection() as connection:
        assert roles.weaknesses(connection) == []
    database.dispose()


@pytest.mark.parametrize("role", ["owner", "nobody_here"])
def test_an_upgrade_without_a_role_for_the_service_says_so(
    roles_of: TwoRoles, tmp_path: Path, credentials: Credentials, role: str
) -> None:
    url = roles_of.url(roles_of.owner if role == "owner" else role)
    path = configured(tmp_path, credentials, url, roles_of.url(roles_of.owner))
    done = upgrade(path)
    assert done.exit_code == 1
    assert "role" in done.output
    assert "deploy/README.md" in done.output


def test_every_append_only_trigger_is_of_a_table_that_is_known(any_database: Database) -> None:
    query = {
        "sqlite": "SELECT DISTINCT tbl_name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE '%\\_append\\_only'",
    }
    with any_database.connection() as connection:
        assert sorted(connection.scalars(text(query[any_database.dialect]))) == sorted(APPEND_ONLY)
