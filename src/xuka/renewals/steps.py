"""The steps that an order takes, one by one, each in its caller's transaction. ``rules.next_step`` says which is next.

A step takes the order and what was asked of the carrier, both locked, and returns the call to make afterwards, if it
is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from xuka.activation import operations as activation
from xuka.activation.contract import Activation
from xuka.activation.models import Attempt
from xuka.activation.operations import Call
from xuka.journal import operations as journal
from xuka.kernel import ids
from xuka.kernel.money import Money, tax_inside
from xuka.ledger import operations as ledger
from xuka.ledger import queries as ledger_queries
from xuka.ledger.rules import Leg, wallet_id
from xuka.lines import operations as lines
from xuka.lines import queries as lines_queries
from xuka.lines.queries import Line
from xuka.payments import operations as payments
from xuka.payments import queries as payments_queries
from xuka.payments import refunds
from xuka.payments.queries import Standing
from xuka.renewals import discounts, points, rules
from xuka.renewals.models import Order
from xuka.renewals.rules import Asked, Situation, State, Step


def situation(order: Order, attempts: Sequence[Attempt]) -> Situation:
    """Everything that the next step depends on; two queries more when a provider was ever asked for money."""
    wallet = wallet_id(customer=order.customer_id, currency=order.currency)
    balances = ledger_queries.balances([order.hold_id, wallet])
    standing = payments_queries.standing(order.hold_id) if order.has_payments else Standing()
    return Situation(
        state=State(order.state),
        total_minor=order.total_minor,
        hold_minor=balances[order.hold_id],
        wallet_minor=balances[wallet],
        pay_by=order.pay_by,
        promised_by=order.promised_by,
        asked=asked(order, attempts),
        given_back_minor=order.given_back_minor,
        fills_from_wallet=order.pays_with == "wallet",
        live_payments=standing.live,
        in_flight_minor=standing.in_flight_minor,
        stuck_minor=standing.stuck_minor,
    )


def asked(order: Order, attempts: Sequence[Attempt]) -> tuple[Asked | None, ...]:
    """What is known of each period of the order at the carrier, by its ordinal."""
    there = {attempt.ordinal: _known(order, attempt) for attempt in attempts}
    return tuple(there.get(ordinal) for ordinal in range(order.count))


def _known(order: Order, attempt: Attempt) -> Asked:
    return Asked(
        state=attempt.state,
        lease_until=attempt.lease_until,
        unknown_asks=attempt.unknown_asks,
        look_at=attempt.look_at,
        retry_at=attempt.retry_at,
        is_watched=attempt.watch_until is not None,
        is_settled=attempt.ordinal not in order.open_ordinals,
    )


def _fund(order: Order, attempt: Attempt | None, now: datetime) -> None:
    move_to(order, State.FUNDED, who="clock", now=now)


def _expire(order: Order, attempt: Attempt | None, now: datetime) -> None:
    order.reason = "not_paid"
    move_to(order, State.EXPIRED, who="clock", now=now)


def ask(order: Order, ordinal: int, attempt: Attempt | None, now: datetime) -> Call:
    """Write down that the carrier is about to be asked for this period, for the first time or again."""
    if order.state == State.FUNDED:
        move_to(order, State.ACTIVATING, who="clock", now=now)
    call = activation.intend(
        there=attempt,
        cause=order.id,
        ordinal=ordinal,
        carrier_name=order.plan_version.carrier,
        iccid=None if order.is_first else _card(order).iccid,
        package=order.plan_version.first_package if order.is_first else order.plan_version.package,
        now=now,
    )
    order.next_step_at = call.lease_until
    return call


def _look(order: Order, attempt: Attempt | None, now: datetime) -> Call:
    assert attempt is not None
    call = activation.begin_look(attempt, now=now)
    order.next_step_at = call.lease_until
    return call


def _give_back(order: Order, attempt: Attempt | None, now: datetime) -> None:
    assert attempt is not None, "what was never asked for is asked for first"
    order.reason = attempt.reason or "not_delivered"
    give_back(order, attempt.ordinal, who="clock", now=now)


def give_back(
    order: Order, ordinal: int, *, who: str, now: datetime, why: str = "", end: State = State.REFUNDING
) -> None:
    """This period is not delivered: its share goes back; the whole order ends as ``end`` if nothing else is left of it.

    What is left of the hold then goes back as one sum, so an order of one period gives back its total.
    """
    if order.open_ordinals == [ordinal] and not order.delivered:
        move_to(order, end, who=who, why=why, now=now)
        return
    order.given_back = [*order.given_back, ordinal]
    share = order.share_minor(ordinal)
    if share:
        _back_to_source(order, f"share:{ordinal}", share, now)
    after = {"ordinal": ordinal, "amount_minor": share, "currency": order.currency}
    journal.record(
        what="order.share_returned", subject=order.id, who=who, why=why or order.reason, after=after, now=now
    )
    _end_or_go_on(order, who, now)


def _call_a_person(order: Order, attempt: Attempt | None, now: datetime) -> None:
    order.reason = "carrier_silent"
    move_to(order, State.NEEDS_A_PERSON, who="clock", now=now)


def deliver(order: Order, attempt: Attempt | None, now: datetime) -> None:
    """The carrier took it: a new eSIM has its card and the period opens; with the last one the money is earned."""
    assert attempt is not None
    assert attempt.activated_at is not None
    assert order.funded_at is not None
    if order.line_id is None:
        order.line = _new_card(order, attempt, now)
    lines.open_period(
        line_id=_card(order).id,
        order_id=order.id,
        ordinal=attempt.ordinal,
        plan_version=order.plan_version,
        # The carrier's clock is not ours: never before it was asked, never in the future.
        activated_at=min(max(attempt.activated_at, attempt.intended_at), now),
        funded_at=order.funded_at,
        carrier_ends_at=attempt.carrier_ends_at,
        who=f"carrier:{attempt.carrier}",
        track=order.track,
        now=now,
    )
    order.delivered = [*order.delivered, attempt.ordinal]
    _end_or_go_on(order, f"carrier:{attempt.carrier}", now)


def _end_or_go_on(order: Order, who: str, now: datetime) -> None:
    """Once every period is there or given back, what is left in the hold is earned: the tax inside it is what is left
    of the receipt's when the credit note's is taken from it.
    """
    if order.open_ordinals:
        order.next_step_at = now
        return
    back = order.given_back_minor
    tax_back = tax_inside(Money(back, order.currency), order.quote.tax_basis_points).minor if back else 0
    hold, unit, tax_minor = order.hold_id, order.currency, order.tax_minor - tax_back
    revenue, tax = ledger.houses("revenue", "tax", unit=unit)
    net = Leg(order.id, "revenue", hold, revenue, unit, order.total_minor - back - tax_minor)
    inside = Leg(order.id, "tax", hold, tax, unit, tax_minor)
    ledger.post(*(leg for leg in (net, inside) if leg.amount), now=now)
    if not order.given_back:
        order.reason = ""
    move_to(order, State.ACTIVE, who=who, now=now)


def _card(order: Order) -> Line:
    assert order.line is not None, "what is renewed or delivered is a card"
    return order.line


def _new_card(order: Order, attempt: Attempt, now: datetime) -> Line:
    """One order, one card: its id follows from the order's."""
    esim = activation.esim_of(attempt)
    line = lines.issue(
        id=ids.derived(order.id, "line"),
        iccid=attempt.iccid,
        msisdn=esim.msisdn,
        plan_version=order.plan_version,
        owner=order.customer_id,
        smdp_address=esim.smdp_address,
        matching_id=esim.matching_id,
        confirmation_code=esim.confirmation_code,
        apple_url=esim.apple_url,
        apn=esim.apn,
        who=f"carrier:{attempt.carrier}",
        now=now,
    )
    activation.forget_esim(attempt)
    return line


