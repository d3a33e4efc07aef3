"""The HTTP faces over a ``World``: the provider's /v1, and /control for whoever runs the sandbox."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC
from email.utils import format_datetime
from hashlib import sha256
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException

from sandbox.payments.errors import Refusal, invalid, too_many
from sandbox.payments.faults import WIRE, BadFault, Fault
from sandbox.payments.forms import nested
from sandbox.payments.objects import API_VERSION
from sandbox.payments.pages import pages
from sandbox.payments.world import Truth, World
from sandbox.transport import IN_PROCESS, Dropped, TimedOut

Thing = dict[str, Any]
Work = Callable[[World, Thing, bool], Thing]

# Answered by a proxy in front of the provider, which knows nothing of idempotency keys.
PROXY = (502, 503, 504)


def application(world: World, *, sleep: Callable[[float], None] = lambda seconds: None) -> Flask:
    """The WSGI application. ``sleep`` is called by delays; nothing really sleeps unless it is ``time.sleep``."""
    app = Flask(__name__)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.json.sort_keys = False  # pyright: ignore[reportAttributeAccessIssue]
    app.extensions["world"], app.extensions["sleep"] = world, sleep
    app.register_blueprint(_api, url_prefix="/v1")
    app.register_blueprint(_control, url_prefix="/control")
    app.register_blueprint(pages)
    app.register_error_handler(BadFault, lambda error: ({"error": str(error)}, 400))
    app.register_error_handler(HTTPException, _not_there)
    app.after_request(_dated)
    return app


def _world() -> World:
    return current_app.extensions["world"]


def _not_there(error: HTTPException) -> tuple[Thing, int]:
    message = f"Unrecognized request URL ({request.method}: {request.path})."
    return {"error": {"type": "invalid_request_error", "message": message}}, error.code or 500


def _dated(response: Response) -> Response:
    if _in_process():  # a real server writes its own
        response.headers["Date"] = format_datetime(_world().now().astimezone(UTC), usegmt=True)
    return response


# -- /v1 ------------------------------------------------------------------------------------------------------

_api = Blueprint("api", __name__)


def _served(endpoint: str, work: Work) -> Response:
    """One call: its key, the answer kept with its idempotency key or the work, and the fault that waits for it."""
    world = _world()
    request.get_data()  # a body left unread would break the connection before the answer is read
    with world.lock:
        number = world.new_id("req_", 14)
        fault = world.faults.next_for(endpoint, WIRE)
    try:
        if fault:
            _fail_before(fault)
        live = world.is_live(_secret())
        response = _once(world, live, lambda: _worked(world, live, work, fault), number)
    except Refusal as error:
        response = _json(error.body, error.status)
        response.headers.update(error.headers)
    world.send_early()
    if fault:
        response = _fail_after(fault, response)
    response.headers["Request-Id"] = number
    response.headers["Stripe-Version"] = request.headers.get("Stripe-Version", API_VERSION)
    return response


def _once(world: World, live: bool, work: Callable[[], tuple[int, Thing, bool]], number: str) -> Response:
    """The work, done once for an idempotency key; the same answer for a day afterwards."""
    key = request.headers.get("Idempotency-Key", "") if request.method == "POST" else ""
    if not key:
        status, body, _ = work()
        return _json(body, status)
    if len(key) > 255:
        raise invalid("Idempotency keys may be at most 255 characters.")
    content = sha256(repr(sorted(request.form.items(multi=True))).encode()).hexdigest()
    kept = world.begin_once(key, live=live, path=request.path, content=content)
    if kept:
        response = _json(kept["body"], kept["status"])
        response.headers.update(
            {"Idempotency-Key": key, "Idempotent-Replayed": "true", "Original-Request": kept["request"]}
        )
        return response
    remember = None
    try:
        status, body, keep = work()
        if keep:
            remember = {"status": status, "body": body, "request": number, "path": request.path, "content": content}
    finally:
        world.end_once(key, live=live, kept=remember)
    response = _json(body, status)
    response.headers.update({"Idempotency-Key": key, "Original-Request": number})
    return response


def _worked(world: World, live: bool, work: Work, fault: Fault | None) -> tuple[int, Thing, bool]:
    """Status, body, and whether they are kept with the idempotency key."""
    if fault and fault.kind == "delay":
        current_app.extensions["sleep"](fault.seconds)
    if fault and fault.kind == "error_before":
        return 500, _api_error(), True
    sent = _sent()
    try:
        answer = work(world, sent, live)
        if answer["object"] == "list":
            answer |= {"url": request.path}
        answer = world.expanded(answer, _paths(sent))
    except Refusal as error:
        return error.status, error.body, error.kept
    if fault and fault.kind == "error_after" and fault.status not in PROXY:
        return fault.status, _api_error(), True
    return 200, answer, True


def _secret() -> str:
    """The key from Bearer or from Basic, where it is the user's name."""
    kept = request.authorization
    if kept is None:
        return ""
    return (kept.token if kept.type == "bearer" else kept.username) or ""


