"""Who follows the account, and how the platform lists them."""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sandbox.clock import VirtualClock
from sandbox.oa.errors import ApiError
from sandbox.oa.values import Call, list_of, text_of

PAGE = 10_000
BATCH = 100
OPENID = re.compile(r"o[A-Za-z0-9_-]{27}")


def openid_for(app_id: str, person: str) -> str:
    """28 characters, the same for the same account and person."""
    digest = hashlib.sha256(f"{app_id}:{person}".encode()).digest()
    return "o" + urlsafe_b64encode(digest).decode()[:27]


@dataclass(slots=True)
class Follower:
    """One person as the account knows them; `number` is their place in the list."""

    openid: str
    number: int
    subscribed: bool
    subscribed_at: int
    scene: str = ""
    source: str = "ADD_SCENE_SEARCH"
    tags: list[int] = field(default_factory=list)


class Followers:
    """Everyone who ever followed, in the order of their first time."""

    def __init__(self, clock: VirtualClock, app_id: str) -> None:
        self._clock = clock
        self._app_id = app_id
        self._by_openid: dict[str, Follower] = {}
        self._order: list[Follower] = []
        self._subscribed = 0
        self._made = 0

    def follow(self, openid: str, scene: str = "") -> bool:
        """Start to follow; False when the person already does."""
        known = self._by_openid.get(openid)
        if known is not None and known.subscribed:
            return False
        if known is None:
            known = Follower(openid, len(self._order), subscribed=False, subscribed_at=0)
            self._by_openid[openid] = known
            self._order.append(known)
        known.subscribed = True
        known.subscribed_at = int(self._clock.timestamp())
        known.scene, known.source = scene, "ADD_SCENE_QR_CODE" if scene else "ADD_SCENE_SEARCH"
        self._subscribed += 1
        return True

    def unfollow(self, openid: str) -> bool:
        """Stop following; tags go with it. False when the person did not follow."""
        known = self._by_openid.get(openid)
        if known is None or not known.subscribed:
            return False
        known.subscribed = False
        known.tags.clear()
        self._subscribed -= 1
        return True

    def make(self, count: int) -> list[str]:
        """Create `count` new followers at once, without events; returns their openids."""
        made = [openid_for(self._app_id, f"bulk-{self._made + index}") for index in range(count)]
        self._made += count
        for openid in made:
            self.follow(openid)
        return made

    def get(self, openid: str) -> Follower | None:
        """The person, also after leaving; None when never seen."""
        return self._by_openid.get(openid)

    def follows(self, openid: str) -> bool:
        """Does this person follow now?"""
        known = self._by_openid.get(openid)
        return known is not None and known.subscribed

    def subscribed(self) -> Iterator[Follower]:
        """All who follow now."""
        return (person for person in self._order if person.subscribed)

    @property
    def total(self) -> int:
        """How many follow now."""
        return self._subscribed

    def page(self, call: Call) -> dict[str, object]:
        """user/get: up to 10,000 openids after `next_openid`."""
        openids = self.slice_after(self.subscribed(), call.query.get("next_openid", ""))
        return {"total": self.total, **listing(openids)}

    def slice_after(self, people: Iterable[Follower], next_openid: str) -> list[str]:
        """The next page of `people` after `next_openid` (40003 when nobody is called so)."""
        start = -1
        if next_openid:
            known = self._by_openid.get(next_openid)
            if known is None:
                raise ApiError(40003)
            start = known.number
        found: list[str] = []
        for person in people:
            if person.number > start:
                found.append(person.openid)
                if len(found) == PAGE:
                    break
        return found

    def info(self, call: Call) -> dict[str, object]:
        """user/info of one person."""
        return self._info(call.query.get("openid", ""))

    def info_batch(self, call: Call) -> dict[str, object]:
        """user/info/batchget of at most 100 persons."""
        wanted = list_of(call.body, "user_list")
        if not 1 <= len(wanted) <= BATCH:
            raise ApiError(40032)
        openids = [text_of(item, "openid") if isinstance(item, dict) else "" for item in wanted]
        return {"user_info_list": [self._info(openid) for openid in openids]}

    def _info(self, openid: str) -> dict[str, object]:
        known = self._by_openid.get(openid)
        if known is None:
            raise ApiError(40003)
        if not known.subscribed:
            return {"subscribe": 0, "openid": openid, "tagid_list": []}
        return {
            "subscribe": 1,
            "openid": openid,
            "nickname": "",
            "sex": 0,
            "language": "zh_CN",
            "city": "",
            "province": "",
            "country": "",
            "headimgurl": "",
            "subscribe_time": known.subscribed_at,
            "remark": "",
            "groupid": known.tags[0] if known.tags else 0,
            "tagid_list": list(known.tags),
            "subscribe_scene": known.source,
            "qr_scene": int(known.scene) if known.scene.isdecimal() else 0,
            "qr_scene_str": "" if known.scene.isdecimal() else known.scene,
        }


def listing(openids: list[str]) -> dict[str, object]:
    """The page format of user/get and user/tag/get: no `data` when nothing is left."""
    if not openids:
        return {"count": 0, "next_openid": ""}
    return {"count": len(openids), "data": {"openid": openids}, "next_openid": openids[-1]}