# -- money ---------------------------------------------------------------------------------------------------------


def _wallet_of(order: Order) -> UUID:
    return ledger.wallet(customer=order.customer_id, currency=order.currency)


def charge(order: Order, amount_minor: int, now: datetime) -> None:
    """Wallet -> hold. Raises ledger.InsufficientFunds when the wallet holds less; nothing was posted then."""
    wallet = wallet_id(customer=order.customer_id, currency=order.currency)
    ledger.post(Leg(order.id, "charge", wallet, order.hold_id, order.currency, amount_minor), now=now)


def _fill(order: Order, attempt: Attempt | None, now: datetime) -> None:
    try:
        charge(order, order.total_minor - ledger_queries.balance(order.hold_id), now)
    except ledger.InsufficientFunds:  # another order of the same wallet was faster
        order.next_step_at = order.pay_by


def _refund(order: Order, attempt: Attempt | None, now: datetime) -> None:
    """The whole hold goes back to where it came from, once; what comes in after that goes back under its own leg."""
    held = ledger_queries.balance(order.hold_id) - _stuck(order)
    legs = {one.leg for one in ledger_queries.transfers_of(order.id)}
    if order.has_payments:
        legs |= {one.leg for one in payments_queries.refunds_about(order.id)}
    before = sum(leg.split(":")[0] == "refund" for leg in legs)
    _back_to_source(order, f"refund:{before}" if before else "refund", held, now)


def _end_refund(order: Order, attempt: Attempt | None, now: datetime) -> None:
    move_to(order, State.REFUNDED, who="clock", now=now)


