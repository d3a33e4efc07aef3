"""Twilio's Messages resource in words of ours. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from xuka.kernel.outcome import Done, Outcome, Refused, Unknown

AGAIN_AFTER = timedelta(minutes=1)
"""How long to wait after "later" when the gateway does not say."""
LONGEST_WAIT = timedelta(hours=1)

# Why a text was not taken.
REFUSED = "refused"
LATER = "later"
UNREACHABLE = "unreachable"
BAD_ADDRESS = "bad_address"
BLOCKED = "blocked"
NOT_AUTHORISED = "not_authorised"

# Twilio's error codes: no number, not one that can be reached, no mobile; and: this person answered STOP.
_BAD_NUMBERS = {21211, 21214, 21217, 21614}
_STOPPED = 21610


def outcome_of(status: int, body: Any, retry_after: str = "") -> Outcome[str]:
    """What an answer means.

    Args:
        body: the answer's JSON, None where it is none.
        retry_after: the header of this name; seconds.
    """
    told = body if isinstance(body, Mapping) else {}
    if status in {200, 201}:
        sid = told.get("sid")
        return Done(sid) if isinstance(sid, str) and sid else Unknown(f"status {status} without a sid")
    code = told.get("code")
    detail = f"status {status}" + (f", code {code}" if isinstance(code, int) else "")
    if status == 429:
        return Refused(LATER, _wait(retry_after), detail)
    if status in {401, 403, 404}:
        # The seller's setting is wrong, not the text: it goes out once that is put right.
        return Refused(NOT_AUTHORISED, AGAIN_AFTER, detail)
    if code in _BAD_NUMBERS:
        return Refused(BAD_ADDRESS, None, detail)
    if code == _STOPPED:
        return Refused(BLOCKED, None, detail)
    if 400 <= status < 500:
        return Refused(REFUSED, None, detail)
    return Unknown(detail)


def _wait(text: str) -> timedelta:
    seconds = timedelta(seconds=int(text)) if text.isascii() and text.isdigit() and len(text) < 7 else AGAIN_AFTER
    return min(max(seconds, timedelta(seconds=1)), LONGEST_WAIT)