def _sent() -> Thing:
    return nested((request.form if request.method == "POST" else request.args).items(multi=True))


def _paths(sent: Thing) -> list[str]:
    paths = sent.get("expand", [])
    return [paths] if isinstance(paths, str) else paths


def _json(body: Thing, status: int = 200) -> Response:
    return Response(json.dumps(body, indent=2), status=status, mimetype="application/json")


def _api_error() -> Thing:
    return {"error": {"type": "api_error", "message": "An unknown error occurred"}}


def _fail_before(fault: Fault) -> None:
    """Whatever happens instead of the call."""
    match fault.kind:
        case "timeout_before":
            _stay_silent(fault)
        case "drop_before":
            _drop()
        case "rate_limited":
            raise too_many()
        case "error_before" if fault.status in PROXY:
            raise Refusal(fault.status, **_api_error()["error"])
        case _:
            pass


def _fail_after(fault: Fault, response: Response) -> Response:
    """Whatever happens to the answer once the work is done."""
    match fault.kind:
        case "timeout_after":
            _stay_silent(fault)
        case "drop_after":
            _drop()
        case "error_after" if fault.status in PROXY:
            return _json(_api_error(), fault.status)
        case "garbage_after":
            return Response("<html><body>upstream connect error", 200, mimetype="text/html")
    return response


def _in_process() -> bool:
    return bool(request.environ.get(IN_PROCESS))


def _stay_silent(fault: Fault) -> None:
    if _in_process():
        raise TimedOut(fault.kind)
    current_app.extensions["sleep"](fault.seconds)
    _drop()


def _drop() -> None:
    if _in_process():
        raise Dropped
    wire = request.environ.get("werkzeug.socket")
    if wire is not None:
        wire.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError


# method, path, the name faults know it by, what it does with the path's id
_CALLS: tuple[tuple[str, str, str, Callable[[World, Thing, bool, str], Thing]], ...] = (
    ("POST", "/checkout/sessions", "session_create", lambda w, sent, live, it: w.create_session(sent, live)),
    ("GET", "/checkout/sessions", "session_list", lambda w, sent, live, it: w.listed(
        "checkout.session", sent, live, ("payment_intent", "customer", "status"))),
    ("GET", "/checkout/sessions/<id>", "session_get", lambda w, sent, live, it: w.get("checkout.session", it, live)),
    ("POST", "/checkout/sessions/<id>", "session_update", lambda w, sent, live, it: w.update_session(it, sent, live)),
    ("POST", "/checkout/sessions/<id>/expire", "session_expire", lambda w, sent, live, it: w.expire_session(it, live)),
    ("POST", "/payment_intents", "intent_create", lambda w, sent, live, it: w.create_intent(sent, live)),
    ("GET", "/payment_intents", "intent_list", lambda w, sent, live, it: w.listed(
        "payment_intent", sent, live, ("customer",))),
    ("GET", "/payment_intents/<id>", "intent_get", lambda w, sent, live, it: w.get("payment_intent", it, live)),
    ("POST", "/payment_intents/<id>/confirm", "intent_confirm", lambda w, sent, live, it: w.confirm_intent(
        it, sent, live)),
    ("POST", "/payment_intents/<id>/cancel", "intent_cancel", lambda w, sent, live, it: w.cancel_intent(
        it, sent, live)),
    ("POST", "/refunds", "refund_create", lambda w, sent, live, it: w.create_refund(sent, live)),
    ("GET", "/refunds", "refund_list", lambda w, sent, live, it: w.listed(
        "refund", sent, live, ("payment_intent", "charge"))),
    ("GET", "/refunds/<id>", "refund_get", lambda w, sent, live, it: w.get("refund", it, live)),
    ("POST", "/customers", "customer_create", lambda w, sent, live, it: w.create_customer(sent, live)),
    ("GET", "/customers", "customer_list", lambda w, sent, live, it: w.listed("customer", sent, live, ("email",))),
    ("GET", "/customers/<id>", "customer_get", lambda w, sent, live, it: w.get("customer", it, live)),
    ("GET", "/customers/<id>/payment_methods", "method_list", lambda w, sent, live, it: w.listed(
        "payment_method", {**sent, "customer": it}, live, ("customer", "type"))),
    ("GET", "/payment_methods", "method_list", lambda w, sent, live, it: w.listed(
        "payment_method", sent, live, ("customer", "type"))),
    ("GET", "/payment_methods/<id>", "method_get", lambda w, sent, live, it: w.get("payment_method", it, live)),
    ("POST", "/payment_methods/<id>/detach", "method_detach", lambda w, sent, live, it: w.detach_method(
        it, sent, live)),
    ("GET", "/charges/<id>", "charge_get", lambda w, sent, live, it: w.get("charge", it, live)),
    ("GET", "/balance_transactions", "balance_list", lambda w, sent, live, it: w.listed(
        "balance_transaction", sent, live, ("type", "source", "currency"))),
    ("GET", "/events", "event_list", lambda w, sent, live, it: w.listed("event", sent, live, ("type",))),
    ("GET", "/events/<id>", "event_get", lambda w, sent, live, it: w.get("event", it, live)),
)  # fmt: skip


