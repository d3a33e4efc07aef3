"""The story of a renewal: quote -> order -> funds -> activation -> new period. A new eSIM is bought by the same story.

``advance`` moves an order at most one step. A job, the sweeper, a webhook or a hand may call it at any time, any number
of times, from anywhere. What the next step is, ``rules.next_step`` decides; here it is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from xuka.catalogue.rules import Renewal
from xuka.journal import operations as journal
from xuka.kernel import ids
from xuka.kernel.money import Money, tax_inside
from xuka.kernel.span import Span
from xuka.ledger import operations as ledger
from xuka.ledger import queries as ledger_queries
from xuka.lines import operations as lines
from xuka.lines import queries as lines_queries
from xuka.lines.queries import Line, Timeline
from xuka.metering import queries as metering
from xuka.payments import operations as payments
from xuka.payments import queries as payments_queries
from xuka.payments.queries import Payment
from xuka.renewals import discounts, points, pricing, queries, rules, several, steps
from xuka.renewals.discounts import CannotDiscount
from xuka.renewals.models import Discount, ExpressWish, Order, Quote
from xuka.renewals.pricing import NO_WISH, Priced, PriceWish
from xuka.renewals.rules import Left, Next, Stacked, State, Step
from xuka.renewals.several import Possible
from xuka.renewals.steps import move_to
from xuka.renewals.withdrawal_rules import Wish


class CannotRenew(Exception):
    """This card cannot be renewed with this plan now; ``code`` says why, ``possible_at`` when it can, if ever.

    ``most``: how many periods could be bought at once, where only so many could not.
    """

    def __init__(self, code: str, possible_at: datetime | None = None, most: int = 0) -> None:
        super().__init__(code)
        self.code = code
        self.possible_at = possible_at
        self.most = most


class UnknownQuote(Exception):
    """No such quote, or someone else's."""


class QuoteExpired(Exception):
    """The quote's time is over; nothing was bought."""


class QuoteChanged(Exception):
    """The renewal would not do any more what the quote says; nothing was bought."""


