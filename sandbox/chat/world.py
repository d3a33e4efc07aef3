"""What the messengers know: who may ask, which browsers are subscribed, what was delivered, what goes wrong next."""

from __future__ import annotations

import base64
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SERVICES = ("telegram", "line", "wechat", "webpush")

FAULTS: Mapping[str, str] = {
    "later": "too many messages: 429 (Telegram and push: in 90 seconds), WeChat's 45009",
    "gone": "nobody there: Telegram 403, LINE 400, WeChat 43004, push 410",
    "missing": "nobody was ever there: Telegram 400, LINE 400, WeChat 40003, push 404",
    "busy": "Telegram and LINE 500, WeChat's -1, push 503 with Retry-After: 120",
    "broken": "502 from a proxy, and nothing was sent",
    "odd": "a status that nobody lists (418, WeChat's 99999), and nothing was sent",
    "garbage": "200 and a page of HTML, and nothing was sent",
    "silent": "no answer, and nothing was sent",
    "unauthorised": "the token or the signature is not accepted; WeChat's 42001",
    "broken_after": "the message is delivered, but the answer is 502",
    "garbage_after": "the message is delivered, but the answer cannot be read",
    "silent_after": "the message is delivered, but no answer comes",
    "drop_after": "the message is delivered, but the connection breaks",
}


@dataclass(frozen=True, slots=True)
class Delivered:
    """One message as the person's device got it.

    Args:
        body: the whole message: what was sent in JSON, for a push what was inside its seal.
        headers: of the call that brought it, names in lower case.
    """

    service: str
    to: str
    text: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Browser:
    """One subscription at the push service, and what only the browser itself knows of it: how to open a push.

    Args:
        server_key: the VAPID key it was made with; "" takes pushes of any.
    """

    key: ec.EllipticCurvePrivateKey
    auth: bytes
    server_key: str = ""

    def opened(self, content: bytes) -> bytes:
        """What was sealed for it. Raises ``ValueError`` when it is not for this browser, or was changed."""
        try:
            return http_ece.decrypt(content, private_key=self.key, auth_secret=self.auth, version="aes128gcm")
        except Exception as error:
            raise ValueError("cannot be opened") from error


class Messengers:
    """Four messengers and those who use them. Safe between threads; ``deliver`` hears of every message."""

    def __init__(
        self,
        deliver: Callable[[Delivered], None] | None = None,
        *,
        telegram_token: str = "1000001:sandbox",  # noqa: S107
        line_token: str = "sandbox-line",  # noqa: S107
        wechat_app: str = "wxsandbox",
        wechat_secret: str = "sandbox-wechat",  # noqa: S107
        wechat_template: str = "sandbox-template",
        now: Callable[[], float] = time.time,
    ) -> None:
        self.telegram_token, self.line_token = telegram_token, line_token
        self.wechat_app, self.wechat_secret, self.wechat_template = wechat_app, wechat_secret, wechat_template
        self.now = now
        self.delivered: list[Delivered] = []
        self.browsers: dict[str, Browser] = {}
        self.tokens_given = 0
        self._deliver = deliver
        self._token = 1
        self._seen: dict[tuple[str, str], str] = {}
        self._faults: dict[str, tuple[str, int | None]] = {}
        self._lock = threading.RLock()

    # -- what goes wrong -----------------------------------------------------------------------------------------

    def fail(self, service: str, fault: str | None, times: int | None = 1) -> None:
        """Let this fault happen next at this service, so many times (None: until taken back); None for good weather."""
        if service not in SERVICES:
            raise ValueError(f"There is no service named {service!r}; there are {', '.join(SERVICES)}.")
        if fault is not None and fault not in FAULTS:
            raise ValueError(f"There is no fault named {fault!r}; there are {', '.join(FAULTS)}.")
        with self._lock:
            if fault is None:
                self._faults.pop(service, None)
            else:
                self._faults[service] = fault, times

    def happens(self, service: str) -> str:
        """The fault that happens now at this service, "" for none; uses one of its times."""
        with self._lock:
            fault, times = self._faults.get(service, ("", None))
            if fault and times is not None:
                self.fail(service, fault if times > 1 else None, times - 1)
            return fault

    # -- what is delivered ---------------------------------------------------------------------------------------

    def take(self, message: Delivered, *, once: str = "") -> tuple[str, bool]:
        """Deliver one message.

        Args:
            once: makes a second message with the same word, to the same person, the first one again.

        Returns:
            Its number, and whether it is new.
        """
        with self._lock:
            key = message.service, f"{message.to} {once}"
            if once and key in self._seen:
                return self._seen[key], False
            self.delivered.append(message)
            number = str(len(self.delivered))
            if once:
                self._seen[key] = number
        if self._deliver:
            self._deliver(message)
        return number, True

    # -- WeChat's token ------------------------------------------------------------------------------------------

    def wechat_token(self) -> str:
        """The token that is good now; asking again gives the same one."""
        with self._lock:
            self.tokens_given += 1
            return self.current_token

    @property
    def current_token(self) -> str:
        """The token that is good now."""
        return f"sandbox-access-{self._token}"

    def forget_token(self) -> None:
        """The token that is out is good no more."""
        with self._lock:
            self._token += 1

    # -- browsers ------------------------------------------------------------------------------------------------

    def subscribe(
        self,
        origin: str,
        *,
        key: ec.EllipticCurvePrivateKey | None = None,
        auth: bytes | None = None,
        server_key: str = "",
    ) -> dict[str, Any]:
        """A new browser at the push service that is found at ``origin``; its subscription, as a page sees it."""
        browser = Browser(key or ec.generate_private_key(ec.SECP256R1()), auth or os.urandom(16), server_key)
        with self._lock:
            id = f"browser-{len(self.browsers) + 1}"
            self.browsers[id] = browser
        point = browser.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return {
            "endpoint": f"{origin}/push/{id}",
            "expirationTime": None,
            "keys": {"p256dh": base64url(point), "auth": base64url(browser.auth)},
        }


def base64url(octets: bytes) -> str:
    """As browsers write bytes: base64url without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def from_base64url(text: str) -> bytes:
    """The bytes again. Raises ``ValueError`` for what is none."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
