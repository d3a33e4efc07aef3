"""Reading orders and quotes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Sum

from xuka.activation import operations as activation
from xuka.activation import queries as activation_queries
from xuka.activation.models import Attempt
from xuka.activation.rules import Standing
from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import PlanVersion
from xuka.kernel.span import Span
from xuka.ledger import queries as ledger
from xuka.lines import queries as lines
from xuka.lines.queries import Line
from xuka.metering import queries as metering
from xuka.payments import queries as payments
from xuka.renewals import auto_rules
from xuka.renewals.models import AutomaticOrder, AutoRenewal, Order, Quote
from xuka.renewals.rules import OPEN_STATES, OUT_OF_SERVICE, PATIENCE, PERSON_DECIDES, State


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
    versions = [v for v in catalogue.plans_on_sale(line.market_id) if v.carrier == line.carrier and v.package]
    standings = activation_queries.standings_of(
        line_id=line.id, carrier_name=line.carrier, packages=[v.package for v in versions], now=now
    )
    out = OUT_OF_SERVICE.get(line.standing)
    return [Choice(version, Standing(out) if out else standings[version.package]) for version in versions]


def quote_of(customer: UUID, quote_id: UUID) -> Quote | None:
    """This customer's quote; None when there is none, it is someone else's, or of a card they may not renew any more.

    A quote tells what is left on its card: so it ends with the right to see that. That of a gift tells nothing of it.
    """
    rows = Quote.objects.select_related("line", "plan_version__plan__network", "plan_version__plan__market")
    found = rows.filter(id=quote_id, customer_id=customer).first()
    if found is None or found.line is None or found.is_gift:
        return found
    return found if lines.may_renew(customer, found.line) else None


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


def orders_on(line_id: UUID, *, limit: int = 100) -> list[Order]:
    """The orders of this card, the newest first; their line, plan and quote are not loaded."""
    return list(Order.objects.filter(line_id=line_id).order_by("-placed_at")[:limit])


def progress(order: Order, now: datetime) -> Progress:
    """How far this order is, in two queries."""
    attempts = activation_queries.attempts_of(order.id)
    attempt = next((one for one in attempts if one.ordinal in order.open_ordinals), None)
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


def waiting_for_a_person(order: Order, attempts: Iterable[Attempt]) -> list[Attempt]:
    """Of what was asked for this order, what nobody could know and a person has to decide, by its periods."""
    if order.state != State.NEEDS_A_PERSON:
        return []
    open_, unsure = order.open_ordinals, {"intended", "unknown", "absent"}
    return [one for one in attempts if one.ordinal in open_ and one.state in unsure]


def decided_by(order: Order) -> datetime | None:
    """The hour by which a person decides, told to the customer when nobody can know."""
    if order.state != State.NEEDS_A_PERSON or order.promised_by is None:
        return None
    return order.promised_by + PATIENCE + PERSON_DECIDES


# -- automatic renewal ---------------------------------------------------------------------------------------------


def auto_renewal(line_id: UUID) -> AutoRenewal | None:
    """How this card renews itself, on or off; None when it never did."""
    rows = AutoRenewal.objects.select_related("plan_version__plan", "line__market", "customer")
    return rows.filter(line_id=line_id).first()


def due_auto_renewals(now: datetime, *, limit: int = 500) -> list[UUID]:
    """Cards whose automatic renewal is to be looked at now, those due longest first."""
    due = AutoRenewal.objects.filter(next_due_at__lte=now).order_by("next_due_at", "id")
    return list(due.values_list("line_id", flat=True)[:limit])


def automatic(order_id: UUID) -> AutomaticOrder | None:
    """What is known of an order that a card placed by itself; None when a person placed it."""
    return AutomaticOrder.objects.select_related("auto", "order").filter(order_id=order_id).first()


def was_paid_for(auto: AutoRenewal) -> bool:
    """Whether the last try for this end was an order that was paid; a later one may have been refused before that."""
    last = AutomaticOrder.objects.filter(auto=auto, renews_end=auto.renews_end).order_by("number").last()
    return last is not None and last.order.funded_at is not None and last.order.reason == auto.last_outcome


def charged_in(auto: AutoRenewal, month: Span) -> int:
    """What this card's automatic orders placed within this time cost, minor units; what did not come about is none."""
    ended = [State.REFUNDED, State.EXPIRED, State.CANCELLED]
    placed = AutomaticOrder.objects.filter(auto=auto, placed_at__gte=month.starts_at, placed_at__lt=month.ends_at)
    found = placed.filter(order__currency=auto.currency).exclude(order__state__in=ended)
    return found.aggregate(sum=Sum("order__total_minor"))["sum"] or 0


def plan_to_repeat(line: Line, now: datetime) -> PlanVersion | None:
    """The plan that the card would renew itself with, as it is sold now; None where it is not sold any more."""
    last = lines.ends_of([line.id], now)[line.id].version
    sold = catalogue.plan_by_slug(last.plan_id)
    return sold if sold and (sold.plan.market_id, sold.carrier) == (line.market_id, line.carrier) else None


def used_percent(line: Line, now: datetime) -> int:
    """How much of the data of all periods that run is used, in whole per cent; 0 where that is not known."""
    entries = lines.entries_of([line], now)[line.id]
    running = [entry.span for entry in entries if now in entry.span]
    usage = metering.usage_of(line, now=now, entries=entries)
    if not running or not auto_rules.counts(usage.window, running):
        return 0
    return auto_rules.used_percent(left=usage.left_bytes, of=usage.of_bytes)


def _orders():
    return Order.objects.select_related(
        "line__market", "plan_version__plan__network", "plan_version__plan__market", "quote"
    )
