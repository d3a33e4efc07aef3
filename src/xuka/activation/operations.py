"""Everything that asks a carrier, and what its answers leave behind.

A call is made between two transactions, never inside one: ``intend`` or ``begin_look`` commits a lease, ``call`` asks,
``settle`` stores the answer. Whoever meets a live lease keeps away.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from xuka.activation import queries
from xuka.activation.contract import Activation, Carrier, Esim, Offer, Usage
from xuka.activation.models import Attempt, BalanceReading, OfferReading
from xuka.activation.rules import (
    BALANCE_FRESH,
    LEASE_MARGIN,
    OFFERS_FRESH,
    Standing,
    exact,
    key_of,
    look_again_after,
    words_of,
)
from xuka.kernel.money import Money
from xuka.kernel.outcome import Done, Outcome, Refused, Unknown
from xuka.lines.queries import Line


@cache
def carrier(name: str) -> Carrier:
    """The connector of this name, built once per process from ``settings.CARRIERS``."""
    options = dict(settings.CARRIERS[name])
    return import_string(options.pop("connector"))(**options)


@dataclass(frozen=True, slots=True)
class Call:
    """A question that is ready to be sent while its lease lives; made by ``intend`` and ``begin_look``."""

    attempt_id: UUID
    ask: Callable[[], Outcome]
    is_look: bool
    lease_until: datetime
    not_after: float


def intend(
    *,
    there: Attempt | None,
    cause: UUID,
    ordinal: int,
    carrier_name: str,
    iccid: str | None,
    package: str,
    now: datetime,
) -> Call:
    """Write down that the carrier is about to be asked, with a lease longer than the whole call.

    Must commit before the call is made. For an attempt that is ``there`` this is a further ask under the same key; the
    caller (``renewals.rules``) has made sure that the one before surely did not act, and holds the lock on its cause.

    Args:
        iccid: the card that the package is put on; None to buy a new eSIM.
    """
    them = carrier(carrier_name)
    key = key_of(cause=cause, ordinal=ordinal)
    lease_until = now + them.call_deadline + LEASE_MARGIN
    values = {
        "state": Attempt.State.INTENDED,
        "lease_until": lease_until,
        "absent_at": lease_until + them.absent_after,
        "look_at": lease_until,
        "retry_at": None,
        "reason": "",
        "looks": 0,
    }
    if there is None:
        attempt = Attempt.objects.create(
            id=key, cause=cause, ordinal=ordinal, carrier=carrier_name, is_first=iccid is None, iccid=iccid or "",
            package=package, intended_at=now, asks=1, **values,
        )  # fmt: skip
    else:
        attempt = there
        Attempt.objects.filter(id=key).update(asks=attempt.asks + 1, **values)
    if attempt.is_first:
        ask = partial(them.issue, key=words_of(key), package=attempt.package)
    else:
        ask = partial(them.renew, key=words_of(key), iccid=attempt.iccid, package=attempt.package)
    return Call(key, ask, is_look=False, lease_until=lease_until, not_after=_not_after())


def begin_look(attempt: Attempt, *, now: datetime) -> Call:
    """Take the lease to look for what became of an attempt. Must commit before the call is made."""
    them = carrier(attempt.carrier)
    if attempt.state == Attempt.State.INTENDED:  # whoever asked died before the answer was stored
        attempt.state = Attempt.State.UNKNOWN
        attempt.unknown_asks += 1
    attempt.lease_until = now + them.call_deadline + LEASE_MARGIN
    attempt.save(update_fields=["state", "unknown_asks", "lease_until"])
    if attempt.is_first:
        ask = partial(them.find_issued, key=words_of(attempt.id), package=attempt.package)
    else:
        ask = partial(them.find, key=words_of(attempt.id), iccid=attempt.iccid, package=attempt.package)
    return Call(attempt.id, ask, is_look=True, lease_until=attempt.lease_until, not_after=_not_after())


def _not_after() -> float:
    """Until when the call may begin, so that it ends within its lease however late this process is woken."""
    return time.monotonic() + LEASE_MARGIN.total_seconds() / 2


def call(call: Call) -> Outcome:
    """Send the question, with no transaction open. A process that slept through its lease sends nothing."""
    assert not transaction.get_connection().in_atomic_block, "no transaction is held across the network"
    if time.monotonic() > call.not_after:
        return Unknown("the lease was too old to ask")
    return call.ask()


def settle(call: Call, outcome: Outcome, *, now: datetime) -> tuple[Attempt, tuple[Activation, ...]]:
    """Store what the carrier said. Returns the attempt and any activations beyond the first one: duplicates.

    A late answer never undoes a better one: what is done stays done. Whoever slept through the lease may have been
    followed by another: then only the news that it was done still counts.
    """
    attempt = Attempt.objects.select_for_update().get(id=call.attempt_id)
    if attempt.lease_until != call.lease_until and not isinstance(outcome, Done):
        return attempt, ()
    attempt.lease_until = None
    if attempt.state == Attempt.State.DONE:
        spare = _count(attempt, outcome, now) if call.is_look else ()
    elif call.is_look:
        spare = _settle_look(attempt, outcome, now)
    else:
        spare = _settle_ask(attempt, outcome, now)
    attempt.save()
    return attempt, spare


def _count(attempt: Attempt, outcome: Outcome, now: datetime) -> tuple[Activation, ...]:
    """The last look at something that is done: did the carrier take it more than once?"""
    if not isinstance(outcome, Done):  # a look that fails tells nothing
        attempt.looks += 1
        attempt.look_at = now + look_again_after(attempt.looks)
        return ()
    attempt.look_at = None
    ours = _ours(attempt, outcome.value)
    return tuple(a for a in ours if a.reference != attempt.reference)


def _ours(attempt: Attempt, found: tuple[Activation, ...]) -> tuple[Activation, ...]:
    iccid = None if attempt.is_first else attempt.iccid
    return exact(found, key=words_of(attempt.id), iccid=iccid, package=attempt.package)


def _settle_ask(attempt: Attempt, outcome: Outcome, now: datetime) -> tuple[Activation, ...]:
    match outcome:
        case Done(activation):
            _adopt(attempt, activation)
        case Refused(reason, retry_after, detail):
            attempt.state = Attempt.State.REFUSED
            attempt.reason, attempt.detail = reason, detail
            attempt.retry_at = None if retry_after is None else now + retry_after
        case Unknown(why):
            attempt.state = Attempt.State.UNKNOWN
            attempt.unknown_asks += 1
            attempt.detail = why
            attempt.absent_at = now + carrier(attempt.carrier).absent_after
            attempt.look_at = now
    return ()


def _settle_look(attempt: Attempt, outcome: Outcome, now: datetime) -> tuple[Activation, ...]:
    match outcome:
        case Done(found):
            ours = _ours(attempt, found)
            attempt.looks = 0
            if ours:
                _adopt(attempt, ours[0])
                return ours[1:]
            if attempt.watch_until is None and attempt.absent_at and now >= attempt.absent_at:
                attempt.state = Attempt.State.ABSENT
            else:
                _look_later(attempt, now)
        case Refused() | Unknown():  # a look that fails tells nothing
            attempt.looks += 1
            attempt.detail = outcome.why if isinstance(outcome, Unknown) else outcome.reason
            _look_later(attempt, now)
            if isinstance(outcome, Refused) and outcome.retry_after:
                attempt.look_at = now + outcome.retry_after
    return ()


def _look_later(attempt: Attempt, now: datetime) -> None:
    """Choose the next look: soon after the call, then less and less often; right when absence becomes sure."""
    if attempt.watch_until is not None:
        attempt.looks += 1
        attempt.look_at = now + look_again_after(attempt.looks)
        if attempt.look_at > attempt.watch_until:
            attempt.state = Attempt.State.ABANDONED
        return
    soon = now + look_again_after(attempt.looks)
    sure = attempt.absent_at
    attempt.look_at = min(soon, sure) if sure and sure > now else soon


def _adopt(attempt: Attempt, activation: Activation) -> None:
    attempt.state = Attempt.State.DONE
    attempt.reference = activation.reference
    attempt.activated_at = activation.activated_at
    attempt.carrier_ends_at = activation.ends_at
    if attempt.is_first:
        attempt.iccid = activation.iccid
        attempt.esim = asdict(activation.esim) if activation.esim else None
    attempt.reason = ""
    attempt.looks = 0
    attempt.look_at = attempt.absent_at  # once more, to count: did the carrier take it more than once?


def locked_attempts(cause: UUID) -> list[Attempt]:
    """What the carrier was ever about to be asked for this order, by its periods, locked until the transaction ends."""
    return list(Attempt.objects.select_for_update().filter(cause=cause).order_by("ordinal"))


def adopt_by_hand(attempt: Attempt, *, reference: str, now: datetime) -> None:
    """A person has seen at the carrier that a card was renewed. A new eSIM's profile only the carrier can tell."""
    assert not attempt.is_first, "a new eSIM is found by looking"
    _adopt(attempt, Activation(reference, words_of(attempt.id), attempt.iccid, attempt.package, activated_at=now))
    attempt.lease_until = attempt.look_at = None  # a person has counted
    attempt.save()


