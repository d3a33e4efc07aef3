"""Money that goes back to where it came from: asked once, looked for before it is asked again, booked at each turn.

In the ledger: account -> refunds in flight when it is asked, -> clearing when it is gone, back to the account and to a
person if it fails, even after it had gone.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from xuka.journal import operations as journal
from xuka.kernel import ids
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.ledger import operations as ledger
from xuka.ledger.rules import Leg
from xuka.payments import contract, providers, queries, rules
from xuka.payments.models import Payment, Refund
from xuka.payments.operations import CannotDecide
from xuka.payments.providers import Call
from xuka.payments.rules import PaymentState, RefundState, Step, words_of

EXITS = ("retry", "to_wallet", "paid_elsewhere")


def give_back(*, cause: UUID, account: UUID, leg: str, amount_minor: int, now: datetime) -> int:
    """Send money from this account back to the payments that filled it, the newest first, in the caller's transaction.

    The same cause and leg again changes nothing.

    Returns:
        How much goes back this way, minor units; the rest came from elsewhere and is the caller's to move.
    """
    payments = {one.id: one for one in _paid(account)}
    there = Refund.objects.filter(cause=cause, account_id=account, leg=leg)
    if there:
        return sum(one.amount_minor for one in there)
    left = queries.refundable(payments.values())
    parts = rules.shares(amount_minor, left)
    for payment_id, part in parts:
        _begin(payments[payment_id], cause, account, leg, part, now)
    return sum(part for _, part in parts)


def give_back_to(*, payments: list[tuple[UUID, int]], cause: UUID, account: UUID, leg: str, now: datetime) -> int:
    """Send money from this account back to these payments, so much to each, in the caller's transaction.

    The same cause and leg again changes nothing. What a payment has not left any more does not go to it.

    Returns:
        How much goes back this way, minor units.
    """
    there = Refund.objects.filter(cause=cause, account_id=account, leg=leg)
    if there:
        return sum(one.amount_minor for one in there)
    wanted = dict(payments)
    rows = Payment.objects.select_for_update().filter(id__in=wanted, state=PaymentState.PAID).order_by("id")
    left = {one.payment_id: one.left_minor for one in queries.refundable(rows)}
    parts = [(row, min(wanted[row.id], left[row.id])) for row in rows]
    for payment, part in parts:
        if part > 0:
            _begin(payment, cause, account, leg, part, now)
    return sum(max(part, 0) for _, part in parts)


def _paid(account: UUID) -> list[Payment]:
    """The payments that filled the account, locked, the newest first."""
    rows = Payment.objects.select_for_update().filter(account_id=account, state=PaymentState.PAID)
    return list(rows.order_by("-ended_at", "id"))


def _begin(payment: Payment, cause: UUID, account: UUID, leg: str, amount_minor: int, now: datetime) -> Refund:
    assert payment.paid_currency
    refund = Refund.objects.create(
        id=ids.derived(cause, f"refund:{leg}:{payment.id}"),
        cause=cause,
        account_id=account,
        payment=payment,
        leg=leg,
        amount_minor=amount_minor,
        currency=payment.paid_currency,
        state=RefundState.STARTING,
        asked_at=now,
        next_step_at=now,
    )
    _move(refund, "asked", account, _in_flight(refund), now)
    told = {"payment": str(payment.id), "amount_minor": amount_minor, "currency": refund.currency}
    journal.record(what="refund.asked", subject=refund.id, who="clock", after=told, now=now)
    return refund


def _in_flight(refund: Refund) -> UUID:
    return ledger.house("refunds_in_flight", refund.currency)


def _move(refund: Refund, leg: str, debit: UUID, credit: UUID, now: datetime) -> None:
    name = f"{leg}:{refund.round}"
    ledger.post(Leg(refund.id, name, debit, credit, refund.currency, refund.amount_minor), now=now)


# -- advance -------------------------------------------------------------------------------------------------------


def advance(*, refund_id: UUID, now: datetime) -> bool:
    """Ask for a refund or find out what became of it, if that is due. Returns True when it should be called again.

    May be called at any time, any number of times, from anywhere. One that does not exist is left alone.
    """
    with transaction.atomic():
        refund = _locked(refund_id)
        if refund is None or not providers.is_installed(refund.payment.provider, live=refund.payment.is_live):
            return False
        step = rules.next_refund_step(now, _facts(refund, now))
        if step.step in {Step.WAIT, Step.FINISH}:
            return False
        call = _lease(refund, step.step, now)
    after = _settle(refund_id, call, providers.send(call), step.step, now)
    return after.next_step_at is not None and after.next_step_at <= now


def _locked(refund_id: UUID) -> Refund | None:
    rows = Refund.objects.select_for_update(of=("self",)).select_related("payment")
    return rows.filter(id=refund_id).first()


def _facts(refund: Refund, now: datetime) -> rules.RefundFacts:
    return rules.RefundFacts(
        state=RefundState(refund.state),
        has_reference=bool(refund.reference),
        asks=refund.asks,
        surely_absent=refund.reason == "absent",
        lease_until=refund.lease_until,
        next_step_at=refund.next_step_at,
    )


def _key(refund: Refund) -> str:
    """The provider's key: another one each time that a person lets it be asked anew."""
    return words_of(ids.derived(refund.id, f"round:{refund.round}"))


