"""Airalo's words <-> ours. Pure. Whatever is not listed here is ``Unknown``.

Source of every rule: Airalo Partner API v2 as published on developers.partners.airalo.com (see README.md).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any

from xuka.activation.contract import Activation, Esim, Offer, Reason, Usage
from xuka.kernel import ids
from xuka.kernel.money import Money, from_major
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.kernel.volume import GIGABYTE

# How long to wait before asking again, where Airalo says "later" without saying when.
AFTER_FUNDING = timedelta(minutes=5)
AFTER_MAINTENANCE = timedelta(minutes=1)
AFTER_STOCK = timedelta(minutes=1)
AFTER_TOO_MANY = timedelta(seconds=30)

# Airalo's "1 GB" package has an amount of 1024 MB. So that a package named 3 GB is shown as 3 GB, and never more is
# promised than there is, 1024 of its MB are one gigabyte of ours.
MB_PER_GIGABYTE = 1024

CREDIT_CURRENCY = "USD"
"""Partners are billed from a credit in US dollars; an offer's net price is quoted in it."""

# Airalo's business errors, from its page "Error handling". 53 ("something unexpected happened") is left out on
# purpose: nobody can tell whether it acted.
REFUSALS: Mapping[int, tuple[Reason, timedelta | None]] = {
    11: (Reason.SELLER_OUT_OF_CREDIT, AFTER_FUNDING),
    13: (Reason.MAINTENANCE, AFTER_MAINTENANCE),
    14: (Reason.BAD_REQUEST, None),
    23: (Reason.TOP_UP_DISABLED, None),
    33: (Reason.OUT_OF_STOCK, AFTER_STOCK),
    34: (Reason.OUT_OF_STOCK, None),
    43: (Reason.BAD_REQUEST, None),
    73: (Reason.CARD_RECYCLED, None),
    89: (Reason.NOT_AUTHORISED, None),
}

_NO_SUCH_PACKAGE = frozenset(
    {"invalid topup package", "the selected package is invalid.", "the selected package id is invalid."}
)

# What an order's status says about whether its package is on the card.
TAKEN = frozenset({"completed"})
NOT_TAKEN = frozenset({"failed", "refunded"})


APPLE_LINKS = "https://esimsetup.apple.com/"
"""Where a one-tap link of an eSIM leads. Published answers carry links of other eSIMs: these are not passed on."""

# An SM-DP+ address and an activation code, of what GSMA SGP.22 lets them be made.
_INSTALLABLE = re.compile(r"[A-Za-z0-9.\-_:]{1,255}")


class Unreadable(ValueError):
    """The answer is not of a documented shape; the sentence says what was seen."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, taken apart.

    Args:
        body: the parsed JSON (fractions as ``Decimal``), None when it was no JSON.
        date: when the carrier answered, from its ``Date`` header, aware UTC; None when it does not tell.
        retry_after: from the ``Retry-After`` header.
    """

    status: int
    body: Any
    date: datetime | None = None
    retry_after: timedelta | None = None


def answer_of(*, status: int, content: bytes, headers: Mapping[str, str]) -> Answer:
    """The answer taken apart; never raises, whatever was sent."""
    try:
        body = json.loads(content, parse_float=Decimal)
    except (ValueError, RecursionError):
        body = None
    return Answer(status, body, _date(headers.get("date", "")), _retry_after(headers.get("retry-after", "")))


def signature(secret: str, payload: Mapping[str, str | int]) -> str:
    """The ``airalo-signature`` header: HMAC-SHA512 in hex over compact JSON with "/" written as in PHP.

    Raises ``AssertionError`` for text that is not ASCII: there Airalo's own SDKs disagree with each other.
    """
    text = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).replace("/", "\\/")
    assert text.isascii(), "the carrier's SDKs sign other than ASCII in different ways"
    return hmac.new(secret.encode(), text.encode(), hashlib.sha512).hexdigest()


