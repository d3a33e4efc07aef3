"""The words of docs/reference/own-network.md <-> ours. Pure. Whatever is not listed here is ``Unknown``."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from xuka.activation.contract import Activation, Esim, Offer, Reason, Usage
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown

T = TypeVar("T")

# What a problem's type says, and how long to wait where asking again can succeed and nothing else is told.
REFUSALS: Mapping[str, tuple[Reason, timedelta | None]] = {
    "bad-request": (Reason.BAD_REQUEST, None),
    "key-reused": (Reason.BAD_REQUEST, None),
    "not-authorised": (Reason.NOT_AUTHORISED, None),
    # It was too long on its way, or a clock is wrong: sent again it has a time of its own.
    "stale-request": (Reason.NOT_AUTHORISED, timedelta(seconds=30)),
    "out-of-credit": (Reason.SELLER_OUT_OF_CREDIT, timedelta(minutes=5)),
    "card-unknown": (Reason.CARD_UNKNOWN, None),
    "card-recycled": (Reason.CARD_RECYCLED, None),
    "package-unknown": (Reason.PACKAGE_UNKNOWN, None),
    "package-gone": (Reason.OUT_OF_STOCK, None),
    "out-of-stock": (Reason.OUT_OF_STOCK, timedelta(minutes=1)),
    "top-up-disabled": (Reason.TOP_UP_DISABLED, None),
    "rate-limited": (Reason.RATE_LIMITED, timedelta(seconds=30)),
    "maintenance": (Reason.MAINTENANCE, timedelta(minutes=1)),
    "not-supported": (Reason.NOT_SUPPORTED, None),
    "period-unknown": (Reason.BAD_REQUEST, None),
    "begun": (Reason.BEGUN, None),
}

LONGEST_DETAIL = 200

APPLE_LINKS = "https://esimsetup.apple.com/"
"""Where a one-tap link of an eSIM leads. One that leads elsewhere, or to another eSIM, is not passed on."""

# An SM-DP+ address and an activation code, of what GSMA SGP.22 lets them be made.
_INSTALLABLE = re.compile(r"[A-Za-z0-9.\-_:]{1,255}")
_ICCID = re.compile(r"89[0-9]{16,18}")
_LONG_NUMBER = re.compile(r"[0-9]{10,}")


class Unreadable(ValueError):
    """The answer is not of the documented shape; the sentence says what was seen."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, taken apart.

    Args:
        body: the parsed JSON, None when it was no JSON.
        is_problem: it calls itself application/problem+json.
        retry_after: from the ``Retry-After`` header.
    """

    status: int
    body: Any
    is_problem: bool = False
    retry_after: timedelta | None = None


def answer_of(*, status: int, content: bytes, headers: Mapping[str, str]) -> Answer:
    """The answer taken apart; never raises, whatever was sent."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    mime = headers.get("content-type", "").partition(";")[0].strip().lower()
    return Answer(status, body, mime == "application/problem+json", _retry_after(headers.get("retry-after", "")))


def signature(secret: str, *, method: str, target: str, timestamp: str, body: bytes) -> str:
    """The ``X-Signature`` header: HMAC-SHA256 in hex over method, target, timestamp, each ended by LF, and the body.

    Args:
        target: path and query as they are sent, e.g. "/v1/periods?key=xuka-1".
        timestamp: milliseconds since 1970 in decimal digits, as in ``X-Timestamp``.
    """
    text = f"{method}\n{target}\n{timestamp}\n".encode() + body
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def refusal_of(answer: Answer) -> Refused | None:
    """What a problem of a listed type surely refuses; None for anything else, whatever its status."""
    if not answer.is_problem or answer.status < 400 or not isinstance(answer.body, dict):
        return None
    word = answer.body.get("type")
    if not isinstance(word, str) or word not in REFUSALS:
        return None
    reason, pause = REFUSALS[word]
    detail = without_numbers(f"{word} {answer.body.get('detail') or ''}".strip())[:LONGEST_DETAIL]
    return Refused(reason, None if pause is None else answer.retry_after or pause, detail)