def esim_of(attempt: Attempt) -> Esim:
    """The profile of the new eSIM that this attempt brought. It must be one."""
    assert attempt.esim is not None, "only what the carrier told can be installed"
    return Esim(**attempt.esim)


def forget_esim(attempt: Attempt) -> None:
    """The card is there and keeps the profile: it is kept in one place only."""
    attempt.esim = None
    attempt.save(update_fields=["esim"])


def declare_absent(attempt: Attempt) -> None:
    """A person has seen at the carrier that it was surely not done."""
    attempt.state = Attempt.State.ABSENT
    attempt.lease_until = None
    attempt.save(update_fields=["state", "lease_until"])


def allow_another_ask(attempt: Attempt) -> None:
    """A person lets the carrier be asked once more, at once. Should it turn out to have acted before, it is counted."""
    attempt.state = Attempt.State.ABSENT
    attempt.unknown_asks = 1
    attempt.lease_until = None
    attempt.save(update_fields=["state", "unknown_asks", "lease_until"])


def watch(attempt: Attempt, *, until: datetime, now: datetime) -> None:
    """Go on looking for a late answer though the money went back."""
    attempt.watch_until = until
    attempt.look_at = now
    attempt.save(update_fields=["watch_until", "look_at"])


def stop_watching(attempt: Attempt) -> None:
    """The late answer came and was booked."""
    attempt.watch_until = None
    attempt.save(update_fields=["watch_until"])


