"""Reading payments, refunds, and what is offered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Sum

from xuka.kernel.money import Money
from xuka.payments import providers, rules
from xuka.payments.models import Event, Health, MethodFee, Payment, Refund, SavedCard
from xuka.payments.rules import IN_FLIGHT, LIVE_STATES, PaymentState, Refundable, RefundState


@dataclass(frozen=True, slots=True)
class Offered:
    """A way to pay. ``why_not``: "" or "amount" or "down" (then ``until`` says how long); ``fee`` is on top."""

    method: str
    provider: str
    fee: Money
    can_be_saved: bool
    why_not: str = ""
    until: datetime | None = None


def methods_offered(*, market: str, money: Money, now: datetime, with_fee: bool = True) -> list[Offered]:
    """The ways to pay this amount in this market besides the wallet, in two queries; none when no provider is set.

    A method's limits are held against what is really asked: the amount and its fee.

    Args:
        with_fee: False when a fee, if any, is in the amount already: then none comes on top.
    """
    names = providers.installed()
    if not names:
        return []
    down = dict(Health.objects.filter(down_until__gt=now).values_list("provider", "down_until"))
    fees = dict(MethodFee.objects.filter(market=market).values_list("method", "basis_points"))
    offered = []
    for name in names:
        for method in providers.provider(name).methods():
            if market not in method.markets or money.currency not in method.limits:
                continue
            least, most = method.limits[money.currency]
            fee = rules.fee(money, fees.get(method.name, 0) if with_fee else 0)
            why_not = "down" if name in down else "" if least <= money.minor + fee.minor <= most else "amount"
            offered.append(Offered(method.name, name, fee, method.can_be_saved, why_not, down.get(name)))
    return offered


def method_offered(*, market: str, money: Money, method: str, now: datetime, with_fee: bool = True) -> Offered | None:
    """How this method stands for this amount, as in ``methods_offered``; None when the market does not have it."""
    offered = methods_offered(market=market, money=money, now=now, with_fee=with_fee)
    return next((one for one in offered if one.method == method), None)


@dataclass(frozen=True, slots=True)
class Standing:
    """How an account stands with its payments; amounts in minor units of the account's currency.

    Args:
        live: payments that may still bring money.
        in_flight_minor: on its way back.
        stuck_minor: refunds that failed: it lies in the account and waits for a person.
    """

    live: int = 0
    in_flight_minor: int = 0
    stuck_minor: int = 0


def standing(account: UUID) -> Standing:
    """The standing of one account, in two queries."""
    live = Payment.objects.filter(account_id=account, state__in=LIVE_STATES).count()
    sums = dict(
        Refund.objects.filter(account_id=account, state__in=[*IN_FLIGHT, RefundState.FAILED])
        .values_list("state")
        .annotate(total=Sum("amount_minor"))
    )
    in_flight = sum(sums.get(state, 0) for state in IN_FLIGHT)
    return Standing(live, in_flight, sums.get(RefundState.FAILED, 0))


def stuck_accounts() -> set[UUID]:
    """Accounts in which money lies that waits for a person."""
    return set(Refund.objects.filter(state=RefundState.FAILED).values_list("account_id", flat=True))


def refundable(payments: Iterable[Payment]) -> list[Refundable]:
    """What is left of each of these payments to give back, in their order, in one query."""
    payments = list(payments)
    gone = dict(
        Refund.objects.filter(payment__in=payments).values_list("payment_id").annotate(total=Sum("amount_minor"))
    )
    return [Refundable(one.id, (one.paid_minor or 0) - gone.get(one.id, 0)) for one in payments]


def payments_about(cause: UUID) -> list[Payment]:
    """Every payment for this, the oldest first."""
    return list(Payment.objects.filter(cause=cause).order_by("asked_at", "id"))


def live_payment(cause: UUID) -> Payment | None:
    """The payment for this on which the customer can go on, if there is one."""
    return Payment.objects.filter(cause=cause, state__in=LIVE_STATES, closing=False).first()


def refunds_about(cause: UUID) -> list[Refund]:
    """Every refund of this, the oldest first."""
    return list(Refund.objects.filter(cause=cause).select_related("payment").order_by("asked_at", "id"))


def payment(payment_id: UUID) -> Payment | None:
    """The payment of this id, whosever it is. For staff and jobs."""
    return Payment.objects.filter(id=payment_id).first()


def refund(refund_id: UUID) -> Refund | None:
    """The refund of this id, whosever it is. For staff and jobs."""
    return Refund.objects.select_related("payment").filter(id=refund_id).first()


def saved_cards(customer: UUID, *, provider: str = "") -> list[SavedCard]:
    """The cards that this customer had kept, of the mode in which the shop runs; one that has expired is told too."""
    modes = {name: providers.provider(name).is_live for name in providers.installed() if provider in {"", name}}
    rows = SavedCard.objects.filter(customer_id=customer, provider__in=modes, forgotten_at__isnull=True)
    return [card for card in rows.order_by("consented_at", "id") if card.is_live == modes[card.provider]]


def paid_with(cause: UUID) -> list[tuple[str, int]]:
    """(method, minor units) of everything that was captured for this as it was asked."""
    rows = Payment.objects.filter(cause=cause, state=PaymentState.PAID)
    return [(one.method, one.paid_minor or 0) for one in rows.order_by("ended_at", "id")]


def due_payments(now: datetime, *, limit: int = 500) -> list[UUID]:
    """Payments to look at, of the providers and modes that this shop uses now."""
    rows = Payment.objects.filter(next_step_at__lte=now).order_by("next_step_at", "id")
    return _of_this_mode(rows.values_list("id", "provider", "is_live"), limit)


def due_refunds(now: datetime, *, limit: int = 500) -> list[UUID]:
    """Refunds to ask for or to look at, of the providers and modes that this shop uses now."""
    rows = Refund.objects.filter(next_step_at__lte=now).order_by("next_step_at", "id")
    return _of_this_mode(rows.values_list("id", "payment__provider", "payment__is_live"), limit)


def _of_this_mode(rows: Iterable[tuple[UUID, str, bool]], limit: int) -> list[UUID]:
    return [id for id, provider, live in rows if providers.is_installed(provider, live=live)][:limit]


def undigested_events(*, limit: int = 500) -> list[UUID]:
    """Events that are stored and not yet digested, whatever became of their jobs."""
    rows = Event.objects.filter(state=Event.State.STORED, provider__in=providers.installed())
    rows = rows.order_by("received_at", "id")
    return list(rows.values_list("id", flat=True)[:limit])


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much waits for a person: payments that differ, refunds that failed, events about nobody's payment."""

    mismatched: int
    failed_refunds: int
    unknown_events: int


