"""The table of the platform's interfaces: path, verb, name for faults, what runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.oa.errors import ApiError
from sandbox.oa.platform import OaPlatform
from sandbox.oa.values import Call, text_of

Answer = dict[str, object]
OK: Answer = {"errcode": 0, "errmsg": "ok"}


@dataclass(frozen=True)
class Endpoint:
    """`method` is "ANY" where the platform takes both; `place` is the name `faults` knows."""

    method: str
    place: str
    run: Callable[[OaPlatform, Call], Answer]
    needs_token: bool = True


def _clear_quota(oa: OaPlatform, call: Call) -> Answer:
    if text_of(call.body, "appid") != oa.engine.credentials.app_id:
        raise ApiError(40013)
    oa.counters.clear()
    return OK


def _quota(oa: OaPlatform, call: Call) -> Answer:
    return {**OK, "quota": oa.counters.quota(text_of(call.body, "cgi_path"))}


def _addresses(_oa: OaPlatform, _call: Call) -> Answer:
    return {"ip_list": ["127.0.0.1"]}


ENDPOINTS: dict[str, Endpoint] = {
    "/cgi-bin/token": Endpoint("ANY", "token", lambda oa, call: oa.tokens.issue(call), needs_token=False),
    "/cgi-bin/stable_token": Endpoint(
        "POST", "token", lambda oa, call: oa.tokens.issue_stable(call), needs_token=False
    ),
    "/cgi-bin/ticket/getticket": Endpoint("GET", "ticket", lambda oa, call: oa.tickets.get(call)),
    "/cgi-bin/getcallbackip": Endpoint("GET", "ip", _addresses),
    "/cgi-bin/get_api_domain_ip": Endpoint("GET", "ip", _addresses),
    "/cgi-bin/menu/create": Endpoint("POST", "menu", lambda oa, call: oa.menu.create(call)),
    "/cgi-bin/menu/get": Endpoint("GET", "menu", lambda oa, call: oa.menu.get(call)),
    "/cgi-bin/menu/delete": Endpoint("GET", "menu", lambda oa, call: oa.menu.delete(call)),
    "/cgi-bin/message/custom/send": Endpoint("POST", "custom_send", lambda oa, call: oa.messages.send(call)),
    "/cgi-bin/message/custom/typing": Endpoint("POST", "typing", lambda oa, call: oa.messages.typing(call)),
    "/cgi-bin/message/template/send": Endpoint("POST", "template", lambda oa, call: oa.templates.send(call)),
    "/cgi-bin/template/get_all_private_template": Endpoint(
        "GET", "template", lambda oa, call: oa.templates.list(call)
    ),
    "/cgi-bin/message/mass/sendall": Endpoint("POST", "mass", lambda oa, call: oa.mass.send_all(call)),
    "/cgi-bin/message/mass/send": Endpoint("POST", "mass", lambda oa, call: oa.mass.send_list(call)),
    "/cgi-bin/message/mass/preview": Endpoint("POST", "mass", lambda oa, call: oa.mass.preview(call)),
    "/cgi-bin/message/mass/get": Endpoint("POST", "mass_get", lambda oa, call: oa.mass.get(call)),
    "/cgi-bin/message/mass/delete": Endpoint("POST", "mass", lambda oa, call: oa.mass.delete(call)),
    "/cgi-bin/user/get": Endpoint("GET", "user", lambda oa, call: oa.followers.page(call)),
    "/cgi-bin/user/info": Endpoint("GET", "user", lambda oa, call: oa.followers.info(call)),
    "/cgi-bin/user/info/batchget": Endpoint("POST", "user", lambda oa, call: oa.followers.info_batch(call)),
    "/cgi-bin/user/tag/get": Endpoint("ANY", "tags", lambda oa, call: oa.tags.page(call)),
    "/cgi-bin/tags/create": Endpoint("POST", "tags", lambda oa, call: oa.tags.create(call)),
    "/cgi-bin/tags/get": Endpoint("GET", "tags", lambda oa, call: oa.tags.everything(call)),
    "/cgi-bin/tags/update": Endpoint("POST", "tags", lambda oa, call: oa.tags.update(call)),
    "/cgi-bin/tags/delete": Endpoint("POST", "tags", lambda oa, call: oa.tags.delete(call)),
    "/cgi-bin/tags/members/batchtagging": Endpoint("POST", "tags", lambda oa, call: oa.tags.put_on(call)),
    "/cgi-bin/tags/members/batchuntagging": Endpoint("POST", "tags", lambda oa, call: oa.tags.take_off(call)),
    "/cgi-bin/tags/getidlist": Endpoint("POST", "tags", lambda oa, call: oa.tags.of_person(call)),
    "/cgi-bin/media/upload": Endpoint("FILE", "media", lambda oa, call: oa.media.upload(call)),
    "/cgi-bin/qrcode/create": Endpoint("POST", "qrcode", lambda oa, call: oa.qrcodes.create(call)),
    "/cgi-bin/openapi/quota/get": Endpoint("POST", "quota", _quota),
    "/cgi-bin/clear_quota": Endpoint("POST", "quota", _clear_quota),
    "/sns/oauth2/access_token": Endpoint(
        "ANY", "sns", lambda oa, call: oa.oauth.access_token(call), needs_token=False
    ),
    "/sns/oauth2/refresh_token": Endpoint(
        "ANY", "sns", lambda oa, call: oa.oauth.refresh(call), needs_token=False
    ),
    "/sns/userinfo": Endpoint("GET", "sns", lambda oa, call: oa.oauth.userinfo(call), needs_token=False),
    "/sns/auth": Endpoint("GET", "sns", lambda oa, call: oa.oauth.check(call), needs_token=False),
}
