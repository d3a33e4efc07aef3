"""The HTTP faces over a ``World``: the carrier's /v2 as documented, and /control for whoever runs the sandbox."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException

from sandbox.carrier.faults import CODES, BadFault, Fault
from sandbox.carrier.packages import Package
from sandbox.carrier.world import NOT_FOUND, Bought, Order, Refusal, World, invalid, refusal, too_many
from sandbox.transport import IN_PROCESS, Dropped, TimedOut

SMDP_ADDRESS = "lpa.airalo.com"
APPLE_LINK = "https://esimsetup.apple.com/esim_qrcode_provisioning?carddata="


def application(world: World, *, sleep: Callable[[float], None] = lambda seconds: None) -> Flask:
    """The WSGI application. ``sleep`` is called by delays; nothing really sleeps unless it is ``time.sleep``."""
    app = Flask("sandbox.carrier")
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.json.sort_keys = False  # pyright: ignore[reportAttributeAccessIssue]
    app.extensions["world"], app.extensions["sleep"] = world, sleep
    app.register_blueprint(_carrier, url_prefix="/v2")
    app.register_blueprint(_control, url_prefix="/control")
    app.register_error_handler(Refusal, _refused)
    app.register_error_handler(BadFault, lambda error: ({"error": str(error)}, 400))
    app.register_error_handler(HTTPException, _not_there)
    app.after_request(_dated)
    return app


def _world() -> World:
    return current_app.extensions["world"]


def _refused(error: Refusal) -> tuple[dict[str, Any], int, dict[str, str]]:
    return error.body, error.status, error.headers


def _not_there(error: HTTPException) -> tuple[dict[str, Any], int]:
    return NOT_FOUND, error.code or 500


def _dated(response: Response) -> Response:
    if _in_process():  # a real server writes its own
        response.headers["Date"] = format_datetime(_world().now().astimezone(UTC), usegmt=True)
    return response


# -- /v2 ------------------------------------------------------------------------------------------------------

_carrier = Blueprint("carrier", __name__)

Answer = dict[str, Any] | Response


def _served(endpoint: str, work: Callable[[Fault | None], Answer]) -> Response:
    """One call of the carrier: its fault if one waits, its limits, its token, then the work."""
    world = _world()
    request.get_data()  # a body left unread would break the connection before the answer is read
    fault = world.next_fault(endpoint)
    if fault:
        _fail_before(fault)
    headers = world.limit(endpoint, {"client": world.client_id, "iccid": (request.view_args or {}).get("iccid", "")})
    if endpoint != "token":
        world.check_token(request.headers.get("Authorization", "").removeprefix("Bearer "))
    answer = work(fault)
    if fault:
        late = _fail_after(fault, answer)
        if late is not None:
            return late
    response = answer if isinstance(answer, Response) else _json(answer)
    response.headers.update(headers)
    return response


def _json(body: Mapping[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")


def _fail_before(fault: Fault) -> None:
    """Whatever happens instead of the work."""
    match fault.kind:
        case "timeout_before":
            _stay_silent(fault)
        case "drop_before":
            _drop()
        case "error_before":
            raise Refusal(fault.status, {"message": "Server Error"})
        case "rate_limited":
            raise too_many(5, seconds=fault.retry_after)
        case "old_token":
            raise Refusal(401, {"data": [], "meta": {"message": "Authentication failed."}})
        case "garbage_before":
            raise _Instead(_garbage())
        case "recycled":
            raise refusal(73, (request.view_args or {}).get("iccid") or str(_payload().get("iccid", "")))
        case kind if kind in CODES and not fault.acts:
            raise refusal(CODES[kind], "simulated.")
        case _:
            pass


def _fail_after(fault: Fault, answer: Answer) -> Response | None:
    """Whatever happens to the answer once the work is done; None when it goes out as it is."""
    match fault.kind:
        case "timeout_after":
            _stay_silent(fault)
        case "drop_after":
            _drop()
        case "error_after":
            return _json({"message": "Server Error"}, fault.status)
        case "unexpected_after":
            raise refusal(53)
        case "garbage_after":
            return _garbage()
        case "delay":
            current_app.extensions["sleep"](fault.seconds)
        case "slow_drip":
            return _drip(answer, fault)
    return None


class _Instead(Exception):
    def __init__(self, response: Response) -> None:
        self.response = response


@_carrier.errorhandler(_Instead)
def _instead(error: _Instead) -> Response:
    return error.response


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


def _garbage() -> Response:
    return Response("<html><body>upstream connect error or disconnect/reset before headers", 200, mimetype="text/html")


def _drip(answer: Answer, fault: Fault) -> Response:
    if _in_process():
        raise TimedOut(fault.kind)
    body = answer.get_data() if isinstance(answer, Response) else json.dumps(answer).encode()
    sleep, pause = current_app.extensions["sleep"], fault.seconds / max(1, len(body))

    def bytes_one_by_one() -> Iterator[bytes]:
        for place in range(len(body)):
            sleep(pause)
            yield body[place : place + 1]

    return Response(bytes_one_by_one(), 200, mimetype="application/json", headers={"Content-Length": str(len(body))})


def _payload() -> dict[str, Any]:
    """The body as JSON (the carrier's SDKs) or as a form (its OpenAPI), in the order it was sent."""
    if request.is_json:
        sent = request.get_json(silent=True)
        return sent if isinstance(sent, dict) else {}
    return request.form.to_dict()


def _signed_payload() -> dict[str, Any]:
    payload = _payload()
    _world().check_signature(payload, request.headers.get("airalo-signature"))
    return payload


def _success(data: object, **more: object) -> dict[str, Any]:
    return {"data": data, "meta": {"message": "success", **more}}


@_carrier.post("/token")
def token() -> Response:
    def work(fault: Fault | None) -> Answer:
        sent = _payload()
        fresh = _world().token(
            client_id=str(sent.get("client_id", "")),
            client_secret=str(sent.get("client_secret", "")),
            grant_type=str(sent.get("grant_type", "")),
        )
        _world().check_signature(sent, request.headers.get("airalo-signature"))
        return _success({"token_type": "Bearer", "expires_in": 31622400, "access_token": fresh})

    return _served("token", work)


@_carrier.get("/packages")
def packages() -> Response:
    def work(fault: Fault | None) -> Answer:
        sold = [p for p in _world().state.packages.values() if p.known and not p.is_topup]
        limit, page = _number("limit", 25), _number("page", 1)
        rows = [{"operator": {"title": p.operator}, **_package(p)} for p in sold]
        return {
            "pricing": {"model": "net_pricing", "discount_percentage": 0},
            "data": rows[(page - 1) * limit : page * limit],
            **_paging(len(rows), limit, page),
        }

    return _served("packages", work)


@_carrier.post("/orders")
def submit_order() -> Response:
    def work(fault: Fault | None) -> Answer:
        sent = _signed_payload()
        if sent.get("type", "sim") != "sim":
            raise invalid(type="The selected type is invalid.")
        order = _world().order_sims(
            package_id=str(sent.get("package_id") or ""),
            quantity=_quantity(sent),
            description=sent.get("description") or None,
            twice=bool(fault and fault.kind == "duplicate"),
        )
        return _success(_submitted(order) | {"sims": [_sim(one) for one in order.iccids]})

    return _served("submit_order", work)


def _quantity(sent: Mapping[str, Any]) -> int:
    told = str(sent.get("quantity") or 1)
    if not (told.isascii() and told.isdecimal()):
        raise invalid(quantity="The quantity must be an integer.")
    return int(told)


@_carrier.post("/orders/topups")
def submit_topup() -> Response:
    def work(fault: Fault | None) -> Answer:
        sent = _signed_payload()
        order = _world().top_up(
            package_id=str(sent.get("package_id") or ""),
            iccid=str(sent.get("iccid") or ""),
            description=sent.get("description") or None,
            twice=bool(fault and fault.kind == "duplicate"),
        )
        return _success(_submitted(order))

    return _served("submit_topup", work)


@_carrier.get("/sims/<iccid>")
def sim(iccid: str) -> Response:
    return _served("sim", lambda fault: _success(_sim(_world().card(iccid).iccid)))


@_carrier.get("/sims/<iccid>/topups")
def topups(iccid: str) -> Response:
    def work(fault: Fault | None) -> Answer:
        found = _world().topups(iccid)
        if not found:
            return {"data": []}
        pricing = {"model": "net_pricing", "discount_percentage": 0}
        return {"pricing": pricing, "data": [_package(package) for package in found]}

    return _served("topups", work)


@_carrier.get("/sims/<iccid>/packages")
def history(iccid: str) -> Response:
    def work(fault: Fault | None) -> Answer:
        bought = reversed(_world().card(iccid).history)
        pricing = {"model": "net_pricing", "discount_percentage": 0}
        return {"pricing": pricing, "data": [_bought(one) for one in bought]}

    return _served("history", work)


@_carrier.get("/sims/<iccid>/usage")
def usage(iccid: str) -> Response:
    def work(fault: Fault | None) -> Answer:
        _, answer = _world().usage(iccid)
        return {"data": answer, "meta": {"message": "api.succes"}}

    return _served("usage", work)


@_carrier.get("/balance")
def balance() -> Response:
    def work(fault: Fault | None) -> Answer:
        amount = {"amount": _world().state.balance / 100, "currency": "USD"}
        return _success({"balances": {"name": "balance", "availableBalance": amount}})

    return _served("balance", work)


@_carrier.get("/orders")
def order_list() -> Response:
    def work(fault: Fault | None) -> Answer:
        limit, page = _number("limit", 25), _number("page", 1)
        asked = {name: request.args.get(f"filter[{name}]", "") for name in ("description", "iccid", "code")}
        found = _world().orders(
            **asked,
            status=request.args.get("filter[order_status]", ""),
            created=request.args.get("filter[created_at]", ""),
        )
        include = set(request.args.get("include", "").split(","))
        rows = [_row(order, include) for order in found[(page - 1) * limit : page * limit]]
        paging = _paging(len(found), limit, page)
        paging["meta"]["message"] = "success"
        return {"data": rows, **paging}

    return _served("order_list", work)


@_carrier.get("/orders/<int:id>")
def order(id: int) -> Response:
    return _served("order", lambda fault: _success(_row(_world().order(id), {"sims", "user", "status"})))


def _number(name: str, default: int) -> int:
    text = request.args.get(name) or str(default)
    if not text.isdecimal() or text == "0":
        raise invalid(**{name: f"The {name} must be an integer."})
    return int(text)


def _paging(total: int, limit: int, page: int) -> dict[str, Any]:
    last = max(1, -(-total // limit))
    links = {"first": "?page=1", "last": f"?page={last}", "prev": None, "next": f"?page={page + 1}"}
    if page >= last:
        links["next"] = None
    return {"links": links, "meta": {"current_page": page, "last_page": last, "per_page": str(limit), "total": total}}


def _package(package: Package) -> dict[str, Any]:
    return {
        "id": package.id,
        "type": "topup" if package.is_topup else "sim",
        "price": package.price / 100,
        "amount": 0 if package.unlimited else package.megabytes,
        "day": package.days,
        "is_unlimited": package.unlimited,
        "title": package.title,
        "data": package.data,
        "short_info": None,
        "voice": None,
        "text": None,
        "net_price": package.net / 100,
        "prices": {
            "net_price": {"USD": package.net / 100},
            "recommended_retail_price": {"USD": package.price / 100},
        },
    }


def _bought(one: Bought) -> dict[str, Any]:
    card_package = _package(_world().state.packages[one.package])
    now = _world().now().astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    status = "EXPIRED" if one.expired_at <= now else "NOT_ACTIVE" if one.activated_at > now else "ACTIVE"
    return {
        "id": one.id,
        "status": status,
        "remaining": card_package["amount"],
        "activated_at": one.activated_at.replace(" ", "T") + "+00:00",
        "expired_at": one.expired_at.replace(" ", "T") + "+00:00",
        "finished_at": None,
        "package": card_package,
    }


def _submitted(order: Order) -> dict[str, Any]:
    """An order as the carrier answers its making. A top-up's answer does not name the card, as documented."""
    package = _world().state.packages[order.package]
    return {
        "id": order.id,
        "code": order.code,
        "package_id": order.package,
        "currency": "USD",
        "quantity": len(order.iccids),
        "type": order.kind,
        "description": order.description or f"{order.kind.capitalize()} ({order.iccids[0]})",
        "esim_type": "Prepaid",
        "validity": package.days,
        "package": f"{package.operator}-{package.title}",
        "data": package.data,
        "price": package.price / 100,
        "pricing_model": "net_pricing",
        "text": None,
        "voice": None,
        "net_price": package.net / 100,
        "created_at": order.created_at,
        "manual_installation": "",
        "qrcode_installation": "",
        "installation_guides": {"en": ""},
    }


def _row(order: Order, include: set[str]) -> dict[str, Any]:
    """An order as it is listed: numbers become texts, and what was not asked to be included is missing."""
    row = _submitted(order)
    row["validity"], row["price"] = str(row["validity"]), f"{row['price']:.2f}"
    for only_submitted in ("pricing_model", "text", "voice", "net_price"):
        del row[only_submitted]
    row["description"] = order.description
    if "sims" in include and (order.kind == "sim" or _world().rows_carry_sims):
        row["sims"] = [_sim(iccid) for iccid in order.iccids]
    if "status" in include:
        row["status"] = {"name": order.status.replace("_", " ").capitalize(), "slug": order.status}
    return row


def _sim(iccid: str) -> dict[str, Any]:
    card = _world().state.cards[iccid]
    profile = f"LPA:1${SMDP_ADDRESS}${card.matching_id}"
    return {
        "id": int(iccid[-9:-1]),
        "created_at": card.created_at,
        "iccid": iccid,
        "lpa": SMDP_ADDRESS,
        "imsis": None,
        "matching_id": card.matching_id,
        "qrcode": profile,
        "qrcode_url": "",
        "direct_apple_installation_url": f"{APPLE_LINK}{profile}",
        "airalo_code": None,
        "apn_type": "automatic",
        "apn_value": None,
        "is_roaming": True,
        "confirmation_code": None,
        "apn": {
            "ios": {"apn_type": "automatic", "apn_value": None},
            "android": {"apn_type": "automatic", "apn_value": None},
        },
        "msisdn": None,
    }


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


@_control.post("/sims")
def control_sims() -> tuple[dict[str, Any], int]:
    sent = request.get_json()
    for name in ("expires_at", "activated_at"):
        if sent.get(name):
            sent[name] = _aware(name, sent[name])
    try:
        card = _world().seed_card(**{key: value for key, value in sent.items() if value is not None})
    except TypeError as error:
        raise invalid(sim=str(error)) from error
    return asdict(card), 201


def _aware(name: str, text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise invalid(**{name: "A time names its zone."})
    return moment


@_control.get("/sims")
def control_cards() -> dict[str, Any]:
    with _world().lock:
        return {"sims": [asdict(card) for card in _world().state.cards.values()]}


@_control.get("/truth")
def control_truth() -> dict[str, Any]:
    found = _world().truth(request.args.get("description"), request.args.get("iccid"))
    return {"activations": [asdict(order) for order in found], "count": len(found)}


@_control.get("/faults")
def control_faults() -> dict[str, Any]:
    return _world().faults.told()


@_control.post("/faults")
def control_set_faults() -> dict[str, Any]:
    sent = request.get_json()
    with _world().lock:
        _world().faults.set(sent if isinstance(sent, list) else sent.get("faults", [sent] if sent else []))
    return _world().faults.told()


@_control.post("/balance")
def control_balance() -> dict[str, Any]:
    cents = round(float(request.get_json()["amount"]) * 100)
    _world().set_balance(cents)
    return {"amount": cents / 100, "currency": "USD"}


@_control.post("/packages")
def control_packages() -> dict[str, Any]:
    sent = request.get_json()
    return asdict(_world().set_package(sent.pop("id"), **sent))


@_control.get("/packages")
def control_sold() -> dict[str, Any]:
    return {"packages": [asdict(package) for package in _world().state.packages.values()]}


@_control.post("/orders")
def control_orders() -> dict[str, Any]:
    sent = request.get_json()
    _world().set_order_status(int(sent["id"]), str(sent["status"]))
    return asdict(_world().order(int(sent["id"])))


@_control.post("/tokens/forget")
def control_forget_tokens() -> dict[str, Any]:
    _world().forget_tokens()
    return {}


@_control.post("/reset")
def control_reset() -> dict[str, Any]:
    _world().reset()
    return {}


@_control.get("/health")
def control_health() -> dict[str, Any]:
    return {"now": _world().now().isoformat()}