def speed_of(answer: Answer, *, iccid: str) -> Outcome[int | None]:
    """PUT /v1/cards/{iccid}/speed and GET /v1/cards/{iccid}: the speed that is set, kilobits a second."""
    return _read(answer, lambda: _kbps(_of_card(_object(answer, 200), iccid)))


def activation_of(answer: Answer, *, key: str, iccid: str, package: str) -> Outcome[Activation]:
    """POST /v1/cards/{iccid}/periods. An answer about anything else than was asked for is ``Unknown``."""
    return _read(answer, lambda: _exactly(_activation(_object(answer, 200, 201)), key, package, iccid))


def issued_of(answer: Answer, *, key: str, package: str) -> Outcome[Activation]:
    """POST /v1/esims, the profile inside. An answer about anything else than was asked for is ``Unknown``."""
    return _read(answer, lambda: _exactly(_issued(_object(answer, 200, 201)), key, package, None))


def found_of(answer: Answer, *, key: str, iccid: str, package: str) -> Outcome[tuple[Activation, ...]]:
    """GET /v1/periods?key=: what is exactly of this key, card and package, oldest first."""

    def read() -> tuple[Activation, ...]:
        found = [_activation(row) for row in _rows(answer, "periods")]
        return _oldest_first([a for a in found if (a.key, a.iccid, a.package) == (key, iccid, package)])

    return _read(answer, read)


def found_issued_of(answer: Answer, *, key: str, package: str) -> Outcome[tuple[Activation, ...]]:
    """GET /v1/esims?key=: the new eSIMs exactly of this key and package, their profiles inside, oldest first."""

    def read() -> tuple[Activation, ...]:
        ours = [r for r in _rows(answer, "esims") if (r.get("key"), r.get("package")) == (key, package)]
        return _oldest_first([_issued(row) for row in ours])

    return _read(answer, read)


def offers_of(answer: Answer) -> Outcome[tuple[Offer, ...]]:
    """GET /v1/cards/{iccid}/offers."""

    def read() -> tuple[Offer, ...]:
        rows = _rows(answer, "offers")
        return tuple(Offer(_text(row, "package"), _money(row, "cost_minor")) for row in rows)

    return _read(answer, read)


def usage_of(answer: Answer) -> Outcome[Usage]:
    """GET /v1/cards/{iccid}/usage. Of an unlimited package the volumes are None, whatever is told."""

    def read() -> Usage:
        row = _object(answer, 200)
        unlimited = row.get("unlimited")
        if not isinstance(unlimited, bool):
            raise Unreadable("usage that does not tell whether it is unlimited")
        return Usage(
            as_of=_moment(row.get("as_of")),
            unlimited=unlimited,
            remaining_bytes=None if unlimited else _count_or_none(row, "remaining_bytes"),
            total_bytes=None if unlimited else _count_or_none(row, "total_bytes"),
            expires_at=_moment_or_none(row, "expires_at"),
            status=_text(row, "status"),
        )

    return _read(answer, read)


def balance_of(answer: Answer) -> Outcome[Money]:
    """GET /v1/balance."""
    return _read(answer, lambda: _money(_object(answer, 200), "amount_minor", may_owe=True))


def text_of(answer: Answer) -> Outcome[str]:
    """POST /v1/cards/{iccid}/texts: the operator's id of the text."""
    return _read(answer, lambda: _text(_object(answer, 200, 202), "id"))


def cancelled_of(answer: Answer, *, reference: str) -> Outcome[None]:
    """PUT /v1/cards/{iccid}/periods/{id}/cancelled. An answer about another period is ``Unknown``."""

    def read() -> None:
        if _text(_object(answer, 200), "id") != reference:
            raise Unreadable("an answer about another period")

    return _read(answer, read)


def without_numbers(said: str) -> str:
    """The operator's words with every long number masked, fit for a log."""
    return _LONG_NUMBER.sub(lambda found: ids.masked(found.group()), said)


def _read(answer: Answer, read: Callable[[], T]) -> Outcome[T]:
    if refused := refusal_of(answer):
        return refused
    try:
        return Done(read())
    except Unreadable as seen:
        return Unknown(f"status {answer.status}: {seen}")


