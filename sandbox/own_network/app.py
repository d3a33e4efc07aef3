"""The HTTP faces over a ``World``: /v1 as in docs/reference/own-network.md, and /control for who runs the sandbox."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException

from sandbox.own_network.world import ACTS, ENDPOINTS, KINDS, PROBLEMS, Fault, Problem, Sold, World
from sandbox.transport import IN_PROCESS, Dropped, TimedOut

SMDP_ADDRESS = "rsp.own-network.example"
APPLE_LINK = "https://esimsetup.apple.com/esim_qrcode_provisioning?carddata="
CURRENCY = "EUR"


def application(world: World, *, sleep: Callable[[float], None] = lambda seconds: None) -> Flask:
    """The WSGI application. ``sleep`` is called by delays; nothing really sleeps unless it is ``time.sleep``."""
    app = Flask("sandbox.own_network")
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.extensions["world"], app.extensions["sleep"] = world, sleep
    app.register_blueprint(_own, url_prefix="/v1")
    app.register_blueprint(_control, url_prefix="/control")
    app.register_error_handler(Problem, _problem)
    app.register_error_handler(HTTPException, lambda error: _json({"title": error.name}, error.code or 500))
    return app


def _world() -> World:
    return current_app.extensions["world"]


def _json(body: object, status: int = 200) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")


def _problem(error: Problem) -> Response:
    status = PROBLEMS[error.type]
    body = {"type": error.type, "status": status, "detail": error.detail}
    answer = Response(json.dumps(body), status=status, mimetype="application/problem+json")
    if error.retry_after is not None:
        answer.headers["Retry-After"] = str(error.retry_after)
    return answer


# -- /v1 ------------------------------------------------------------------------------------------------------

_own = Blueprint("own", __name__)


def _served(endpoint: str, work: Callable[[], object], *, status: int = 200) -> Response:
    """One call: its fault if one waits, its signature, then the work."""
    body = request.get_data()  # a body left unread would break the connection before the answer is read
    fault = _world().next_fault(endpoint)
    if fault and fault.kind not in ACTS:
        if fault.kind in PROBLEMS:
            raise Problem(fault.kind, "simulated", retry_after=fault.retry_after)
        return _strike(fault, b"")
    _world().check(
        method=request.method,
        target=request.full_path.removesuffix("?"),
        timestamp=request.headers.get("X-Timestamp", ""),
        body=body,
        signature=request.headers.get("X-Signature", ""),
    )
    answer = _json(work(), status)
    if fault is None:
        return answer
    if fault.kind == "delay":
        current_app.extensions["sleep"](fault.seconds)
        return answer
    return _strike(fault, answer.get_data())


def _strike(fault: Fault, body: bytes) -> Response:
    """What the caller gets to see instead of an answer."""
    in_process = bool(request.environ.get(IN_PROCESS))
    match fault.kind.removesuffix("_before").removesuffix("_after"):
        case "error":
            return _json({"title": "Internal Server Error"}, 500)
        case "garbage":
            return Response("<html>upstream connect error", 200, mimetype="text/html")
        case "timeout" | "slow_drip" if in_process:
            raise TimedOut(fault.kind)
        case "drop" if in_process:
            raise Dropped
        case "slow_drip":
            headers = {"Content-Length": str(len(body))}
            return Response(_drip(body, fault.seconds), 200, mimetype="application/json", headers=headers)
        case "timeout":
            current_app.extensions["sleep"](fault.seconds)
    wire = request.environ.get("werkzeug.socket")
    if wire is not None:
        wire.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError


def _drip(body: bytes, seconds: float) -> Iterator[bytes]:
    sleep, pause = current_app.extensions["sleep"], seconds / max(1, len(body))

    def bytes_one_by_one() -> Iterator[bytes]:
        for place in range(len(body)):
            sleep(pause)
            yield body[place : place + 1]

    return bytes_one_by_one()


def _sent() -> dict[str, Any]:
    sent = request.get_json(silent=True)
    if not isinstance(sent, dict):
        raise Problem("bad-request", "the body is a JSON object")
    return sent


def _key() -> str:
    key = request.headers.get("Idempotency-Key", "")
    if not key:
        raise Problem("bad-request", "there is no Idempotency-Key")
    return key


@_own.put("/cards/<iccid>/speed")
def speed(iccid: str) -> Response:
    def work() -> object:
        sent = _sent()
        if "kbps" not in sent:
            raise Problem("bad-request", "there is no kbps")
        asked_at_ms = int(request.headers["X-Timestamp"])
        return _card(_world().throttle(iccid, sent["kbps"], asked_at_ms=asked_at_ms).iccid)

    return _served("speed", work)


@_own.get("/cards/<iccid>")
def card(iccid: str) -> Response:
    return _served("card", lambda: _card(iccid))


@_own.post("/cards/<iccid>/periods")
def renew(iccid: str) -> Response:
    def work() -> object:
        return _sold(_world().put_on(key=_key(), iccid=iccid, package=str(_sent().get("package"))))

    return _served("renew", work, status=201)


@_own.get("/periods")
def find() -> Response:
    def work() -> object:
        found = _world().truth(request.args.get("key", ""))
        return {"periods": [_sold(one) for one in found if not one.is_esim and not one.taken_back]}

    return _served("find", work)


@_own.post("/esims")
def issue() -> Response:
    def work() -> object:
        return _sold(_world().issue(key=_key(), package=str(_sent().get("package"))))

    return _served("issue", work, status=201)


@_own.get("/esims")
def find_issued() -> Response:
    def work() -> object:
        found = _world().truth(request.args.get("key", ""))
        return {"esims": [_sold(one) for one in found if one.is_esim and not one.taken_back]}

    return _served("find_issued", work)


@_own.get("/cards/<iccid>/usage")
def usage(iccid: str) -> Response:
    def work() -> object:
        card, now = _world().card(iccid), _world().now()
        is_over = card.expires_at is not None and datetime.fromisoformat(card.expires_at) <= now
        return {
            "as_of": now.isoformat(),
            "unlimited": card.unlimited,
            "remaining_bytes": None if card.unlimited else card.remaining_bytes,
            "total_bytes": None if card.unlimited else card.total_bytes,
            "expires_at": card.expires_at,
            "status": "EXPIRED" if is_over else "ACTIVE" if card.expires_at else "NOT_ACTIVE",
        }

    return _served("usage", work)


@_own.get("/balance")
def balance() -> Response:
    return _served("balance", lambda: {"amount_minor": _world().state.balance_minor, "currency": CURRENCY})


@_own.get("/cards/<iccid>/offers")
def offers(iccid: str) -> Response:
    def work() -> object:
        _world().card(iccid)
        sold = _world().state.packages.values()
        return {
            "offers": [{"package": one.id, "cost_minor": one.cost_minor, "currency": CURRENCY} for one in sold]
        }  # fmt: skip

    return _served("offers", work)


@_own.put("/cards/<iccid>/periods/<id>/cancelled")
def cancel(iccid: str, id: str) -> Response:
    return _served("cancel", lambda: _sold(_world().cancel(iccid=iccid, id=id)))


@_own.post("/cards/<iccid>/texts")
def text(iccid: str) -> Response:
    def work() -> object:
        words = _sent().get("words")
        if not isinstance(words, str) or not words:
            raise Problem("bad-request", "there are no words")
        return {"id": _world().text(key=_key(), iccid=iccid, words=words).id}

    return _served("text", work, status=202)


def _card(iccid: str) -> dict[str, Any]:
    card = _world().card(iccid)
    return {"iccid": card.iccid, "kbps": card.kbps}


def _sold(one: Sold) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": one.id,
        "key": one.key,
        "iccid": one.iccid,
        "package": one.package,
        "activated_at": one.activated_at,
        "ends_at": one.ends_at,
    }
    if one.is_esim:
        code = _world().state.cards[one.iccid].matching_id
        link = f"{APPLE_LINK}LPA:1${SMDP_ADDRESS}${code}"
        told["esim"] = {"smdp_address": SMDP_ADDRESS, "matching_id": code, "apple_url": link}
    return told


# -- /control -------------------------------------------------------------------------------------------------

_control = Blueprint("control", __name__)


@_control.before_request
def _only_from_here() -> Response | None:
    try:
        if ipaddress.ip_address(request.remote_addr or "").is_loopback:
            return None
    except ValueError:
        pass
    return _json({"error": "The control face answers on loopback only."}, 403)


@_control.errorhandler(ValueError)
@_control.errorhandler(TypeError)
def _not_so(error: Exception) -> Response:
    return _json({"error": str(error)}, 400)


@_control.post("/cards")
def control_cards() -> Response:
    sent = request.get_json()
    if sent.get("expires_at"):
        sent["expires_at"] = datetime.fromisoformat(sent["expires_at"])
        if sent["expires_at"].tzinfo is None:
            raise ValueError("A time names its zone.")
    return _json(asdict(_world().seed_card(**sent)), 201)


@_control.post("/packages")
def control_packages() -> Response:
    return _json(asdict(_world().seed_package(**request.get_json())), 201)


@_control.post("/speeds")
def control_speeds() -> Response:
    sent = request.get_json()
    _world().set_by_hand(iccid=_world().card(sent["iccid"]).iccid, kbps=sent["kbps"])
    return _json({})


@_control.get("/truth")
def control_truth() -> Response:
    with _world().lock:
        told = asdict(_world().state)
        told["sold"] = [asdict(one) for one in _world().truth(request.args.get("key"))]
        return _json(told)


@_control.post("/faults")
def control_set_faults() -> Response:
    sent = request.get_json()
    _world().fail(*(sent if isinstance(sent, list) else [sent]))
    return control_faults()


@_control.get("/faults")
def control_faults() -> Response:
    waiting = [asdict(one) for one in _world().faults]
    return _json({"waiting": waiting, "kinds": [*KINDS, *PROBLEMS], "endpoints": ENDPOINTS})


@_control.post("/reset")
def control_reset() -> Response:
    _world().reset()
    return _json({})


@_control.get("/health")
def control_health() -> Response:
    return _json({"now": _world().now().isoformat()})