def waiting_for_a_person() -> Waiting:
    """What of payments a person has to look at, counted."""
    given_back = Refund.objects.filter(leg="mismatch").values("payment_id")
    return Waiting(
        mismatched=Payment.objects.filter(state=PaymentState.MISMATCHED).exclude(id__in=given_back).count(),
        failed_refunds=Refund.objects.filter(state=RefundState.FAILED).count(),
        unknown_events=Event.objects.filter(state=Event.State.UNKNOWN).count(),
    )


# -- proof ---------------------------------------------------------------------------------------------------------

# A payment that took money and its one transfer, side by side: whatever has no match, or another one, is wrong.
_WRONG_CAPTURES = """
select coalesce(p.id, t.cause), p.state, p.paid_minor, p.paid_currency, t.amount, t.unit
from (select * from payments_payment where state in ('paid', 'mismatched')) p
full join (select * from ledger_transfer where leg = 'captured') t on t.cause = p.id
left join ledger_account debit on debit.id = t.debit_id
left join ledger_account credit on credit.id = t.credit_id
where p.id is null or t.id is null
    or (t.amount, t.unit) is distinct from (p.paid_minor, p.paid_currency)
    or debit.kind <> 'clearing'
    or case p.state when 'paid' then t.credit_id <> p.account_id else credit.kind <> 'suspense' end
order by 1
"""
_CAPTURED = """
select unit, sum(told)::bigint, sum(booked)::bigint from (
    select paid_currency as unit, paid_minor as told, 0 as booked from payments_payment where state = 'paid'
    union all
    select t.unit, 0, t.amount from ledger_transfer t join payments_payment p on p.id = t.cause
    where t.leg = 'captured' and t.credit_id = p.account_id
) both_sides group by unit having sum(told) <> sum(booked) order by unit
"""
# What the seller's account of this kind holds, and what the rows of payments say that it holds.
_HELD = """
select unit, sum(told)::bigint, sum(held)::bigint from (
    {told}
    union all
    select t.unit, 0, t.amount from ledger_transfer t join ledger_account a on a.id = t.credit_id where a.kind = %s
    union all
    select t.unit, 0, -t.amount from ledger_transfer t join ledger_account a on a.id = t.debit_id where a.kind = %s
) both_sides (unit, told, held) group by unit having sum(told) <> sum(held) order by unit
"""
_ASIDE = """
    select paid_currency, paid_minor, 0 from payments_payment where state = 'mismatched'
    union all
    select currency, -amount_minor, 0 from payments_refund where leg = 'mismatch' and state <> 'failed'
"""
_ON_ITS_WAY = "select currency, amount_minor, 0 from payments_refund where state in ('starting', 'pending')"
# What each refund moved, all its rounds together: out of its account, and to where its state says.
_WRONG_REFUNDS = """
with moved as (
    select r.id, r.state, r.amount_minor, r.currency,
        coalesce(sum(t.amount) filter (where t.debit_id = r.account_id), 0)
            - coalesce(sum(t.amount) filter (where t.credit_id = r.account_id), 0) as went,
        coalesce(sum(t.amount) filter (where credit.kind = 'refunds_in_flight'), 0)
            - coalesce(sum(t.amount) filter (where debit.kind = 'refunds_in_flight'), 0) as on_its_way,
        coalesce(sum(t.amount) filter (where credit.kind = 'clearing'), 0)
            - coalesce(sum(t.amount) filter (where debit.kind = 'clearing'), 0) as gone,
        coalesce(sum(t.amount) filter (where credit.kind in ('wallet', 'paid_by_hand')), 0)
            - coalesce(sum(t.amount) filter (where debit.kind in ('wallet', 'paid_by_hand')), 0) as by_hand,
        coalesce(bool_or(t.unit <> r.currency), false) as mixed
    from payments_refund r
    left join ledger_transfer t on t.cause = r.id
    left join ledger_account debit on debit.id = t.debit_id
    left join ledger_account credit on credit.id = t.credit_id
    group by r.id
)
select id, state, amount_minor, currency, went, on_its_way, gone, by_hand from moved
where mixed
    or went <> case when state = 'failed' then 0 else amount_minor end
    or on_its_way <> case when state in ('starting', 'pending') then amount_minor else 0 end
    or gone <> case when state = 'done' then amount_minor else 0 end
    or by_hand <> case when state = 'settled' then amount_minor else 0 end
order by id
"""
_GIVEN_BACK_TOO_MUCH = """
select p.id, coalesce(p.paid_minor, 0), sum(r.amount_minor)::bigint, r.currency
from payments_refund r join payments_payment p on p.id = r.payment_id
group by p.id, r.currency
having sum(r.amount_minor) > coalesce(p.paid_minor, 0) or r.currency <> p.paid_currency order by p.id
"""


