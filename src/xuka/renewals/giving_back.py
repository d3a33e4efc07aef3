"""Periods that are given back: service ends, and the price or a part of it goes back where it came from. Once each.

A period is one row of ``GivenBack`` for ever. Whoever comes second, another window, staff or the law, finds it there.
Locks are taken as everywhere: order, line, ledger accounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from uuid import UUID

from django.db import transaction

from xuka.activation import cancelling
from xuka.catalogue import queries as catalogue
from xuka.journal import operations as journal
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.ledger import operations as ledger
from xuka.ledger.rules import Leg
from xuka.lines import operations as lines
from xuka.lines import queries as lines_queries
from xuka.lines.queries import Period, span_of
from xuka.metering import queries as metering
from xuka.renewals import points, steps
from xuka.renewals import withdrawal_rules as rules
from xuka.renewals.models import GivenBack, Order
from xuka.renewals.rules import State
from xuka.renewals.several import shares
from xuka.renewals.withdrawal_rules import GivenState, Why


class CannotGiveBack(Exception):
    """This period cannot be given back; ``code`` says why. Nothing was changed.

    Codes: "unknown" (no such period of this customer), "not_active" (its order is not delivered, or not any more),
    "begun", "given_back" (it was, or is being), "carrier" (who has put it on the card does not take it back),
    "no_reason".
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Unused:
    """A period of an order that has not begun; ``why_not``: a code of ``CannotGiveBack``, "" where it can go back."""

    ordinal: int
    price: Money
    why_not: str


def unused(order: Order, now: datetime) -> list[Unused]:
    """The periods of this order that have not begun, those on their way back included; for its own page.

    None of a gift: that it has not begun would tell the giver what the card has. By law it can be withdrawn from.
    """
    if order.state != State.ACTIVE or order.is_gift:
        return []
    periods = lines_queries.periods_of(order.id)
    waiting = [one for one in periods if one.voided_at is None and not _has_begun(one, now)]
    if not waiting:
        return []
    rows = {row.ordinal: row for row in GivenBack.objects.filter(order=order)}
    can = cancelling.can_cancel(order.plan_version.carrier)
    return [
        Unused(one.ordinal, _price(order, one.ordinal, len(periods)), _why_not(rows.get(one.ordinal), can))
        for one in waiting
    ]


def _why_not(row: GivenBack | None, can: bool) -> str:
    if not can or (row is not None and row.state == GivenState.REFUSED):
        return "carrier"
    return "given_back" if row is not None else ""


def _has_begun(period: Period, now: datetime) -> bool:
    span = span_of(period)
    return span is not None and span.starts_at <= now


def _price(order: Order, ordinal: int, number: int) -> Money:
    """What it was worth of all that were bought, of which some may never have come."""
    total = Money(order.total_minor, order.currency)
    return Money(shares(total, max(order.count, number))[ordinal], order.currency)


# -- by wish, and by hand -------------------------------------------------------------------------------------------


@transaction.atomic
def ask(*, order_id: UUID, ordinal: int, customer: UUID, to_wallet: bool, now: datetime) -> GivenBack:
    """A customer gives back a period that has not begun: its carrier is asked first, and only its yes moves money.

    Asking again changes nothing.

    Args:
        to_wallet: the customer chose the wallet; else the money goes back to where it came from.

    Raises:
        CannotGiveBack: with its code.
    """
    order, period, price = _found(order_id, ordinal, customer)
    if order.is_gift:
        raise CannotGiveBack("unknown")
    row = GivenBack.objects.filter(order=order, ordinal=ordinal).first()
    if row is not None and row.state != GivenState.REFUSED:
        return row
    _require_unused(period, now)
    if row is not None or not cancelling.want(cause=order.id, ordinal=ordinal, now=now):
        raise CannotGiveBack("carrier")
    row = _new(order, ordinal, price, why=Why.UNUSED, who=f"customer:{customer}", to_wallet=to_wallet, now=now)
    row.save(force_insert=True)
    told = {"ordinal": ordinal, "to_wallet": to_wallet}
    journal.record(what="order.give_back_asked", subject=order.id, who=row.who, after=told, now=now)
    return row


