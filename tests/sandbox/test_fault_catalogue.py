"""The catalogue is closed, complete, and what the docs say."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from sandbox import fault_catalogue
from sandbox.fault_catalogue import CANCEL, GROUPS, KINDS, MAGIC, PLACES, Kind, UnknownFault
from sandbox.faults import Fault
from sandbox.oa.api import REFUSALS
from sandbox.oa.endpoints import ENDPOINTS as ACCOUNT
from sandbox.pay import keys
from sandbox.pay.api import ENDPOINTS as PAY
from sandbox.pay.refunds_api import ENDINGS
from sandbox.pay.transaction import TAMPERED
from tests.sandbox.oa_rig import OaRig

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")


def where(kind: Kind) -> str:
    """The places in few words."""
    left, words = list(kind.places), []
    for group, places in GROUPS.items():
        if set(places) <= set(left):
            words.append(group)
            left = [place for place in left if place not in places]
    return ", ".join(words + [f"`{place}`" for place in left])


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def with_settings(text: str, args: dict[str, float]) -> str:
    return text + "".join(f" (`{name}`: {value:g})" for name, value in args.items())


def tables() -> dict[str, list[str]]:
    groups = [row(name, ", ".join(f"`{place}`" for place in places)) for name, places in GROUPS.items()]
    return {
        "place": [row(f"`{place}`", en, zh) for place, (zh, en) in PLACES.items()],
        "group": groups[1:],
        "fault": [row(f"`{k.name}`", where(k), with_settings(k.en, dict(k.args)), k.zh) for k in KINDS],
        "fen": [row(str(one.fen), f"`{one.place}` `{one.name}`", one.en, one.zh) for one in MAGIC],
    }


@pytest.mark.parametrize("head", ["place", "group", "fault", "fen"])
def test_the_docs_hold_the_table(head: str) -> None:
    lines = DOC.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(f"| {head} |")) + 2
    written = lines[start : start + len(tables()[head]) + 1]
    assert written == [*tables()[head], ""], "docs/sandbox.md:\n" + "\n".join(tables()[head])


def test_each_place_has_each_name_once() -> None:
    pairs = Counter((place, kind.name) for kind in KINDS for place in kind.places)
    assert [pair for pair, count in pairs.items() if count > 1] == []
    assert {place for place, _ in pairs} == set(PLACES)


def test_every_endpoint_is_a_place_and_every_magic_amount_a_fault() -> None:
    places = {endpoint.place for endpoint in ACCOUNT.values()} | {endpoint.place for endpoint in PAY}
    assert places <= set(PLACES)
    for magic in MAGIC:
        if magic.name != CANCEL:
            Fault(magic.name, magic.place, args=dict(magic.args))


def test_every_name_is_acted_on_somewhere() -> None:
    """A name that no line of the sandbox compares with would be a promise without a deed."""
    spoken = {*REFUSALS, *ENDINGS, *TAMPERED, *keys.SPOILED}
    for file in (ROOT / "sandbox").rglob("*.py"):
        if file.name != "fault_catalogue.py":
            tree = ast.parse(file.read_text(encoding="utf-8"))
            values = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
            spoken |= {value for value in values if isinstance(value, str)}
    assert {kind.name for kind in KINDS} - spoken == {"none"}


@pytest.mark.parametrize(
    ("body", "exists"),
    [
        ({"name": "lost", "place": "pay.notice"}, "pay.notify"),
        ({"name": "lots", "place": "pay.notify"}, "lost"),
        ({"name": "delay", "place": "pay.notify", "args": {"minutes": 1}}, "seconds"),
        ({"name": "duplicate", "place": "pay.notify", "args": {"seconds": 1}}, "count"),
        ({"name": "lost", "place": "pay.notify", "args": {"seconds": 1}}, "nothing"),
        ({"name": "lost", "place": "pay.notify", "time": 3}, "times"),
    ],
)
def test_what_does_not_exist_is_refused_and_told_what_does(
    oa: OaRig, body: dict[str, object], exists: str
) -> None:
    answer = oa.http.post(f"{oa.url}/sim/faults", json=body)
    assert answer.status_code == 400
    assert exists in answer.json()["error"]
    assert oa.look("faults")["faults"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"chance": 1.5},
        {"times": 0},
        {"times": 1.5},
        {"nth": 0},
        {"from_at": "tomorrow"},
        {"from_at": "2026-09-01T08:00:00"},
        {"args": [1]},
    ],
)
def test_an_impossible_schedule_is_refused(oa: OaRig, wrong: dict[str, object]) -> None:
    body = {"name": "lost", "place": "pay.notify", **wrong}
    assert oa.http.post(f"{oa.url}/sim/faults", json=body).status_code == 400


def test_python_is_refused_alike() -> None:
    with pytest.raises(UnknownFault) as caught:
        Fault("lots", "pay.notify")
    assert "lost" in caught.value.exists


def test_the_catalogue_is_listed(oa: OaRig) -> None:
    shown = oa.look("faults")
    assert shown["places"]["pay.notify"] == {"zh": "支付通知", "en": "telling the merchant of a payment"}
    assert len(shown["kinds"]) == len(KINDS)
    assert shown["magic"] == fault_catalogue.as_dict()["magic"]