def check_books() -> list[str]:
    """What is wrong between payments and the ledger, one sentence each; empty when they agree.

    Proves that each payment that took money has its one transfer and no other, to whom it was for or aside; that what
    was captured is what was credited, by currency; that suspense holds what differs and was not given back, and
    refunds in flight what is on its way; that each refund moved what its state says; and that no payment gave back
    more than it took. A captured minor unit that is not booked, or booked twice, does not pass.
    """
    return [
        f"The payment {id} is {state or 'not paid'} with {told or 0} {unit or ''}, its transfer says "
        f"{f'{booked} {booked_unit}, or goes elsewhere' if booked else 'nothing'}."
        for id, state, told, unit, booked, booked_unit in _asked(_WRONG_CAPTURES)
    ] + [
        *_differing("Paid payments captured {told} {unit}, {held} {unit} were credited for them.", _CAPTURED),
        *_differing("Suspense holds {held} {unit}, payments that differ make {told}.", _held(_ASIDE), "suspense"),
        *_differing(
            "Refunds in flight holds {held} {unit}, refunds on their way make {told}.",
            _held(_ON_ITS_WAY),
            "refunds_in_flight",
        ),
        *(
            f"The refund {id} of {amount} {unit} is {state}, but {went} left its account: {on_its_way} on the way, "
            f"{gone} gone, {by_hand} by hand."
            for id, state, amount, unit, went, on_its_way, gone, by_hand in _asked(_WRONG_REFUNDS)
        ),
        *(
            f"The payment {id} took {took} and gives back {back} {unit}."
            for id, took, back, unit in _asked(_GIVEN_BACK_TOO_MUCH)
        ),
    ]


def _held(told: str) -> str:
    return _HELD.format(told=told)


def _differing(says: str, sql: str, kind: str = "") -> list[str]:
    rows = _asked(sql, *([kind, kind] if kind else ()))
    return [says.format(unit=unit, told=told, held=held) for unit, told, held in rows]


def _asked(sql: str, *values: str) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, list(values))
        return cursor.fetchall()
