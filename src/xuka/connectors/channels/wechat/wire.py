"""WeChat's template messages in words of ours. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.messaging.contract import Letter

AGAIN_AFTER = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)
"""How long to wait when the day's quota is used up; WeChat does not say."""

# Why a message was not taken.
GONE = "gone"
LATER = "later"
UNREACHABLE = "unreachable"
BAD_ADDRESS = "bad_address"
BAD_REQUEST = "bad_request"
NOT_AUTHORISED = "not_authorised"

# What fills a template's field.
PARTS = ("subject", "text")

# A field shows 20 characters, a whole message 200; line breaks are not allowed.
LONGEST_FIELD = 20
LONGEST_OPENING = 100
_OPENINGS = {"first", "remark"}

_OPENID = re.compile(r"[0-9A-Za-z_-]{20,64}")
_LINK = re.compile(r"https?://[!#-;=?-~]+")

_OLD_TOKEN = {40001, 40014, 42001}
_NOBODY = {40003, 43004}
_BUSY = -1
_QUOTA = {45009, 45011}
# No such template, the interface not granted, an address that may not ask: the seller's settings, not the text.
_SETTINGS = {40036, 40037, 40164, 48001}
_BAD_REQUEST = {40039, 44002, 47001, 47003}


class Token(NamedTuple):
    """An access token and how many seconds it lives."""

    value: str
    expires_in: int

    def __repr__(self) -> str:
        return f"Token(…, {self.expires_in})"


def message_of(letter: Letter, *, template: str, fields: Mapping[str, str]) -> dict[str, Any] | None:
    """The body of a template message; None when ``letter.to`` is no openid.

    The first link in the text is where a tap leads; the text itself goes without links.

    Args:
        fields: what fills each of the template's fields: "subject" or "text".
    """
    if not _OPENID.fullmatch(letter.to):
        return None
    parts = {"subject": " ".join(letter.subject.split()), "text": " ".join(_LINK.sub(" ", letter.text).split())}
    # An empty field is an error at WeChat's: the other part stands in.
    filled = {field: parts[part] or parts["subject"] or parts["text"] or "-" for field, part in fields.items()}
    message: dict[str, Any] = {
        "touser": letter.to,
        "template_id": template,
        # The same id to the same person within ten minutes is one message.
        "client_msg_id": letter.id.hex,
        "data": {field: {"value": shortened(text, longest_of(field))} for field, text in filled.items()},
    }
    if link := _LINK.search(letter.text):
        message["url"] = link[0].rstrip(".,;:!?)]}'")
    return message


def longest_of(field: str) -> int:
    """How many characters this field of a template may hold."""
    return LONGEST_OPENING if field in _OPENINGS else LONGEST_FIELD


def shortened(text: str, characters: int) -> str:
    """The text in at most so many characters, with "…" at its end when it was cut."""
    return text if len(text) <= characters else text[: characters - 1].rstrip() + "…"


def token_of(status: int, body: Any) -> Token | Refused:
    """What an answer to the question for a token means. Nothing was sent before it, so nothing here is unknown."""
    told = body if isinstance(body, Mapping) else {}
    value, seconds, code = told.get("access_token"), told.get("expires_in"), told.get("errcode")
    if status == 200 and isinstance(value, str) and value and isinstance(seconds, int):
        return Token(value, seconds)
    if not isinstance(code, int):
        return Refused(UNREACHABLE, AGAIN_AFTER, f"no token: status {status}")
    if code in _QUOTA or code == _BUSY:
        return Refused(LATER, LONGEST_WAIT if code in _QUOTA else AGAIN_AFTER, f"no token: errcode {code}")
    return Refused(NOT_AUTHORISED, AGAIN_AFTER, f"no token: errcode {code}")


def is_old_token(outcome: Outcome[str]) -> bool:
    """Whether a message was refused for nothing but its token."""
    return isinstance(outcome, Refused) and outcome.reason == NOT_AUTHORISED and outcome.detail in _OLD_TOKEN_DETAILS


def outcome_of(status: int, body: Any) -> Outcome[str]:
    """What an answer means; WeChat answers 200 and says in ``errcode`` what happened.

    Args:
        body: the answer's JSON, None where it is none.
    """
    told = body if isinstance(body, Mapping) else {}
    code = told.get("errcode")
    if status != 200 or not isinstance(code, int):
        return Unknown(f"status {status}" if status != 200 else "status 200 without an errcode")
    detail = _detail(code)
    if code == 0:
        id = told.get("msgid")
        return Done(str(id)) if isinstance(id, int | str) and id else Unknown("errcode 0 without a msgid")
    if code in _NOBODY:
        # Not a follower, or no openid of this account: only the person can change that.
        return Refused(GONE, None, detail)
    if code == _BUSY or code in _QUOTA:
        return Refused(LATER, LONGEST_WAIT if code in _QUOTA else AGAIN_AFTER, detail)
    if code in _SETTINGS or code in _OLD_TOKEN:
        # It goes out once that is put right.
        return Refused(NOT_AUTHORISED, AGAIN_AFTER, detail)
    return Refused(BAD_REQUEST, None, detail) if code in _BAD_REQUEST else Unknown(detail)


def _detail(code: int) -> str:
    return f"errcode {code}"


_OLD_TOKEN_DETAILS = {_detail(code) for code in _OLD_TOKEN}
