"""Reading lines and their time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef

from xuka.catalogue import queries as catalogue
from xuka.kernel.span import Span
from xuka.lines.models import Esim, Line, Period
from xuka.lines.rules import Booked, InvalidIccid, Placed, claim_code_hash, iccid_of, is_claim_code, lay_out


@dataclass(frozen=True, slots=True)
class Entry:
    """One period on the timeline; ``projected`` when it is queued and its span is what will be as things stand."""

    period: Period
    span: Span
    projected: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """A line's periods in order of time.

    Attributes:
        running: the entry that contains now, if any.
        valid_until: the end of the last booked period, aware UTC; None when nothing was ever booked.
        placed: the same periods in their pure form.
    """

    entries: tuple[Entry, ...]
    running: Entry | None
    valid_until: datetime | None
    placed: tuple[Placed, ...]


def lines_of(customer: UUID) -> list[Line]:
    """The customer's cards, the first claimed first."""
    return list(_lines().filter(owner_id=customer).order_by("claimed_at", "id"))


def line_of(customer: UUID, line_id: UUID) -> Line | None:
    """This customer's card of this id; None when there is none or it is someone else's."""
    return _lines().filter(owner_id=customer, id=line_id).first()


def line(line_id: UUID) -> Line | None:
    """The line of this id, whoever owns it; None when there is none. For staff and jobs."""
    return _lines().filter(id=line_id).first()


def line_by_claim_code(*, iccid: str, code: str) -> Line | None:
    """The card of this number, for whoever shows its claim code; None for a wrong code, number, or none at all."""
    try:
        number = iccid_of(iccid)
    except InvalidIccid:
        return None
    line = _lines().filter(iccid=number).first()
    stored = line.claim_code_hash if line else claim_code_hash(iccid=number, code="")
    return line if is_claim_code(iccid=number, code=code, stored_hash=stored) and code else None


def esim_of(line_id: UUID) -> Esim | None:
    """What a phone needs to install this eSIM; None for a card that was not bought here as one. A secret."""
    return Esim.objects.filter(line_id=line_id).first()


def lines_in_use(*, carrier: str) -> list[Line]:
    """Every card of this carrier that a customer has claimed."""
    return list(Line.objects.filter(owner__isnull=False, carrier=carrier).order_by("id"))


def timeline(line: Line, now: datetime, *, track: str = "main") -> Timeline:
    """What this line is entitled to on this track, past and future."""
    return timelines([line], now, track=track)[line.id]


def timelines(lines: Iterable[Line], now: datetime, *, track: str = "main") -> dict[UUID, Timeline]:
    """The timelines of several lines, read in one query."""
    of_line: dict[UUID, list[Period]] = defaultdict(list)
    wanted = [line.id for line in lines]
    rows = Period.objects.filter(line_id__in=wanted, track=track, voided_at__isnull=True)
    for period in rows.select_related("plan_version__plan__network"):
        of_line[period.line_id].append(period)
    return {line_id: _timeline(of_line[line_id], now) for line_id in wanted}


def _timeline(periods: list[Period], now: datetime) -> Timeline:
    by_id = {period.id: period for period in periods}
    placed = lay_out(map(booked, periods), now)
    entries = tuple(Entry(by_id[p.id], p.span, p.projected) for p in placed)
    return Timeline(
        entries=entries,
        running=next((entry for entry in entries if now in entry.span), None),
        valid_until=entries[-1].span.ends_at if entries else None,
        placed=placed,
    )


def periods_of(order_id: UUID) -> list[Period]:
    """The periods that an order brought, those that were taken back included."""
    return list(Period.objects.filter(order_id=order_id).order_by("ordinal"))


def booked(period: Period) -> Booked:
    """The pure form of a stored period."""
    policy = catalogue.policy(period.plan_version).period
    anchor = datetime.fromisoformat(period.anchored_at) if period.anchored_at else None
    return Booked(period.id, span_of(period), period.funded_at, policy, anchor)


def span_of(period: Period) -> Span | None:
    """When the period runs; None while it is queued."""
    if period.span is None or period.span.lower is None or period.span.upper is None:
        return None
    return Span(period.span.lower, period.span.upper)


def _lines():
    """Cards with their ``is_esim``: bought here as an eSIM, and installed from here."""
    is_esim = Exists(Esim.objects.filter(line=OuterRef("pk")))
    return Line.objects.select_related("market", "plan_version__plan__network").annotate(is_esim=is_esim)
