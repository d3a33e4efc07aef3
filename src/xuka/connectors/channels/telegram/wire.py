"""The Bot API's sendMessage in words of ours. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.messaging.contract import Letter

AGAIN_AFTER = timedelta(minutes=1)
"""How long to wait after "later" when Telegram does not say."""
LONGEST_WAIT = timedelta(hours=1)

# Why a message was not taken.
GONE = "gone"
LATER = "later"
UNREACHABLE = "unreachable"
BAD_ADDRESS = "bad_address"
BAD_REQUEST = "bad_request"
NOT_AUTHORISED = "not_authorised"

# Telegram counts in UTF-16 code units: an emoji is two.
LONGEST_TEXT = 4096

# Descriptions of a 400 that say: nobody is at this chat id, now or later.
_NOBODY = ("chat not found", "user not found", "peer_id_invalid", "group chat was upgraded", "group is deactivated")


def message_of(letter: Letter) -> dict[str, Any] | None:
    """The body of sendMessage: subject, empty line, text. None when ``letter.to`` is no chat id.

    There is no parse_mode: a name with an asterisk in it stays as it is. A text too long for one message is cut.
    """
    digits = letter.to.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 16):
        return None
    subject, text = " ".join(letter.subject.split()), letter.text.strip()
    said = f"{subject}\n\n{text}" if subject and text else subject or text
    return {"chat_id": int(letter.to), "text": shortened(said, LONGEST_TEXT)}


def shortened(text: str, units: int) -> str:
    """The text in at most so many UTF-16 code units, with "…" at its end when it was cut."""
    encoded = text.encode("utf-16-le")
    if len(encoded) <= 2 * units:
        return text
    # Half a surrogate pair at the end is dropped.
    return encoded[: 2 * (units - 1)].decode("utf-16-le", errors="ignore") + "…"


def outcome_of(status: int, body: Any) -> Outcome[str]:
    """What an answer means.

    Args:
        body: the answer's JSON, None where it is none.
    """
    told = body if isinstance(body, Mapping) else {}
    if status == 200:
        return _taken(told)
    detail = f"status {status}"
    match status:
        case 403:
            # Blocked, deactivated, or never started: only the person can change that.
            return Refused(GONE, None, detail)
        case 400:
            description = str(told.get("description", "")).lower()
            nobody = any(words in description for words in _NOBODY)
            return Refused(GONE if nobody else BAD_REQUEST, None, detail)
        case 401 | 404:
            # The seller's token is wrong, not the text: it goes out once that is put right.
            return Refused(NOT_AUTHORISED, AGAIN_AFTER, detail)
        case 429:
            return Refused(LATER, _wait(told.get("parameters")), detail)
    return Unknown(detail)


def _taken(told: Mapping[str, Any]) -> Outcome[str]:
    result = told.get("result")
    id = result.get("message_id") if isinstance(result, Mapping) else None
    if told.get("ok") is True and isinstance(id, int):
        return Done(str(id))
    return Unknown("status 200 without a message id")


def _wait(parameters: Any) -> timedelta:
    seconds = parameters.get("retry_after") if isinstance(parameters, Mapping) else None
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        return AGAIN_AFTER
    return timedelta(seconds=min(max(seconds, 1), LONGEST_WAIT.total_seconds()))
