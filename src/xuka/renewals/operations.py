"""The story of a renewal: quote -> order -> funds -> activation -> new period. A new eSIM is bought by the same story.

``advance`` moves an order at most one step. A job, the sweeper, a webhook or a hand may call it at any time, any number
of times, from anywhere. What the next step is, ``rules.next_step`` decides; here it is taken.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from xuka.activation import operations as activation
from xuka.activation import queries as activation_queries
from xuka.activation.models import Attempt
from xuka.activation.operations import Call
from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import PlanVersion
from xuka.journal import operations as journal
from xuka.kernel import ids
from xuka.kernel.money import Money, tax_inside
from xuka.kernel.span import Span
from xuka.ledger import operations as ledger
from xuka.ledger import queries as ledger_queries
from xuka.lines import operations as lines
from xuka.lines import queries as lines_queries
from xuka.lines.queries import Line
from xuka.lines.rules import run_anchor
from xuka.payments import operations as payments
from xuka.payments import queries as payments_queries
from xuka.payments.queries import Payment
from xuka.renewals import rules, steps
from xuka.renewals.models import Order, Quote
from xuka.renewals.rules import Next, Stacked, State, Step
from xuka.renewals.steps import move_to


class CannotRenew(Exception):
    """This card cannot be renewed with this plan now; ``code`` says why, ``possible_at`` when it can, if ever."""

    def __init__(self, code: str, possible_at: datetime | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.possible_at = possible_at


class UnknownQuote(Exception):
    """No such quote, or someone else's."""


class QuoteExpired(Exception):
    """The quote's time is over; nothing was bought."""


class QuoteChanged(Exception):
    """The renewal would not do any more what the quote says; nothing was bought."""


class PaymentNotOffered(Exception):
    """The quote said that it cannot be paid now; nothing was bought."""


class DifferentOrder(Exception):
    """An order of this id exists with other content; nothing was bought."""


class UnknownOrder(Exception):
    """No such order, or someone else's."""


