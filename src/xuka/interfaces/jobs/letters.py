"""The letters about an order: choose the words, hand them to the outbox."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation

from xuka.catalogue import queries as catalogue
from xuka.interfaces.jobs import papers
from xuka.interfaces.web import trail
from xuka.journal import queries as journal
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.lines import queries as lines
from xuka.messaging import operations as messaging
from xuka.payments import queries as payments
from xuka.payments.queries import Refund
from xuka.renewals import queries as renewals
from xuka.renewals.models import Order
from xuka.renewals.rules import State


def write(*, order_id: UUID, kind: str, now: datetime) -> None:
    """Queue the letter of this kind about this order, in the customer's language. Again: changes nothing.

    One letter of each kind, and of "returned" one each time that money went back which was not needed; none when the
    letter about the order's end says that already.
    """
    order = renewals.order(order_id)
    if order is None or (kind == "returned" and is_told_with_the_end(order)):
        return
    kind = "issued" if kind == "renewed" and order.is_first else kind
    _to_customer(order, kind=kind, cause=cause_of_return(order) if kind == "returned" else order.id, now=now)


def cause_of_return(order: Order) -> UUID:
    """The cause of the letter about the last money that went back."""
    return ids.derived(order.id, f"returns:{order.returns}")


def is_told_with_the_end(order: Order) -> bool:
    """Whether what went back last is what the order held when it was cancelled or expired: its letter says both."""
    since_end: list[str] = []
    for fact in journal.facts_about(order.id):
        since_end = [] if fact.what in {"order.cancelled", "order.expired"} else [*since_end, fact.what]
    returns = since_end.count("order.surplus_returned")
    return order.state in {State.CANCELLED, State.EXPIRED} and returns == 1 and "payment.confirmed" not in since_end


def write_about_refund(*, refund_id: UUID, now: datetime) -> None:
    """Tell the customer that a refund did not arrive and that a person sees to it. One letter each time it failed."""
    refund = payments.refund(refund_id)
    order = renewals.order(refund.cause) if refund else None
    if refund is not None and order is not None:
        money = Money(refund.amount_minor, refund.currency)
        _to_customer(order, kind="refund_failed", cause=cause_of_failure(refund), now=now, money=money)


def cause_of_failure(refund: Refund) -> UUID:
    """The cause of the letter about a refund's last failure."""
    return ids.derived(refund.id, f"round:{refund.round}")


def _to_customer(order: Order, *, kind: str, cause: UUID, now: datetime, money: Money | None = None) -> None:
    customer = order.customer
    with translation.override(customer.language):
        told = _told(order, now) | {"refund": money}
        messaging.queue(
            cause=cause,
            kind=kind,
            to=customer.email,
            language=customer.language,
            subject=" ".join(render_to_string(f"mail/{kind}.subject.txt", told).split()),
            text=render_to_string(f"mail/{kind}.txt", told),
            html=render_to_string(f"mail/{kind}.html", told),
            attachments=papers.with_letter(order, kind, now),
            customer=customer.id,
            now=now,
        )


def _told(order: Order, now: datetime) -> dict[str, Any]:
    """What every letter may tell about its order, in the language that is set."""
    money = trail.of(order)
    return {
        "order": order,
        "quote": order.quote,
        "line": order.line,
        "customer": order.customer,
        "plan_name": catalogue.name(order.plan_version.plan, order.customer.language),
        "zone": order.zone,
        "timeline": lines.timeline(order.line, now) if order.line else None,
        "decided_by": renewals.decided_by(order),
        "how_paid": trail.how_paid(money) if money.paid_minor else "",
        "went_back": trail.sentences(money),
        "was_paid": money.paid_minor > 0,
        "url": f"{settings.SITE_URL}/orders/{order.id}/",
        "install_url": f"{settings.SITE_URL}/cards/{order.line_id}/install/" if order.line_id else "",
        "seller": settings.SELLER_NAME,
    }


def alarm(*, order_id: UUID, what: str, now: datetime) -> None:
    """Tell the seller that an order needs a person, or cost money. One letter for each time that it did.

    Args:
        what: the fact's name, such as "activation.duplicate".
    """
    order = renewals.order(order_id)
    if order is None:
        return
    times = sum(fact.what == what for fact in journal.facts_about(order.id))
    says = what.split(".")[1].replace("_", " ")
    link = f"{settings.SITE_URL}/staff/renewals/order/{order.id}/change/"
    messaging.queue(
        cause=order.id,
        kind=f"staff_{what}_{times}",
        to=settings.SELLER_MAIL,
        language="en",
        subject=f"Order {order.id}: {says}",
        text=f"Order {order.id} for {_card(order)} ({order.state}): {says}.\n\n{link}\n",
        now=now,
    )


def _card(order: Order) -> str:
    return f"card {ids.masked(order.line.iccid)}" if order.line else "a new eSIM"


def alarm_about_line(*, line_id: UUID, now: datetime) -> None:
    """Tell the seller that a carrier's end differs from ours. One letter per card and carrier's end."""
    line = lines.line(line_id)
    running = lines.timeline(line, now).running if line else None
    if line is None or running is None or running.period.carrier_ends_at is None:
        return
    theirs, ours = running.period.carrier_ends_at.isoformat(), running.span.ends_at.isoformat()
    messaging.queue(
        cause=ids.derived(line_id, theirs),
        kind="staff_end_differs",
        to=settings.SELLER_MAIL,
        language="en",
        subject=f"Card {ids.masked(line.iccid)}: the carrier's end differs from ours",
        text=f"Card {ids.masked(line.iccid)} ends at {theirs} at the carrier and at {ours} here.\n",
        now=now,
    )


def alarm_about_payment(*, payment_id: UUID, now: datetime) -> None:
    """Tell the seller that something else was captured than was asked. One letter a payment."""
    payment = payments.payment(payment_id)
    assert payment is not None
    asked = Money(payment.amount_minor, payment.currency)
    taken = Money(payment.paid_minor or 0, payment.paid_currency)
    _to_seller(
        cause=payment.id,
        kind="staff_payment_mismatched",
        subject=f"A payment of {taken.major} {taken.currency} where {asked.major} {asked.currency} was asked",
        text=f"It is set aside and credited to nobody. {_staff_link('payment', payment.id)}",
        now=now,
    )


def alarm_about_refund(*, refund_id: UUID, now: datetime) -> None:
    """Tell the seller that a refund failed or that nobody hears of it. One letter each time that its words change."""
    refund = payments.refund(refund_id)
    assert refund is not None
    money = Money(refund.amount_minor, refund.currency)
    says = f"failed ({refund.reason})" if refund.state == "failed" else "is not confirmed"
    _to_seller(
        cause=refund.id,
        kind=f"staff_refund_{refund.state}_{refund.round}",
        subject=f"A refund of {money.major} {money.currency} {says}",
        text=f"Order {refund.cause}. {_staff_link('refund', refund.id)}",
        now=now,
    )


def _to_seller(*, cause: UUID, kind: str, subject: str, text: str, now: datetime) -> None:
    messaging.queue(
        cause=cause, kind=kind, to=settings.SELLER_MAIL, language="en", subject=subject, text=text + "\n", now=now
    )


def _staff_link(what: str, id: UUID) -> str:
    return f"{settings.SITE_URL}/staff/payments/{what}/{id}/change/"
