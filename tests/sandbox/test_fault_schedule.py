"""When a fault happens: counts, moments and dice, the same from the same seed, whatever else goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sandbox.chance import Chance
from sandbox.faults import Fault, Faults
from tests.sandbox.oa_rig import OaRig
from tests.sandbox.pay_rig import PayRig

START = datetime(2026, 9, 1, tzinfo=UTC)
CALLS = 200


class Desk:
    """Faults on a clock that the test sets."""

    def __init__(self, seed: int = 0) -> None:
        self.now = START
        self.faults = Faults(Chance(seed), lambda: self.now)

    def calls(self, count: int, place: str = "pay.query") -> str:
        """What happens at so many calls: the first letter of each fault, a dot for none."""
        taken = (self.faults.take(place) for _ in range(count))
        return "".join(fault.name[0] if fault else "." for fault in taken)


@pytest.mark.parametrize(
    ("schedule", "happens"),
    [
        ({}, "r....."),
        ({"times": 2}, "rr...."),
        ({"times": None}, "rrrrrr"),
        ({"nth": 3}, "..r..."),
        ({"nth": 3, "times": 2}, "..rr.."),
        ({"nth": 5, "times": None}, "....rr"),
        ({"chance": 0.0, "times": None}, "......"),
    ],
)
def test_counted_calls(schedule: dict[str, int], happens: str) -> None:
    desk = Desk()
    desk.faults.add(Fault("reset", "pay.query", **schedule))  # type: ignore[arg-type]
    assert desk.calls(3, "pay.close") == "..."
    assert desk.calls(6) == happens


def test_a_fault_keeps_to_its_time_and_is_forgotten_after_it() -> None:
    desk, hour = Desk(), timedelta(hours=1)
    desk.faults.add(
        Fault("reset", "pay.query", times=None, nth=2, from_at=START + hour, until_at=START + 2 * hour)
    )
    assert desk.calls(3) == "..."
    desk.now = START + hour
    assert desk.calls(3) == ".rr", "the calls before its time do not count"
    desk.now = START + 2 * hour
    assert desk.calls(3) == "..."
    assert desk.faults.active() == []


def test_rules_are_tried_in_order_and_what_is_left_is_shown() -> None:
    desk = Desk()
    desk.faults.add(Fault("reset", "pay.query", times=2))
    desk.faults.add(Fault("cut", "pay.query", nth=2, times=2))
    assert [fault.times for fault in desk.faults.active()] == [2, 2]
    assert desk.calls(1) == "r"
    assert [fault.times for fault in desk.faults.active()] == [1, 2]
    assert desk.calls(4) == "rcc."


def test_dice_fall_the_same_from_the_same_seed_and_otherwise_from_another() -> None:
    runs = []
    for seed in (1, 1, 2):
        desk = Desk(seed)
        desk.faults.add(Fault("reset", "pay.query", times=None, chance=0.05))
        runs.append(desk.calls(CALLS))
    assert runs[0] == runs[1] != runs[2]
    assert 0 < runs[0].count("r") < CALLS / 5


def test_dice_of_one_rule_do_not_hear_of_other_rules_and_places() -> None:
    alone, crowded = Desk(), Desk()
    alone.faults.add(Fault("reset", "pay.query", times=None, chance=0.3))
    crowded.faults.add(Fault("timeout", "pay.query", times=None, chance=0.3))
    crowded.faults.add(Fault("reset", "pay.close", times=None, chance=0.3))
    crowded.faults.add(Fault("reset", "pay.query", times=None, chance=0.3))
    quiet, loud = alone.calls(CALLS), ""
    for _ in range(CALLS):
        crowded.calls(2, "pay.close")
        loud += crowded.calls(1)
    assert [b for a, b in zip(quiet, loud, strict=True) if a == "r" and b not in "rt"] == []
    assert [a for a, b in zip(quiet, loud, strict=True) if b == "r" and a != "r"] == []


def test_one_more_call_for_one_purpose_changes_nothing_for_another() -> None:
    first, second = Chance(7), Chance(7)
    first.stream("nonce").hex(12)
    assert first.stream("id").hex(28) == second.stream("id").hex(28)
    assert first.stream("nonce").hex(12) != second.stream("nonce").hex(12)
    assert first.about("transaction_id", "R1").digits(16) == second.about("transaction_id", "R1").digits(16)
    assert first.about("transaction_id", "R1").digits(16) != first.about("transaction_id", "R2").digits(16)
    first.restart(7)
    second.restart(7)
    assert first.stream("nonce").hex(12) == second.stream("nonce").hex(12)


def test_the_same_seed_gives_the_same_numbers_in_any_order() -> None:
    """Two orders, paid in one order and in the other, with a call more in between."""
    runs = []
    for numbers in (("R2026000001", "R2026000002"), ("R2026000002", "R2026000001")):
        with PayRig(seed=5) as rig:
            for number in numbers:
                rig.prepay(number)
                rig.sim(f"orders/{number}/pay")
                rig.query(number)
            rig.site.wait_for(2)
            orders = {order.request.out_trade_no: order for order in rig.platform.book.all()}
            runs.append(
                {no: (one.transaction_id[12:], next(iter(one.prepay_ids))[16:]) for no, one in orders.items()}
            )
    assert runs[0] == runs[1]


def test_the_seed_is_shown_and_a_reset_may_take_another(oa: OaRig) -> None:
    before = oa.look("health")["seed"]
    assert oa.sim("reset", {"seed": 41})["seed"] == 41
    assert oa.look("health")["seed"] == 41
    assert oa.sim("reset")["seed"] == 41
    oa.sim("reset", {"seed": before})


def test_a_schedule_over_http(oa: OaRig) -> None:
    now = datetime.fromisoformat(oa.look("clock")["now"])
    until = (now + timedelta(hours=2)).isoformat()
    oa.fault("ip", "busy", from_at=(now + timedelta(hours=1)).isoformat(), until_at=until, nth=2)
    path = "/cgi-bin/getcallbackip"
    assert [oa.code(path) for _ in range(2)] == [0, 0]
    oa.pass_time(3600)
    assert [oa.code(path) for _ in range(3)] == [0, -1, 0]
    assert oa.look("faults")["faults"] == []