class DiscountGone(QuoteChanged):
    """The coupon, the promotion or the points in the quote cannot be had any more; nothing was bought.

    ``code``: one of ``discounts.CannotDiscount``.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class OrderedByAnother(Exception):
    """Somebody else, who may renew this card too, is renewing it just now; nothing was bought."""


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


def quote(
    *,
    line_id: UUID,
    plan_version_id: UUID,
    customer: UUID,
    now: datetime,
    wish: PriceWish = NO_WISH,
    count: int = 1,
    is_gift: bool = False,
) -> Quote:
    """Say what this renewal costs and does, and promise it for 15 minutes.

    ``customer`` is who pays: the card's owner, or the organiser of the owner's family.
    Promotions count by themselves; ``wish`` says which coupon and how many points should.

    Args:
        count: how many periods are bought at once.

    The carrier is asked first (with no transaction open) whether it would do it and whether the seller's credit
    covers it; where not, or where the card is not in service, the quote says ``why_not`` and cannot be paid.

    Args:
        is_gift: the card is somebody else's (``gifts.quote``): the quote tells what the plan would be on an empty card.

    Raises:
        CannotRenew: "unknown_line", "unknown_plan", "other_market", or a code of ``rules.NotNow``, with
            ``possible_at`` where that is known; "count": not a number of periods that can be bought at once; with
            ``most``, "takes_away" where the next period would take from those before it, else "too_many_at_once";
            "would_lose": a gift would take something from the card.
        CannotDiscount: the wish cannot be fulfilled.
    """
    if not 1 <= count <= (1 if is_gift else several.MOST_AT_ONCE):
        raise CannotRenew("count", most=several.MOST_AT_ONCE)
    line = lines_queries.plain_line(line_id) if is_gift else lines_queries.plain_line_to_renew(customer, line_id)
    version = catalogue.offer(plan_version_id)
    if line is None:
        raise CannotRenew("unknown_line")
    if version is None or not version.plan.on_sale or version.plan.current_id != version.id:
        raise CannotRenew("unknown_plan")
    if (version.plan.market_id, version.carrier) != (line.market_id, line.carrier):
        raise CannotRenew("other_market")
    if not version.package:
        raise CannotRenew("only_new")
    priced = pricing.price(version=version, customer=customer, wish=wish, count=count, now=now)
    standing = activation.standing_of(line=line, package=version.package, now=now, count=count)
    found = _given(line, version, now) if is_gift else _possible(line, version, now)
    why_not = rules.OUT_OF_SERVICE.get(line.standing) or standing.why_not
    return _new_quote(line, version, customer, found, count, priced, why_not, now, is_gift=is_gift)


def quote_new(*, plan_version_id: UUID, customer: UUID, now: datetime, wish: PriceWish = NO_WISH) -> Quote:
    """Say what a new eSIM with this plan costs, and promise it for 15 minutes. Its ``line`` is None.

    Promotions count by themselves; ``wish`` says which coupon and how many points should.

    The carrier is asked first (with no transaction open) for the seller's credit; where that does not cover it, the
    quote says ``why_not`` and cannot be paid.

    Raises:
        CannotRenew: "unknown_plan": it is not sold, or not as a new eSIM.
        CannotDiscount: the wish cannot be fulfilled.
    """
    version = catalogue.plan_version(plan_version_id)
    if version is None or not version.plan.on_sale or version.plan.current_id != version.id:
        raise CannotRenew("unknown_plan")
    if not version.first_package:
        raise CannotRenew("unknown_plan")
    priced = pricing.price(version=version, customer=customer, wish=wish, now=now)
    activation.refresh_balance(carrier_name=version.carrier, now=now)
    cost = Money(version.cost_minor, version.cost_currency)
    standing = activation_queries.standing_of_new(carrier_name=version.carrier, cost=cost, now=now)
    return _new_quote(None, version, customer, _possible(None, version, now), 1, priced, standing.why_not, now)


def _new_quote(
    line: Line | None,
    version: PlanVersion,
    customer: UUID,
    found: Possible,
    count: int,
    priced: Priced,
    why_not: str,
    now: datetime,
    *,
    is_gift: bool = False,
) -> Quote:
    stacked, policy = _together(found, count, version), catalogue.policy(version)
    price = priced.price
    return Quote.objects.create(
        id=ids.new(),
        customer_id=customer,
        line=line,
        plan_version=version,
        lines=list(price.lines),
        total_minor=price.total.minor,
        tax_minor=price.tax.minor,
        tax_basis_points=version.plan.market.tax_basis_points,
        points=price.points,
        conversion=priced.told,
        currency=price.total.currency,
        starts_on_activation=stacked.starts_on_activation,
        starts_at=stacked.span.starts_at,
        ends_at=stacked.span.ends_at,
        count=count,
        most=len(found.periods),
        spans=[[span.starts_at.isoformat(), span.ends_at.isoformat()] for span in stacked.spans],
        again_at=rules.again_at(stacked=stacked, policy=policy, now=now),
        kept=list(stacked.kept),
        lost=list(stacked.lost),
        is_gift=is_gift,
        why_not=why_not,
        quoted_at=now,
        expires_at=now + rules.QUOTE_LIVES,
    )


def _possible(
    line: Line | None,
    version: PlanVersion,
    now: datetime,
    most: int = several.MOST_AT_ONCE,
    booked: Timeline | None = None,
) -> Possible:
    """What it would do to this card, as often as it can be bought at once.

    Args:
        line: None for a card that is not there yet, and has nothing to keep; it is sold with one period.
        booked: what is booked on the card, where that was read before.
    """
    policy = catalogue.policy(version)
    if line is None:
        fresh = rules.stack(track=(), policy=policy, now=now)
        return Possible((replace(fresh, kept=tuple(fact for fact in fresh.kept if fact["kind"] == "first_use")),))
    track, last = (booked.booked, booked.last_policy) if booked else lines_queries.booked_on(line.id, now)
    left = _left(line, policy.renewal, now)
    try:
        return several.possible(
            track=track, policy=policy, now=now, most=most, last=last, left=left,
            lived=metering.lives([line.id], now)[line.id] if last and last.ending.stages else None,
            beside=lines_queries.beside(line) if policy.renewal.mode == "independent" else (),
        )  # fmt: skip
    except rules.NotNow as error:
        raise CannotRenew(error.code, error.possible_at) from error


def _given(line: Line | None, version: PlanVersion, now: datetime) -> Possible:
    """What a gift's quote may say: that it can be given, takes nothing, and what the plan is on an empty card."""
    if not rules.takes_nothing(_possible(line, version, now, 1).periods[0]):
        raise CannotRenew("would_lose")
    return Possible(tuple(replace(one, lost=()) for one in _possible(None, version, now).periods))


