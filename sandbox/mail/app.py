"""The page on which the letters of the sandbox are read. Asks nothing of any other host."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from io import BytesIO
from typing import Any

from flask import Flask, Response, abort, render_template, request, send_file

from sandbox.mail.inbox import FAULTS, Inbox

# The page runs its own script and style only; a letter's HTML lives in a frame that runs nothing at all.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
LETTER_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)

# Links open beside the inbox; a letter without a style of its own is still pleasant to read.
LETTER_HEAD = '<!doctype html><base target="_blank"><style>body { font: 16px/1.5 system-ui, sans-serif }</style>'

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "Inbox",
        "note": "Every letter and text message this demo sends ends here. Nothing leaves this machine.",
        "empty": "No letters yet. They appear here by themselves.",
        "from": "From",
        "to": "To",
        "received": "Received",
        "back": "All letters",
        "letter": "The letter",
        "as_text": "As plain text",
        "files": "Files",
        "phone": "Phone",
        "letters": "Letters",
        "other": "中文",
    },
    "zh": {
        "title": "收件箱",
        "note": "演示中发出的每一封邮件和短信都会到这里，不会真的寄出。",
        "empty": "还没有邮件。新邮件会自动出现在这里。",
        "from": "发件人",
        "to": "收件人",
        "received": "时间",
        "back": "全部邮件",
        "letter": "邮件正文",
        "as_text": "纯文本版本",
        "files": "附件",
        "phone": "手机短信",
        "letters": "邮件",
        "other": "English",
    },
}


def application(inbox: Inbox) -> Flask:
    """The WSGI application over this inbox: /, /<id> with /html and /files/<n>, /messages.json; /control from here."""
    app = Flask(__name__)
    app.after_request(_strict)
    app.add_template_filter(_when, "when")

    @app.get("/")
    def letters() -> str:
        address = request.args.get("to", "")
        return render_template("inbox.html", mails=inbox.to(address), texts=inbox.texts_to(address), **_chrome())

    @app.get("/<int:id>")
    def letter(id: int) -> str:
        mail = inbox.one(id)
        if mail is None:
            abort(404)
        return render_template("mail.html", mail=mail, **_chrome())

    @app.get("/<int:id>/html")
    def letter_html(id: int) -> Response:
        mail = inbox.one(id)
        if mail is None:
            abort(404)
        response = Response(LETTER_HEAD + mail.html, mimetype="text/html")
        response.headers["Content-Security-Policy"] = LETTER_POLICY
        return response

    @app.get("/<int:id>/files/<int:number>")
    def letter_file(id: int, number: int) -> Response:
        mail = inbox.one(id)
        if mail is None or number >= len(mail.files):
            abort(404)
        file = mail.files[number]
        return send_file(BytesIO(file.content), mimetype=file.mime, as_attachment=True, download_name=file.name)

    @app.get("/messages.json")
    def messages() -> dict[str, Any]:
        wanted = request.args.get("to", "").lower()
        told = [one for one in inbox.told() if not wanted or wanted in {to.lower() for to in one["recipients"]}]
        texts = [asdict(one) for one in inbox.texts_to(request.args.get("to", ""))]
        return {"count": len(told) + len(texts), "messages": told, "texts": texts}

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(status=204)

    _control(app, inbox)
    return app


def _control(app: Flask, inbox: Inbox) -> None:
    @app.post("/control/reset")
    def reset() -> dict[str, Any]:
        _only_from_here()
        inbox.clear()
        return {}

    @app.post("/control/texts")
    def texts() -> dict[str, Any]:
        _only_from_here()
        sent = request.get_json()
        inbox.keep_text(str(sent["from"]), str(sent["to"]), str(sent["text"]))
        return {}

    @app.post("/control/faults")
    def faults() -> tuple[dict[str, Any], int]:
        _only_from_here()
        sent = request.get_json()
        try:
            inbox.fail(sent.get("kind"), sent.get("times", 1))
        except ValueError as error:
            return {"error": str(error)}, 400
        return {"kind": inbox.fault, "times": inbox.times, "kinds": dict(FAULTS)}, 200


def _chrome() -> dict[str, Any]:
    language = _language()
    return {
        "words": WORDS[language],
        "language": "zh-Hans" if language == "zh" else "en",
        "lang": language,
        "other": "en" if language == "zh" else "zh",
    }


def _language() -> str:
    asked = request.args.get("lang", "")[:2].lower()
    return asked if asked in WORDS else request.accept_languages.best_match(["en", "zh"]) or "en"


def _when(stamp: str) -> str:
    return f"{datetime.fromisoformat(stamp):%Y-%m-%d %H:%M} UTC"


def _only_from_here() -> None:
    try:
        if ipaddress.ip_address(request.remote_addr or "").is_loopback:
            return
    except ValueError:
        pass
    abort(403)


def _strict(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response
