"""A broadcast key stands for one audience and one text, frozen together after confirmation."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from bot.broadcast import Broadcaster
from bot.broadcast_steps import BroadcastDiffers, NoSuchBroadcast
from models.db.engine import Database
from models.notice import Notice
from tests.bot.bot_fake_api import FakeApi
from tests.bot.broadcast_platform import SEND, SEND_ALL, Platform, people, plan

AUDIENCES: dict[str, dict[str, Any]] = {
    "all": {"audience": "all"},
    "tag 2": {"audience": "tag", "tag_id": 2},
    "tag 3": {"audience": "tag", "tag_id": 3},
    "five": {"audience": "list", "openids": [f"o{n}" for n in range(5)]},
    "others": {"audience": "list", "openids": [f"o{n}" for n in range(1, 6)]},
    "six": {"audience": "list", "openids": [f"o{n}" for n in range(6)]},
}


@pytest.mark.parametrize(("first", "second"), list(permutations(AUDIENCES, 2)))
def test_a_key_used_again_for_another_audience_is_refused(
    caster: Broadcaster, platform: Platform, api: FakeApi, first: str, second: str
) -> None:
    notice_id = caster.write_notice("a", "b")
    frozen = plan(caster, "k", notice_id, **AUDIENCES[first])
    with pytest.raises(BroadcastDiffers):
        plan(caster, "k", notice_id, **AUDIENCES[second])
    assert caster.progress("k") == frozen
    assert not platform.by_client
    plan(caster, "k", notice_id, **AUDIENCES[first])
    caster.send("k")
    (sent,) = [body for _, _, body in api.calls_of(SEND_ALL) + api.calls_of(SEND)]
    if first == "all":
        assert sent["filter"] == {"is_to_all": True}
    elif first.startswith("tag"):
        assert sent["filter"] == {"is_to_all": False, "tag_id": AUDIENCES[first]["tag_id"]}
    else:
        assert sent["touser"] == AUDIENCES[first]["openids"]


def test_a_key_used_again_for_another_text_is_refused(
    caster: Broadcaster, platform: Platform, api: FakeApi, database: Database
) -> None:
    notice_id, other_id = caster.write_notice("a", "b"), caster.write_notice("a", "b")
    plan(caster, "k", notice_id, "all")
    with pytest.raises(BroadcastDiffers, match="内容"):
        plan(caster, "k", other_id, "all")
    with database.transaction() as session:
        session.get_one(Notice, notice_id).body = "corrected"
    with pytest.raises(BroadcastDiffers, match="内容"):
        plan(caster, "k", notice_id, "all")
    caster.send("k")
    assert api.calls_of(SEND_ALL)[0][2]["text"]["content"] == "a\n\nb"
    assert len(platform.by_client) == 1


def test_a_list_that_changes_between_confirmation_and_storing_is_refused(caster: Broadcaster) -> None:
    draft = caster.draft("k", caster.write_notice("a", "b"), "list", openids=people(5))
    with pytest.raises(BroadcastDiffers):
        caster.freeze(draft, people(6))
    with pytest.raises(NoSuchBroadcast):
        caster.progress("k")


def test_a_draft_leaves_nothing_behind(caster: Broadcaster, platform: Platform) -> None:
    notice_id = caster.write_notice("a", "b")
    assert caster.draft("k", notice_id, "all").to_go == 1
    with pytest.raises(NoSuchBroadcast):
        caster.send("k")
    plan(caster, "k", notice_id, "tag", tag_id=2)
    caster.send("k")
    assert len(platform.by_client) == 1
