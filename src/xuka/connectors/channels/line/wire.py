"""LINE's push message in words of ours. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.messaging.contract import Letter

AGAIN_AFTER = timedelta(minutes=1)
"""How long to wait after "later" when LINE does not say."""
LONGEST_WAIT = timedelta(hours=1)

# Why a message was not taken.
GONE = "gone"
LATER = "later"
UNREACHABLE = "unreachable"
BAD_ADDRESS = "bad_address"
BAD_REQUEST = "bad_request"
NOT_AUTHORISED = "not_authorised"

# LINE counts in UTF-16 code units: an emoji is two.
LONGEST_TEXT = 5000

# A user, a group or a room.
_ADDRESS = re.compile(r"[UCR][0-9a-f]{32}")

# Messages of a 400 that say: this channel knows nobody by that id.
_NOBODY = ("failed to send messages", "the property, 'to',", "user not found")


def message_of(letter: Letter) -> dict[str, Any] | None:
    """The body of a push: subject, empty line, text. None when ``letter.to`` is no id of LINE's.

    A text too long for one message is cut.
    """
    if not _ADDRESS.fullmatch(letter.to):
        return None
    subject, text = " ".join(letter.subject.split()), letter.text.strip()
    said = f"{subject}\n\n{text}" if subject and text else subject or text
    return {"to": letter.to, "messages": [{"type": "text", "text": shortened(said, LONGEST_TEXT)}]}


def shortened(text: str, units: int) -> str:
    """The text in at most so many UTF-16 code units, with "…" at its end when it was cut."""
    encoded = text.encode("utf-16-le")
    if len(encoded) <= 2 * units:
        return text
    # Half a surrogate pair at the end is dropped.
    return encoded[: 2 * (units - 1)].decode("utf-16-le", errors="ignore") + "…"


def outcome_of(status: int, body: Any, *, letter_id: UUID, retry_after: str = "") -> Outcome[str]:
    """What an answer means.

    Args:
        body: the answer's JSON, None where it is none.
        letter_id: what the retry key was; the reference where LINE names no message.
        retry_after: the header of this name; seconds.
    """
    told = body if isinstance(body, Mapping) else {}
    detail = f"status {status}"
    match status:
        case 200:
            id = _message_id(told)
            return Done(id) if id else Unknown("status 200 without a message id")
        case 409:
            # The retry key is known: the first sending was taken, whatever became of its answer.
            return Done(_message_id(told) or str(letter_id))
        case 400:
            said = str(told.get("message", "")).lower()
            return Refused(GONE if any(words in said for words in _NOBODY) else BAD_REQUEST, None, detail)
        case 401:
            # The seller's token is wrong, not the text: it goes out once that is put right.
            return Refused(NOT_AUTHORISED, AGAIN_AFTER, detail)
        case 403 | 413:
            return Refused(BAD_REQUEST, None, detail)
        case 429:
            return Refused(LATER, _wait(str(told.get("message", "")), retry_after), detail)
    return Unknown(detail)


def _message_id(told: Mapping[str, Any]) -> str:
    sent = told.get("sentMessages")
    first = sent[0] if isinstance(sent, list) and sent else None
    id = first.get("id") if isinstance(first, Mapping) else None
    return id if isinstance(id, str) else ""


def _wait(message: str, retry_after: str) -> timedelta:
    if "monthly limit" in message.lower():
        return LONGEST_WAIT
    told = retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 7
    seconds = timedelta(seconds=int(retry_after)) if told else AGAIN_AFTER
    return min(max(seconds, timedelta(seconds=1)), LONGEST_WAIT)