class CannotPay(Exception):
    """This order cannot be paid in this way now; ``code`` says why, ``until`` how long, if that is known.

    Codes: "not_waiting" (it needs no money, or no more), "wallet_too_low", and those of ``payments.NotOffered``.
    """

    def __init__(self, code: str, until: datetime | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.until = until


class CannotDecide(Exception):
    """This is not possible for the order as it stands; ``code`` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


# -- quote ---------------------------------------------------------------------------------------------------------


def quote(*, line_id: UUID, plan_version_id: UUID, customer: UUID, now: datetime) -> Quote:
    """Say what this renewal costs and does, and promise it for 15 minutes.

    The carrier is asked first (with no transaction open) whether it would do it and whether the seller's credit
    covers it; where not, the quote says ``why_not`` and cannot be paid.

    Raises:
        CannotRenew: "unknown_line", "unknown_plan", "other_market", "too_late" (its last period ended too long ago)
            or "too_far_ahead" (with ``possible_at``).
    """
    line = lines_queries.line_of(customer, line_id)
    version = catalogue.plan_version(plan_version_id)
    if line is None:
        raise CannotRenew("unknown_line")
    if version is None or not version.plan.on_sale or version.plan.current_id != version.id:
        raise CannotRenew("unknown_plan")
    if (version.plan.market_id, version.carrier) != (line.market_id, line.carrier):
        raise CannotRenew("other_market")
    activation.refresh_standing(line=line, now=now)
    standing = activation_queries.standing_of(
        line_id=line.id, carrier_name=line.carrier, package=version.package, now=now
    )
    stacked = _stacked(line, version, now)
    return _new_quote(line, version, customer, stacked, standing.why_not, now)


def quote_new(*, plan_version_id: UUID, customer: UUID, now: datetime) -> Quote:
    """Say what a new eSIM with this plan costs, and promise it for 15 minutes. Its ``line`` is None.

    The carrier is asked first (with no transaction open) for the seller's credit; where that does not cover it, the
    quote says ``why_not`` and cannot be paid.

    Raises:
        CannotRenew: "unknown_plan": it is not sold, or not as a new eSIM.
    """
    version = catalogue.plan_version(plan_version_id)
    if version is None or not version.plan.on_sale or version.plan.current_id != version.id:
        raise CannotRenew("unknown_plan")
    if not version.first_package:
        raise CannotRenew("unknown_plan")
    activation.refresh_balance(carrier_name=version.carrier, now=now)
    cost = Money(version.cost_minor, version.cost_currency)
    standing = activation_queries.standing_of_new(carrier_name=version.carrier, cost=cost, now=now)
    return _new_quote(None, version, customer, _stacked(None, version, now), standing.why_not, now)


def _new_quote(
    line: Line | None, version: PlanVersion, customer: UUID, stacked: Stacked, why_not: str, now: datetime
) -> Quote:
    tax = version.plan.market.tax_basis_points
    price = rules.price(
        plan_price=Money(version.price_minor, version.currency), label=version.plan_id, tax_basis_points=tax
    )
    return Quote.objects.create(
        id=ids.new(),
        customer_id=customer,
        line=line,
        plan_version=version,
        lines=list(price.lines),
        total_minor=price.total.minor,
        tax_minor=price.tax.minor,
        tax_basis_points=tax,
        currency=price.total.currency,
        starts_on_activation=stacked.starts_on_activation,
        starts_at=stacked.span.starts_at,
        ends_at=stacked.span.ends_at,
        kept=list(stacked.kept),
        lost=list(stacked.lost),
        why_not=why_not,
        quoted_at=now,
        expires_at=now + rules.QUOTE_LIVES,
    )


def _stacked(line: Line | None, version: PlanVersion, now: datetime) -> Stacked:
    """What it would do to this card; None for a card that is not there yet, and has nothing to keep."""
    if line is None:
        fresh = rules.stack(booked_until=None, queued=0, policy=catalogue.policy(version), now=now)
        return replace(fresh, kept=())
    timeline = lines_queries.timeline(line, now)
    policy, until = catalogue.policy(version), timeline.valid_until
    try:
        return rules.stack(
            booked_until=until,
            queued=sum(entry.projected for entry in timeline.entries),
            policy=policy,
            anchor=run_anchor(timeline.placed, policy.period, until) if until else None,
            last=catalogue.policy(timeline.entries[-1].period.plan_version) if timeline.entries else None,
            now=now,
        )
    except rules.TooFarAhead as error:
        raise CannotRenew("too_far_ahead", error.possible_at) from error
    except rules.TooLate as error:
        raise CannotRenew("too_late") from error


# -- place and cancel ----------------------------------------------------------------------------------------------


@transaction.atomic
def place(*, order_id: UUID, quote_id: UUID, customer: UUID, now: datetime, pays_with: str = "wallet") -> Order:
    """Buy what the quote says: from the customer's wallet if it holds enough, else once it does; or with ``pay``.

    The same id again finds the first order. A second buyer of the same quote, or of the same card while an order is
    open, is given the first order (its id differs from ``order_id``): one order, one charge.

    Args:
        pays_with: "wallet", or a method of ``payments.queries.methods_offered``; its fee, if any, is in the total.

    Raises:
        UnknownQuote, QuoteExpired, QuoteChanged, PaymentNotOffered, DifferentOrder: nothing was bought.
        CannotPay: "method", "amount" or "down": nothing was bought.
    """
    quote = Quote.objects.select_related("plan_version__plan__market").filter(id=quote_id, customer_id=customer).first()
    if quote is None:
        raise UnknownQuote
    line = _lock(quote)
    first = _order_there(order_id, quote, customer)
    if first:
        return first
    if line is not None and line.owner_id != customer:
        raise UnknownQuote
    if now >= quote.expires_at:
        raise QuoteExpired
    if not quote.payment_offered:
        raise PaymentNotOffered(quote.why_not)
    _require_same_result(quote, line, now)
    return _new_order(order_id, quote, pays_with, now)


def _lock(quote: Quote) -> Line | None:
    """Whoever places an order holds the lock on its card; where there is none yet, on its quote."""
    if quote.line_id is not None:
        return lines.lock(quote.line_id)
    Quote.objects.select_for_update(of=("self",)).get(id=quote.id)
    return None


def _order_there(order_id: UUID, quote: Quote, customer: UUID) -> Order | None:
    """The order that this buyer is to be shown instead of a new one, if there is one. The line is locked."""
    same = Q(id=order_id) | Q(quote=quote)
    if quote.line_id is not None:
        same |= Q(line_id=quote.line_id, track=quote.track, state__in=rules.OPEN_STATES)
    there = list(Order.objects.filter(same))
    for order in there:
        if order.id == order_id and (order.quote_id, order.customer_id) != (quote.id, customer):
            raise DifferentOrder
    ours = [order for order in there if order.customer_id == customer]
    if there and not ours:
        raise QuoteChanged
    return min(ours, key=lambda order: (order.id != order_id, order.quote_id != quote.id), default=None)


def _require_same_result(quote: Quote, line: Line | None, now: datetime) -> None:
    quoted = Stacked(
        Span(quote.starts_at, quote.ends_at), quote.starts_on_activation, tuple(quote.kept), tuple(quote.lost)
    )
    try:
        today = _stacked(line, quote.plan_version, now)
    except CannotRenew as error:
        raise QuoteChanged from error
    if not rules.is_same_result(quoted=quoted, today=today):
        raise QuoteChanged


def _new_order(order_id: UUID, quote: Quote, pays_with: str, now: datetime) -> Order:
    fee_minor = _fee(quote, pays_with, now)
    total = Money(quote.total_minor + fee_minor, quote.currency)
    order = Order(
        id=order_id,
        customer_id=quote.customer_id,
        line_id=quote.line_id,
        is_first=quote.line_id is None,
        plan_version=quote.plan_version,
        quote=quote,
        track=quote.track,
        hold_id=ids.derived(order_id, "hold"),
        state=State.AWAITING_FUNDS,
        currency=quote.currency,
        total_minor=total.minor,
        tax_minor=tax_inside(total, quote.tax_basis_points).minor,
        fee_minor=fee_minor,
        pays_with=pays_with,
        placed_at=now,
        pay_by=now + rules.PAY_WITHIN,
        next_step_at=now,
    )
    ledger.open_account(id=order.hold_id, kind="hold", unit=order.currency, limited=True)
    who = f"customer:{order.customer_id}"
    journal.record(what="order.placed", subject=order.id, who=who, after={"total_minor": order.total_minor}, now=now)
    if pays_with != "wallet":
        order.next_step_at = order.pay_by
    else:
        _pay_at_once(order, who, now)
    order.save(force_insert=True)
    return order


def _pay_at_once(order: Order, who: str, now: datetime) -> None:
    try:
        steps.charge(order, order.total_minor, now)
        move_to(order, State.FUNDED, who=who, now=now)
    except ledger.InsufficientFunds:
        order.next_step_at = order.pay_by


def _reprice(order: Order, pays_with: str, now: datetime) -> None:
    """The fee follows the way of paying, as long as nothing is paid."""
    if pays_with != order.pays_with and ledger_queries.balance(order.hold_id) == 0:
        quote = Quote.objects.select_related("plan_version__plan").get(id=order.quote_id)
        order.fee_minor = _fee(quote, pays_with, now)
        order.total_minor = quote.total_minor + order.fee_minor
        total = Money(order.total_minor, order.currency)
        order.tax_minor = tax_inside(total, quote.tax_basis_points).minor
    order.pays_with = pays_with


def _fee(quote: Quote, pays_with: str, now: datetime) -> int:
    if pays_with == "wallet":
        return 0
    offered = payments_queries.method_offered(
        market=quote.plan_version.plan.market_id,
        money=Money(quote.total_minor, quote.currency),
        method=pays_with,
        now=now,
    )
    if offered is None or offered.why_not:
        raise CannotPay(offered.why_not if offered else "method", offered.until if offered else None)
    return offered.fee.minor


# -- pay -----------------------------------------------------------------------------------------------------------


def pay(
    *,
    order_id: UUID,
    payment_id: UUID,
    customer: UUID,
    method: str,
    description: str,
    return_url: str,
    language: str,
    now: datetime,
    save_card: bool = False,
    saved_card: UUID | None = None,
) -> Payment:
    """Begin, or go on with, a payment of what an order lacks; its money fills the order's hold, and the order goes on.

    May be called again at any time: one live payment an order, and what comes on top goes back by itself.

    Args:
        payment_id: made by the payer's browser; the same id again asks nothing new.

    Returns:
        The payment, as ``payments.operations.begin`` does.

    Raises:
        UnknownOrder: no such order of this customer.
        CannotPay: "not_waiting", "method", "amount", "down" or "card"; nothing was asked.
        payments.DifferentPayment: this id was used for another payment.
    """
    with transaction.atomic():
        order = _waiting_for_money(order_id, customer, now)
        _reprice(order, method, now)
        missing = Money(order.total_minor - ledger_queries.balance(order.hold_id), order.currency)
        if missing.minor <= 0:
            raise CannotPay("not_waiting")
        order.has_payments = True
        order.save()
        market = order.market_id
    try:
        payment = payments.begin(
            id=payment_id,
            cause=order.id,
            account=order.hold_id,
            customer=customer,
            market=market,
            money=missing,
            method=method,
            description=description,
            return_url=return_url,
            language=language,
            pay_by=order.pay_by,
            save_card=save_card,
            saved_card=saved_card,
            now=now,
        )
    except payments.NotOffered as error:
        raise CannotPay(error.code, error.until) from error
    return payment


def _waiting_for_money(order_id: UUID, customer: UUID, now: datetime) -> Order:
    order = _locked(order_id)
    if order is None or order.customer_id != customer:
        raise UnknownOrder
    if order.state != State.AWAITING_FUNDS or now >= order.pay_by:
        raise CannotPay("not_waiting")
    return order


@transaction.atomic
def pay_from_wallet(*, order_id: UUID, customer: UUID, now: datetime) -> Order:
    """Pay a waiting order from the wallet after all; a payment under way is closed, and given back should it come.

    Raises:
        UnknownOrder: no such order of this customer.
        CannotPay: "not_waiting" or "wallet_too_low"; nothing was changed.
    """
    order = _waiting_for_money(order_id, customer, now)
    _reprice(order, "wallet", now)
    missing = order.total_minor - ledger_queries.balance(order.hold_id)
    wallet = ledger_queries.wallet_balance(customer=customer, currency=order.currency)
    if wallet.minor < missing:
        raise CannotPay("wallet_too_low")
    move_to(order, State.FUNDED, who=f"customer:{customer}", now=now)
    if missing > 0:
        steps.charge(order, missing, now)
    order.save()
    return order


@transaction.atomic
def cancel(*, order_id: UUID, customer: UUID, now: datetime) -> Order:
    """Call an order off before the carrier is asked; the money goes back at the next step. Again: changes nothing.

    Raises:
        UnknownOrder: no such order of this customer.
        CannotDecide: "too_late": the carrier has been asked, or the order has ended.
    """
    order = Order.objects.select_for_update().filter(id=order_id, customer_id=customer).first()
    if order is None:
        raise UnknownOrder
    if order.state == State.CANCELLED:
        return order
    if order.state not in {State.AWAITING_FUNDS, State.FUNDED}:
        raise CannotDecide("too_late")
    move_to(order, State.CANCELLED, who=f"customer:{customer}", now=now)
    order.save()
    return order


# -- advance -------------------------------------------------------------------------------------------------------


def advance(*, order_id: UUID, now: datetime) -> bool:
    """Move the order at most one step. Returns True when it moved and should be called again, False when it waits.

    Between two transactions the carrier may be asked, under a lease; whoever meets a live lease returns. An order
    that does not exist is left alone.
    """
    with transaction.atomic():
        order = _locked(order_id)
        if order is None:
            return False
        attempt = activation.attempt_of(cause=order.id, lock=True)
        step = rules.next_step(now, steps.situation(order, attempt))
        call = _take(step, order, attempt, now)
        order.save()
    if call is None:
        return step.step not in {Step.WAIT, Step.FINISH}
    outcome = activation.call(call)
    with transaction.atomic():
        order = _locked(order_id)
        assert order is not None, "orders are never deleted"
        attempt, spare = activation.settle(call, outcome, now=now)
        steps.count_duplicates(order, spare, now)
        goes_on = _take_if_free(order, attempt, now)
        order.save()
    return goes_on


def _locked(order_id: UUID) -> Order | None:
    rows = Order.objects.select_for_update(of=("self",)).select_related("plan_version__plan__market", "line")
    return rows.filter(id=order_id).first()


def _take(next: Next, order: Order, attempt: Attempt | None, now: datetime) -> Call | None:
    """Take one step inside the transaction; returns the call to make after it, if the step is one."""
    order.next_step_at = next.until if next.step in {Step.WAIT, Step.FINISH} else now
    take = steps.STEPS.get(next.step)
    return take(order, attempt, now) if take else None


def _take_if_free(order: Order, attempt: Attempt, now: datetime) -> bool:
    """After an answer: deliver in the same transaction if that is what follows. Returns whether it goes on at once."""
    facts = steps.situation(order, attempt)
    following = rules.next_step(now, facts)
    if following.step == Step.DELIVER:
        steps.deliver(order, attempt, now)
        earned = replace(facts, state=State(order.state), hold_minor=facts.hold_minor - order.total_minor)
        following = rules.next_step(now, earned)
    goes_on = following.step not in {Step.WAIT, Step.FINISH}
    order.next_step_at = now if goes_on else following.until
    return goes_on


# -- a person decides ----------------------------------------------------------------------------------------------

EXITS = ("retry", "adopt", "refund", "close")


@transaction.atomic
def decide(*, order_id: UUID, exit: str, staff: UUID, why: str, now: datetime, reference: str = "") -> Order:
    """A person ends what nobody could know.

    ``retry``: ask the carrier once more. ``adopt``: it was done at the carrier, under ``reference``. ``refund``: the
    money goes back, and a late answer is looked for during 30 days. ``close``: it was surely not done; the money goes
    back and nobody looks any more.

    Raises:
        UnknownOrder: no such order.
        CannotDecide: "no_reason", "no_reference", "not_waiting" (it needs no person), "being_asked" (a call is on the
            wire: try again in a minute), "first_adopt" (a new eSIM's profile only the carrier can tell: it goes on
            being looked for). Nothing was changed.
    """
    order = _locked(order_id)
    if order is None:
        raise UnknownOrder
    attempt = activation.attempt_of(cause=order.id, lock=True)
    _require_decidable(order, attempt, exit, why, reference, now)
    assert attempt is not None
    who = f"staff:{staff}"
    match exit:
        case "retry":
            activation.allow_another_ask(attempt)
            order.promised_by = now + rules.PROMISE
            move_to(order, State.ACTIVATING, who=who, why=why, now=now)
        case "adopt":
            activation.adopt_by_hand(attempt, reference=reference.strip(), now=now)
            move_to(order, State.ACTIVATING, who=who, why=why, now=now)
        case "refund":
            activation.watch(attempt, until=now + rules.WATCH, now=now)
            move_to(order, State.REFUNDING, who=who, why=why, now=now)
        case "close":
            activation.declare_absent(attempt)
            move_to(order, State.CANCELLED, who=who, why=why, now=now)
        case _:
            raise ValueError(exit)
    journal.record(what="order.decided", subject=order.id, who=who, why=why, after={"exit": exit}, now=now)
    order.save()
    return order


def _require_decidable(
    order: Order, attempt: Attempt | None, exit: str, why: str, reference: str, now: datetime
) -> None:
    if order.state != State.NEEDS_A_PERSON or attempt is None:
        raise CannotDecide("not_waiting")
    if not why.strip():
        raise CannotDecide("no_reason")
    if exit == "adopt" and not reference.strip():
        raise CannotDecide("no_reference")
    if exit == "adopt" and order.is_first:
        raise CannotDecide("first_adopt")
    if attempt.lease_until is not None and now < attempt.lease_until:
        raise CannotDecide("being_asked")
