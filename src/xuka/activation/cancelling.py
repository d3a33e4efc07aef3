"""Asking a carrier to take a package back, until it says yes or no.

A cancellation states a wish, which a carrier that can cancel takes any number of times: after silence it is asked
again. As everywhere, the carrier is asked between two transactions, under a lease.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from xuka.activation.models import Attempt, Cancellation
from xuka.activation.operations import carrier
from xuka.activation.rules import LEASE_MARGIN, throttle_again_after
from xuka.journal import operations as journal
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown

AT_ONCE = 500


def can_cancel(carrier_name: str) -> bool:
    """Whether this carrier takes back what it has put on a card."""
    return carrier(carrier_name).can_cancel


def want(*, cause: UUID, ordinal: int, now: datetime) -> bool:
    """Store that what was activated for this period is to be taken back, in the caller's transaction.

    ``advance`` carries it to the carrier. Wanting it again changes nothing; what was refused is asked anew.

    Returns:
        Whether the carrier can be asked at all. Where it cannot nothing is stored.
    """
    attempt = Attempt.objects.filter(cause=cause, ordinal=ordinal, state=Attempt.State.DONE).first()
    if attempt is None or not can_cancel(attempt.carrier):
        return False
    row, is_new = Cancellation.objects.select_for_update().get_or_create(
        attempt=attempt,
        defaults={"state": Cancellation.State.WANTED, "wanted_at": now, "next_try_at": now},
    )
    if is_new or row.state == Cancellation.State.REFUSED:
        row.state, row.wanted_at, row.settled_at = Cancellation.State.WANTED, now, None
        row.tries, row.next_try_at, row.error = 0, now, ""
        row.save()
        journal.record(what="activation.cancel_wanted", subject=attempt.id, who="clock", now=now)
    return True


def standing(*, cause: UUID, ordinal: int) -> str:
    """ "wanted", "done" or "refused"; "" where the carrier was never to take it back."""
    row = Cancellation.objects.filter(attempt__cause=cause, attempt__ordinal=ordinal).first()
    return row.state if row else ""


def due(now: datetime) -> list[UUID]:
    """The attempts whose carrier has to be asked, the longest due first; a sweep's worth of them."""
    rows = Cancellation.objects.filter(next_try_at__lte=now).order_by("next_try_at", "attempt_id")
    return list(rows.values_list("attempt_id", flat=True)[:AT_ONCE])


def advance(*, attempt_id: UUID, now: datetime) -> bool:
    """Ask the carrier, if that is due; no transaction is open meanwhile. Returns whether it was asked.

    What is not due, or held by another, is left alone: calling it again, or twice at once, asks once.
    """
    with transaction.atomic():
        row = _free(attempt_id, now)
        if row is None:
            return False
        them = carrier(row.attempt.carrier)
        row.lease_until = row.next_try_at = now + them.call_deadline + LEASE_MARGIN
        row.tries += 1
        row.save()
        not_after = time.monotonic() + LEASE_MARGIN.total_seconds() / 2
    assert not transaction.get_connection().in_atomic_block, "no transaction is held across the network"
    if time.monotonic() > not_after:
        outcome: Outcome[None] = Unknown("the lease was too old to ask")
    else:
        outcome = them.cancel(reference=row.attempt.reference, iccid=row.attempt.iccid)
    _settle(row, outcome, now)
    return True


def _free(attempt_id: UUID, now: datetime) -> Cancellation | None:
    rows = Cancellation.objects.select_for_update(skip_locked=True, of=("self",)).select_related("attempt")
    row = rows.filter(attempt_id=attempt_id, next_try_at__lte=now).first()
    return None if row is None or (row.lease_until is not None and row.lease_until > now) else row


@transaction.atomic
def _settle(asked: Cancellation, outcome: Outcome[None], now: datetime) -> None:
    """Store what the carrier said; who slept through the lease has nothing to say, except that it is done."""
    row = Cancellation.objects.select_for_update().get(attempt_id=asked.attempt_id)
    if row.state != Cancellation.State.WANTED or (
        row.lease_until != asked.lease_until and not isinstance(outcome, Done)
    ):
        return
    row.lease_until = None
    match outcome:
        case Done():
            _end(row, asked.attempt, Cancellation.State.DONE, "", now)
        case Refused(reason, None, detail):
            _end(row, asked.attempt, Cancellation.State.REFUSED, f"{reason} {detail}".strip(), now)
        case Refused(reason, retry_after, detail):
            _later(row, f"{reason} {detail}".strip(), retry_after or timedelta(), now)
        case Unknown(why):
            _later(row, why, timedelta(), now)
    row.save()


def _end(row: Cancellation, attempt: Attempt, state: Cancellation.State, error: str, now: datetime) -> None:
    row.state, row.error = state, error
    row.settled_at, row.next_try_at = now, None
    what = "activation.cancelled" if state == Cancellation.State.DONE else "activation.cancel_refused"
    told = {"ordinal": attempt.ordinal, "reference": attempt.reference}
    journal.record(what=what, subject=attempt.cause, who=f"carrier:{attempt.carrier}", why=error, after=told, now=now)


def _later(row: Cancellation, why: str, at_least: timedelta, now: datetime) -> None:
    row.error = why
    row.next_try_at = now + throttle_again_after(max(row.tries, 1), at_least=at_least)