def standing_of(*, line: Line, package: str, now: datetime, count: int = 1) -> Standing:
    """Whether this package can be sold for this card now, so many times.

    The carrier is asked first, unless it told a short while ago.

    One query where it told. Never raises for the world.
    """
    offers, balance = queries.readings(line_id=line.id, carrier_name=line.carrier)
    fresh = offers is not None and offers.as_of > now - OFFERS_FRESH
    if fresh and balance is not None and balance.as_of > now - BALANCE_FRESH:
        return queries.standings_from(offers, balance, [package], now, count)[package]
    refresh_standing(line=line, now=now)
    return queries.standing_of(line_id=line.id, carrier_name=line.carrier, package=package, now=now, count=count)


def refresh_standing(*, line: Line, now: datetime) -> None:
    """Ask what can be put on this card and how much credit the seller has, each unless told a short while ago.

    Both answers are stored together, after both calls. Never raises for the world.
    """
    knows_offers = OfferReading.objects.filter(line_id=line.id, as_of__gt=now - OFFERS_FRESH).exists()
    knows_balance = _knows_balance(line.carrier, now - BALANCE_FRESH)
    offers = None if knows_offers else carrier(line.carrier).offers(iccid=line.iccid)
    balance = None if knows_balance else carrier(line.carrier).balance()
    if offers is None and balance is None:
        return
    with transaction.atomic():
        if offers is not None:
            _keep_offers(line.id, offers, now)
        if balance is not None:
            _keep_balance(line.carrier, balance, now)


def _keep_offers(line_id: UUID, outcome: Outcome[tuple[Offer, ...]], now: datetime) -> None:
    packages: dict[str, list[object]] = {}
    reason = ""
    match outcome:
        case Done(offers):
            packages = {offer.package: [offer.cost.minor, offer.cost.currency] for offer in offers}
        case Refused(word, retry_after):
            reason = "unknown" if retry_after else word
        case Unknown():
            reason = "unknown"
    OfferReading.objects.bulk_create(
        [OfferReading(line_id=line_id, packages=packages, reason=reason, as_of=now)],
        update_conflicts=True,
        unique_fields=["line_id"],
        update_fields=["packages", "reason", "as_of"],
    )


def refresh_balance(*, carrier_name: str, now: datetime, fresh: timedelta = BALANCE_FRESH) -> None:
    """Read the seller's credit at a carrier, unless it was read within ``fresh``. A failed reading changes nothing."""
    if not _knows_balance(carrier_name, now - fresh):
        _keep_balance(carrier_name, carrier(carrier_name).balance(), now)


def _knows_balance(carrier_name: str, since: datetime) -> bool:
    return BalanceReading.objects.filter(carrier=carrier_name, as_of__gt=since).exists()


def _keep_balance(carrier_name: str, outcome: Outcome[Money], now: datetime) -> None:
    if not isinstance(outcome, Done):
        return
    money = outcome.value
    BalanceReading.objects.bulk_create(
        [BalanceReading(carrier=carrier_name, amount_minor=money.minor, currency=money.currency, as_of=now)],
        update_conflicts=True,
        unique_fields=["carrier"],
        update_fields=["amount_minor", "currency", "as_of"],
    )


def read_usage(*, carrier_name: str, iccid: str) -> Outcome[Usage]:
    """What the carrier tells of this card now. The caller keeps to the carrier's ``usage_every``."""
    return carrier(carrier_name).usage(iccid=iccid)
