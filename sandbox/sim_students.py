"""The /sim/students routes: what one person does with their phone."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify

from sandbox.oa.push import Delivery
from sandbox.sim_values import BadRequest, number, read_body, text, waiting
from sandbox.students import CAMPUS, MOBILE, Identity, Student
from sandbox.world import World


def add_student_routes(blueprint: Blueprint, world: World) -> None:
    """Hang the routes on the sim blueprint."""
    phone = _Phone(world)
    blueprint.add_url_rule("/students", "students", phone.everybody, methods=["GET"])
    blueprint.add_url_rule("/students", "enrol", phone.enrol, methods=["POST"])
    blueprint.add_url_rule("/students/<student_id>", "student", phone.one, methods=["GET"])
    blueprint.add_url_rule(
        "/students/<student_id>/transcript", "student_transcript", phone.transcript, methods=["GET"]
    )
    for action in ("follow", "unfollow", "text", "click", "view", "scan", "location", "network", "raw"):
        blueprint.add_url_rule(
            f"/students/<student_id>/{action}", f"student_{action}", getattr(phone, action), methods=["POST"]
        )


class _Phone:
    """The views; each action answers when the push is over."""

    def __init__(self, world: World) -> None:
        self._world = world

    def everybody(self) -> Response:
        return jsonify(students=[self._describe(student) for student in self._world.students])

    def enrol(self) -> tuple[Response, int]:
        body = read_body()
        identity = Identity(
            text(body, "id"),
            text(body, "name"),
            text(body, "account_no"),
            text(body, "password", "demo"),
            text(body, "kind", "student"),
        )
        try:
            student = self._world.enrol(identity)
        except ValueError as error:
            raise BadRequest(str(error), 409) from error
        return jsonify(self._describe(student)), 201

    def one(self, student_id: str) -> Response:
        return jsonify(self._describe(self._student(student_id)))

    def transcript(self, student_id: str) -> Response:
        student = self._student(student_id)
        after_id, wait_s = waiting()
        bubbles = self._world.oa.chat.since(student.openid, after_id, wait_s)
        return jsonify(bubbles=[bubble.as_dict() for bubble in bubbles])

    def follow(self, student_id: str) -> Response:
        student = self._student(student_id)
        return _done(self._world.oa.follow(student, text(read_body(), "scene", "")))

    def unfollow(self, student_id: str) -> Response:
        return _done(self._world.oa.unfollow(self._student(student_id)))

    def text(self, student_id: str) -> Response:
        body = read_body()
        student = self._follower(student_id)
        return _done(self._world.oa.say(student, text(body, "text"), text(body, "bizmsgmenuid", "")))

    def click(self, student_id: str) -> Response:
        student = self._follower(student_id)
        return _done(self._world.oa.tap(student, "CLICK", text(read_body(), "key")))

    def view(self, student_id: str) -> Response:
        student = self._follower(student_id)
        return _done(self._world.oa.tap(student, "VIEW", text(read_body(), "url")))

    def scan(self, student_id: str) -> Response:
        student = self._student(student_id)
        return _done(self._world.oa.follow(student, text(read_body(), "scene")))

    def location(self, student_id: str) -> Response:
        body = read_body()
        student = self._follower(student_id)
        latitude, longitude = number(body, "latitude", 25.31), number(body, "longitude", 110.41)
        return _done(self._world.oa.locate(student, latitude, longitude))

    def network(self, student_id: str) -> Response:
        student = self._student(student_id)
        network = text(read_body(), "network")
        if network not in {CAMPUS, MOBILE}:
            raise BadRequest(f"network is {CAMPUS} or {MOBILE}")
        student.network = network
        return jsonify(self._describe(student))

    def raw(self, student_id: str) -> Response:
        """Any fields at all: pictures, voices, and messages nobody has seen before."""
        fields = read_body().get("fields")
        if not isinstance(fields, dict) or "MsgType" not in fields:
            raise BadRequest("fields must be an object with MsgType")
        return _done(self._world.oa.push(self._student(student_id).openid, fields))

    def _student(self, student_id: str) -> Student:
        student = self._world.students.get(student_id)
        if student is None:
            raise BadRequest("no such student", 404)
        return student

    def _follower(self, student_id: str) -> Student:
        student = self._student(student_id)
        if not self._world.oa.followers.follows(student.openid):
            raise BadRequest("this student does not follow the account", 409)
        return student

    def _describe(self, student: Student) -> dict[str, Any]:
        oa = self._world.oa
        return {
            **student.as_dict(),
            "following": oa.followers.follows(student.openid),
            "windows": oa.windows.describe(student.openid),
        }


def _done(delivery: Delivery | None) -> Response:
    return jsonify(delivery=None if delivery is None else delivery.as_dict())