def _view(name: str, work: Callable[[World, Thing, bool, str], Thing]) -> Callable[..., Response]:
    def view(id: str = "") -> Response:
        return _served(name, lambda world, sent, live: work(world, sent, live, id))

    return view


for _method, _path, _name, _work in _CALLS:
    _api.add_url_rule(_path, f"{_method} {_path}".replace(".", ""), _view(_name, _work), methods=[_method])


# -- /control -------------------------------------------------------------------------------------------------

_control = Blueprint("control", __name__)


@_control.before_request
def _only_from_here() -> tuple[dict[str, str], int] | None:
    try:
        if ipaddress.ip_address(request.remote_addr or "").is_loopback:
            return None
    except ValueError:
        pass
    return {"error": "The control face answers on loopback only."}, 403


@_control.errorhandler(Refusal)
def _refused(error: Refusal) -> tuple[Thing, int]:
    return error.body, error.status


@_control.get("/truth")
def control_truth() -> Thing:
    return _told(_world().truth(request.args.get("key")))


def _told(truth: Truth) -> Thing:
    return {
        "captures": [asdict(one) for one in truth.captures],
        "refunds": [asdict(one) for one in truth.refunds],
        "captured": truth.captured,
        "refunded": truth.refunded,
    }


@_control.get("/faults")
def control_faults() -> Thing:
    return _world().faults.told()


@_control.post("/faults")
def control_set_faults() -> Thing:
    sent = request.get_json()
    with _world().lock:
        _world().faults.set(sent if isinstance(sent, list) else sent.get("faults", [sent] if sent else []))
    return _world().faults.told()


@_control.get("/sessions")
def control_sessions() -> Thing:
    return {"sessions": _world().sessions()}


@_control.post("/sessions/<id>/<verb>")
def control_session(id: str, verb: str) -> tuple[Thing, int] | Thing:
    world = _world()
    verbs: dict[str, Callable[[str], Thing]] = {
        "pay": world.pay,
        "decline": world.decline,
        "delay": world.delay,
        "settle": world.settle_delayed,
        "fail": lambda session: world.settle_delayed(session, ok=False),
        "expire": world.expire_session,
    }
    if verb not in verbs:
        return {"error": f"A session can {', '.join(verbs)}; not {verb}."}, 404
    return verbs[verb](id)


@_control.post("/refunds/<id>/<verb>")
def control_refund(id: str, verb: str) -> tuple[Thing, int] | Thing:
    verbs = {"fail": _world().fail_refund, "settle": _world().settle_refund}
    if verb not in verbs:
        return {"error": f"A refund can {', '.join(verbs)}; not {verb}."}, 404
    return verbs[verb](id)


@_control.post("/reset")
def control_reset() -> Thing:
    _world().reset()
    return {}


@_control.get("/health")
def control_health() -> Thing:
    return {"now": _world().now().isoformat()}
