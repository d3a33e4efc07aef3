"""An SMS gateway in the form of Twilio's Messages resource, which hands every text to the phone in the inbox."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, Response, jsonify, request

from sandbox.transport import IN_PROCESS, Dropped, TimedOut

FAULTS: Mapping[str, str] = {
    "later": "429 with Retry-After: 90",
    "invalid": "400, code 21211: this is no number",
    "blocked": "400, code 21610: this person answered STOP",
    "broken": "500, and nothing was sent",
    "garbage_after": "the text is sent, but the answer cannot be read",
    "broken_after": "the text is sent, but the answer is 503",
    "silent_after": "the text is sent, but no answer comes",
    "drop_after": "the text is sent, but the connection breaks",
}


class Gateway:
    """One account at the gateway; ``deliver(sender, to, text)`` is the phone. Safe between threads."""

    def __init__(self, deliver: Callable[[str, str, str], None], *, sid: str = "sandbox", token: str = "sandbox-token"):  # noqa: S107
        self.deliver, self.sid, self.token = deliver, sid, token
        self.taken = 0
        self._fault: str | None = None
        self._times: int | None = None
        self._lock = threading.Lock()

    def fail(self, fault: str | None, times: int | None = 1) -> None:
        """Let this fault happen next, so many times (None: until taken back); None for good weather."""
        if fault is not None and fault not in FAULTS:
            raise ValueError(f"There is no fault named {fault!r}; there are {', '.join(FAULTS)}.")
        with self._lock:
            self._fault, self._times = fault, times

    def happens(self) -> str | None:
        """The fault that happens now; uses one of its times."""
        with self._lock:
            fault = self._fault
            if fault and self._times is not None:
                self._times -= 1
                if self._times <= 0:
                    self._fault = self._times = None
            return fault

    def take(self, sender: str, to: str, text: str) -> str:
        """Deliver one text; its sid."""
        self.deliver(sender, to, text)
        with self._lock:
            self.taken += 1
            return f"SM{self.taken:032x}"


def application(gateway: Gateway) -> Flask:
    """The WSGI application: the Messages resource, and /control."""
    app = Flask(__name__)

    @app.post("/2010-04-01/Accounts/<sid>/Messages.json")
    def messages(sid: str) -> Response:
        who = request.authorization
        if who is None or (who.username, who.password, sid) != (gateway.sid, gateway.token, gateway.sid):
            return _error(401, 20003, "Authenticate")
        to, sender, text = (request.form.get(name, "") for name in ("To", "From", "Body"))
        fault = gateway.happens()
        if refused := _refusal(fault, to):
            return refused
        if not text:
            return _error(400, 21602, "Message body is required.")
        id = gateway.take(sender, to, text)
        return _afterwards(fault) or _json(201, {"sid": id, "status": "queued", "to": to, "from": sender, "body": text})

    @app.get("/control/health")
    def health() -> dict[str, Any]:
        return {"taken": gateway.taken}

    @app.post("/control/faults")
    def faults() -> Response:
        if request.remote_addr not in {"127.0.0.1", "::1"}:
            return _error(403, 0, "from this machine only")
        sent = request.get_json()
        try:
            gateway.fail(sent.get("kind"), sent.get("times", 1))
        except ValueError as error:
            return _error(400, 0, str(error))
        return _json(200, {"kind": sent.get("kind"), "kinds": dict(FAULTS)})

    return app


def _refusal(fault: str | None, to: str) -> Response | None:
    match fault:
        case "later":
            answer = _error(429, 20429, "Too Many Requests")
            answer.headers["Retry-After"] = "90"
            return answer
        case "blocked":
            return _error(400, 21610, "Attempt to send to unsubscribed recipient")
        case "broken":
            return _error(500, 20500, "Internal Server Error")
    if fault == "invalid" or not (to.startswith("+") and to[1:].isdigit() and 6 <= len(to) <= 16):
        return _error(400, 21211, "Invalid 'To' Phone Number")
    return None


def _afterwards(fault: str | None) -> Response | None:
    match fault:
        case "garbage_after":
            return Response("<html>", status=201, mimetype="text/html")
        case "broken_after":
            return _error(503, 20503, "Service Unavailable")
        case "silent_after" if request.environ.get(IN_PROCESS):
            raise TimedOut
        case "drop_after" if request.environ.get(IN_PROCESS):
            raise Dropped
        case "silent_after" | "drop_after":
            return _error(503, 20503, "Service Unavailable")
    return None


def _error(status: int, code: int, message: str) -> Response:
    return _json(status, {"code": code, "message": message, "status": status})


def _json(status: int, body: dict[str, Any]) -> Response:
    answer = jsonify(body)
    answer.status_code = status
    return answer