def refusal_of(answer: Answer) -> Refused | None:
    """What the answer surely refuses, whatever was asked; None when it does not.

    Airalo documents some refusals as examples under status 200, so the body counts as much as the status.
    """
    if answer.status == 429:
        return Refused(Reason.RATE_LIMITED, answer.retry_after or AFTER_TOO_MANY, "429 Too Many Attempts")
    if answer.status == 401:
        return Refused(Reason.NOT_AUTHORISED, None, _message(answer.body) or "status 401")
    body = answer.body
    if answer.status not in {200, 403, 404, 422} or not isinstance(body, dict):
        return None
    code = body.get("code")
    if isinstance(code, int) and answer.status in {200, 403, 422}:
        return _refusal_by_code(code, str(body.get("reason", "")))
    message = _message(body)
    if message == "messages.resource_not_found":
        return Refused(Reason.CARD_UNKNOWN, None, message)
    if message == "the parameter is invalid":
        return _refusal_by_field(body.get("data"))
    return None


def _refusal_by_code(code: int, said: str) -> Refused | None:
    if code not in REFUSALS:
        return None
    reason, retry_after = REFUSALS[code]
    return Refused(reason, retry_after, f"{code} {without_iccids(said)}".strip())


def _refusal_by_field(fields: Any) -> Refused:
    """A validation error: nothing was done. Which field was wrong says why."""
    if not isinstance(fields, dict):
        return Refused(Reason.BAD_REQUEST, None, "the parameter is invalid")
    detail = without_iccids("; ".join(f"{name}: {said}" for name, said in fields.items()))
    if fields.keys() & {"client_id", "client_secret", "grant_type"}:
        return Refused(Reason.NOT_AUTHORISED, None, detail)
    if str(fields.get("package_id", "")).lower() in _NO_SUCH_PACKAGE:
        return Refused(Reason.PACKAGE_UNKNOWN, None, detail)
    if str(fields.get("quantity", "")).startswith("SIM quantity is not available"):
        return Refused(Reason.OUT_OF_STOCK, AFTER_STOCK, detail)
    if str(fields.get("iccid", "")).lower() == "the selected iccid is invalid.":
        return Refused(Reason.CARD_UNKNOWN, None, detail)
    return Refused(Reason.BAD_REQUEST, None, detail)


def unknown_of(answer: Answer) -> Unknown:
    """An answer that nobody listed, in a few words for staff."""
    if answer.body is None:
        return Unknown(f"status {answer.status} without JSON")
    code = answer.body.get("code") if isinstance(answer.body, dict) else None
    return Unknown(f"status {answer.status}" + (f" code {code}" if isinstance(code, int) else ""))


def token_of(answer: Answer) -> Outcome[str]:
    """The access token of POST /v2/token."""
    if refused := refusal_of(answer):
        return refused
    try:
        return Done(_text(_data(answer), "access_token"))
    except Unreadable as seen:
        return _unreadable(answer, seen)


def offers_of(answer: Answer) -> Outcome[tuple[Offer, ...]]:
    """The packages of GET /v2/sims/{iccid}/topups; none when the card cannot be topped up."""
    if refused := refusal_of(answer):
        return refused
    try:
        rows = _rows(answer)
        pricing = answer.body.get("pricing") or {}
        return Done(tuple(Offer(_text(row, "id"), _net_price(row, pricing)) for row in rows))
    except Unreadable as seen:
        return _unreadable(answer, seen)


def activation_of(answer: Answer, *, key: str, iccid: str, package: str) -> Outcome[Activation]:
    """The order of POST /v2/orders/topups. The answer names key and package, not the card.

    An answer that names another key or package than we sent is ``Unknown``: something was taken, but what?
    """
    if refused := refusal_of(answer):
        return refused
    try:
        order = _data(answer)
        if (order.get("description"), order.get("package_id"), order.get("type")) != (key, package, "topup"):
            raise Unreadable("an order for something else")
        return Done(_activation(order, iccid=iccid))
    except Unreadable as seen:
        return _unreadable(answer, seen)


