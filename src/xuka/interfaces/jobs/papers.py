"""The receipt or credit note that goes with a letter: issued once, however often the letter is tried."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from xuka.interfaces.web import trail
from xuka.kernel.span import Span
from xuka.messaging import queries as messaging
from xuka.receipts import operations as receipts
from xuka.receipts.models import Receipt
from xuka.receipts.rules import Line, Paid
from xuka.renewals.models import Order
from xuka.renewals.rules import State

File = tuple[str, str, bytes]
# How long a letter's own job is left to write it, before others do.
OWN_TIME = timedelta(minutes=10)


def with_letter(order: Order, kind: str, now: datetime) -> tuple[File, ...]:
    """The files of this letter: the receipt of what was paid, or the credit note on what was not delivered.

    The receipt goes with the letter that the order is paid; should that one never have been written, with the next.
    """
    if order.funded_at is None or not _carries_paper(order, order.funded_at, kind, now):
        return ()
    is_given_back = kind in {"refunded", "failed"} or (kind == "renewed" and bool(order.given_back))
    from xuka.interfaces.web.paper import pdf  # what draws takes a second to load, and a worker starts without it

    paper = issue(order, is_given_back=is_given_back, now=now)
    return (pdf.attachment(paper, order.customer.language),)


def issue(order: Order, *, is_given_back: bool, now: datetime) -> Receipt:
    """The receipt of this funded order, or the credit note on it. Again: what was issued first.

    The credit note is of an order that has ended, on all of it or on the periods that were not delivered.
    """
    paper = _receipt(order, now)
    if is_given_back:
        back = order.given_back_minor if order.state == State.ACTIVE else order.total_minor
        paper = receipts.credit(cause=order.id, amount_minor=back, why="not_delivered", now=now)
    return paper


def _carries_paper(order: Order, funded_at: datetime, kind: str, now: datetime) -> bool:
    if kind == "renewed" and order.given_back:
        return True
    if kind in {"renewed", "issued"} and now - funded_at > OWN_TIME:
        return all(one.kind != "confirmed" for one in messaging.messages_about(order.id))
    return kind in {"confirmed", "refunded", "failed"}


def _receipt(order: Order, now: datetime) -> Receipt:
    version, quote = order.plan_version, order.quote
    lines = [_line(one, version.plan.names) for one in quote.lines]
    if order.fee_minor:
        lines.append(Line("fee", {"en": "Fee"}, order.fee_minor))
    return receipts.issue(
        cause=order.id,
        customer=order.customer_id,
        market=order.market_id,
        currency=order.currency,
        lines=lines,
        tax_basis_points=quote.tax_basis_points,
        paid_with=_paid_with(order),
        card_last=order.line.iccid[-4:] if order.line and not order.is_gift else "",
        period=None if quote.starts_on_activation else Span(quote.starts_at, quote.ends_at),
        now=now,
    )


def _line(told: Mapping[str, Any], plan: Mapping[str, str]) -> Line:
    """A price line of the quote, as the receipt keeps it: the code of a coupon and the number of points are words."""
    match told["kind"]:
        case "plan":
            return Line("plan", plan, told["amount_minor"], told.get("count", 1))
        case "points":
            return Line("points", {"en": str(told["points"])}, told["amount_minor"])
        case "coupon":
            return Line("coupon", {"en": told["label"]}, told["amount_minor"])
        case _:
            return Line("discount", {"en": told["label"]}, told["amount_minor"])


def _paid_with(order: Order) -> list[Paid]:
    """What the order was paid with; what came on top of it went back and is on no receipt."""
    money = trail.of(order)
    wallet = min(money.wallet_minor, order.total_minor)
    parts = [Paid("wallet", wallet), Paid(money.method or order.pays_with, order.total_minor - wallet)]
    return [part for part in parts if part.amount_minor]