def _lease(refund: Refund, step: Step, now: datetime) -> Call:
    """Take the lease for one call. Must commit before the call is made."""
    payment = refund.payment
    them = providers.provider(payment.provider)
    refund.lease_until = refund.next_step_at = providers.lease_end(payment.provider, now)
    key, money = _key(refund), Money(refund.amount_minor, refund.currency)
    match step:
        case Step.ASK:
            refund.asks += 1
            refund.reason = ""
            refund.absent_at = providers.absent_from(payment.provider, refund.lease_until)
            ask = partial(them.refund, key=key, charge=payment.charge, money=money)
        case Step.LOOK:
            ask = partial(them.look_refund, reference=refund.reference)
        case _:
            others = _siblings(refund).exclude(reference="").values_list("reference", flat=True)
            ask = partial(them.find_refund, key=key, charge=payment.charge, money=money, others=frozenset(others))
    refund.save()
    return providers.prepare(payment.provider, ask, refund.lease_until)


@transaction.atomic
def _settle(refund_id: UUID, call: Call, outcome: Outcome, step: Step, now: datetime) -> Refund:
    """Store what the provider said; a sender who slept through its lease only tells of the refund itself."""
    providers.heard(call.provider, outcome, now)
    refund = _locked(refund_id)
    assert refund is not None, "refunds are never deleted"
    is_news = isinstance(outcome, Done) and outcome.value is not None and outcome.value.key == _key(refund)
    if refund.lease_until != call.lease_until and not is_news:
        return refund
    if refund.lease_until == call.lease_until:
        refund.lease_until = None
    match outcome:
        case Done(contract.Refund() as seen):
            _take_in(refund, seen, now)
        case Done():
            _not_there(refund, now)
        case Refused(reason, None, detail) if step == Step.ASK:
            _fail(refund, reason, detail, now)
        case Refused(reason, retry_after, detail):
            _later(refund, now + retry_after if retry_after else None, detail or reason, now)
        case Unknown(why):
            _later(refund, now if step == Step.ASK else None, why, now)
    refund.save()
    return refund


def _siblings(refund: Refund) -> QuerySet[Refund]:
    return Refund.objects.filter(payment_id=refund.payment_id).exclude(id=refund.id)


def _take_in(refund: Refund, seen: contract.Refund, now: datetime) -> None:
    assert seen.money == Money(refund.amount_minor, refund.currency), "a connector compares our key exactly"
    # Where no key is kept, two of the same sum stand for each other: whose it became first, keeps it.
    if _siblings(refund).filter(reference=seen.reference).exists():
        _later(refund, None, "", now)
        return
    refund.reference = seen.reference
    match seen.state:
        case contract.RefundState.PENDING:
            if refund.state == RefundState.STARTING:
                refund.state = RefundState.PENDING
            _later(refund, None, seen.why, now)
        case contract.RefundState.DONE:
            _done(refund, now)
        case contract.RefundState.FAILED:
            _fail(refund, "bank_refused", seen.why, now)


def _done(refund: Refund, now: datetime) -> None:
    """It is gone, booked once; looked at again for weeks, since a bank may send it back and the news may be lost."""
    refund.next_step_at = rules.look_at_what_is_done(refund.done_at or now, now)
    if refund.state not in rules.IN_FLIGHT:
        return
    _move(refund, "confirmed", _in_flight(refund), ledger.house("clearing", refund.currency), now)
    refund.state, refund.done_at, refund.reason, refund.detail = RefundState.DONE, now, "", ""
    told = {"refund": str(refund.id), "amount_minor": refund.amount_minor, "currency": refund.currency}
    journal.record(what="refund.done", subject=refund.cause, who=_who(refund), after=told, now=now)


def _fail(refund: Refund, reason: str, detail: str, now: datetime) -> None:
    """It did not arrive, perhaps after it seemed to: the money is back where it came from, and a person is told."""
    refund.next_step_at = None
    if refund.state in {RefundState.FAILED, RefundState.SETTLED}:
        return
    gone = refund.state == RefundState.DONE
    lies_in = ledger.house("clearing", refund.currency) if gone else _in_flight(refund)
    _move(refund, "failed", lies_in, refund.account_id, now)
    refund.state, refund.reason, refund.detail = RefundState.FAILED, reason, detail
    told = {"amount_minor": refund.amount_minor, "currency": refund.currency}
    journal.record(what="refund.failed", subject=refund.id, who=_who(refund), why=reason, after=told, now=now)


