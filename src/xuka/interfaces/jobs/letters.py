"""The letters about an order: choose the words, hand them to the outbox."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext

from xuka.accounts import queries as accounts
from xuka.catalogue import queries as catalogue
from xuka.interfaces.jobs import papers
from xuka.interfaces.web import formats, stories, texts, trail
from xuka.interfaces.web.families import called
from xuka.journal import queries as journal
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.lines import queries as lines
from xuka.messaging import operations as messaging
from xuka.payments import queries as payments
from xuka.payments.queries import Refund
from xuka.renewals import auto_rules, gifts, points
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
    if kind == "failed" and order.reason in auto_rules.CALLED_OFF:  # the reminder tells it, with the next try
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


def write_about_period(
    order: Order, *, kind: str, cause: UUID, money: Money, files: tuple[papers.File, ...], now: datetime
) -> None:
    """Queue the letter about one period of an order, with these files. Again: changes nothing."""
    _to_customer(order, kind=kind, cause=cause, now=now, money=money, files=files)


def _to_customer(
    order: Order, *, kind: str, cause: UUID, now: datetime, money: Money | None = None,
    files: tuple[papers.File, ...] = (),
) -> None:  # fmt: skip
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
            attachments=files or papers.with_letter(order, kind, now),
            customer=customer.id,
            now=now,
        )


def _told(order: Order, now: datetime) -> dict[str, Any]:
    """What every letter may tell about its order, in the language that is set."""
    money = trail.of(order)
    line = None if order.is_gift else order.line  # a giver is told nothing of the card
    # Who bought it for a family member is told of the card as long as they may see it.
    is_seen = line is not None and lines.may_renew(order.customer_id, line)
    owner = accounts.user(line.owner_id) if line and line.owner_id not in (None, order.customer_id) else None
    return {
        "order": order,
        "quote": order.quote,
        "line": line,
        "gift": gifts.gift_of(order.quote_id) if order.is_gift else None,
        "customer": order.customer,
        "plan_name": catalogue.name(order.plan_version.plan, order.customer.language),
        "zone": order.zone,
        "holder": called(owner) if owner else "",
        "timeline": lines.timeline(line, now) if line and is_seen else None,
        "decided_by": renewals.decided_by(order),
        "how_paid": trail.how_paid(money) if money.paid_minor else "",
        "went_back": trail.sentences(money),
        "in_part": [*texts.in_part(order), *trail.sentences(money)] if order.given_back else [],
        "may_be_paid": money.paid_minor > 0 or stories.paying(order.id).state in {"processing", "differs"},
        "url": f"{settings.SITE_URL}/orders/{order.id}/",
        "install_url": f"{settings.SITE_URL}/cards/{line.id}/install/" if line else "",
        "seller": settings.SELLER_NAME,
    }


def tell_owner(*, order_id: UUID, now: datetime) -> None:
    """Tell the owner of a card that somebody gave it a renewal, in the owner's language. Again: changes nothing.

    Who gave it is told only as far as the giver wrote it; what it cost is not. An order that is no gift is left alone.
    """
    order = renewals.order(order_id)
    if order is None or not order.is_gift or order.line is None or order.line.owner is None:
        return
    owner, gift = order.line.owner, gifts.gift_of(order.quote_id)
    with translation.override(owner.language):
        told = {
            "customer": owner,
            "gift": gift,
            "line": order.line,
            "zone": order.line.zone,
            "plan_name": catalogue.name(order.plan_version.plan, owner.language),
            "timeline": lines.timeline(order.line, now),
            "url": f"{settings.SITE_URL}/cards/{order.line_id}/",
            "seller": settings.SELLER_NAME,
        }
        messaging.queue(
            cause=order.id,
            kind="gift",
            to=owner.email,
            language=owner.language,
            subject=" ".join(render_to_string("mail/gift.subject.txt", told).split()),
            text=render_to_string("mail/gift.txt", told),
            html=render_to_string("mail/gift.html", told),
            customer=owner.id,
            now=now,
        )


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


def alarm_about_settlement(*, report_id: UUID, now: datetime) -> None:
    """Tell the seller on what a settlement report and the books do not agree. One letter each time that more is found.

    Nothing is told of what was settled meanwhile.
    """
    report, found = payments.settlement_report(report_id), payments.open_differences(report_id)
    if report is None or not found:
        return
    what = "settlement.differs"
    times = sum(fact.what == what for fact in journal.facts_about(report.id))
    kinds = "".join(f"- {one.kind.replace('_', ' ')}: {one.about}\n" for one in found[:20])
    _to_seller(
        cause=report.id,
        kind=f"staff_{what}_{times}",
        subject=f"Settlement of {report.provider} on {report.day}: {len(found)} to look at",
        text=f"The report and the books do not agree.\n\n{kinds}\n{_staff_link('settlementreport', report.id)}",
        now=now,
    )


def _to_seller(*, cause: UUID, kind: str, subject: str, text: str, now: datetime) -> None:
    messaging.queue(
        cause=cause, kind=kind, to=settings.SELLER_MAIL, language="en", subject=subject, text=text + "\n", now=now
    )


def warn_about_points(*, customer: UUID, now: datetime) -> None:
    """Tell a customer that points which nobody touches lapse, and when. One letter for each warning."""
    user, warning = accounts.user(customer), points.warning(customer)
    if user is None or warning is None or not user.email:
        return
    with translation.override(user.language):
        told = {
            "number": formats.number(warning.points),
            "day": formats.day(warning.lapses_at, user.time_zone or "UTC"),
        }
        says = gettext(
            "You have %(number)s points. Nobody has used them for a long time: on %(day)s they lapse. Renew a card "
            "before that, and you keep all of them."
        )
        messaging.queue(
            cause=ids.derived(customer, f"points:{warning.lapses_at.isoformat()}"),
            kind="points_lapse",
            to=user.email,
            language=user.language,
            subject=gettext("Your points lapse on %(day)s") % told,
            text=f"{says % told}\n\n{settings.SITE_URL}/\n\n{settings.SELLER_NAME}\n",
            customer=customer,
            now=now,
        )


def _staff_link(what: str, id: UUID) -> str:
    return f"{settings.SITE_URL}/staff/payments/{what}/{id}/change/"