def _together(found: Possible, count: int, version: PlanVersion) -> Stacked:
    """What so many of them do as one renewal. Raises CannotRenew: not so many."""
    most = len(found.periods)
    if count > most:
        raise CannotRenew("takes_away" if found.why_no_more == "takes_away" else "too_many_at_once", most=most)
    return several.together(found.periods[:count], policy=catalogue.policy(version))


def _left(line: Line, terms: Renewal, now: datetime) -> Left | None:
    """What is left of the data that runs, where these terms ask for it; None when nobody told."""
    asks = (terms.opens_percent_left, terms.closes_percent_left, terms.max_left_bytes, terms.max_stacked)
    if all(one is None for one in asks):
        return None
    usage = metering.usage_of(line, now=now)
    if usage.as_of is None or usage.left_bytes is None or usage.of_bytes is None:
        return None
    return Left(usage.left_bytes, usage.of_bytes)


# -- place and cancel ----------------------------------------------------------------------------------------------


@transaction.atomic
def place(
    *,
    order_id: UUID,
    quote_id: UUID,
    customer: UUID,
    now: datetime,
    pays_with: str = "wallet",
    wish: Wish | None = None,
) -> Order:
    """Buy what the quote says: from the customer's wallet if it holds enough, else once it does; or with ``pay``.

    The same id again finds the first order. A second buyer of the same quote, or of the same card while an order is
    open, is given the first order (its id differs from ``order_id``): one order, one charge.

    Args:
        pays_with: "wallet", or a method of ``payments.queries.methods_offered``; its fee, if any, is in the total.
        wish: that the service begins at once, where the customer expressed it; kept with the order.

    Raises:
        UnknownQuote, QuoteExpired, QuoteChanged, PaymentNotOffered, DifferentOrder, OrderedByAnother: nothing was
            bought.
        DiscountGone: a ``QuoteChanged``: somebody else took the last coupon; nothing was bought.
        CannotPay: "method", "amount" or "down": nothing was bought.
    """
    quote = Quote.objects.select_related("plan_version__plan__market").filter(id=quote_id, customer_id=customer).first()
    if quote is None:
        raise UnknownQuote
    line = _lock(quote)
    first = _order_there(order_id, quote, customer)
    if first:
        return first
    if line is not None and not _may_buy(quote, line):
        raise UnknownQuote
    if now >= quote.expires_at:
        raise QuoteExpired
    why_not = quote.why_not or (rules.OUT_OF_SERVICE.get(line.standing, "") if line else "")
    if why_not:
        raise PaymentNotOffered(why_not)
    as_quoted(quote, line, now)
    order = _new_order(order_id, quote, pays_with, now)
    if wish is not None:
        told = {"words": wish.words, "version": wish.version, "language": wish.language}
        ExpressWish.objects.create(order=order, given_at=now, **told)
    return order


