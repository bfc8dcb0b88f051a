"""Mass sending, users, tags and QR codes."""

from __future__ import annotations

from typing import Any

from tests.sandbox.oa_rig import OaRig, wait_until

SEND = "/cgi-bin/message/mass/send"
SEND_ALL = "/cgi-bin/message/mass/sendall"
GET = "/cgi-bin/message/mass/get"
DAY_S = 86_400


def note(content: str = "停网通知", **more: Any) -> dict[str, Any]:
    return {"msgtype": "text", "text": {"content": content}, **more}


def to_all(content: str = "停网通知", **more: Any) -> dict[str, Any]:
    return note(content, filter={"is_to_all": True}, **more)


def finish(oa: OaRig, msg_id: int) -> None:
    wait_until(lambda: oa.api(GET, {"msg_id": msg_id})["msg_status"] == "SEND_SUCCESS")


def test_more_followers_than_one_list_takes_get_a_notice_once_each(plain_oa: OaRig) -> None:
    oa = plain_oa
    oa.sim("users/bulk", {"count": 20_000})
    openids: list[str] = []
    while True:
        page = oa.api("/cgi-bin/user/get", next_openid=openids[-1] if openids else "")
        if not page["count"]:
            break
        openids += page["data"]["openid"]
    assert len(set(openids)) == 20_000
    for start in range(0, 20_000, 10_000):
        body = note(touser=openids[start : start + 10_000], clientmsgid=f"job-{start}")
        finish(oa, oa.api(SEND, body)["msg_id"])
    (content,) = oa.look("mass/summary")["contents"]
    assert (content["total"], content["people"], content["max_per_openid"]) == (20_000, 20_000, 1)
    wait_until(lambda: len(oa.site.received) == 2)
    event = oa.site.received[0].body.decode()
    assert "<Event><![CDATA[MASSSENDJOBFINISH]]></Event>" in event
    assert "<SentCount>10000</SentCount><ErrorCount>0</ErrorCount>" in event


def test_same_clientmsgid_answers_the_first_job_for_24_hours(oa: OaRig) -> None:
    oa.sim("users/bulk", {"count": 3})
    first = oa.api(SEND_ALL, to_all(clientmsgid="notice-1"))
    again = oa.api(SEND_ALL, to_all("other words", clientmsgid="notice-1"))
    assert (again["errcode"], again["msg_id"]) == (45065, first["msg_id"])
    assert "msg_data_id" not in again
    oa.pass_time(DAY_S + 1)
    assert oa.api(SEND_ALL, to_all(clientmsgid="notice-1"))["msg_id"] != first["msg_id"]
    assert oa.code(SEND_ALL, to_all(clientmsgid="n" * 65)) == 45067


def test_without_a_clientmsgid_the_same_notice_counts_as_the_same(oa: OaRig) -> None:
    oa.sim("users/bulk", {"count": 3})
    first = oa.api(SEND_ALL, to_all())["msg_id"]
    assert oa.api(SEND_ALL, to_all())["msg_id"] == first
    assert oa.api(SEND_ALL, to_all("another"))["msg_id"] != first


def test_a_lost_answer_can_be_asked_again_without_a_second_delivery(oa: OaRig) -> None:
    oa.sim("users/bulk", {"count": 2})
    oa.fault("mass", "error_500_after")
    token = oa.token()
    broken = oa.http.post(oa.url + SEND_ALL, params={"access_token": token}, json=to_all(clientmsgid="a"))
    assert broken.status_code == 500
    answer = oa.api(SEND_ALL, to_all(clientmsgid="a"))
    assert answer["errcode"] == 45065
    finish(oa, answer["msg_id"])
    assert [job["total"] for job in oa.look("mass/summary")["jobs"]] == [2]


def test_the_fifth_notice_of_a_month_is_filtered_in_silence(plain_oa: OaRig) -> None:
    oa = plain_oa
    oa.act("follow")
    oa.act("follow", student="dawei")
    for number in range(5):
        answer = oa.api(SEND_ALL, to_all(f"notice {number}"))
        assert answer["errcode"] == 0
        finish(oa, answer["msg_id"])
    assert len(oa.look(f"users/{oa.xiaoming}/inbox")["messages"]) == 4
    last = oa.look("mass/summary")["jobs"][-1]
    assert (last["total"], last["filtered"]) == (0, 2)
    assert [item["text"] for item in oa.bubbles() if item["kind"] == "mass_text"][-1] == "notice 3"


def test_lists_are_checked(oa: OaRig) -> None:
    made = oa.sim("users/bulk", {"count": 3})
    pair = [made["first"], made["last"]]
    assert oa.code(SEND, note(touser=pair[:1])) == 40032
    assert oa.code(SEND, note(touser=pair * 5001)) == 40032
    assert oa.code(SEND, note(touser=[pair[0], "not an openid"])) == 40031
    assert oa.code(SEND, {"touser": pair, "msgtype": "text", "text": {"content": ""}}) == 44004
    assert oa.code(SEND_ALL, note(filter={"is_to_all": False, "tag_id": 999})) == 45159
    assert oa.code(GET, {"msg_id": 1}) == 40059
    assert oa.code(SEND, note(touser=pair)) == 0