@transaction.atomic
def by_staff(*, order_id: UUID, ordinal: int, staff: UUID, why: str, to_wallet: bool, now: datetime) -> GivenBack:
    """Staff give a period that has not begun back for its customer, at once and whatever the carrier says to it.

    Where the carrier keeps what it was paid, that is the seller's loss. Again: changes nothing.

    Raises:
        CannotGiveBack: with its code.
    """
    if not why.strip():
        raise CannotGiveBack("no_reason")
    order, period, price = _found(order_id, ordinal, None)
    row = GivenBack.objects.filter(order=order, ordinal=ordinal).first()
    if row is not None and row.state == GivenState.DONE:
        return row
    _require_unused(period, now)
    who = f"staff:{staff}"
    row = row or _new(order, ordinal, price, why=Why.GOODWILL, who=who, to_wallet=to_wallet, now=now)
    row.why, row.who, row.reason, row.to_wallet = Why.GOODWILL, who, why.strip(), to_wallet
    cancelling.want(cause=order.id, ordinal=ordinal, now=now)
    _carry_out(order, period, row, Fraction(0), row.price_minor, now)
    return row


def _found(order_id: UUID, ordinal: int, customer: UUID | None) -> tuple[Order, Period, Money]:
    """The order, locked, its period and what that cost."""
    order = _locked(order_id)
    if order is None or customer not in (None, order.customer_id):
        raise CannotGiveBack("unknown")
    if order.state != State.ACTIVE:
        raise CannotGiveBack("not_active")
    periods = lines_queries.periods_of(order.id)
    period = next((one for one in periods if one.ordinal == ordinal), None)
    if period is None:
        raise CannotGiveBack("unknown")
    return order, period, _price(order, ordinal, len(periods))


def _locked(order_id: UUID) -> Order | None:
    rows = Order.objects.select_for_update(of=("self",)).select_related("plan_version__plan__market", "line", "quote")
    return rows.filter(id=order_id).first()


def _require_unused(period: Period, now: datetime) -> None:
    if period.voided_at is not None:
        raise CannotGiveBack("given_back")
    if _has_begun(period, now):
        raise CannotGiveBack("begun")


def _new(order: Order, ordinal: int, price: Money, *, why: Why, who: str, to_wallet: bool, now: datetime) -> GivenBack:
    return GivenBack(
        id=ids.derived(order.id, f"given_back:{ordinal}"),
        order=order,
        ordinal=ordinal,
        why=why,
        who=who,
        to_wallet=to_wallet,
        state=GivenState.ASKED,
        price_minor=price.minor,
        asked_at=now,
    )


@transaction.atomic
def hear(*, order_id: UUID, now: datetime) -> None:
    """The carrier has answered: what it takes back goes back, what it does not stays. Again: changes nothing."""
    order = _locked(order_id)
    if order is None:
        return
    periods = {one.ordinal: one for one in lines_queries.periods_of(order.id)}
    for row in GivenBack.objects.filter(order=order, state=GivenState.ASKED).order_by("ordinal"):
        match cancelling.standing(cause=order.id, ordinal=row.ordinal):
            case "done":
                _carry_out(order, periods[row.ordinal], row, Fraction(0), row.price_minor, now)
            case "refused":
                row.state, row.done_at = GivenState.REFUSED, now
                row.save()
                told = {"ordinal": row.ordinal}
                journal.record(what="order.give_back_refused", subject=order.id, who="clock", after=told, now=now)


# -- by law ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """A period that was not given back yet: which part of it was provided, and what of its price goes back."""

    period: Period
    price: Money
    had: Fraction
    amount_minor: int

    @property
    def is_open(self) -> bool:
        """Whether anything of it can still be undone."""
        return self.had < 1 or self.amount_minor > 0


