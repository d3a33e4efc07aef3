"""The identity of a card and the order of its periods. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from stdnum import luhn

from xuka.catalogue import rules as catalogue
from xuka.kernel.span import Span


class InvalidIccid(ValueError):
    """The text is not an ICCID."""


def iccid_of(text: str) -> str:
    """The ICCID in a text as people type it, digits only.

    An ICCID is 19 or 20 digits, begins with 89 and ends with a Luhn check digit (ITU-T E.118).

    Raises:
        InvalidIccid: it is not one.
    """
    digits = re.sub(r"[\s\-]", "", text)
    if not re.fullmatch(r"89[0-9]{17,18}", digits, flags=re.ASCII) or not luhn.is_valid(digits):
        raise InvalidIccid("Not an ICCID.")
    return digits


def claim_code_hash(*, iccid: str, code: str) -> str:
    """The stored form of a claim code. Codes are long and random, bound here to their card: no salt is needed."""
    spoken = re.sub(r"[\s\-]", "", code).upper()
    return hashlib.sha256(f"{iccid}:{spoken}".encode()).hexdigest()


def is_claim_code(*, iccid: str, code: str, stored_hash: str) -> bool:
    """Whether the code opens this card; takes as long for a wrong code as for the right one."""
    return hmac.compare_digest(claim_code_hash(iccid=iccid, code=code), stored_hash)


@dataclass(frozen=True, slots=True)
class Booked:
    """A period as far as its order in time matters; ``span`` None means queued.

    ``anchor``: the date-time on the clock in the policy's zone from which its run is counted; None is its own start.
    """

    id: UUID
    span: Span | None
    funded_at: datetime
    policy: catalogue.Period
    anchor: datetime | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """A booked period with the span and anchor it has, or that it will have as things stand (``projected``)."""

    id: UUID
    span: Span
    projected: bool
    policy: catalogue.Period
    anchor: datetime


def lay_out(periods: Iterable[Booked], now: datetime) -> tuple[Placed, ...]:
    """All periods of one track in order of time; queued ones are laid end to end after the last known end.

    Queue order is ``(funded_at, id)``. A queued period with nothing before it starts now.
    """
    periods = list(periods)  # read twice: callers hand in iterators
    known = sorted((p for p in periods if p.span), key=lambda p: p.span.starts_at)  # type: ignore[union-attr]
    placed = [
        Placed(p.id, p.span, False, p.policy, p.anchor or catalogue.anchor_of(p.policy, p.span.starts_at))
        for p in known
        if p.span
    ]
    queued = sorted((p for p in periods if p.span is None), key=lambda p: (p.funded_at, p.id))
    end = placed[-1].span.ends_at if placed else now
    for period in queued:
        placed.append(place(period.id, period.policy, end, placed))
        end = placed[-1].span.ends_at
    return tuple(placed)


def place(id: UUID, policy: catalogue.Period, start: datetime, placed: Sequence[Placed]) -> Placed:
    """A further period that starts at ``start``, behind those placed: its span, and its run's anchor."""
    run = run_anchor(placed, policy, start)
    span = catalogue.period_of(policy, start, anchor=run)
    return Placed(id, span, True, policy, catalogue.anchor_of(policy, start, run))


def run_anchor(placed: Iterable[Placed], policy: catalogue.Period, start: datetime) -> datetime | None:
    """The anchor of the run that a period starting at ``start`` goes on with; None where it begins one.

    A run is of periods that follow each other without a gap and count months in one zone.
    """
    runs = (p.anchor for p in placed if p.span.ends_at == start and _same_clock(p.policy, policy))
    return next(runs, None)


def _same_clock(one: catalogue.Period, other: catalogue.Period) -> bool:
    return (one.unit, one.zone) == ("month", other.zone) and other.unit == "month"


def next_start(placed: Iterable[Placed], now: datetime) -> datetime:
    """When a further period on this track would start: at the end of all that is booked, or now if that is over."""
    return max([now, *(p.span.ends_at for p in placed)])