def test_people_who_left_count_as_errors(plain_oa: OaRig) -> None:
    oa = plain_oa
    made = oa.sim("users/bulk", {"count": 2})
    oa.act("follow")
    oa.act("unfollow")
    answer = oa.api(SEND, note(touser=[made["first"], made["last"], oa.xiaoming]))
    finish(oa, answer["msg_id"])
    (job,) = oa.look("mass/summary")["jobs"]
    assert (job["total"], job["errors"]) == (2, 1)


def test_the_finish_event_can_be_lost(plain_oa: OaRig) -> None:
    oa = plain_oa
    oa.sim("users/bulk", {"count": 2})
    oa.fault("mass_finish", "lost")
    finish(oa, oa.api(SEND_ALL, to_all())["msg_id"])
    wait_until(lambda: oa.look("clock")["pending"] == 0)
    assert oa.site.received == []


def test_only_articles_can_be_recalled_and_a_minute_has_sixty_calls(oa: OaRig) -> None:
    oa.sim("users/bulk", {"count": 2})
    words = oa.api(SEND_ALL, to_all())["msg_id"]
    assert oa.code("/cgi-bin/message/mass/delete", {"msg_id": words}) == 40008
    article = oa.api(
        SEND_ALL, {"filter": {"is_to_all": True}, "msgtype": "mpnews", "mpnews": {"media_id": "m"}}
    )["msg_id"]
    finish(oa, article)
    assert oa.code("/cgi-bin/message/mass/delete", {"msg_id": article}) == 0
    assert oa.api(GET, {"msg_id": article})["msg_status"] == "DELETE"
    codes = [oa.code(SEND_ALL, to_all(f"n{number}")) for number in range(59)]
    assert (codes[57], codes[58]) == (0, 45011)


def test_user_pages_tags_and_info(oa: OaRig) -> None:
    oa.sim("users/bulk", {"count": 10_001})
    first = oa.api("/cgi-bin/user/get")
    assert (first["total"], first["count"]) == (10_001, 10_000)
    rest = oa.api("/cgi-bin/user/get", next_openid=first["next_openid"])
    assert rest["count"] == 1
    end = oa.api("/cgi-bin/user/get", next_openid=rest["next_openid"])
    assert (end["count"], end["next_openid"]) == (0, "")
    openid = first["data"]["openid"][0]
    assert oa.api("/cgi-bin/user/info", openid=openid)["nickname"] == ""
    assert oa.code("/cgi-bin/user/info", openid="nobody") == 40003
    tag = oa.api("/cgi-bin/tags/create", {"tag": {"name": "dorm"}})["tag"]["id"]
    assert oa.code("/cgi-bin/tags/create", {"tag": {"name": "dorm"}}) == 45157
    assert oa.code("/cgi-bin/tags/create", {"tag": {"name": "长" * 11}}) == 45158
    assert oa.code("/cgi-bin/tags/delete", {"tag": {"id": 2}}) == 45058
    members = {"openid_list": [openid], "tagid": tag}
    assert oa.code("/cgi-bin/tags/members/batchtagging", members) == 0
    assert oa.code("/cgi-bin/tags/members/batchtagging", {**members, "openid_list": [openid] * 51}) == 40032
    assert oa.api("/cgi-bin/tags/getidlist", {"openid": openid})["tagid_list"] == [tag]
    assert oa.api("/cgi-bin/user/tag/get", {"tagid": tag})["data"]["openid"] == [openid]
    batch = oa.api("/cgi-bin/user/info/batchget", {"user_list": [{"openid": openid}]})
    assert batch["user_info_list"][0]["tagid_list"] == [tag]
    assert oa.code("/cgi-bin/tags/delete", {"tag": {"id": tag}}) == 0
    assert oa.code("/cgi-bin/user/tag/get", {"tagid": tag}) == 45159


def test_scanning_a_created_code_brings_its_ticket(plain_oa: OaRig) -> None:
    oa = plain_oa
    made = oa.api(
        "/cgi-bin/qrcode/create",
        {
            "expire_seconds": 600,
            "action_name": "QR_STR_SCENE",
            "action_info": {"scene": {"scene_str": "dorm-7"}},
        },
    )
    oa.act("scan", {"scene": "dorm-7"})
    body = oa.site.received[0].body.decode()
    assert "<![CDATA[qrscene_dorm-7]]>" in body
    assert made["ticket"] in body
    bad = {"action_name": "QR_LIMIT_SCENE", "action_info": {"scene": {"scene_id": 100_001}}}
    assert oa.code("/cgi-bin/qrcode/create", bad) == 40053
    assert oa.code("/cgi-bin/qrcode/create", {"action_name": "QR"}) == 40052
