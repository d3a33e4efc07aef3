"""The HTTP faces of a wallet's stand-in: its API (the blueprint that is handed in), the person's page, /control."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import asdict

from flask import Blueprint, Flask, Response, current_app, redirect, render_template_string, request
from werkzeug.wrappers import Response as AnyResponse

from sandbox.transport import IN_PROCESS, Dropped, TimedOut
from sandbox.wallets.till import ENDPOINTS, KINDS, WIRE, BadFault, Fault, Till


def application(till: Till, api: Blueprint, *, sleep: Callable[[float], None] = lambda seconds: None) -> Flask:
    """The WSGI application. ``sleep`` is called by time-outs; nothing really sleeps unless it is ``time.sleep``."""
    app = Flask(__name__)
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.extensions["till"], app.extensions["sleep"] = till, sleep
    app.register_blueprint(api)
    app.register_blueprint(_pages)
    app.register_blueprint(_control, url_prefix="/control")
    return app


def till() -> Till:
    """The provider of the running application."""
    return current_app.extensions["till"]


def served(endpoint: str, work: Callable[[], Response], *, busy: Callable[[], Response]) -> Response:
    """One call of the API: the fault that waits for it, or the work under the provider's lock.

    Args:
        busy: the provider's own answer to too many calls.
    """
    request.get_data()
    there = till()
    with there.lock:
        fault = there.strikes(endpoint, WIRE)
    kind = fault.kind if fault else ""
    if kind == "rate_limited":
        return busy()
    if kind == "error_before":
        return Response("upstream error", 500)
    if fault and kind in {"timeout_before", "drop_before"}:
        _break(fault)
    with there.lock:
        response = work()
    if fault and kind in {"timeout_after", "drop_after"}:
        _break(fault)
    if kind == "error_after":
        return Response("upstream error", 500)
    if kind == "garbage_after":
        return Response("<html><body>upstream connect error", 200, mimetype="text/html")
    if kind == "bad_signature_after":
        response.headers["X-Sandbox-Sign-Wrongly"] = "1"  # whoever signs answers looks for it, and takes it out
    return response


def _break(fault: Fault) -> None:
    if request.environ.get(IN_PROCESS):
        raise TimedOut(fault.kind) if fault.kind.startswith("timeout") else Dropped(fault.kind)
    if fault.kind.startswith("timeout"):
        current_app.extensions["sleep"](fault.seconds)
    raise ConnectionAbortedError(fault.kind)


# -- the person's page ----------------------------------------------------------------------------------------------

_pages = Blueprint("pages", __name__)

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ till.name }} (stand-in)</title><link rel="icon" href="data:,">
<style>body{font:1.1rem system-ui;max-width:26rem;margin:2rem auto;padding:0 1rem}button{font:inherit;display:block;
width:100%;margin:.6rem 0;padding:.8rem;border-radius:.6rem;border:1px solid #888}b{font-size:1.6rem}</style>
<h1>{{ till.name }}</h1><p>A stand-in: no money moves.</p><p><b>{{ amount }} {{ bill.currency }}</b></p>
{% if bill.told.keeps %}<p>Paying, you let the shop charge this account again.</p>{% endif %}
{% if bill.state == "open" %}<form method="post">
{% if bill.declined %}<p role="alert">{{ bill.declined }}</p>{% endif %}
<button name="does" value="pay">Pay</button><button name="does" value="decline">Too little balance</button>
<button name="does" value="cancel">Cancel</button></form>{% else %}<p>This bill is {{ bill.state }}.</p>{% endif %}
</html>"""


@_pages.get("/pay/<id>")
def page(id: str) -> tuple[str, int] | str:
    """Where a person pays: what is opened, or what the QR code says."""
    bill = till().bills.get(id)
    if bill is None:
        return "There is no such bill.", 404
    till().current(bill)
    decimals = 0 if bill.currency in {"JPY", "KRW"} else 2
    amount = f"{bill.amount / 10**decimals:.{decimals}f}"
    return render_template_string(_PAGE, till=till(), bill=bill, amount=amount)


@_pages.post("/pay/<id>")
def act(id: str) -> AnyResponse | tuple[str, int]:
    """What the person chose; then back to the shop, if the shop said where."""
    there, does = till(), request.form.get("does", "")
    if id not in there.bills or does not in {"pay", "decline", "cancel"}:
        return "There is no such bill, or no such choice.", 404
    try:
        getattr(there, does)(id)
    except LookupError as error:
        return str(error), 409
    back = there.bills[id].told.get("return_url", "")
    if does == "decline" or not back:
        return redirect(request.path, 303)
    return redirect(back, 303)


# -- /control -------------------------------------------------------------------------------------------------------

_control = Blueprint("control", __name__)


@_control.before_request
def _only_from_here() -> tuple[dict[str, str], int] | None:
    address = request.remote_addr or ""
    if not ipaddress.ip_address(address).is_loopback:
        return {"error": "Only from this machine."}, 403
    return None


@_control.get("/truth/<key>")
def truth(key: str) -> dict[str, dict[str, int]]:
    """What really moved under one of the shop's keys, minor units by currency."""
    return {"captured": till().captured(key), "refunded": till().refunded(key)}


@_control.get("/bills")
def bills() -> list[dict[str, object]]:
    """Every bill, the oldest first."""
    return [asdict(bill) for bill in till().bills.values()]


@_control.post("/bills/<id>/<verb>")
def do(id: str, verb: str) -> tuple[dict[str, str], int]:
    """What the person does with a bill: pay, decline, cancel, pay_late."""
    if id not in till().bills or verb not in {"pay", "decline", "cancel", "pay_late"}:
        return {"error": "There is no such bill, or no such verb."}, 404
    try:
        getattr(till(), verb)(id)
    except LookupError as error:
        return {"error": str(error)}, 409
    return {"state": till().bills[id].state}, 200


@_control.get("/faults")
def faults() -> dict[str, object]:
    """What waits to go wrong, what went wrong, and what could."""
    there = till()
    return {
        "waiting": [asdict(one) for one in there.waiting],
        "happened": there.happened,
        "kinds": KINDS,
        "endpoints": list(ENDPOINTS),
    }


@_control.put("/faults")
def set_faults() -> tuple[dict[str, object], int]:
    """Replace all that waits. The same again changes nothing but their counts."""
    try:
        wanted = [Fault(**one) for one in request.get_json()]
    except (TypeError, BadFault) as error:
        return {"error": str(error)}, 400
    with till().lock:
        till().waiting = wanted
    return faults(), 200