def issued_of(answer: Answer, *, key: str, package: str) -> Outcome[Activation]:
    """The order of POST /v2/orders for one new eSIM, its profile inside.

    An answer for anything else than we asked for is ``Unknown``: something was taken, but what?
    """
    if refused := refusal_of(answer):
        return refused
    try:
        order = _data(answer)
        if (order.get("description"), order.get("package_id"), order.get("type")) != (key, package, "sim"):
            raise Unreadable("an order for something else")
        return Done(_issued(order))
    except Unreadable as seen:
        return _unreadable(answer, seen)


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of orders that carry exactly our key and package and were taken.

    Args:
        confirmed: those whose row names our card, or the new eSIM.
        unconfirmed: the ids and rows that do not say which card they are for.
        last_page: the number of the last page.
    """

    confirmed: tuple[Activation, ...]
    unconfirmed: tuple[tuple[int, Mapping[str, Any]], ...]
    last_page: int


def listed_of(answer: Answer, *, key: str, iccid: str, package: str) -> Listed | Unknown:
    """One page of GET /v2/orders. Its filter is LIKE, so key, package and card are compared here, exactly."""
    try:
        rows, last_page = _rows(answer), _last_page(answer)
        ours = [row for row in rows if (row.get("description"), row.get("package_id")) == (key, package)]
        taken = [row for row in ours if is_taken(row)]
        cards = [(row, iccids_of(row)) for row in taken]
        return Listed(
            tuple(_activation(row, iccid=iccid) for row, named in cards if iccid in named),
            tuple((_order_id(row), row) for row, named in cards if not named),
            last_page,
        )
    except Unreadable as seen:
        return Unknown(f"status {answer.status}: {seen}")


def listed_issued_of(answer: Answer, *, key: str, package: str) -> Listed | Unknown:
    """The same for new eSIMs: a row that does not tell its eSIM is unconfirmed, one that tells several unreadable."""
    try:
        ours = [row for row in _rows(answer) if (row.get("description"), row.get("package_id")) == (key, package)]
        taken = [row for row in ours if is_taken(row)]
        return Listed(
            tuple(_issued(row) for row in taken if row.get("sims")),
            tuple((_order_id(row), row) for row in taken if not row.get("sims")),
            _last_page(answer),
        )
    except Unreadable as seen:
        return Unknown(f"status {answer.status}: {seen}")


def issued_order_of(answer: Answer) -> Activation | Unknown:
    """The new eSIM that GET /v2/orders/{id} tells of."""
    try:
        return _issued(_data(answer))
    except Unreadable as seen:
        return Unknown(f"status {answer.status}: {seen}")


def order_of(answer: Answer) -> Mapping[str, Any] | Unknown:
    """The row of GET /v2/orders/{id}."""
    try:
        return _data(answer)
    except Unreadable as seen:
        return Unknown(f"status {answer.status}: {seen}")


def listed_activation(row: Mapping[str, Any], *, iccid: str) -> Activation | Unknown:
    """The activation that an order's row tells of, on this card."""
    try:
        return _activation(row, iccid=iccid)
    except Unreadable as seen:
        return Unknown(str(seen))


def is_taken(row: Mapping[str, Any]) -> bool:
    """Whether this order's package is on the card; raises ``Unreadable`` for a status nobody listed."""
    status = row.get("status")
    slug = status.get("slug") if isinstance(status, dict) else status
    if slug in TAKEN:
        return True
    if slug in NOT_TAKEN:
        return False
    raise Unreadable(f"an order of status {slug!r}")


def iccids_of(row: Mapping[str, Any]) -> frozenset[str]:
    """The cards that an order's row names; empty when it does not tell."""
    sims = row.get("sims")
    if not isinstance(sims, list):
        return frozenset()
    return frozenset(str(sim["iccid"]) for sim in sims if isinstance(sim, dict) and sim.get("iccid"))


