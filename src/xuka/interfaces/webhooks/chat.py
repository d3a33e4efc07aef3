"""What people write to the shop's account in a messenger: a code from the settings page makes their chat a contact.

Everything else is answered 200 and forgotten: this is no place to talk.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterable
from datetime import timedelta
from http import HTTPStatus
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_exempt

from xuka.interfaces import clock
from xuka.interfaces.web import links, notifications
from xuka.interfaces.webhooks.views import problem

AT_MOST_BYTES = 64 * 1024
# How old what is signed with a time may be; the messengers try again within seconds.
FRESH_FOR = timedelta(minutes=5)
_CODE = re.compile(r"[A-Za-z0-9_-]{49}")


class Heard(NamedTuple):
    """Somebody's words, and the address at which they are answered."""

    address: str
    text: str


@csrf_exempt
def receive(request: HttpRequest, channel: str) -> HttpResponse:
    """Take what a messenger posts, when it is signed as that messenger signs. The same again changes nothing."""
    chat = settings.CHATS.get(channel)
    if chat is None or channel not in _READ:
        return problem(HTTPStatus.NOT_FOUND, "There is no such messenger here.")
    secret = chat["secret"]
    if int(request.META.get("CONTENT_LENGTH") or 0) > AT_MOST_BYTES:
        return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Messages are small.")
    if not secret or not _SIGNED[channel](request, secret):
        return problem(HTTPStatus.UNAUTHORIZED, "The signature does not fit.")
    if request.method == "GET":  # WeChat asks once whether the address is ours
        return HttpResponse(request.GET.get("echostr", ""), content_type="text/plain")
    now = clock.now()
    for heard in _READ[channel](request.body):
        code = _CODE.search(heard.text)
        found = links.paired(code[0], now=now) if code else None
        if found and heard.address:
            customer, made_at = found
            notifications.connect(customer=customer, channel=channel, address=heard.address, code_from=made_at, now=now)
    return HttpResponse(status=HTTPStatus.OK)


# -- whether it is them --------------------------------------------------------------------------------------------


def _by_telegram(request: HttpRequest, secret: str) -> bool:
    return constant_time_compare(request.headers.get("X-Telegram-Bot-Api-Secret-Token", ""), secret)


def _by_line(request: HttpRequest, secret: str) -> bool:
    right = base64.b64encode(hmac.new(secret.encode(), request.body, hashlib.sha256).digest()).decode()
    return constant_time_compare(request.headers.get("X-Line-Signature", ""), right)


def _by_wechat(request: HttpRequest, secret: str) -> bool:
    parts = sorted([secret, request.GET.get("timestamp", ""), request.GET.get("nonce", "")])
    right = hashlib.sha1("".join(parts).encode(), usedforsecurity=False).hexdigest()  # their way of signing
    # It does not cover the words, so that one which was overheard must not be good for long.
    return constant_time_compare(request.GET.get("signature", ""), right) and _is_fresh(
        request.GET.get("timestamp", "")
    )


def _is_fresh(timestamp: str) -> bool:
    at = int(timestamp) if re.fullmatch(r"[0-9]{1,12}", timestamp) else 0
    return abs(clock.now().timestamp() - at) < FRESH_FOR.total_seconds()


_SIGNED = {"telegram": _by_telegram, "line": _by_line, "wechat": _by_wechat}

# -- what they said ------------------------------------------------------------------------------------------------


def _from_telegram(body: bytes) -> Iterable[Heard]:
    message = _part(_document(body), "message")
    chat, text = _part(message, "chat"), message.get("text")
    if chat.get("type") == "private" and isinstance(text, str):
        yield Heard(str(chat.get("id", "")), text)


def _from_line(body: bytes) -> Iterable[Heard]:
    events = _document(body).get("events")
    for event in events if isinstance(events, list) else ():
        told = event if isinstance(event, dict) else {}
        text, user = _part(told, "message").get("text"), _part(told, "source").get("userId")
        if isinstance(text, str) and isinstance(user, str):
            yield Heard(user, text)


def _from_wechat(body: bytes) -> Iterable[Heard]:
    told = body.decode(errors="replace")
    found = [
        re.search(rf"<{name}><!\[CDATA\[([^\]]{{0,200}})\]\]></{name}>", told) for name in ("FromUserName", "Content")
    ]
    if found[0] and found[1]:
        yield Heard(found[0][1], found[1][1])


_READ = {"telegram": _from_telegram, "line": _from_line, "wechat": _from_wechat}


def _document(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _part(told: dict[str, Any], name: str) -> dict[str, Any]:
    part = told.get(name)
    return part if isinstance(part, dict) else {}
