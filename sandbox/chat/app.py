"""Telegram's Bot API, LINE's Messaging API, WeChat's template messages and a push service, as far as a shop needs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any
from uuid import UUID

from flask import Flask, Response, jsonify, request

from sandbox.chat import vapid
from sandbox.chat.world import FAULTS, Delivered, Messengers
from sandbox.transport import IN_PROCESS, Dropped, TimedOut


def application(world: Messengers) -> Flask:
    """The WSGI application: the four of them, and /control."""
    app = Flask(__name__)
    # Silence and broken connections leave the application as exceptions.
    app.config["PROPAGATE_EXCEPTIONS"] = True
    _telegram(app, world)
    _line(app, world)
    _wechat(app, world)
    _push(app, world)
    _control(app, world)
    return app


# -- Telegram ---------------------------------------------------------------------------------------------------------


def _telegram(app: Flask, world: Messengers) -> None:
    @app.post("/bot<token>/sendMessage")
    def send_message(token: str) -> Response:
        fault = world.happens("telegram")
        if token != world.telegram_token or fault == "unauthorised":
            return _telegram_error(401, "Unauthorized")
        if refused := _telegram_refusal(fault, _sent()):
            return refused
        sent = _sent()
        number, _ = world.take(Delivered("telegram", str(sent["chat_id"]), sent["text"], sent, _headers()))
        message = {"message_id": int(number), "chat": {"id": sent["chat_id"]}, "text": sent["text"]}
        return _afterwards(fault) or _json(200, {"ok": True, "result": message})


def _telegram_refusal(fault: str, sent: dict[str, Any]) -> Response | None:
    text = sent.get("text")
    match fault:
        case "later":
            return _telegram_error(429, "Too Many Requests: retry after 90", {"retry_after": 90})
        case "gone":
            return _telegram_error(403, "Forbidden: bot was blocked by the user")
        case "missing":
            return _telegram_error(400, "Bad Request: chat not found")
        case "busy":
            return _telegram_error(500, "Internal Server Error")
    if isinstance(sent.get("chat_id"), int) and isinstance(text, str) and text.strip():
        if len(text.encode("utf-16-le")) > 2 * 4096:
            return _telegram_error(400, "Bad Request: message is too long")
        return _instead(fault)
    return _telegram_error(400, "Bad Request: message text is empty")


def _telegram_error(status: int, description: str, parameters: dict[str, Any] | None = None) -> Response:
    body = {"ok": False, "error_code": status, "description": description}
    return _json(status, body | ({"parameters": parameters} if parameters else {}))


# -- LINE -------------------------------------------------------------------------------------------------------------


def _line(app: Flask, world: Messengers) -> None:
    @app.post("/v2/bot/message/push")
    def push_message() -> Response:
        fault = world.happens("line")
        if request.headers.get("Authorization") != f"Bearer {world.line_token}" or fault == "unauthorised":
            return _json(401, {"message": "Authentication failed. Confirm that the access token is valid."})
        retry_key = request.headers.get("X-Line-Retry-Key", "")
        if refused := _line_refusal(fault, _sent(), retry_key):
            return refused
        sent = _sent()
        text = "\n".join(message["text"] for message in sent["messages"])
        number, new = world.take(Delivered("line", sent["to"], text, sent, _headers()), once=retry_key)
        answer = {"sentMessages": [{"id": number, "quoteToken": f"quote-{number}"}]}
        if after := _afterwards(fault):
            return after
        if new:
            return _json(200, answer)
        conflict = _json(409, {"message": "The retry key is already accepted"} | answer)
        conflict.headers["X-Line-Accepted-Request-Id"] = f"request-{number}"
        return conflict


def _line_refusal(fault: str, sent: dict[str, Any], retry_key: str) -> Response | None:
    match fault:
        case "later":
            return _json(429, {"message": "The API rate limit has been exceeded. Try again later."})
        case "gone":
            return _json(400, {"message": "Failed to send messages"})
        case "missing":
            return _json(400, {"message": "The property, 'to', in the request body is invalid (line: -, column: -)"})
        case "busy":
            return _json(500, {"message": "Internal Server Error"})
    texts = [message.get("text", "") for message in sent.get("messages", [])]
    if not _is_uuid(retry_key):
        return _json(400, {"message": "The retry key is invalid"})
    if not 0 < len(texts) <= 5 or any(not 0 < len(text.encode("utf-16-le")) <= 2 * 5000 for text in texts):
        return _json(400, {"message": "The request body has 1 error(s)"})
    return _instead(fault)


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


# -- WeChat -----------------------------------------------------------------------------------------------------------


def _wechat(app: Flask, world: Messengers) -> None:
    @app.post("/cgi-bin/stable_token")
    def stable_token() -> Response:
        sent = _sent()
        if sent.get("grant_type") != "client_credential":
            return _errcode(40002, "invalid grant_type")
        if sent.get("appid") != world.wechat_app:
            return _errcode(40013, "invalid appid")
        if sent.get("secret") != world.wechat_secret:
            return _errcode(40125, "invalid appsecret")
        return _json(200, {"access_token": world.wechat_token(), "expires_in": 7200})

    @app.post("/cgi-bin/message/template/send")
    def send_template() -> Response:
        fault = world.happens("wechat")
        if fault == "unauthorised":
            return _errcode(42001, "access_token expired")
        if request.args.get("access_token") != world.current_token:
            return _errcode(40001, "invalid credential, access_token is invalid or not latest")
        if refused := _wechat_refusal(fault, _sent(), world.wechat_template):
            return refused
        sent = _sent()
        text = "\n".join(field["value"] for field in sent["data"].values())
        message = Delivered("wechat", sent["touser"], text, sent, _headers())
        number, _ = world.take(message, once=sent.get("client_msg_id", ""))
        return _afterwards(fault) or _json(200, {"errcode": 0, "errmsg": "ok", "msgid": int(number)})


def _wechat_refusal(fault: str, sent: dict[str, Any], template: str) -> Response | None:
    match fault:
        case "later":
            return _errcode(45009, "reach max api daily quota limit")
        case "gone":
            return _errcode(43004, "require subscribe")
        case "missing":
            return _errcode(40003, "invalid openid")
        case "busy":
            return _errcode(-1, "system error")
        case "odd":
            return _errcode(99999, "something new")
    if sent.get("template_id") != template:
        return _errcode(40037, "invalid template_id")
    values = [field.get("value", "") for field in sent.get("data", {}).values()]
    if not values or not all(values) or any("\n" in value for value in values):
        return _errcode(47003, "argument invalid")
    return _instead(fault)


def _errcode(code: int, message: str) -> Response:
    return _json(200, {"errcode": code, "errmsg": message})


# -- the push service -------------------------------------------------------------------------------------------------


def _push(app: Flask, world: Messengers) -> None:
    @app.post("/push/<id>")
    def push(id: str) -> Response:
        fault = world.happens("webpush")
        if refused := _push_fault(fault):
            return refused
        browser = world.browsers.get(id)
        if browser is None:
            return _push_error(404, 102, "no such subscription")
        content = request.get_data()
        if refused := _push_malformed(content):
            return refused
        try:
            origins = {f"http://{request.host}", f"https://{request.host}"}
            key, _ = vapid.checked(request.headers.get("Authorization", ""), origins=origins, now=world.now())
        except vapid.Refused as error:
            return _push_error(401, 109, str(error))
        if browser.server_key not in {"", key}:
            return _push_error(403, 109, "subscribed with another key")
        told = _opened(browser.opened(content))
        text = "\n".join(str(told[part]) for part in ("title", "body") if told.get(part))
        number, _ = world.take(Delivered("webpush", id, text, told, _headers()))
        answer = Response(status=201, headers={"Location": f"{request.host_url}message/{number}", "TTL": "0"})
        return _afterwards(fault) or answer


def _push_fault(fault: str) -> Response | None:
    match fault:
        case "later":
            return _push_error(429, 111, "too many", retry_after=90)
        case "busy":
            return _push_error(503, 201, "overloaded", retry_after=120)
        case "gone":
            return _push_error(410, 106, "the subscription has ended")
        case "missing":
            return _push_error(404, 102, "no such subscription")
        case "unauthorised":
            return _push_error(403, 109, "not your subscription")
    return _instead(fault)


def _push_malformed(content: bytes) -> Response | None:
    topic = request.headers.get("Topic", "")
    if not request.headers.get("TTL", "").isdigit():
        return _push_error(400, 112, "no TTL")
    if request.headers.get("Content-Encoding") != "aes128gcm":
        return _push_error(400, 110, "not sealed as RFC 8291 says")
    if len(topic) > 32 or not topic.replace("-", "").replace("_", "").isalnum():
        return _push_error(400, 113, "no topic")
    return _push_error(413, 104, "too long") if len(content) > 4096 else None


def _opened(plain: bytes) -> dict[str, Any]:
    told = json.loads(plain)
    return told if isinstance(told, dict) else {}


def _push_error(status: int, errno: int, message: str, retry_after: int | None = None) -> Response:
    answer = _json(status, {"code": status, "errno": errno, "message": message})
    if retry_after is not None:
        answer.headers["Retry-After"] = str(retry_after)
    return answer


# -- what they have in common -----------------------------------------------------------------------------------------


def _instead(fault: str) -> Response | None:
    """What a fault answers, or does, before anything was delivered."""
    match fault:
        case "broken":
            return Response("<html>Bad Gateway", status=502, mimetype="text/html")
        case "odd":
            return Response("", status=418)
        case "garbage":
            # A push service says nothing in its answer's body, so it is its status that makes no sense there.
            return Response("<html>", status=307 if request.path.startswith("/push/") else 200, mimetype="text/html")
        case "silent" if request.environ.get(IN_PROCESS):
            raise TimedOut
        case "silent":
            return Response("", status=504)
    return None


def _afterwards(fault: str) -> Response | None:
    """What a fault answers, or does, once the message is delivered."""
    match fault:
        case "garbage_after":
            return Response("<html>", status=307 if request.path.startswith("/push/") else 200, mimetype="text/html")
        case "silent_after" if request.environ.get(IN_PROCESS):
            raise TimedOut
        case "drop_after" if request.environ.get(IN_PROCESS):
            raise Dropped
        case "broken_after" | "silent_after" | "drop_after":
            return Response("<html>Bad Gateway", status=502, mimetype="text/html")
    return None


def _control(app: Flask, world: Messengers) -> None:
    @app.before_request
    def from_here_only() -> Response | None:
        far = request.path.startswith("/control/") and request.remote_addr not in {"127.0.0.1", "::1"}
        return _json(403, {"error": "from this machine only"}) if far else None

    @app.get("/control/health")
    def health() -> dict[str, Any]:
        return {"taken": len(world.delivered)}

    @app.get("/control/delivered")
    def delivered() -> dict[str, Any]:
        wanted = request.args.get("to", "")
        return {"messages": [asdict(one) for one in world.delivered if wanted in {"", one.to}]}

    @app.post("/control/browsers")
    def browsers() -> dict[str, Any]:
        return world.subscribe(request.host_url.rstrip("/"), server_key=_sent().get("server_key", ""))

    @app.post("/control/faults")
    def faults() -> Response:
        sent = _sent()
        try:
            world.fail(str(sent.get("service")), sent.get("kind"), sent.get("times", 1))
        except ValueError as error:
            return _json(400, {"error": str(error)})
        return _json(200, {"service": sent.get("service"), "kind": sent.get("kind"), "kinds": dict(FAULTS)})


def _sent() -> dict[str, Any]:
    sent = request.get_json(silent=True)
    return sent if isinstance(sent, dict) else {}


def _headers() -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _json(status: int, body: dict[str, Any]) -> Response:
    answer = jsonify(body)
    answer.status_code = status
    return answer
