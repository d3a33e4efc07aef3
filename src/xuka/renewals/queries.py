"""Reading orders and quotes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from xuka.activation import operations as activation
from xuka.activation import queries as activation_queries
from xuka.activation.rules import Standing
from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import PlanVersion
from xuka.ledger import queries as ledger
from xuka.lines.queries import Line
from xuka.payments import queries as payments
from xuka.renewals.models import Order, Quote
from xuka.renewals.rules import OPEN_STATES, PATIENCE, PERSON_DECIDES, State


@dataclass(frozen=True, slots=True)
class Choice:
    """A plan that this card can be renewed with, or ``standing.why_not``."""

    version: PlanVersion
    standing: Standing


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an order is.

    Attributes:
        is_final: nothing will change any more without a person.
        is_late: the promised time has passed and the order is still on its way.
        decided_by: for an order that nobody can know of, the hour by which a person decides, aware UTC.
        next_try_at: when the carrier is asked or looked at next, aware UTC, if that is known.
        waits_for: a word for what it waits for: "funds", "carrier", "carrier_later", "carrier_silent", "person", "".
        short_minor: what the wallet lacks while the order awaits funds, minor units.
    """

    order: Order
    is_final: bool
    is_late: bool
    decided_by: datetime | None
    next_try_at: datetime | None
    waits_for: str
    short_minor: int


def due_orders(now: datetime, *, limit: int = 500) -> list[UUID]:
    """Orders to advance: those whose next step is due, in any state, and ended ones into whose hold money came."""
    due = Order.objects.filter(next_step_at__lte=now).order_by("next_step_at", "id")
    return [*due.values_list("id", flat=True)[:limit], *_ended_with_money()]


def _ended_with_money() -> list[UUID]:
    holds = set(ledger.full_accounts("hold"))
    if not holds:
        return []
    ended = Order.objects.filter(next_step_at__isnull=True, hold_id__in=holds - payments.stuck_accounts())
    return list(ended.order_by("id").values_list("id", flat=True))


def waiting_orders(customer: UUID) -> list[UUID]:
    """The customer's orders that wait for money."""
    rows = Order.objects.filter(customer_id=customer, state=State.AWAITING_FUNDS)
    return list(rows.order_by("placed_at").values_list("id", flat=True))


def choices(*, line: Line, now: datetime) -> list[Choice]:
    """The plans on sale for this card, with whether the carrier would put each on it now. May ask the carrier."""
    activation.refresh_standing(line=line, now=now)
    versions = [v for v in catalogue.plans_on_sale(line.market_id) if v.carrier == line.carrier]
    standings = activation_queries.standings_of(
        line_id=line.id, carrier_name=line.carrier, packages=[v.package for v in versions], now=now
    )
    return [Choice(version, standings[version.package]) for version in versions]


def quote_of(customer: UUID, quote_id: UUID) -> Quote | None:
    """This customer's quote, None when there is none or it is someone else's."""
    rows = Quote.objects.select_related("line__market", "plan_version__plan__network", "plan_version__plan__market")
    return rows.filter(id=quote_id, customer_id=customer).first()


def order_of(customer: UUID, order_id: UUID) -> Order | None:
    """This customer's order, None when there is none or it is someone else's."""
    return _orders().filter(id=order_id, customer_id=customer).first()


def order(order_id: UUID) -> Order | None:
    """The order of this id, whosever it is. For staff, jobs and commands."""
    return _orders().filter(id=order_id).first()


def orders_of(customer: UUID, *, limit: int = 100) -> list[Order]:
    """The customer's orders, the newest first."""
    return list(_orders().filter(customer_id=customer).order_by("-placed_at")[:limit])


def open_order(line_id: UUID, *, track: str = "main") -> Order | None:
    """The order under way on this line and track; its line, plan and quote are not loaded."""
    return Order.objects.filter(line_id=line_id, track=track, state__in=OPEN_STATES).first()


def progress(order: Order, now: datetime) -> Progress:
    """How far this order is, in two queries."""
    attempt = next(iter(activation_queries.attempts_of(order.id)), None)
    late = order.promised_by is not None and order.state in OPEN_STATES and now >= order.promised_by
    waits_for = {State.AWAITING_FUNDS: "funds", State.FUNDED: "carrier", State.NEEDS_A_PERSON: "person"}.get(
        State(order.state), ""
    )
    next_try = None
    if order.state == State.ACTIVATING and attempt:
        waits_for = {"refused": "carrier_later", "unknown": "carrier_silent"}.get(attempt.state, "carrier")
        next_try = attempt.retry_at if attempt.state == "refused" else attempt.look_at
    short = 0
    if order.state == State.AWAITING_FUNDS:
        wallet = ledger.wallet_balance(customer=order.customer_id, currency=order.currency)
        short = max(0, order.total_minor - wallet.minor - ledger.balance(order.hold_id))
    return Progress(
        order=order,
        is_final=order.state not in OPEN_STATES,
        is_late=late,
        decided_by=decided_by(order),
        next_try_at=next_try,
        waits_for=waits_for,
        short_minor=short,
    )


def decided_by(order: Order) -> datetime | None:
    """The hour by which a person decides, told to the customer when nobody can know."""
    if order.state != State.NEEDS_A_PERSON or order.promised_by is None:
        return None
    return order.promised_by + PATIENCE + PERSON_DECIDES


def _orders():
    return Order.objects.select_related(
        "line__market", "plan_version__plan__network", "plan_version__plan__market", "quote"
    )