def _not_there(refund: Refund, now: datetime) -> None:
    """It is surely absent once no ask for any refund of this payment can still come true: where no key is kept, one of
    the same sum may have been taken for another's."""
    assert refund.absent_at is not None
    bounds = _siblings(refund).filter(absent_at__isnull=False).values_list("absent_at", flat=True)
    absent_at = max([refund.absent_at, *bounds])
    if now >= absent_at:
        refund.reason, refund.next_step_at = "absent", now
    else:
        _later(refund, min(now + rules.look_again_after(refund.looks), absent_at), "", now)


def _later(refund: Refund, at: datetime | None, why: str, now: datetime) -> None:
    refund.next_step_at = at or now + rules.look_again_after(refund.looks)
    refund.detail = why or refund.detail
    refund.looks += 1
    if refund.looks == rules.LOOKS_BEFORE_ALARM:
        journal.record(what="refund.stuck", subject=refund.id, who="clock", why=why, now=now)


def _who(refund: Refund) -> str:
    return f"provider:{refund.payment.provider}"


# -- a person decides ----------------------------------------------------------------------------------------------


@transaction.atomic
def give_mismatch_back(*, payment_id: UUID, staff: UUID, why: str, now: datetime) -> Refund:
    """A person sends back what was captured though something else was asked. Again: changes nothing.

    Raises:
        CannotDecide: "no_reason", or "not_waiting": nothing of this payment waits for a person.
    """
    if not why.strip():
        raise CannotDecide("no_reason")
    payment = Payment.objects.select_for_update().filter(id=payment_id, state=PaymentState.MISMATCHED).first()
    if payment is None:
        raise CannotDecide("not_waiting")
    there = Refund.objects.filter(payment=payment, leg="mismatch").first()
    if there:
        return there
    assert payment.paid_minor is not None
    told = {"payment": str(payment.id)}
    journal.record(what="payment.decided", subject=payment.cause, who=f"staff:{staff}", why=why, after=told, now=now)
    suspense = ledger.house("suspense", payment.paid_currency)
    return _begin(payment, payment.cause, suspense, "mismatch", payment.paid_minor, now)


@transaction.atomic
def decide(
    *, refund_id: UUID, round: int, exit: str, staff: UUID, why: str, now: datetime, reference: str = ""
) -> Refund:
    """A person ends a refund that failed, in the round that they saw fail.

    ``retry``: the provider is asked anew. ``to_wallet``: the customer agreed to have it in their wallet.
    ``paid_elsewhere``: it was paid back another way, under ``reference``.

    Args:
        round: the refund's round when the person read it.

    Raises:
        CannotDecide: "no_reason", "no_reference", "not_waiting" (it has not failed, or in another round), or
            "other_currency": what was captured by mistake in another currency has no wallet. Nothing was changed.
    """
    assert exit in EXITS
    if not why.strip():
        raise CannotDecide("no_reason")
    if exit == "paid_elsewhere" and not reference.strip():
        raise CannotDecide("no_reference")
    refund = _locked(refund_id)
    if refund is None or (refund.state, refund.round) != (RefundState.FAILED, round):
        raise CannotDecide("not_waiting")
    if exit == "to_wallet" and refund.currency != refund.payment.currency:
        raise CannotDecide("other_currency")
    who = f"staff:{staff}"
    if exit == "retry":
        refund.round += 1
        refund.state, refund.reason, refund.detail, refund.reference = RefundState.STARTING, "", "", ""
        # What seemed done in the round before is no measure of how long this one must be watched.
        refund.asks, refund.looks, refund.done_at, refund.next_step_at = 0, 0, None, now
        _move(refund, "asked", refund.account_id, _in_flight(refund), now)
        journal.record(what="refund.asked", subject=refund.id, who=who, why=why, now=now)
    else:
        _settle_by_hand(refund, exit, who, why, now)
        refund.detail = reference.strip()
    refund.save()
    told = {"refund": str(refund.id), "exit": exit, "reference": reference.strip()}
    journal.record(what="refund.decided", subject=refund.cause, who=who, why=why, after=told, now=now)
    return refund


def _settle_by_hand(refund: Refund, exit: str, who: str, why: str, now: datetime) -> None:
    customer, unit = refund.payment.customer_id, refund.currency
    to = ledger.wallet(customer=customer, currency=unit) if exit == "to_wallet" else ledger.house("paid_by_hand", unit)
    _move(refund, exit, refund.account_id, to, now)
    if exit == "to_wallet":
        told = {"amount_minor": refund.amount_minor, "currency": unit}
        journal.record(what="wallet.credited", subject=customer, who=who, why=why, after=told, now=now)
    refund.state, refund.done_at, refund.next_step_at = RefundState.SETTLED, now, None
