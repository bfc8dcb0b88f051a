"""The /sim/ API: everything a test or the phone page can do to the simulated world."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from flask import Blueprint, Response, jsonify

from sandbox import fault_catalogue
from sandbox.fault_catalogue import UnknownFault
from sandbox.faults import Fault
from sandbox.sim_students import add_student_routes
from sandbox.sim_values import BadRequest, moment, number, numbers, read_body, text, waiting, whole
from sandbox.world import World

BULK_LIMIT = 2_000_000
REPLAY_TIMEOUT_S = 10.0
MODES = {"safe", "plain"}
FAULT_FIELDS = {field.name for field in fields(Fault)}


def sim_blueprint(world: World) -> Blueprint:
    """All `/sim/` routes but those of pay, phone and webview."""
    blueprint = Blueprint("sim", __name__, url_prefix="/sim")
    blueprint.register_error_handler(BadRequest, _refuse)
    blueprint.register_error_handler(UnknownFault, _refuse_unknown)
    _add_world(blueprint, world)
    _add_wire(blueprint, world)
    _add_faults(blueprint, world)
    _add_account(blueprint, world)
    _add_users(blueprint, world)
    add_student_routes(blueprint, world)
    return blueprint


def _add_world(blueprint: Blueprint, world: World) -> None:
    engine = world.engine

    @blueprint.get("/health")
    def health() -> Response:
        return jsonify(
            ok=True,
            banner="模拟环境",
            site=asdict(engine.site),
            app_id=engine.credentials.app_id,
            seed=engine.chance.seed,
        )

    @blueprint.post("/reset")
    def reset() -> Response:
        """Start again; with a `seed`, from that one."""
        world.reset(whole(read_body(), "seed", None))
        return jsonify(ok=True, seed=engine.chance.seed)

    @blueprint.get("/clock")
    def clock() -> Response:
        return jsonify(
            now=engine.clock.now().isoformat(),
            timestamp=engine.clock.timestamp(),
            pending=engine.scheduler.pending(),
            shared=engine.shared_clock,
        )

    @blueprint.post("/clock/advance")
    def advance() -> Response:
        seconds = number(read_body(), "seconds")
        if seconds < 0:
            raise BadRequest("the clock only moves forward")
        engine.scheduler.advance(seconds)
        return clock()


def _add_wire(blueprint: Blueprint, world: World) -> None:
    wire = world.engine.wire

    @blueprint.get("/wire")
    def log() -> Response:
        after_id, wait_s = waiting()
        return jsonify(exchanges=[item.as_dict() for item in wire.since(after_id, wait_s)])

    @blueprint.post("/wire/<int:exchange_id>/replay")
    def replay(exchange_id: int) -> Response:
        """Send an old request to the site again, byte for byte, as an eavesdropper would."""
        found = next((item for item in wire.since(exchange_id - 1) if item.id == exchange_id), None)
        if found is None:
            raise BadRequest("no such exchange", 404)
        if found.direction != "out" or found.method != "POST":
            raise BadRequest("only requests of the platform to the site can be replayed")
        answer = world.engine.outbound.post(
            f"replay.{found.kind}",
            found.url,
            found.request_body.encode(),
            found.request_headers,
            timeout_s=REPLAY_TIMEOUT_S,
        )
        if answer is None:
            return jsonify(status=0, body="")
        return jsonify(status=answer.status_code, body=answer.text)


def _add_faults(blueprint: Blueprint, world: World) -> None:
    faults = world.engine.faults

    @blueprint.get("/faults")
    def shown() -> Response:
        """What is in force, and everything that could be."""
        return jsonify(faults=active(), **fault_catalogue.as_dict())

    @blueprint.post("/faults")
    def add() -> Response:
        faults.add(_fault(read_body()))
        return jsonify(faults=active())

    @blueprint.delete("/faults")
    def clear() -> Response:
        faults.clear()
        return jsonify(faults=active())

    def active() -> list[dict[str, object]]:
        return [fault.as_dict() for fault in faults.active()]


def _fault(body: dict[str, Any]) -> Fault:
    unknown = sorted(body.keys() - FAULT_FIELDS)
    if unknown:
        raise BadRequest(f"no parameter {unknown[0]!r}; there is: {', '.join(sorted(FAULT_FIELDS))}")
    nth = whole(body, "nth", 1)
    try:
        return Fault(
            text(body, "name"),
            text(body, "place"),
            times=whole(body, "times", 1),
            chance=number(body, "chance", 1.0),
            args=numbers(body, "args"),
            nth=1 if nth is None else nth,
            from_at=moment(body, "from_at"),
            until_at=moment(body, "until_at"),
        )
    except UnknownFault:
        raise
    except ValueError as error:
        raise BadRequest(str(error)) from error


def _add_account(blueprint: Blueprint, world: World) -> None:
    oa, engine = world.oa, world.engine

    @blueprint.get("/menu")
    def menu() -> Response:
        return jsonify(button=oa.menu.buttons)

    @blueprint.get("/templates")
    def templates() -> Response:
        return jsonify(templates=[asdict(item) for item in oa.templates.known.values()])

    @blueprint.post("/templates")
    def add_template() -> Response:
        body = read_body()
        with engine.lock:
            added = oa.templates.add(text(body, "title"), text(body, "content"))
        return jsonify(asdict(added))

    @blueprint.post("/oa/token/invalidate")
    def invalidate() -> Response:
        with engine.lock:
            oa.tokens.invalidate_all()
        return jsonify(ok=True)

    @blueprint.post("/oa/verify_url")
    def verify_url() -> Response:
        return jsonify(ok=oa.verify_url())

    @blueprint.post("/message_mode")
    def message_mode() -> Response:
        mode = text(read_body(), "mode")
        if mode not in MODES:
            raise BadRequest("mode is safe or plain")
        world.set_message_mode(mode)
        return jsonify(mode=mode)


def _add_users(blueprint: Blueprint, world: World) -> None:
    oa, engine = world.oa, world.engine

    @blueprint.post("/users/bulk")
    def bulk() -> Response:
        count = int(number(read_body(), "count"))
        if not 0 < count <= BULK_LIMIT:
            raise BadRequest(f"count is 1 to {BULK_LIMIT}")
        with engine.lock:
            made = oa.followers.make(count)
        return jsonify(count=len(made), first=made[0], last=made[-1], total=oa.followers.total)

    @blueprint.get("/users/<openid>/inbox")
    def inbox(openid: str) -> Response:
        with engine.lock:
            return jsonify(messages=oa.mass.inbox(openid))

    @blueprint.get("/users/<openid>/transcript")
    def transcript(openid: str) -> Response:
        after_id, wait_s = waiting()
        return jsonify(bubbles=[item.as_dict() for item in oa.chat.since(openid, after_id, wait_s)])

    @blueprint.get("/mass/summary")
    def summary() -> Response:
        with engine.lock:
            return jsonify(oa.mass.summary())


def _refuse(error: BadRequest) -> tuple[Response, int]:
    return jsonify(error=str(error)), error.status


def _refuse_unknown(error: UnknownFault) -> tuple[Response, int]:
    return jsonify(error=str(error), exists=error.exists), 400