def carries(answer: Answer, *, package: str, count: int) -> bool | Unknown:
    """Whether GET /v2/sims/{iccid}/packages tells of at least ``count`` top-ups of this package."""
    try:
        rows = _rows(answer)
        packages = [row["package"] for row in rows if isinstance(row.get("package"), dict)]
        return sum(one.get("id") == package for one in packages) >= count
    except Unreadable as seen:
        return Unknown(f"status {answer.status}: {seen}")


def usage_of(answer: Answer) -> Outcome[Usage]:
    """GET /v2/sims/{iccid}/usage. For unlimited plans Airalo answers 0, which means nothing: volumes are None.

    ``as_of`` is the answer's own date; Airalo may have read the figure up to 20 minutes before.
    """
    if refused := refusal_of(answer):
        return refused
    try:
        data = _data(answer)
        status = _text(data, "status")
        if status == "RECYCLED":
            return Refused(Reason.CARD_RECYCLED, None, "usage says RECYCLED")
        if answer.date is None:
            raise Unreadable("an answer without a date")
        unlimited = data.get("is_unlimited")
        if not isinstance(unlimited, bool):
            raise Unreadable("usage that does not tell whether it is unlimited")
        ends = data.get("expired_at")
        return Done(
            Usage(
                as_of=answer.date,
                unlimited=unlimited,
                remaining_bytes=None if unlimited else _megabytes(data, "remaining"),
                total_bytes=None if unlimited else _megabytes(data, "total"),
                expires_at=None if ends is None else _moment(ends),
                status=status,
            )
        )
    except Unreadable as seen:
        return _unreadable(answer, seen)


def balance_of(answer: Answer) -> Outcome[Money]:
    """GET /v2/balance, in major units on the wire."""
    if refused := refusal_of(answer):
        return refused
    try:
        balances = _data(answer).get("balances")
        available = balances.get("availableBalance") if isinstance(balances, dict) else None
        if not isinstance(available, dict):
            raise Unreadable("no available balance")
        return Done(_money(available.get("amount"), _text(available, "currency")))
    except Unreadable as seen:
        return _unreadable(answer, seen)


def without_iccids(said: str) -> str:
    """The carrier's words with every long number masked, fit for a log."""
    return " ".join(_masked_word(word) for word in said.split())


def _masked_word(word: str) -> str:
    bare = word.strip(".,;:()[]\"'")
    return word.replace(bare, ids.masked(bare)) if len(bare) >= 10 and bare.isdigit() else word


def _unreadable(answer: Answer, seen: Unreadable) -> Unknown:
    return unknown_of(answer) if answer.status != 200 or answer.body is None else Unknown(f"status 200: {seen}")


def _message(body: Any) -> str:
    meta = body.get("meta") if isinstance(body, dict) else None
    return str(meta.get("message", "")) if isinstance(meta, dict) else ""


def _data(answer: Answer) -> Mapping[str, Any]:
    data = answer.body.get("data") if answer.status == 200 and isinstance(answer.body, dict) else None
    if not isinstance(data, dict):
        raise Unreadable("no data object")
    return data


def _rows(answer: Answer) -> list[Mapping[str, Any]]:
    rows = answer.body.get("data") if answer.status == 200 and isinstance(answer.body, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Unreadable("no list of data")
    return rows


def _last_page(answer: Answer) -> int:
    meta = answer.body.get("meta")
    last_page = meta.get("last_page") if isinstance(meta, dict) else None
    if not isinstance(last_page, int):
        raise Unreadable("a list that does not tell its last page")
    return last_page


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"no {name}")
    return value


def _order_id(row: Mapping[str, Any]) -> int:
    id = row.get("id")
    if not isinstance(id, int):
        raise Unreadable("an order without an id")
    return id


def _activation(row: Mapping[str, Any], *, iccid: str) -> Activation:
    return Activation(
        reference=str(_order_id(row)),
        key=_text(row, "description"),
        iccid=iccid,
        package=_text(row, "package_id"),
        activated_at=_moment(row.get("created_at")),
    )