def _lock(quote: Quote) -> Line | None:
    """Whoever places an order holds the lock on its card; where there is none yet, on its quote."""
    if quote.line_id is not None:
        return lines.lock(quote.line_id)
    Quote.objects.select_for_update(of=("self",)).get(id=quote.id)
    return None


def _may_buy(quote: Quote, line: Line) -> bool:
    """A card is renewed by its owner; a gift is for somebody else's."""
    if quote.is_gift:
        return line.owner_id not in (None, quote.customer_id)
    return lines_queries.may_renew(quote.customer_id, line)


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
        raise OrderedByAnother
    return min(ours, key=lambda order: (order.id != order_id, order.quote_id != quote.id), default=None)


def as_quoted(quote: Quote, line: Line | None, now: datetime, booked: Timeline | None = None) -> Stacked:
    """What this quote's renewal would do to its card now, which is what it says. Writes nothing.

    Args:
        booked: what is booked on the card, where that was read before.

    Raises:
        QuoteChanged: it would not do that any more.
    """
    quoted = Stacked(
        Span(quote.starts_at, quote.ends_at), quote.starts_on_activation, tuple(quote.kept), tuple(quote.lost)
    )
    try:
        version = quote.plan_version
        found = _given(line, version, now) if quote.is_gift else _possible(line, version, now, quote.count, booked)
        today = _together(found, quote.count, version)
    except CannotRenew as error:
        raise QuoteChanged from error
    if not rules.is_same_result(quoted=quoted, today=today):
        raise QuoteChanged
    return today


def _new_order(order_id: UUID, quote: Quote, pays_with: str, now: datetime) -> Order:
    fee_minor = _fee(quote, pays_with, now)
    total = Money(quote.total_minor + fee_minor, quote.currency)
    order = Order(
        id=order_id,
        customer_id=quote.customer_id,
        line_id=quote.line_id,
        is_first=quote.line_id is None,
        is_gift=quote.is_gift,
        plan_version=quote.plan_version,
        quote=quote,
        track=quote.track,
        hold_id=ids.derived(order_id, "hold"),
        state=State.AWAITING_FUNDS,
        count=quote.count,
        currency=quote.currency,
        total_minor=total.minor,
        tax_minor=tax_inside(total, quote.tax_basis_points).minor,
        fee_minor=fee_minor,
        pays_with=pays_with,
        placed_at=now,
        pay_by=now + rules.PAY_WITHIN,
        next_step_at=now,
    )
    less = _reserve(order, quote, now)
    ledger.open_account(id=order.hold_id, kind="hold", unit=order.currency, limited=True)
    who = f"customer:{order.customer_id}"
    journal.record(what="order.placed", subject=order.id, who=who, after={"total_minor": order.total_minor}, now=now)
    if pays_with != "wallet":
        order.next_step_at = order.pay_by
    else:
        _pay_at_once(order, who, now)
    order.save(force_insert=True)
    discounts.take(less, order=order, now=now)
    return order


def _reserve(order: Order, quote: Quote, now: datetime) -> Sequence[Discount]:
    """The points are held for the order; its discounts, which are returned, are locked and can be taken."""
    try:
        less = discounts.lock(quote)
        points.hold(order_id=order.id, customer=order.customer_id, points=quote.points, now=now)
    except CannotDiscount as error:
        raise DiscountGone(error.code) from error
    except ledger.InsufficientFunds as error:
        raise DiscountGone("points") from error
    return less


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
    save_method: bool = False,
    saved_method: UUID | None = None,
    device: str = "desk",
    client_ip: str = "",
    off_session: bool = False,
) -> Payment:
    """Begin, or go on with, a payment of what an order lacks; its money fills the order's hold, and the order goes on.

    May be called again at any time: one live payment an order, and what comes on top goes back by itself.

    Args:
        payment_id: made by the payer's browser; the same id again asks nothing new.
        device, client_ip, off_session: as ``payments.operations.begin`` has them.

    Returns:
        The payment, as ``payments.operations.begin`` does.

    Raises:
        UnknownOrder: no such order of this customer.
        CannotPay: "not_waiting", "method", "amount", "per_day", "down" or "saved"; nothing was asked.
        payments.DifferentPayment: this id was used for another payment.
    """
    with transaction.atomic():
        order = _waiting_for_money(order_id, customer, now)
        _reprice(order, method, now)
        missing = Money(order.total_minor - ledger_queries.balance(order.hold_id), order.currency)
        if missing.minor <= 0:
            raise CannotPay("not_waiting")
        order.has_payments = True
        _wait_for_the_slip(order, missing, method, now)
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
            save_method=save_method,
            saved_method=saved_method,
            device=device,
            client_ip=client_ip,
            off_session=off_session,
            now=now,
        )
    except payments.NotOffered as error:
        raise CannotPay(error.code, error.until) from error
    return payment


