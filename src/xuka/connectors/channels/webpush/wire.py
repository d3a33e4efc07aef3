"""Web Push (RFC 8030, 8291, 8292) in words of ours. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.messaging.contract import Letter

AGAIN_AFTER = timedelta(minutes=1)
"""How long to wait after "later" when the push service does not say."""
LONGEST_WAIT = timedelta(hours=1)

# Why a message was not taken.
GONE = "gone"
LATER = "later"
UNREACHABLE = "unreachable"
BAD_ADDRESS = "bad_address"
BAD_REQUEST = "bad_request"
NOT_AUTHORISED = "not_authorised"

# RFC 8291 §4: one record of at most 4096 bytes, of which 86 are its head, 16 its seal and 1 the end of its padding.
LONGEST_PAYLOAD = 4096 - 86 - 16 - 1
LONGEST_TITLE = 200
LONGEST_URL = 1000
LONGEST_ENDPOINT = 2000

_LINK = re.compile(r"https?://[!#-;=?-~]+")


@dataclass(frozen=True, slots=True)
class Subscription:
    """One browser on one device. Who holds all of it can write to that browser, so it shows none of it.

    Args:
        p256dh: the browser's public key, an uncompressed point of 65 bytes in base64url.
        auth: the secret it shares with us, 16 bytes in base64url.
    """

    endpoint: str = field(repr=False)
    p256dh: str = field(repr=False)
    auth: str = field(repr=False)


def subscription_of(text: str) -> Subscription | None:
    """What ``JSON.stringify(subscription)`` made in a browser; None for anything else."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    keys = told.get("keys") if isinstance(told, Mapping) else None
    if not isinstance(keys, Mapping):
        return None
    endpoint, p256dh, auth = told.get("endpoint"), _bytes(keys.get("p256dh")), _bytes(keys.get("auth"))
    if not isinstance(endpoint, str) or len(endpoint) > LONGEST_ENDPOINT:
        return None
    if len(p256dh) != 65 or p256dh[0] != 4 or len(auth) != 16:
        return None
    return Subscription(endpoint, base64url(p256dh), base64url(auth))


def payload_of(letter: Letter) -> bytes:
    """What the service worker gets: JSON with title, body, url and tag.

    The url is the first link in the text, empty without one; the tag is the letter's id, so that a second copy takes
    the first one's place on the screen. A link that ends the text is where a tap leads, and not read; a text too long
    for one record is cut.
    """
    link = _LINK.search(letter.text)
    url = link[0].rstrip(".,;:!?)]}'") if link else ""
    title = " ".join(letter.subject.split())[:LONGEST_TITLE]
    body = letter.text.strip().removesuffix(f"\n{url}") if url else letter.text.strip()
    told = {"title": title, "body": body, "url": url if len(url) <= LONGEST_URL else "", "tag": str(letter.id)}
    while (over := len(_json(told)) - LONGEST_PAYLOAD) > 0 and body:
        # No character takes more than six bytes, so this never cuts too much.
        body = body[: -max(1, over // 6)]
        told["body"] = body.rstrip() + "…"
    return _json(told)


def outcome_of(status: int, *, location: str, topic: str, retry_after: str = "") -> Outcome[str]:
    """What an answer means.

    Args:
        location: the header of this name, the push service's own name for the message; may be empty.
        topic: what is named where the push service names nothing.
        retry_after: the header of this name; seconds.
    """
    detail = f"status {status}"
    match status:
        case 200 | 201 | 202 | 204:
            return Done(location or topic)
        case 404 | 410:
            # The person took the permission back, or the browser has another subscription by now.
            return Refused(GONE, None, detail)
        case 429 | 503:
            return Refused(LATER, _wait(retry_after), detail)
        case 401 | 403:
            # The seller's key is wrong, not the text: it goes out once that is put right.
            return Refused(NOT_AUTHORISED, AGAIN_AFTER, detail)
        case 400 | 413:
            return Refused(BAD_REQUEST, None, detail)
    return Unknown(detail)


def base64url(octets: bytes) -> str:
    """As browsers write bytes: base64url without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def _bytes(text: object) -> bytes:
    if not isinstance(text, str) or not text.isascii():
        return b""
    text = text.rstrip("=").replace("+", "-").replace("/", "_")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _json(told: Mapping[str, str]) -> bytes:
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def _wait(text: str) -> timedelta:
    seconds = timedelta(seconds=int(text)) if text.isascii() and text.isdigit() and len(text) < 7 else AGAIN_AFTER
    return min(max(seconds, timedelta(seconds=1)), LONGEST_WAIT)