def _object(answer: Answer, *statuses: int) -> Mapping[str, Any]:
    if answer.status not in statuses or answer.is_problem or not isinstance(answer.body, dict):
        raise Unreadable("no such answer is listed")
    return answer.body


def _rows(answer: Answer, name: str) -> list[Mapping[str, Any]]:
    rows = _object(answer, 200).get(name)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Unreadable(f"no list of {name}")
    return rows


def _of_card(row: Mapping[str, Any], iccid: str) -> Mapping[str, Any]:
    if row.get("iccid") != iccid:
        raise Unreadable("an answer about another card")
    return row


def _kbps(row: Mapping[str, Any]) -> int | None:
    if "kbps" not in row:
        raise Unreadable("no kbps")
    return _count_or_none(row, "kbps")


def _exactly(activation: Activation, key: str, package: str, iccid: str | None) -> Activation:
    if (activation.key, activation.package) != (key, package) or iccid not in (None, activation.iccid):
        raise Unreadable("an answer about something else than was asked for")
    return activation


def _oldest_first(found: list[Activation]) -> tuple[Activation, ...]:
    return tuple(sorted(found, key=lambda one: one.activated_at))


def _activation(row: Mapping[str, Any]) -> Activation:
    return Activation(
        reference=_text(row, "id"),
        key=_text(row, "key"),
        iccid=_iccid(row),
        package=_text(row, "package"),
        activated_at=_moment(row.get("activated_at")),
        ends_at=_moment_or_none(row, "ends_at"),
    )


def _issued(row: Mapping[str, Any]) -> Activation:
    told = row.get("esim")
    if not isinstance(told, dict):
        raise Unreadable("a new eSIM without its profile")
    address, code = _said(told, "smdp_address"), _said(told, "matching_id")
    if not _INSTALLABLE.fullmatch(address) or not _INSTALLABLE.fullmatch(code):
        raise Unreadable("an eSIM that cannot be installed")
    link = _said(told, "apple_url")
    esim = Esim(
        smdp_address=address,
        matching_id=code,
        confirmation_code=_said(told, "confirmation_code"),
        msisdn=_said(told, "msisdn"),
        apn=_said(told, "apn"),
        apple_url=link if link.startswith(APPLE_LINKS) and link.endswith(f"=LPA:1${address}${code}") else "",
    )
    return replace(_activation(row), esim=esim)


def _iccid(row: Mapping[str, Any]) -> str:
    iccid = _text(row, "iccid")
    if not _ICCID.fullmatch(iccid):
        raise Unreadable("no ICCID")
    return iccid


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"no {name}")
    return value


def _said(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return value.strip() if isinstance(value, str) else ""


def _count_or_none(row: Mapping[str, Any], name: str) -> int | None:
    value = row.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise Unreadable(f"a {name} that is no count")
    return value


def _money(row: Mapping[str, Any], name: str, *, may_owe: bool = False) -> Money:
    minor, currency = row.get(name), _text(row, "currency")
    if not isinstance(minor, int) or isinstance(minor, bool) or (minor < 0 and not may_owe) or abs(minor) >= 2**63:
        raise Unreadable(f"a {name} that is no amount")
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise Unreadable("an amount without a currency")
    return Money(minor, currency)


def _moment_or_none(row: Mapping[str, Any], name: str) -> datetime | None:
    return None if row.get(name) is None else _moment(row[name])


def _moment(stamp: Any) -> datetime:
    """ISO 8601 with a zone: a time without one is somebody else's guess."""
    try:
        moment = datetime.fromisoformat(stamp)
    except (TypeError, ValueError):
        raise Unreadable("a time that cannot be read") from None
    if moment.tzinfo is None:
        raise Unreadable("a time without a zone")
    return moment.astimezone(UTC)


def _retry_after(header: str) -> timedelta | None:
    """Whole seconds; at most a day, so that a slip of theirs stops nothing for good."""
    return timedelta(seconds=min(int(header), 86_400)) if header.isascii() and header.isdigit() else None
