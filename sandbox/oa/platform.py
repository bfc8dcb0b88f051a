"""The account as a whole: every desk of the platform, and what persons do to it."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.engine import Engine
from sandbox.oa.chat import Chat
from sandbox.oa.limits import CallCounters
from sandbox.oa.mass import MassSending
from sandbox.oa.media import MediaStore, QrCodes, Tickets
from sandbox.oa.menu import Menu
from sandbox.oa.messages import CustomerMessages
from sandbox.oa.oauth import OAuth
from sandbox.oa.push import Delivery, Pusher
from sandbox.oa.tags import Tags
from sandbox.oa.templates import Templates
from sandbox.oa.token import TokenDesk
from sandbox.oa.users import Followers
from sandbox.oa.windows import CustomerWindows
from sandbox.students import Student, Students

FAULT_TEXT = "该公众号提供的服务出现故障，请稍后再试"
TRIGGERS = {
    "CLICK": "click",
    "scancode_push": "click",
    "scancode_waitmsg": "click",
    "subscribe": "subscribe",
    "SCAN": "scan",
}
"""Event -> the window of customer messages it opens."""
UNSEEN = {"unsubscribe", "VIEW", "TEMPLATESENDJOBFINISH", "MASSSENDJOBFINISH"}
"""Events whose answer nobody sees, right or wrong."""


class OaPlatform:
    """One service account. Everything but the pusher starts anew at `reset`."""

    def __init__(self, engine: Engine, students: Students) -> None:
        self.engine = engine
        self.students = students
        self.pusher = Pusher(engine)
        self.reset()

    def reset(self) -> None:
        """Forget followers, tokens, menu, messages, jobs, quotas."""
        engine, clock = self.engine, self.engine.clock
        self.chat = Chat(clock)
        for student in self.students:
            self.chat.watch(student.openid)
        self.tokens = TokenDesk(engine)
        self.counters = CallCounters(clock)
        self.menu = Menu()
        self.followers = Followers(clock, engine.credentials.app_id)
        self.tags = Tags(self.followers)
        self.windows = CustomerWindows(clock)
        self.media = MediaStore(clock)
        self.messages = CustomerMessages(self.followers, self.windows, self.media, self.chat)
        self.templates = Templates(engine, self.followers, self.chat, self.push)
        self.mass = MassSending(engine, self.followers, self.tags, self.chat, self.push)
        self.tickets = Tickets(clock)
        self.qrcodes = QrCodes(clock)
        self.oauth = OAuth(engine, self._name_of)

    def push(self, openid: str, fields: Mapping[str, object]) -> Delivery:
        """Send a message or event of this person to the site and show them the answer."""
        event = str(fields.get("Event", "")) if fields.get("MsgType") == "event" else None
        trigger = "message" if event is None else TRIGGERS.get(event)
        if trigger is not None:
            with self.engine.lock:
                self.windows.open(openid, trigger)
        delivery = self.pusher.push(openid, fields)
        if event not in UNSEEN:
            self._show(delivery)
        return delivery

    def verify_url(self) -> bool:
        """The console's check of the site's address."""
        return self.pusher.verify_url()

    def person_exists(self, openid: str) -> bool:
        """Is this openid one of a person of this account (follower or not)?"""
        return self.followers.get(openid) is not None or self.students.by_openid(openid) is not None

    def follow(self, student: Student, scene: str = "") -> Delivery | None:
        """Follow the account, by QR code when `scene` is given; SCAN when already following."""
        with self.engine.lock:
            new = self.followers.follow(student.openid, scene)
            ticket = self.qrcodes.ticket_of(scene) if scene else ""
        if not new and not scene:
            return None
        fields: dict[str, object] = {"MsgType": "event", "Event": "subscribe" if new else "SCAN"}
        if scene:
            fields["EventKey"] = f"qrscene_{scene}" if new else scene
            fields["Ticket"] = ticket
        elif new:
            fields["EventKey"] = ""
        return self.push(student.openid, fields)

    def unfollow(self, student: Student) -> Delivery | None:
        """Leave; no more messages are allowed."""
        with self.engine.lock:
            left = self.followers.unfollow(student.openid)
            self.windows.close(student.openid)
        if not left:
            return None
        return self.push(student.openid, {"MsgType": "event", "Event": "unsubscribe", "EventKey": ""})

    def say(self, student: Student, text: str, menu_id: str = "") -> Delivery:
        """Send a text; `menu_id` is set when a tappable word of a message was tapped."""
        self.chat.add(student.openid, "user", "text", text)
        fields: dict[str, object] = {"MsgType": "text", "Content": text}
        if menu_id:
            fields["bizmsgmenuid"] = menu_id
        return self.push(student.openid, fields)

    def tap(self, student: Student, event: str, key: str) -> Delivery:
        """Tap a menu entry: CLICK with its key, VIEW with its address."""
        return self.push(student.openid, {"MsgType": "event", "Event": event, "EventKey": key})

    def locate(self, student: Student, latitude: float, longitude: float) -> Delivery:
        """Report the position, as happens when the chat is opened."""
        fields: dict[str, object] = {
            "MsgType": "event",
            "Event": "LOCATION",
            "Latitude": f"{latitude:.6f}",
            "Longitude": f"{longitude:.6f}",
            "Precision": "65.000000",
        }
        return self.push(student.openid, fields)

    def receipt(self, openid: str, content: dict[str, object]) -> None:
        """WeChat Pay's own message after a payment, which also opens the longest window."""
        with self.engine.lock:
            self.windows.open(openid, "payment")
        self.chat.add(openid, "pay", "receipt", "微信支付凭证", content=content)

    def _show(self, delivery: Delivery) -> None:
        reply = delivery.reply
        if delivery.status in {"failed", "bad_reply"}:
            self.chat.add(delivery.openid, "system", "fault", FAULT_TEXT, exchange_id=delivery.exchange_id)
        elif reply is not None and reply.kind == "transfer":
            self.chat.add(
                delivery.openid, "system", "transfer", "已转接人工客服", exchange_id=delivery.exchange_id
            )
        elif reply is not None:
            self.chat.add(
                delivery.openid,
                "oa",
                reply.kind,
                reply.text,
                content=reply.content,
                exchange_id=delivery.exchange_id,
            )

    def _name_of(self, openid: str) -> str:
        student = self.students.by_openid(openid)
        return student.identity.name if student is not None else ""
