"""The letters about withdrawals, periods that are given back, with their credit notes, and credit that is paid out."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import translation

from xuka.interfaces.jobs import letters, papers
from xuka.interfaces.web import formats, trail
from xuka.kernel.money import Money
from xuka.messaging import operations as messaging
from xuka.payments import payouts
from xuka.receipts import operations as receipts
from xuka.renewals import queries as renewals
from xuka.renewals import withdrawal as withdrawals
from xuka.renewals.models import GivenBack, Order, Withdrawal
from xuka.renewals.withdrawal_rules import GivenState, Standing, Why

# A withdrawal that fits no contract of ours is acknowledged on the clock of this zone.
ZONE = "Europe/Brussels"


def acknowledge(*, withdrawal_id: UUID, now: datetime) -> None:
    """The acknowledgement of receipt, to the address that was given: the same whatever comes of it. Again: no other.

    Directive 2011/83/EU art. 11a (5): without delay, on a durable medium, with its content, date and time.
    """
    row = withdrawals.withdrawal(withdrawal_id)
    if row is not None:
        _write(row, "withdrawal_received", to=row.email, language=row.language, customer=None, now=now)


def answer(*, withdrawal_id: UUID, now: datetime) -> None:
    """What becomes of it, with the credit note: to the account's own address where there is one. Again: no other."""
    row = withdrawals.withdrawal(withdrawal_id)
    if row is None or row.state == Standing.CONFIRMED:
        return
    if row.order is None:
        _write(row, "withdrawal_answer", to=row.email, language=row.language, customer=None, now=now)
        return
    customer = row.order.customer
    files = _notes(row.order, customer.language, now, why=Why.WITHDRAWN) if row.state == Standing.ACCEPTED else ()
    _write(
        row, "withdrawal_answer", to=customer.email, language=customer.language, customer=customer.id, files=files,
        now=now,
    )  # fmt: skip


def _write(
    row: Withdrawal, kind: str, *, to: str, language: str, customer: UUID | None, now: datetime,
    files: tuple[papers.File, ...] = (),
) -> None:  # fmt: skip
    with translation.override(language):
        told = _told(row)
        messaging.queue(
            cause=row.id,
            kind=kind,
            to=to,
            language=language,
            subject=" ".join(render_to_string(f"mail/{kind}.subject.txt", told).split()),
            text=render_to_string(f"mail/{kind}.txt", told),
            html=render_to_string(f"mail/{kind}.html", told),
            attachments=files,
            customer=customer,
            now=now,
        )


def _told(row: Withdrawal) -> dict[str, Any]:
    order, zone = row.order, row.order.zone if row.order and row.order.line else ZONE
    given = withdrawals.given_back(order.id) if order else []
    sums = [one.amount_minor for one in given if one.state == GivenState.DONE]
    end = withdrawals.ends_at(order) if order else None
    return {
        "withdrawal": row,
        "state": row.state,
        "market": order.market_id if order else "",
        "zone": zone,
        "amount": formats.money(Money(sum(sums), order.currency)) if order and sums else "",
        "part_kept": any(one.amount_minor < one.price_minor for one in given),
        "went_back": trail.sentences(trail.of(order)) if order else [],
        "ended_at": end,
        "seller": settings.SELLER_NAME,
        "contact": f"{settings.SITE_URL}/contact/",
    }


def _notes(order: Order, language: str, now: datetime, *, why: str) -> tuple[papers.File, ...]:
    """The credit notes on what of this order was given back for this reason: issued once each."""
    found = []
    for row in withdrawals.given_back(order.id):
        if row.why == why and row.amount_minor:
            found.append(_paper(credit(order, row, now), language))
    return tuple(found)


def credit(order: Order, row: GivenBack, now: datetime) -> papers.Receipt:
    """The credit note on what was given back of this period. Again: what was issued first."""
    papers.issue(order, is_given_back=False, now=now)
    why = {Why.WITHDRAWN: "withdrawn", Why.GOODWILL: "goodwill"}.get(Why(row.why), "unused")
    leg = f"given_back:{row.ordinal}"
    return receipts.credit(cause=order.id, amount_minor=row.amount_minor, why=why, leg=leg, now=now)


def write_about_periods(*, order_id: UUID, now: datetime) -> None:
    """Tell the customer of each period that was given back, or that its carrier kept. Again: no other letter.

    What was withdrawn from is told with the answer to the withdrawal.
    """
    order = renewals.order(order_id)
    for row in withdrawals.given_back(order_id) if order else []:
        assert order is not None, "it has periods"
        if row.why == Why.WITHDRAWN or row.state == GivenState.ASKED:
            continue
        kind = "given_back" if row.state == GivenState.DONE else "not_given_back"
        files = ()
        if row.amount_minor:
            files = (_paper(credit(order, row, now), order.customer.language),)
        money = Money(row.amount_minor, order.currency)
        letters.write_about_period(order, kind=kind, cause=row.id, money=money, files=files, now=now)


# -- credit that is paid out ----------------------------------------------------------------------------------------


def alarm_about_payout(*, payout_id: UUID, now: datetime) -> None:
    """Tell the seller that a customer leaves and wants their credit, and by when the law wants it paid. Once."""
    payout = payouts.payout(payout_id)
    if payout is None:
        return
    money = Money(payout.amount_minor, payout.currency)
    link = f"{settings.SITE_URL}/staff/payments/payout/{payout.id}/change/"
    messaging.queue(
        cause=payout.id,
        kind="staff_payout_asked",
        to=settings.SELLER_MAIL,
        language="en",
        subject=f"Credit of {money.major} {money.currency} to pay out by {payout.pay_by:%Y-%m-%d}",
        text=f"A customer leaves and asks for their credit. {link}\n",
        now=now,
    )


def tell_payout(*, payout_id: UUID, now: datetime) -> None:
    """Tell the customer that their credit is paid out, or why not. Again: no other letter."""
    payout = payouts.payout(payout_id)
    if payout is None or payout.settled_at is None:
        return
    customer = payout.customer
    with translation.override(customer.language):
        by_hand = Money(payout.by_hand_minor, payout.currency)
        told = {
            "payout": payout,
            "customer": customer,
            "amount": Money(payout.amount_minor, payout.currency),
            "by_hand": by_hand if by_hand.minor else None,
            "by_card": Money(payout.amount_minor - payout.by_hand_minor, payout.currency),
            "contact": f"{settings.SITE_URL}/contact/",
            "seller": settings.SELLER_NAME,
        }
        messaging.queue(
            cause=payout.id,
            kind=f"payout_{payout.state}",
            to=customer.email,
            language=customer.language,
            subject=" ".join(render_to_string("mail/payout.subject.txt", told).split()),
            text=render_to_string("mail/payout.txt", told),
            customer=customer.id,
            now=now,
        )


def _paper(note: papers.Receipt, language: str) -> papers.File:
    """The credit note as a file."""
    from xuka.interfaces.web.paper import pdf  # what draws takes a second to load, and a worker starts without it

    return pdf.attachment(note, language)
