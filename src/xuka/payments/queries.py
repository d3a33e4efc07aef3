"""Reading payments, refunds, and what is offered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q, Sum

from xuka.kernel.money import Money
from xuka.payments import providers, rules
from xuka.payments.models import (
    Event,
    Payment,
    Refund,
    SavedMethod,
    SettlementDifference,
    SettlementReport,
    Voucher,
    VoucherBatch,
)
from xuka.payments.rules import IN_FLIGHT, LIVE_STATES, PaymentState, Refundable, RefundState


@dataclass(frozen=True, slots=True)
class Offered:
    """A way to pay; ``fee`` is on top.

    Args:
        why_not: "" or "amount", "per_day" (more than this person may pay with it within a day) or "down" (then
            ``until`` says how long).
        pays_within: how long the person has, where they take a slip to a shop.
        was_last: the customer paid with it last.
        has_kept: the customer had such a method kept there.
    """

    method: str
    provider: str
    fee: Money
    can_be_saved: bool
    why_not: str = ""
    until: datetime | None = None
    pays_within: timedelta | None = None
    was_last: bool = False
    has_kept: bool = False


def methods_offered(
    *, market: str, money: Money, now: datetime, with_fee: bool = True, customer: UUID | None = None
) -> list[Offered]:
    """The ways to pay this amount in this market besides the wallet, in one query; none when no provider is set.

    Each method once: of several providers that have it, the first that answers. Its limits are held against what is
    really asked: the amount and its fee.

    Args:
        with_fee: False when a fee, if any, is in the amount already: then none comes on top.
        customer: whose payments of the last 24 hours count against a daily limit.
    """
    names = providers.installed()
    if not names:
        return []
    told = _told_of_methods(market, customer, money.currency, now)
    down, fees, spent = told["down"], told["fee"], told["spent"]
    offered = []
    for name in names:
        for method in providers.provider(name).methods():
            if market not in method.markets or money.currency not in method.limits:
                continue
            least, most = method.limits[money.currency]
            fee = rules.fee(money, fees.get(method.name, 0) if with_fee else 0)
            asked = money.minor + fee.minor
            most_today = method.per_day.get(money.currency)
            why_not = "down" if name in down else "" if least <= asked <= most else "amount"
            if not why_not and most_today is not None and asked + spent.get(method.name, 0) > most_today:
                why_not = "per_day"
            offered.append(
                Offered(
                    method.name, name, fee, method.can_be_saved, why_not, down.get(name), method.pays_within,
                    was_last=method.name in told["last"],
                    has_kept=method.can_be_saved and f"{name}:{method.name}" in told["saved"],
                )
            )  # fmt: skip
    first: dict[str, Offered] = {}
    for one in offered:
        there = first.get(one.method)
        if there is None or (there.why_not and not one.why_not):
            first[one.method] = one
    return list(first.values())


# Every check page asks all of this at once: who is down until when, what a method costs more, what this customer paid
# with it within a day, with which they paid last, and what they had kept where.
_TOLD = """
select 'down', provider, null::bigint, down_until from payments_health where down_until > %(now)s
union all select 'fee', method, basis_points, null from payments_methodfee where market = %(market)s
union all select 'spent', method, sum(paid_minor)::bigint, null from payments_payment
  where customer_id = %(customer)s and state = 'paid' and ended_at > %(since)s and paid_currency = %(currency)s
  group by method
union all (select 'last', method, null, null from payments_payment
  where customer_id = %(customer)s and state = 'paid' order by ended_at desc limit 1)
union all select distinct 'saved', provider || ':' || method, null::bigint, null::timestamptz from payments_savedmethod
  where customer_id = %(customer)s and forgotten_at is null
"""


def _told_of_methods(market: str, customer: UUID | None, currency: str, now: datetime) -> dict[str, dict[str, Any]]:
    """ "down" until when, by provider; "fee" in basis points, "spent" within 24 hours in minor units, and "last", by
    method; "saved" by both ("stripe:card")."""
    told: dict[str, dict[str, Any]] = {"down": {}, "fee": {}, "spent": {}, "last": {}, "saved": {}}
    asked = {"now": now, "market": market, "customer": customer, "currency": currency, "since": now - timedelta(days=1)}
    with connection.cursor() as cursor:
        cursor.execute(_TOLD, asked)
        for what, name, number, at in cursor.fetchall():
            told[what][name] = at or number
    return told


def method_offered(
    *, market: str, money: Money, method: str, now: datetime, with_fee: bool = True, customer: UUID | None = None
) -> Offered | None:
    """How this method stands for this amount, as in ``methods_offered``; None when the market does not have it."""
    offered = methods_offered(market=market, money=money, now=now, with_fee=with_fee, customer=customer)
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


def saved_methods(customer: UUID, *, provider: str = "") -> list[SavedMethod]:
    """What this customer had kept, of the mode in which the shop runs; a card that has expired is told too."""
    modes = {name: providers.provider(name).is_live for name in providers.installed() if provider in {"", name}}
    rows = SavedMethod.objects.filter(customer_id=customer, provider__in=modes, forgotten_at__isnull=True)
    return [one for one in rows.order_by("consented_at", "id") if one.is_live == modes[one.provider]]


def is_expired(saved: SavedMethod, now: datetime) -> bool:
    """Whether the last month in which a card is good is over; nothing else expires."""
    if saved.expires_year is None or saved.expires_month is None:
        return False
    return (saved.expires_year, saved.expires_month) < (now.year, now.month)


def methods_to_charge(*, customer: UUID, market: str, money: Money, now: datetime) -> list[SavedMethod]:
    """What the customer had kept that can be charged this while nobody is there, at no fee; a provider that is down
    for a while changes nothing."""
    offered = methods_offered(market=market, money=money, now=now)
    at = {(one.provider, one.method) for one in offered if one.can_be_saved and not one.fee.minor}
    mine = saved_methods(customer) if at else []
    return [one for one in mine if (one.provider, one.method) in at and not is_expired(one, now)]


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
    """How much waits for a person: payments that differ, refunds that failed, events about nobody's payment, and
    what settlement reports and books do not agree on."""

    mismatched: int
    failed_refunds: int
    unknown_events: int
    differences: int


def waiting_for_a_person() -> Waiting:
    """What of payments a person has to look at, counted."""
    given_back = Refund.objects.filter(leg="mismatch").values("payment_id")
    return Waiting(
        mismatched=Payment.objects.filter(state=PaymentState.MISMATCHED).exclude(id__in=given_back).count(),
        failed_refunds=Refund.objects.filter(state=RefundState.FAILED).count(),
        unknown_events=Event.objects.filter(state=Event.State.UNKNOWN).count(),
        differences=SettlementDifference.objects.filter(state=SettlementDifference.State.OPEN).count(),
    )


def settlement_report(id: UUID) -> SettlementReport | None:
    """One provider's report of one day."""
    return SettlementReport.objects.filter(id=id).first()


