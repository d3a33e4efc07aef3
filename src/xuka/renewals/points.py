"""Loyalty points: earned with a period, spent with an order, given back when it fails, never lost unannounced.

They lie in the ledger, in the unit "points": the customer's account and an order's hold never go below zero, and all
points there ever were are those that ``points_issued`` gave out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from uuid import UUID

from django.conf import settings
from django.db import transaction

from xuka.journal import operations as journal
from xuka.kernel import ids
from xuka.ledger import operations as ledger
from xuka.ledger import queries as ledger_queries
from xuka.ledger.rules import Leg, points_id
from xuka.lines import queries as lines
from xuka.renewals.models import GivenBack, Loyalty, Order
from xuka.renewals.withdrawal_rules import GivenState

UNIT = "points"
WARNED_AHEAD = timedelta(days=30)


def hold_id(order_id: UUID) -> UUID:
    """The account that holds an order's points until it has ended."""
    return ids.derived(order_id, "points_hold")


def hold(*, order_id: UUID, customer: UUID, points: int, now: datetime) -> None:
    """Reserve points for an order. Raises ledger.InsufficientFunds when there are fewer; nothing was posted then."""
    if points:
        _touch(customer, now)
        to = ledger.open_account(id=hold_id(order_id), kind="points_hold", unit=UNIT, limited=True)
        ledger.post(Leg(order_id, "points_held", points_id(customer), to, UNIT, points), now=now)


def give_back(order: Order, points: int, *, now: datetime) -> None:
    """The order came to nothing: its points are the customer's again. Again: changes nothing."""
    if points:
        _touch(order.customer_id, now)
        leg = Leg(order.id, "points_back", hold_id(order.id), ledger.points(order.customer_id), UNIT, points)
        ledger.post(leg, now=now)


def spend(order: Order, points: int, *, now: datetime) -> None:
    """The order was delivered: its points are gone. Again: changes nothing."""
    if points:
        spent = ledger.house("points_spent", UNIT)
        ledger.post(Leg(order.id, "points_spent", hold_id(order.id), spent, UNIT, points), now=now)


@transaction.atomic
def earn(*, order_id: UUID, now: datetime) -> int:
    """Every period that this order opened earns points for what was paid for it in money. Again: changes nothing.

    ``POINTS_EARNED`` points for 100 minor units, rounded down; nothing for a fee, for what was taken off, or for what
    was paid in points. Of a period that was given back meanwhile only what its customer had of it counts.

    Returns:
        How many points came.
    """
    orders = Order.objects.select_for_update(of=("self",)).select_related("quote")
    order = orders.filter(id=order_id).first()
    if order is None:
        return 0
    count = sum(line.get("count", 0) for line in order.quote.lines) or 1
    points = (order.total_minor - order.fee_minor) // count * settings.POINTS_EARNED // 100
    periods = lines.periods_of(order_id) if points > 0 else []
    if not periods:
        return 0
    _touch(order.customer_id, now)
    issued, mine = ledger.house("points_issued", UNIT), ledger.points(order.customer_id)
    legs = [Leg(period.id, "points_earned", issued, mine, UNIT, points) for period in periods]
    came = points * ledger.post(*legs, now=now)
    gone = 0
    if came:
        of_ordinal = {period.ordinal: period.id for period in periods}
        for row in GivenBack.objects.filter(order=order, state=GivenState.DONE):
            part = Fraction(row.amount_minor, row.price_minor)
            gone += take_back(period_id=of_ordinal[row.ordinal], customer=order.customer_id, part=part, now=now)
    return came - gone


def take_back(*, period_id: UUID, customer: UUID, part: Fraction, now: datetime) -> int:
    """A period was given back: this part of the points that it had earned goes too, as far as they are there still.

    Again: changes nothing. Returns how many went.
    """
    earned = sum(one.amount for one in ledger_queries.transfers_of(period_id) if one.leg == "points_earned")
    if not earned or not part:
        return 0
    _touch(customer, now)
    gone = min(int(earned * part), ledger_queries.points_balance(customer))
    if gone:
        issued = ledger.house("points_issued", UNIT)
        ledger.post(Leg(period_id, "points_taken_back", points_id(customer), issued, UNIT, gone), now=now)
    return gone


def _touch(customer: UUID, now: datetime) -> None:
    """The points move: all of them are kept. The row stays locked until the transaction ends."""
    Loyalty.objects.bulk_create(
        [Loyalty(customer_id=customer, touched_at=now)],
        update_conflicts=True,
        unique_fields=["customer"],
        update_fields=["touched_at", "warned_at", "lapses_at"],
    )


# -- points that nobody touches ------------------------------------------------------------------------------------


def warn_and_lapse(*, now: datetime) -> None:
    """Points that were not touched for ``POINTS_LIVE_DAYS`` lapse, at the earliest 30 days after their owner was told.

    Whatever moves a customer's points in between, a renewal above all, keeps all of them. With 0 days they never
    lapse. Again: changes nothing.
    """
    if not settings.POINTS_LIVE_DAYS:
        return
    lives = timedelta(days=settings.POINTS_LIVE_DAYS)
    for customer in Loyalty.objects.filter(lapses_at__lte=now).values_list("customer", flat=True):
        _lapse(customer, now)
    idle = Loyalty.objects.filter(warned_at=None, touched_at__lte=now - lives + WARNED_AHEAD)
    for customer in idle.values_list("customer", flat=True):
        _warn(customer, lives, now)


@dataclass(frozen=True, slots=True)
class Warning:
    """So many points lapse then, aware UTC, if nothing moves them before."""

    points: int
    lapses_at: datetime


def warning(customer: UUID) -> Warning | None:
    """What this customer was warned of last; None where nothing lapses."""
    row = Loyalty.objects.filter(customer=customer, lapses_at__isnull=False).first()
    return Warning(ledger_queries.points_balance(customer), row.lapses_at) if row and row.lapses_at else None


@transaction.atomic
def _warn(customer: UUID, lives: timedelta, now: datetime) -> None:
    row = Loyalty.objects.select_for_update().filter(customer=customer, warned_at=None).first()
    points = ledger_queries.points_balance(customer)
    if row is None or not points:
        return
    row.warned_at, row.lapses_at = now, max(row.touched_at + lives, now + WARNED_AHEAD)
    row.save(update_fields=["warned_at", "lapses_at"])
    told = {"points": points, "lapses_at": row.lapses_at.isoformat()}
    journal.record(what="points.lapse_ahead", subject=customer, who="clock", after=told, now=now)


@transaction.atomic
def _lapse(customer: UUID, now: datetime) -> None:
    row = Loyalty.objects.select_for_update().filter(customer=customer, lapses_at__lte=now).first()
    if row is None or row.lapses_at is None:
        return
    cause, points = (
        ids.derived(customer, f"points:{row.lapses_at.isoformat()}"),
        ledger_queries.points_balance(customer),
    )
    row.touched_at, row.warned_at, row.lapses_at = now, None, None
    row.save(update_fields=["touched_at", "warned_at", "lapses_at"])
    if points:
        lapsed = ledger.house("points_lapsed", UNIT)
        ledger.post(Leg(cause, "points_lapsed", points_id(customer), lapsed, UNIT, points), now=now)
        journal.record(what="points.lapsed", subject=customer, who="clock", after={"points": points}, now=now)
