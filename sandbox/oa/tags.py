"""Tags on followers."""

from __future__ import annotations

import itertools

from sandbox.oa.errors import ApiError
from sandbox.oa.users import Follower, Followers, listing
from sandbox.oa.values import Call, int_of, list_of, map_of, text_of

MOST_TAGS = 100
NAME_LIMIT_BYTES = 30
TAGS_PER_PERSON = 20
MEMBERS_PER_CALL = 50
DELETE_LIMIT = 100_000
SYSTEM_TAGS = {0, 1, 2}
FIRST_OWN_ID = 100


class Tags:
    """Creates, changes and removes tags and says who carries them."""

    def __init__(self, followers: Followers) -> None:
        self._followers = followers
        self._names: dict[int, str] = {2: "星标组"}
        self._serial = itertools.count(FIRST_OWN_ID)

    def create(self, call: Call) -> dict[str, object]:
        """tags/create."""
        name = self._name(call)
        if len(self._names) > MOST_TAGS:
            raise ApiError(45056)
        tag_id = next(self._serial)
        self._names[tag_id] = name
        return {"tag": {"id": tag_id, "name": name}}

    def everything(self, _call: Call) -> dict[str, object]:
        """tags/get."""
        counts = dict.fromkeys(self._names, 0)
        for person in self._followers.subscribed():
            for tag_id in person.tags:
                counts[tag_id] += 1
        return {
            "tags": [{"id": key, "name": name, "count": counts[key]} for key, name in self._names.items()]
        }

    def update(self, call: Call) -> dict[str, object]:
        """tags/update: a new name."""
        tag_id = self._own_id(map_of(call.body, "tag"))
        self._names[tag_id] = self._name(call)
        return {"errcode": 0, "errmsg": "ok"}

    def delete(self, call: Call) -> dict[str, object]:
        """tags/delete, unless more than 100,000 persons carry it."""
        tag_id = self._own_id(map_of(call.body, "tag"))
        members = list(self.members(tag_id))
        if len(members) > DELETE_LIMIT:
            raise ApiError(45057)
        for person in members:
            person.tags.remove(tag_id)
        del self._names[tag_id]
        return {"errcode": 0, "errmsg": "ok"}

    def put_on(self, call: Call) -> dict[str, object]:
        """tags/members/batchtagging: at most 50 persons per call, 20 tags per person."""
        tag_id, people = self._tag_and_people(call)
        if any(tag_id not in person.tags and len(person.tags) >= TAGS_PER_PERSON for person in people):
            raise ApiError(45059)
        for person in people:
            if tag_id not in person.tags:
                person.tags.append(tag_id)
        return {"errcode": 0, "errmsg": "ok"}

    def take_off(self, call: Call) -> dict[str, object]:
        """tags/members/batchuntagging."""
        tag_id, people = self._tag_and_people(call)
        for person in people:
            if tag_id in person.tags:
                person.tags.remove(tag_id)
        return {"errcode": 0, "errmsg": "ok"}

    def of_person(self, call: Call) -> dict[str, object]:
        """tags/getidlist."""
        person = self._followers.get(text_of(call.body, "openid"))
        if person is None:
            raise ApiError(40003)
        return {"tagid_list": list(person.tags)}

    def page(self, call: Call) -> dict[str, object]:
        """user/tag/get: the carriers of one tag, 10,000 per page."""
        people = self.members(self._known_id(int_of(call.body, "tagid")))
        return listing(self._followers.slice_after(people, text_of(call.body, "next_openid")))

    def members(self, tag_id: int) -> filter[Follower]:
        """The followers who carry a tag; 45159 when there is no such tag."""
        wanted = self._known_id(tag_id)
        return filter(lambda person: wanted in person.tags, self._followers.subscribed())

    def _name(self, call: Call) -> str:
        name = text_of(map_of(call.body, "tag"), "name")
        if not name or name in self._names.values():
            raise ApiError(45157)
        if len(name.encode()) > NAME_LIMIT_BYTES:
            raise ApiError(45158)
        return name

    def _own_id(self, tag: dict[str, object]) -> int:
        tag_id = int_of(tag, "id")
        if tag_id in SYSTEM_TAGS:
            raise ApiError(45058)
        return self._known_id(tag_id)

    def _known_id(self, tag_id: int | None) -> int:
        if tag_id is None or tag_id not in self._names:
            raise ApiError(45159)
        return tag_id

    def _tag_and_people(self, call: Call) -> tuple[int, list[Follower]]:
        openids = list_of(call.body, "openid_list")
        if not 1 <= len(openids) <= MEMBERS_PER_CALL:
            raise ApiError(40032)
        tag_id = self._known_id(int_of(call.body, "tagid"))
        people = [self._followers.get(openid) for openid in openids if isinstance(openid, str)]
        found = [person for person in people if person is not None and person.subscribed]
        if len(found) != len(openids):
            raise ApiError(40003)
        return tag_id, found