def open_differences(report: UUID) -> list[SettlementDifference]:
    """What a report and the books do not agree on and nobody has settled, in the order in which it was found."""
    rows = SettlementDifference.objects.filter(report_id=report, state=SettlementDifference.State.OPEN)
    return list(rows.order_by("found_at", "id"))


# -- vouchers ------------------------------------------------------------------------------------------------------


def voucher_redeemed_by(customer: UUID, voucher_id: UUID) -> Voucher | None:
    """The voucher that this customer redeemed, with its batch; None for any other."""
    return Voucher.objects.select_related("batch").filter(id=voucher_id, redeemed_by_id=customer).first()


def voucher(voucher_id: UUID) -> Voucher | None:
    """The voucher of this id, with its batch. For staff."""
    return Voucher.objects.select_related("batch", "redeemed_by").filter(id=voucher_id).first()


def voucher_batch(batch_id: UUID) -> VoucherBatch | None:
    """The batch of this id. For staff."""
    return VoucherBatch.objects.filter(id=batch_id).first()


@dataclass(frozen=True, slots=True)
class Counts:
    """How many vouchers of a batch were redeemed and revoked, and how many are left."""

    redeemed: int = 0
    revoked: int = 0
    left: int = 0


def voucher_counts(batches: Iterable[UUID]) -> dict[UUID, Counts]:
    """The counts of each of these batches, in one query."""
    wanted = list(batches)
    redeemed, revoked = Count("id", Q(redeemed_at__isnull=False)), Count("id", Q(revoked_at__isnull=False))
    rows = Voucher.objects.filter(batch_id__in=wanted).values_list("batch_id")
    return dict.fromkeys(wanted, Counts()) | {
        id: Counts(used, gone, all_of_them - used - gone)
        for id, used, gone, all_of_them in rows.annotate(used=redeemed, gone=revoked, all_of_them=Count("id"))
    }


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
_VOUCHERS_OWED = """
    select b.currency, b.value_minor, 0 from payments_voucher v join payments_voucherbatch b on b.id = v.batch_id
    where b.sold_at is not null and v.redeemed_at is null and v.revoked_at is null
"""
# A redeemed voucher and its one transfer, side by side: whatever has no match, or another one, is wrong.
_WRONG_VOUCHERS = """
select coalesce(v.serial, t.cause::text), v.value_minor, t.amount, coalesce(v.currency, t.unit)
from (
    select v.*, b.value_minor, b.currency, b.liability_id, b.sold_at from payments_voucher v
    join payments_voucherbatch b on b.id = v.batch_id where v.redeemed_at is not null
) v
full join (select * from ledger_transfer where leg = 'voucher_redeemed') t on t.cause = v.id
left join ledger_account credit on credit.id = t.credit_id
where v.id is null or t.id is null or v.sold_at is null
    or (t.id, t.amount, t.unit, t.debit_id) is distinct from (v.transfer_id, v.value_minor, v.currency, v.liability_id)
    or credit.kind <> 'wallet'
order by 1
"""


def check_books() -> list[str]:
    """What is wrong between payments and the ledger, one sentence each; empty when they agree.

    Proves that each payment that took money has its one transfer and no other, to whom it was for or aside; that what
    was captured is what was credited, by currency; that suspense holds what differs and was not given back, and
    refunds in flight what is on its way; that each refund moved what its state says; that no payment gave back more
    than it took; that each redeemed voucher came into a wallet once, and that what vouchers owe is the value of those
    that are sold and neither redeemed nor revoked. A captured minor unit that is not booked, or booked twice, does
    not pass.
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
        *_differing(
            "Vouchers owe {held} {unit}, those sold and not used make {told}.",
            _held(_VOUCHERS_OWED),
            "voucher_liability",
        ),
        *(
            f"The voucher {serial} of {value or 0} {unit} brought {amount or 0} into a wallet, or elsewhere."
            for serial, value, amount, unit in _asked(_WRONG_VOUCHERS)
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