def _wait_for_the_slip(order: Order, missing: Money, method: str, now: datetime) -> None:
    """Who takes a slip to a shop has as long as it is good; what was ordered waits, at the price that was told."""
    offered = payments_queries.method_offered(
        market=order.market_id, money=missing, method=method, now=now, with_fee=False
    )
    if offered and offered.pays_within and not offered.why_not:
        order.pay_by = max(order.pay_by, order.placed_at + offered.pays_within)  # however often it is pressed
        order.next_step_at = order.pay_by


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


@transaction.atomic
def call_off(*, order_id: UUID, why: str, now: datetime) -> Order:
    """End an order that nobody is there to pay, for this word of ``auto_rules.CALLED_OFF``; what is paid all the same
    goes back. Again, or once it is paid: changes nothing. Returns it as it is then."""
    order = _locked(order_id)
    assert order is not None, "orders are never deleted"
    if order.state == State.AWAITING_FUNDS:
        order.reason = why
        move_to(order, State.CANCELLED, who="clock", now=now)
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
        attempts = activation.locked_attempts(order.id)
        step = rules.next_step(now, steps.situation(order, attempts))
        call = _take(step, order, attempts, now)
        order.save()
    if call is None:
        return step.step not in {Step.WAIT, Step.FINISH}
    outcome = activation.call(call)
    with transaction.atomic():
        order = _locked(order_id)
        assert order is not None, "orders are never deleted"
        attempt, spare = activation.settle(call, outcome, now=now)
        steps.count_duplicates(order, spare, now)
        attempts = [attempt] if order.count == 1 else activation.locked_attempts(order.id)
        goes_on = _take_if_free(order, attempts, now)
        order.save()
    return goes_on


def _locked(order_id: UUID) -> Order | None:
    rows = Order.objects.select_for_update(of=("self",)).select_related("plan_version__plan__market", "line")
    return rows.filter(id=order_id).first()


def _take(next: Next, order: Order, attempts: Sequence[Attempt], now: datetime) -> Call | None:
    """Take one step inside the transaction; returns the call to make after it, if the step is one."""
    order.next_step_at = next.until if next.step in {Step.WAIT, Step.FINISH} else now
    attempt = _of_period(next.ordinal, attempts)
    if next.step == Step.ASK:
        return steps.ask(order, next.ordinal, attempt, now)
    take = steps.STEPS.get(next.step)
    return take(order, attempt, now) if take else None


def _of_period(ordinal: int, attempts: Sequence[Attempt]) -> Attempt | None:
    return next((one for one in attempts if one.ordinal == ordinal), None)


