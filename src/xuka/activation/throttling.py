"""The speed that a line should have, and asking its carrier until it has it.

A wish is a row; whoever is called (job, sweeper, hand) moves it on, any number of times. As everywhere, the carrier is
asked between two transactions, under a lease: there are never two calls at once for a line.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from xuka.activation.contract import Carrier
from xuka.activation.models import Throttle
from xuka.activation.operations import carrier
from xuka.activation.rules import (
    LEASE_MARGIN,
    THROTTLE_DAILY,
    THROTTLE_LOOK_AGAIN,
    THROTTLE_LOOK_EVERY,
    throttle_again_after,
)
from xuka.journal import operations as journal
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.lines import queries as lines

# As many as one sweep takes up; the rest is found by the next one.
AT_ONCE = 500


def ask_for(*, line_id: UUID, kbps: int | None, now: datetime) -> bool:
    """Store which speed a line should have, in the caller's transaction; ``advance`` carries it to the carrier.

    Calling it again with the same speed changes nothing. Another speed takes the place of the wish before, whatever
    has become of that, and is due at once, or when the call that is under way ends.

    Args:
        line_id: a line that is there.
        kbps: kilobits a second; 0 lets nothing through; None is as fast as the network allows.
        now: aware UTC.

    Returns:
        Whether the line's carrier can throttle. Where it cannot nothing is stored.
    """
    assert kbps is None or kbps >= 0, "a speed is not negative"
    if not carrier(_line(line_id).carrier).can_throttle:
        return False
    throttle, new = Throttle.objects.select_for_update().get_or_create(
        line_id=line_id, defaults={"wanted_kbps": kbps, "wanted_at": now, "next_try_at": now}
    )
    if not new and throttle.wanted_kbps == kbps:
        return True
    before = None if new else {"kbps": throttle.wanted_kbps}
    if not new:
        throttle.wanted_kbps, throttle.wanted_at = kbps, now
        throttle.refused_at = None
        _make_due(throttle, now)
        throttle.save()
    journal.record(what="throttle.wanted", subject=line_id, who="clock", before=before, after={"kbps": kbps}, now=now)
    return True


def advance(*, line_id: UUID, now: datetime) -> bool:
    """Ask the carrier for the speed that is wanted, if that is due; no transaction is open while it is asked.

    A line that is not due (set, waiting, or held by another worker) is left alone: calling it again, or twice at once,
    asks once. What fails is tried again after 1, 5 and 30 minutes, 2 hours and then daily, for as long as the wish
    stands; what the carrier refuses for good, daily.

    Returns:
        Whether the carrier was asked, whatever it said.
    """
    held = _take(line_id, now)
    if held is None:
        return False
    _store(held, _throttle(held), now)
    return True


def reconcile(*, line_id: UUID, now: datetime) -> bool:
    """Read which speed the carrier has for a line that is set; if it is not the one wanted, ask for that again.

    A line that is not set, or is held by another worker, is left alone. What cannot be read changes nothing, and is
    looked at again in an hour; calling it again is safe.

    Returns:
        Whether the carrier had another speed.
    """
    held = _take_look(line_id, now)
    if held is None:
        return False
    differed = _store_look(held, _speed(held), now)
    if differed:
        advance(line_id=line_id, now=now)
    return differed


def due(now: datetime) -> list[UUID]:
    """The lines whose carrier has to be asked, the longest due first; a sweep's worth of them."""
    rows = Throttle.objects.filter(next_try_at__lte=now).order_by("next_try_at", "line_id")
    return list(rows.values_list("line_id", flat=True)[:AT_ONCE])


def due_looks(now: datetime) -> list[UUID]:
    """The lines to ``reconcile``: set, and not compared with the carrier for a day. A sweep's worth of them."""
    rows = Throttle.objects.filter(look_at__lte=now).order_by("look_at", "line_id")
    return list(rows.values_list("line_id", flat=True)[:AT_ONCE])


@dataclass(frozen=True, slots=True)
class _Held:
    """A line under a lease, and the wish as it stood when the lease was taken."""

    line_id: UUID
    iccid: str
    carrier: str
    kbps: int | None
    lease_until: datetime
    not_after: float

    @property
    def them(self) -> Carrier:
        return carrier(self.carrier)


def _take(line_id: UUID, now: datetime) -> _Held | None:
    """Take the lease and count the try; None when nothing is due."""
    with transaction.atomic(durable=True):
        throttle = _free(line_id, now)
        if throttle is None or throttle.next_try_at is None or throttle.next_try_at > now:
            return None
        held = _lease(throttle, now)
        throttle.tries += 1
        throttle.next_try_at = throttle.lease_until
        throttle.save()
        return held


def _take_look(line_id: UUID, now: datetime) -> _Held | None:
    """Take the lease for a look; None when the line is not set. A worker that dies leaves the next look in an hour."""
    with transaction.atomic(durable=True):
        throttle = _free(line_id, now)
        if throttle is None or not throttle.is_set:
            return None
        held = _lease(throttle, now)
        throttle.look_at = now + THROTTLE_LOOK_AGAIN
        throttle.save()
        return held


def _free(line_id: UUID, now: datetime) -> Throttle | None:
    """The line's row, locked; None when there is none or somebody holds it."""
    throttle = Throttle.objects.select_for_update(skip_locked=True).filter(line_id=line_id).first()
    return None if throttle is None or _is_held(throttle, now) else throttle


def _is_held(throttle: Throttle, now: datetime) -> bool:
    return throttle.lease_until is not None and throttle.lease_until > now


