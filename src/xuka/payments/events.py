"""Webhooks: stored before they are answered, believed only as a hint where to look."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from xuka.journal import operations as journal
from xuka.kernel import ids
from xuka.payments import contract, operations, providers, refunds, rules
from xuka.payments.models import Event, Payment, Refund
from xuka.payments.rules import LIVE_STATES, PaymentState, RefundState


class TooLarge(Exception):
    """The body is larger than any event; nothing was read or stored."""


class UnknownPayment(Exception):
    """A genuine event about no payment of ours: set aside, shown to staff, without effect."""


def receive(*, provider: str, body: bytes, headers: Mapping[str, str], now: datetime) -> None:
    """Verify a webhook and store it; what follows is a job's. The same event again changes nothing.

    Args:
        body: the raw body, byte for byte.
        headers: of the request, their names in lower case.

    Raises:
        TooLarge, contract.Forged, contract.CannotVerify: nothing was stored.
        UnknownPayment: stored, without effect.
    """
    if len(body) > rules.EVENT_AT_MOST_BYTES:
        raise TooLarge
    told = providers.provider(provider).read_webhook(body=body, headers=headers, now=now)
    if not rules.can_be_kept(told.id, told.kind, told.key, told.charge):
        raise contract.Forged("genuine, but with words that are no provider's")
    if _store(provider, told, body, now) == Event.State.UNKNOWN:
        raise UnknownPayment


@transaction.atomic
def _store(provider: str, told: contract.Event, body: bytes, now: datetime) -> str:
    """Insert first: who comes second waits here, and finds the first. Returns the state of the one that is stored."""
    state = Event.State.IGNORED
    if told.matters:
        state = Event.State.STORED if _is_ours(provider, told.key, told.charge) else Event.State.UNKNOWN
    id = ids.derived(_SPACE, f"{provider}:{told.id}")
    row = Event(
        id=id,
        provider=provider,
        event_id=told.id,
        kind=told.kind,
        key=told.key,
        charge=told.charge,
        body="" if state == Event.State.IGNORED else rules.as_text(body),
        state=state,
        received_at=now,
    )
    is_new = not Event.objects.filter(id=id).exists()
    Event.objects.bulk_create([row], ignore_conflicts=True)
    if is_new and state == Event.State.STORED:
        journal.record(what="payment.event_stored", subject=id, who=f"provider:{provider}", now=now)
        if told.is_dispute:
            _note_dispute(provider, told, now)
    elif is_new and state == Event.State.UNKNOWN:
        journal.record(what="payment.event_unknown", subject=id, who=f"provider:{provider}", now=now)
    return state


def _note_dispute(provider: str, told: contract.Event, now: datetime) -> None:
    """A customer's bank wants the money back: told to staff, who answer at the provider. No money moves by itself."""
    payment = _named(provider, told.key, told.charge).get()
    journal.record(
        what="payment.disputed",
        subject=payment.cause,
        who=f"provider:{provider}",
        after={"payment": str(payment.id), "dispute": told.reference},
        now=now,
    )


def _named(provider: str, key: str, charge: str) -> QuerySet[Payment]:
    """The payment that an event names, by our key or by the provider's charge; at most one."""
    by_charge = Q(charge=charge) if charge else Q(pk__in=())
    return Payment.objects.filter(Q(id=rules.key_in(key)) | by_charge, provider=provider)


def _is_ours(provider: str, key: str, charge: str) -> bool:
    return _named(provider, key, charge).exists()


def digest(*, event_id: UUID, now: datetime) -> None:
    """Look at what the event is about: its payment, and the refunds of that. Again, or late: looks once more at most.

    The event's own words decide nothing, so disorder, delay and repetition are harmless. While somebody is asking about
    one of them already, the event stays as it is: the sweeper comes back for it, and every lease ends.
    """
    event = Event.objects.filter(id=event_id, state=Event.State.STORED).first()
    if event is None:
        return
    payment = _named(event.provider, event.key, event.charge).get()
    if _is_being_asked_about(payment, now):
        return
    due = _make_due(payment, now)
    if operations.advance(payment_id=payment.id, now=now):  # approved there: captured at once
        operations.advance(payment_id=payment.id, now=now)
    for refund_id in due:
        refunds.advance(refund_id=refund_id, now=now)
    # Its words may name a person, and nothing reads them any more.
    Event.objects.filter(id=event_id).update(state=Event.State.DIGESTED, body="")


def _is_being_asked_about(payment: Payment, now: datetime) -> bool:
    """Whether an answer is on its way that may be older than the event; who asks from now on hears what it tells."""
    mine = Payment.objects.filter(id=payment.id), Refund.objects.filter(payment=payment)
    return any(rows.filter(lease_until__gt=now).exists() for rows in mine)


@transaction.atomic
def _make_due(payment: Payment, now: datetime) -> list[UUID]:
    """The payment and its refunds are looked at next, save one that somebody has begun to ask about since."""
    # Also one that was thought closed: should money have come all the same, it is found.
    unpaid = Payment.objects.filter(id=payment.id, state__in=[*LIVE_STATES, PaymentState.CLOSED])
    unpaid.exclude(lease_until__gt=now).update(next_step_at=now)
    known = Refund.objects.filter(payment=payment).exclude(state=RefundState.SETTLED).exclude(reference="")
    known.exclude(state=RefundState.FAILED).exclude(lease_until__gt=now).update(next_step_at=now)
    return list(known.order_by("id").values_list("id", flat=True))


_SPACE = UUID("0d7f5c3e-6f0f-5b57-9d0e-7875616b6150")