def _take_if_free(order: Order, attempts: Sequence[Attempt], now: datetime) -> bool:
    """After an answer: deliver in the same transaction if that is what follows. Returns whether it goes on at once."""
    facts = steps.situation(order, attempts)
    following = rules.next_step(now, facts)
    if following.step == Step.DELIVER:
        steps.deliver(order, _of_period(following.ordinal, attempts), now)
        is_earned = order.state == State.ACTIVE
        earned = order.total_minor - order.given_back_minor if is_earned else 0
        asked = steps.asked(order, attempts)
        after = replace(facts, state=State(order.state), hold_minor=facts.hold_minor - earned, asked=asked)
        following = rules.next_step(now, after)
    goes_on = following.step not in {Step.WAIT, Step.FINISH}
    order.next_step_at = now if goes_on else following.until
    return goes_on


# -- a person decides ----------------------------------------------------------------------------------------------

EXITS = ("retry", "adopt", "refund", "close")


@transaction.atomic
def decide(
    *,
    order_id: UUID,
    exit: str,
    staff: UUID,
    why: str,
    now: datetime,
    reference: str = "",
    ordinal: int | None = None,
) -> Order:
    """A person ends what nobody could know, of one period; the others of the order go their own way.

    ``retry``: ask the carrier once more. ``adopt``: it was done at the carrier, under ``reference``. ``refund``: the
    money goes back, and a late answer is looked for during 30 days. ``close``: it was surely not done; the money goes
    back and nobody looks any more.

    Args:
        ordinal: the period; may be left out where only one waits for a person.

    Raises:
        UnknownOrder: no such order.
        CannotDecide: "no_reason", "no_reference", "not_waiting" (it needs no person), "which" (several periods
            wait, and none was named), "being_asked" (a call is on the
            wire: try again in a minute), "first_adopt" (a new eSIM's profile only the carrier can tell: it goes on
            being looked for). Nothing was changed.
    """
    order = _locked(order_id)
    if order is None:
        raise UnknownOrder
    waiting = queries.waiting_for_a_person(order, activation.locked_attempts(order.id))
    attempt = _of_those(waiting, ordinal)
    _require_decidable(order, attempt, exit, why, reference, now)
    who = f"staff:{staff}"
    match exit:
        case "retry":
            activation.allow_another_ask(attempt)
            order.promised_by = now + rules.PROMISE
            _go_on(order, len(waiting) == 1, who, why, now)
        case "adopt":
            activation.adopt_by_hand(attempt, reference=reference.strip(), now=now)
            _go_on(order, len(waiting) == 1, who, why, now)
        case "refund":
            activation.watch(attempt, until=now + rules.WATCH, now=now)
            steps.give_back(order, attempt.ordinal, who=who, why=why, now=now)
        case "close":
            activation.declare_absent(attempt)
            steps.give_back(order, attempt.ordinal, who=who, why=why, now=now, end=State.CANCELLED)
        case _:
            raise ValueError(exit)
    told = {"exit": exit} if order.count == 1 else {"exit": exit, "ordinal": attempt.ordinal}
    journal.record(what="order.decided", subject=order.id, who=who, why=why, after=told, now=now)
    order.save()
    return order


def _of_those(waiting: Sequence[Attempt], ordinal: int | None) -> Attempt:
    if ordinal is None and len(waiting) > 1:
        raise CannotDecide("which")
    found = next((one for one in waiting if ordinal in (None, one.ordinal)), None)
    if found is None:
        raise CannotDecide("not_waiting")
    return found


def _go_on(order: Order, was_the_only_one: bool, who: str, why: str, now: datetime) -> None:
    """The order goes on by itself, unless another of its periods still waits for a person."""
    if was_the_only_one:
        move_to(order, State.ACTIVATING, who=who, why=why, now=now)
    else:
        order.next_step_at = now


def _require_decidable(order: Order, attempt: Attempt, exit: str, why: str, reference: str, now: datetime) -> None:
    if not why.strip():
        raise CannotDecide("no_reason")
    if exit == "adopt" and not reference.strip():
        raise CannotDecide("no_reference")
    if exit == "adopt" and order.is_first:
        raise CannotDecide("first_adopt")
    if attempt.lease_until is not None and now < attempt.lease_until:
        raise CannotDecide("being_asked")