def _return_surplus(order: Order, attempt: Attempt | None, now: datetime) -> None:
    held = ledger_queries.balance(order.hold_id) - _stuck(order)
    surplus = held - rules.claim_of(
        state=State(order.state), total_minor=order.total_minor, given_back_minor=order.given_back_minor
    )
    _back_to_source(order, f"return:{order.returns}", surplus, now)
    order.returns += 1
    after = {"amount_minor": surplus, "currency": order.currency}
    journal.record(what="order.surplus_returned", subject=order.id, who="clock", after=after, now=now)


def _stuck(order: Order) -> int:
    return payments_queries.standing(order.hold_id).stuck_minor if order.has_payments else 0


def _back_to_source(order: Order, leg: str, amount_minor: int, now: datetime) -> None:
    """What came by a payment goes back the same way, the rest to the wallet, which is ours: done at once."""
    there = 0
    if order.has_payments:
        there = refunds.give_back(cause=order.id, account=order.hold_id, leg=leg, amount_minor=amount_minor, now=now)
    if rest := amount_minor - there:
        ledger.post(Leg(order.id, leg, order.hold_id, _wallet_of(order), order.currency, rest), now=now)


def send_back(order: Order, leg: str, amount_minor: int, *, to_wallet: bool, now: datetime) -> None:
    """Send so much of the hold back to where it came from; to the wallet where the customer chose that.

    The same leg again changes nothing.
    """
    if to_wallet:
        ledger.post(Leg(order.id, leg, order.hold_id, _wallet_of(order), order.currency, amount_minor), now=now)
    else:
        _back_to_source(order, leg, amount_minor, now)


def _write_off(order: Order, attempt: Attempt | None, now: datetime) -> None:
    """The money went back and the carrier took it after all: the seller's loss; nobody is charged again."""
    assert attempt is not None
    _book_loss(order, attempt.reference, "carrier_loss", now)
    activation.stop_watching(attempt)


def count_duplicates(order: Order, spare: tuple[Activation, ...], now: datetime) -> None:
    """The carrier took the same key more than once: counted, told to staff, the seller's loss, never the customer's."""
    for activation_ in spare:
        _book_loss(order, activation_.reference, "duplicate", now)


def _book_loss(order: Order, reference: str, what: str, now: datetime) -> None:
    version = order.plan_version
    unit = version.cost_currency
    loss, payable = ledger.houses("carrier_loss", "carrier_payable", unit=unit)
    if not ledger.post(Leg(order.id, f"{what}:{reference}", payable, loss, unit, version.cost_minor), now=now):
        return  # seen and booked before
    journal.record(
        what=f"activation.{what}",
        subject=order.id,
        who="clock",
        after={"reference": reference, "cost_minor": version.cost_minor, "currency": unit},
        now=now,
    )


STEPS: dict[Step, Callable[[Order, Attempt | None, datetime], Call | None]] = {
    Step.FILL: _fill,
    Step.FUND: _fund,
    Step.EXPIRE: _expire,
    Step.LOOK: _look,
    Step.DELIVER: deliver,
    Step.GIVE_BACK: _give_back,
    Step.REFUND: _refund,
    Step.END_REFUND: _end_refund,
    Step.RETURN: _return_surplus,
    Step.CALL_A_PERSON: _call_a_person,
    Step.BOOK_LOSS: _write_off,
}


# -- states --------------------------------------------------------------------------------------------------------


def move_to(order: Order, state: State, *, who: str, now: datetime, why: str = "") -> None:
    """The only place that assigns a state. The caller saves the order in the same transaction."""
    before = State(order.state)
    assert state in rules.MOVES[before], f"no move from {before} to {state}"
    order.state = state
    order.next_step_at = now
    if state == State.FUNDED:
        order.funded_at = now
        order.promised_by = now + rules.PROMISE
    if state in rules.TERMINAL_STATES:
        order.ended_at = now
        _settle_discounts(order, now)
    if order.has_payments and before == State.AWAITING_FUNDS:
        payments.close(account=order.hold_id, now=now)
    journal.record(
        what=f"order.{state}",
        subject=order.id,
        who=who,
        why=why or order.reason,
        before={"state": before},
        after={"state": state},
        now=now,
    )


def _settle_discounts(order: Order, now: datetime) -> None:
    """The order has ended. With service its coupon and points are used; without, the customer has them again."""
    quote = order.quote
    if not quote.points and not any("id" in line for line in quote.lines):
        return
    if order.state == State.ACTIVE or lines_queries.periods_of(order.id):
        points.spend(order, quote.points, now=now)
    else:
        discounts.give_back(order, now=now)
        points.give_back(order, quote.points, now=now)
