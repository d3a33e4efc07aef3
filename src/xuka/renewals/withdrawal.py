"""Withdrawing from a contract (Directive (EU) 2023/2673, art. 11a CRD): stated, confirmed, acknowledged, carried out.

``confirm`` stores what was stated and does nothing else, so that it tells nobody whether there is such a contract.
``advance`` finds the contract and undoes it; a job and the sweeper call it, any number of times.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from xuka.accounts import queries as accounts
from xuka.journal import operations as journal
from xuka.receipts import queries as receipts
from xuka.renewals import auto, giving_back, operations
from xuka.renewals import withdrawal_rules as rules
from xuka.renewals.giving_back import Part
from xuka.renewals.models import ExpressWish, GivenBack, Order, Withdrawal
from xuka.renewals.rules import State
from xuka.renewals.withdrawal_rules import Standing

# An order that the carrier is being asked about is looked at again so soon.
AGAIN = timedelta(minutes=1)


class DifferentWithdrawal(Exception):
    """A withdrawal of this id was confirmed with other content; nothing was stored."""


@transaction.atomic
def confirm(
    *, id: UUID, number: str, name: str, email: str, language: str, customer: UUID | None, now: datetime
) -> Withdrawal:
    """Store a confirmed statement of withdrawal, whatever it fits. Again with the same id: changes nothing.

    Args:
        id: made with the page.
        number: the order's or the receipt's, as it was typed.
        name, email: of who withdraws; the acknowledgement goes to ``email``.
        customer: who is signed in.
        now: aware UTC; the moment that counts for the days.

    Raises:
        DifferentWithdrawal: this id was used for another statement.
    """
    stated = {"number": number.strip(), "name": name.strip(), "email": email.strip()}
    rest = {"language": language, "customer": customer, "confirmed_at": now, "next_step_at": now}
    defaults = stated | rest | {"state": Standing.CONFIRMED}
    row, is_new = Withdrawal.objects.get_or_create(id=id, defaults=defaults)
    if any(getattr(row, field) != value for field, value in stated.items()):
        raise DifferentWithdrawal
    if is_new:
        who = f"customer:{customer}" if customer else "visitor"
        journal.record(what="withdrawal.confirmed", subject=id, who=who, now=now)
    return row


def due(now: datetime, *, limit: int = 500) -> list[UUID]:
    """Withdrawals to look at, the longest due first."""
    rows = Withdrawal.objects.filter(next_step_at__lte=now).order_by("next_step_at", "id")
    return list(rows.values_list("id", flat=True)[:limit])


@transaction.atomic
def advance(*, withdrawal_id: UUID, now: datetime) -> None:
    """Find the contract that is meant and undo it, once; what is settled, or not there, is left alone."""
    stated = Withdrawal.objects.filter(id=withdrawal_id, next_step_at__isnull=False).first()
    order = _order_meant(stated) if stated else None
    if order is not None:  # the order before the statement, as locks are taken everywhere
        order = Order.objects.select_for_update(of=("self",)).select_related(
            "plan_version__plan__market", "line", "quote"
        ).get(id=order.id)  # fmt: skip
    row = Withdrawal.objects.select_for_update().filter(id=withdrawal_id, next_step_at__lte=now).first()
    if row is None:
        return
    parts: list[Part] = []
    if order is not None and order.state == State.ACTIVE:
        parts = giving_back.parts_left(order, at=row.confirmed_at, wished=has_wish(order), now=now)
    standing = _standing(row, order, parts)
    if standing is None:
        row.next_step_at = now + AGAIN
        row.save(update_fields=["next_step_at"])
        return
    row.order, row.state, row.settled_at, row.next_step_at = order, standing, now, None
    row.save()
    if standing == Standing.ACCEPTED and order is not None:
        _undo(row, order, parts, now)
    told = {"state": standing, "order": str(order.id) if order else None}
    journal.record(what="withdrawal.settled", subject=row.id, who="clock", after=told, now=now)


def _standing(row: Withdrawal, order: Order | None, parts: list[Part]) -> Standing | None:
    """What becomes of the statement; None: that is not known yet, the carrier is being asked."""
    if order is None:
        return Standing.NOT_FOUND
    end = ends_at(order)
    if end is None:
        return Standing.NO_RIGHT
    if order.state in {State.ACTIVATING, State.NEEDS_A_PERSON}:
        return None
    is_gone = order.state == State.ACTIVE and not parts
    if is_gone or order.state not in {State.AWAITING_FUNDS, State.FUNDED, State.ACTIVE}:
        return Standing.ALREADY
    if row.confirmed_at >= end:
        return Standing.TOO_LATE
    is_open = order.state != State.ACTIVE or any(part.is_open for part in parts)
    return Standing.ACCEPTED if is_open else Standing.PERFORMED


def _undo(row: Withdrawal, order: Order, parts: list[Part], now: datetime) -> None:
    who = f"customer:{order.customer_id}"
    told = {"withdrawal": str(row.id)}
    journal.record(what="order.withdrawn", subject=order.id, who=who, after=told, now=now)
    if order.state == State.ACTIVE:
        giving_back.undo(order, parts, who=who, now=now)
    else:
        operations.cancel(order_id=order.id, customer=order.customer_id, now=now)
    if order.line_id is not None and not order.is_gift:  # else the card would buy again what was just withdrawn from
        with suppress(auto.UnknownAutoRenewal):
            auto.switch_off(line_id=order.line_id, customer=order.customer_id, now=now)


def has_wish(order: Order) -> bool:
    """Whether the customer expressly wished that the service begins at once."""
    return ExpressWish.objects.filter(order=order).exists()


def ends_at(order: Order) -> datetime | None:
    """The moment from which it is too late to withdraw from this order, aware; None where there is no such right."""
    concluded = order.funded_at or order.placed_at
    return rules.ends_at(market=order.market_id, zone=order.plan_version.plan.market.zone, concluded_at=concluded)


def _order_meant(row: Withdrawal) -> Order | None:
    """The order of this number, if who states it is its customer.

    The order's own number is known to nobody else, so the name is enough with it; receipts count up, and ask for the
    address of the account.
    """
    if (id := _uuid(row.number)) is not None:
        order = Order.objects.filter(id=id).first()
        return order if order and _is_theirs(row, order.customer_id, name_is_enough=True) else None
    receipt = receipts.receipt_numbered(row.number)
    if receipt is None or not _is_theirs(row, receipt.customer_id, name_is_enough=False):
        return None
    return Order.objects.filter(id=receipt.cause).first()


def _is_theirs(row: Withdrawal, customer: UUID, *, name_is_enough: bool) -> bool:
    if row.customer == customer:
        return True
    user = accounts.user(customer)
    if user is None:
        return False
    same_name = bool(row.name) and " ".join(user.get_full_name().split()).casefold() == _plain(row.name)
    return user.email.casefold() == row.email.casefold() or (name_is_enough and same_name)


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _uuid(text: str) -> UUID | None:
    plain = re.sub(r"[\s-]", "", text)
    return UUID(plain) if re.fullmatch(r"[0-9a-fA-F]{32}", plain) else None


# -- reading --------------------------------------------------------------------------------------------------------


def withdrawal(id: UUID) -> Withdrawal | None:
    """The statement of this id, with its order. For jobs and staff."""
    return Withdrawal.objects.select_related("order__line", "order__customer", "order__quote").filter(id=id).first()


def given_back(order_id: UUID) -> list[GivenBack]:
    """The periods of this order that were given back or are asked for, by their place."""
    return list(GivenBack.objects.filter(order_id=order_id).order_by("ordinal"))