def _issued(row: Mapping[str, Any]) -> Activation:
    sims = row.get("sims")
    if not isinstance(sims, list) or len(sims) != 1 or not isinstance(sims[0], dict):
        raise Unreadable("an order that does not tell one eSIM")
    (sim,) = sims
    iccid = _text(sim, "iccid")
    if not re.fullmatch(r"89[0-9]{16,18}", iccid):
        raise Unreadable("an eSIM without an ICCID")
    return replace(_activation(row, iccid=iccid), esim=_esim(sim))


def _esim(sim: Mapping[str, Any]) -> Esim:
    """The profile: Airalo tells address and code on their own and as the text of the QR code, which must agree."""
    address, code = _said(sim, "lpa"), _said(sim, "matching_id")
    parts = _said(sim, "qrcode").split("$")
    if len(parts) >= 3 and parts[0] == "LPA:1":
        address, code = address or parts[1], code or parts[2]
        if (address, code) != (parts[1], parts[2]):
            raise Unreadable("an eSIM whose QR code says something else")
    if not _INSTALLABLE.fullmatch(address) or not _INSTALLABLE.fullmatch(code):
        raise Unreadable("an eSIM that cannot be installed")
    link, number = _said(sim, "direct_apple_installation_url"), _said(sim, "msisdn")
    return Esim(
        smdp_address=address,
        matching_id=code,
        confirmation_code=_said(sim, "confirmation_code"),
        msisdn=number if re.fullmatch(r"\+?[0-9]{5,15}", number) else "",
        apn=_said(sim, "apn_value") or _said(sim, "apn"),
        apple_url=link if link.startswith(APPLE_LINKS) and link.endswith(f"=LPA:1${address}${code}") else "",
    )


def _said(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return value.strip() if isinstance(value, str) else ""


def _net_price(row: Mapping[str, Any], pricing: Any) -> Money:
    """What the seller pays: the net price, or under discount pricing the price less the discount."""
    net = row.get("net_price")
    if net is not None:
        return _money(net, CREDIT_CURRENCY)
    discount = pricing.get("discount_percentage") if isinstance(pricing, dict) else None
    if not isinstance(discount, int | Decimal) or isinstance(discount, bool):
        raise Unreadable("a package without a net price")
    return _money(_decimal(row.get("price")) * (100 - discount) / 100, CREDIT_CURRENCY)


def _money(amount: Any, currency: str) -> Money:
    if len(currency) != 3 or not currency.isalpha() or not currency.isupper():
        raise Unreadable("an amount without a currency")
    return from_major(_decimal(amount), currency)


def _decimal(amount: Any) -> Decimal:
    if isinstance(amount, bool) or not isinstance(amount, int | Decimal | str):
        raise Unreadable("an amount that is no number")
    try:
        value = Decimal(amount)
    except InvalidOperation:
        raise Unreadable("an amount that is no number") from None
    if not value.is_finite() or abs(value) >= 10**12:
        raise Unreadable("an amount that is no number")
    return value


def _megabytes(row: Mapping[str, Any], name: str) -> int:
    value = _decimal(row.get(name))
    if value < 0:
        raise Unreadable(f"a negative {name}")
    return int(value * GIGABYTE / MB_PER_GIGABYTE)


def _moment(stamp: Any) -> datetime:
    """Airalo writes "2023-02-27 14:09:55" in UTC, and in some places ISO 8601 with its zone."""
    try:
        moment = datetime.fromisoformat(stamp)
    except (TypeError, ValueError):
        raise Unreadable("a time that cannot be read") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _date(header: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(header)
    except (TypeError, ValueError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _retry_after(header: str) -> timedelta | None:
    """Seconds as Airalo sends them; at most a day, so that a slip of theirs stops nothing for good."""
    return timedelta(seconds=min(int(header), 86_400)) if header.isascii() and header.isdigit() else None