def parts_left(order: Order, *, at: datetime, wished: bool, now: datetime) -> list[Part]:
    """What a withdrawal that was confirmed at this moment finds; ``wished``: service was to begin at once.

    What was given back before is left out. The caller's transaction holds the lock on the order.
    """
    periods = lines_queries.periods_of(order.id)
    gone = set(GivenBack.objects.filter(order=order, state=GivenState.DONE).values_list("ordinal", flat=True))
    found: list[Part] = []
    for period in periods:
        if period.ordinal not in gone:
            price, had = _price(order, period.ordinal, len(periods)), _part_had(order, period, at, now)
            found.append(Part(period, price, had, rules.goes_back(price, had, wished=wished)))
    return found


def undo(order: Order, parts: list[Part], *, who: str, now: datetime) -> None:
    """Undo a contract that was withdrawn from, in the caller's transaction, which holds the lock on its order.

    Every period ends now, and the carriers that can are told.

    Args:
        parts: what ``parts_left`` found in this transaction.
    """
    for part in parts:
        if not part.is_open:
            continue
        ordinal = part.period.ordinal
        row = GivenBack.objects.filter(order=order, ordinal=ordinal).first()
        row = row or _new(order, ordinal, part.price, why=Why.WITHDRAWN, who=who, to_wallet=False, now=now)
        row.why, row.who, row.to_wallet = Why.WITHDRAWN, who, False
        cancelling.want(cause=order.id, ordinal=ordinal, now=now)
        _carry_out(order, part.period, row, part.had, part.amount_minor, now)


def _part_had(order: Order, period: Period, at: datetime, now: datetime) -> Fraction:
    span = span_of(period)
    quota = catalogue.policy(period.plan_version).quota.data
    counts = quota.window == "period" and quota.limits and order.line is not None
    if span is None or at not in span or not counts or order.is_gift:  # of a gift its time alone: not how it is used
        return rules.part_had(span, at)
    assert order.line is not None, "it counts"
    entries = lines_queries.entries_of([order.line], now)[order.line.id]
    used = metering.used_by_period(metering.counted(order.line, now=now, entries=entries), entries)
    of_bytes = quota.limits[0].tiers[0].after_bytes
    return rules.part_had(span, at, used_bytes=used.get(period.id), of_bytes=of_bytes)


# -- what both do ---------------------------------------------------------------------------------------------------


def _carry_out(order: Order, period: Period, row: GivenBack, had: Fraction, amount_minor: int, now: datetime) -> None:
    """End the period and send the money back, once: a row that is done is never carried out again."""
    assert row.state != GivenState.DONE, "a period is given back once"
    lines.take_back(period_id=period.id, who=row.who, why=row.why, now=now)
    done = GivenBack.objects.filter(order=order, state=GivenState.DONE)
    before = sum(done.values_list("amount_minor", flat=True))
    row.state, row.amount_minor, row.had, row.done_at = GivenState.DONE, amount_minor, str(had), now
    row.save()
    if amount_minor:
        _send_back(order, row, before, now)
        part = Fraction(amount_minor, row.price_minor)
        points.take_back(period_id=period.id, customer=order.customer_id, part=part, now=now)
    told = {"ordinal": row.ordinal, "amount_minor": amount_minor, "currency": order.currency, "had": row.had}
    journal.record(
        what="order.given_back", subject=order.id, who=row.who, why=row.reason or row.why, after=told, now=now
    )


def _send_back(order: Order, row: GivenBack, before_minor: int, now: datetime) -> None:
    """Out of what was earned, into the order's hold, and from there where it came from."""
    unit, leg = order.currency, f"given_back:{row.ordinal}"
    money = Money(row.amount_minor, unit)
    tax_minor = rules.tax_back(money, before_minor=before_minor, tax_basis_points=order.quote.tax_basis_points)
    revenue, tax = ledger.houses("revenue", "tax", unit=unit)
    net = Leg(order.id, f"{leg}:revenue", revenue, order.hold_id, unit, money.minor - tax_minor)
    inside = Leg(order.id, f"{leg}:tax", tax, order.hold_id, unit, tax_minor)
    ledger.post(*(one for one in (net, inside) if one.amount), now=now)
    steps.send_back(order, leg, money.minor, to_wallet=row.to_wallet, now=now)