def _lease(throttle: Throttle, now: datetime) -> _Held:
    """A lease longer than the whole call. Must be saved and committed before the call is made."""
    line = _line(throttle.line_id)
    throttle.lease_until = now + carrier(line.carrier).call_deadline + LEASE_MARGIN
    return _Held(
        line_id=line.id,
        iccid=line.iccid,
        carrier=line.carrier,
        kbps=throttle.wanted_kbps,
        lease_until=throttle.lease_until,
        # Until when the call may begin, so that it ends within its lease however late this process is woken.
        not_after=time.monotonic() + LEASE_MARGIN.total_seconds() / 2,
    )


def _throttle(held: _Held) -> Outcome[int | None]:
    return held.them.throttle(iccid=held.iccid, kbps=held.kbps) if _in_time(held) else _too_late()


def _speed(held: _Held) -> Outcome[int | None]:
    return held.them.speed(iccid=held.iccid) if _in_time(held) else _too_late()


def _in_time(held: _Held) -> bool:
    assert not transaction.get_connection().in_atomic_block, "no transaction is held across the network"
    return time.monotonic() <= held.not_after


def _too_late() -> Unknown:
    return Unknown("the lease was too old to ask")


@transaction.atomic(durable=True)
def _store(held: _Held, outcome: Outcome[int | None], now: datetime) -> None:
    """Store what the carrier said. Who slept through the lease, and was followed by another, has nothing to say."""
    throttle = Throttle.objects.select_for_update().get(line_id=held.line_id)
    if throttle.lease_until != held.lease_until:
        return
    throttle.lease_until = None
    match outcome:
        case Done(kbps) if kbps == held.kbps:
            _keep_set(throttle, held, now)
        case Done(kbps):
            throttle.set_kbps, throttle.set_at = kbps, now
            _later(throttle, f"asked for {_words(held.kbps)}, the carrier set {_words(kbps)}", now)
        case Refused(reason, None, detail):
            _keep_refused(throttle, held, f"{reason} {detail}".strip(), now)
        case Refused(reason, retry_after, detail):
            _later(throttle, f"{reason} {detail}".strip(), now, at_least=retry_after or timedelta())
        case Unknown(why):
            _later(throttle, why, now)
    if throttle.wanted_kbps != held.kbps:
        _make_due(throttle, now)
        if isinstance(outcome, Refused) and outcome.retry_after:
            throttle.next_try_at = now + outcome.retry_after  # the carrier wants to be left alone, whatever the wish
    throttle.save()


def _keep_set(throttle: Throttle, held: _Held, now: datetime) -> None:
    before = {"kbps": throttle.set_kbps} if throttle.set_at else None
    throttle.is_set, throttle.set_kbps, throttle.set_at = True, held.kbps, now
    throttle.next_try_at, throttle.look_at = None, now + THROTTLE_LOOK_EVERY
    throttle.tries, throttle.error, throttle.refused_at = 0, "", None
    journal.record(
        what="throttle.set",
        subject=held.line_id,
        who=f"carrier:{held.carrier}",
        before=before,
        after={"kbps": held.kbps},
        now=now,
    )


def _keep_refused(throttle: Throttle, held: _Held, why: str, now: datetime) -> None:
    """Refused for good: told once, and tried daily all the same, because a card or a contract may change."""
    throttle.error = why
    throttle.next_try_at = now + THROTTLE_DAILY
    if throttle.refused_at is None and throttle.wanted_kbps == held.kbps:
        throttle.refused_at = now
        journal.record(
            what="throttle.refused",
            subject=held.line_id,
            who=f"carrier:{held.carrier}",
            why=why,
            after={"kbps": held.kbps},
            now=now,
        )


def _later(throttle: Throttle, why: str, now: datetime, *, at_least: timedelta = timedelta()) -> None:
    throttle.error = why
    # A wish that changed during the call counts its tries from 0.
    throttle.next_try_at = now + throttle_again_after(max(throttle.tries, 1), at_least=at_least)


def _make_due(throttle: Throttle, now: datetime) -> None:
    """Nothing is set; it is tried at once, or when the call that is under way ends or its worker is surely dead."""
    throttle.is_set = False
    throttle.look_at = None
    throttle.tries = 0
    throttle.next_try_at = max(now, throttle.lease_until) if throttle.lease_until else now


@transaction.atomic(durable=True)
def _store_look(held: _Held, outcome: Outcome[int | None], now: datetime) -> bool:
    """Store what the look found; returns whether the carrier has another speed than the one that is wanted."""
    throttle = Throttle.objects.select_for_update().get(line_id=held.line_id)
    if throttle.lease_until != held.lease_until:
        return False
    throttle.lease_until = None
    differs = False
    if throttle.wanted_kbps != held.kbps or not throttle.is_set:  # wanted anew during the look
        _make_due(throttle, now)
    elif isinstance(outcome, Done):
        differs = outcome.value != held.kbps
        throttle.look_at = now + THROTTLE_LOOK_EVERY
        if differs:
            _keep_differed(throttle, held, outcome.value, now)
    throttle.save()
    return differs


def _keep_differed(throttle: Throttle, held: _Held, kbps: int | None, now: datetime) -> None:
    throttle.set_kbps, throttle.set_at = kbps, now
    _make_due(throttle, now)
    journal.record(
        what="throttle.differed",
        subject=held.line_id,
        who=f"carrier:{held.carrier}",
        before={"kbps": held.kbps},
        after={"kbps": kbps},
        now=now,
    )


def _line(line_id: UUID) -> lines.Line:
    line = lines.line(line_id)
    assert line is not None, "a speed is wanted for a line that is there"
    return line


def _words(kbps: int | None) -> str:
    return "full speed" if kbps is None else f"{kbps} kbit/s"
