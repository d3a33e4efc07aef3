"""Everything that writes to lines and periods."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from django.db import transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.models import DateTimeField, DurationField, Exists, ExpressionWrapper, F, Func, IntegerField, OuterRef, Q
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast

from xuka.catalogue import queries as catalogue
from xuka.catalogue.models import PlanVersion
from xuka.journal import operations as journal
from xuka.kernel import ids
from xuka.lines.models import Esim, Line, Period, Standing
from xuka.lines.queries import booked, span_of, timeline
from xuka.lines.rules import (
    Booked,
    CannotStart,
    Track,
    book,
    claim_code_hash,
    iccid_of,
    is_claim_code,
    next_up,
    pass_time,
    start_next,
    take_out,
    use,
)

# The name of a track of its own is so many digits of its period's id.
OWN_TRACK = 20
END_TOLERANCE = timedelta(hours=1)
# Compared against when there is no such card, so that a wrong ICCID takes as long as a wrong code.
_NO_CARD = "0" * 64


class CannotClaim(Exception):
    """No card is waiting for this ICCID and claim code. It never tells which of the two was wrong."""


@transaction.atomic
def add_to_stock(
    *, iccid: str, carrier: str, claim_code: str, plan_version: PlanVersion, who: str, now: datetime
) -> Line:
    """Add a card that a customer can claim. A card that is there already is left as it is and returned.

    Raises:
        InvalidIccid: the ICCID is not one.
    """
    iccid = iccid_of(iccid)
    there = Line.objects.filter(iccid=iccid).first()
    if there:
        return there
    market = plan_version.plan.market
    line = Line.objects.create(
        id=ids.new(),
        iccid=iccid,
        carrier=carrier,
        market=market,
        zone=market.zone,
        claim_code_hash=claim_code_hash(iccid=iccid, code=claim_code),
        plan_version=plan_version,
        created_at=now,
    )
    journal.record(what="line.added", subject=line.id, who=who, now=now)
    return line


@transaction.atomic(savepoint=False)
def issue(
    *,
    id: UUID,
    iccid: str,
    msisdn: str,
    plan_version: PlanVersion,
    owner: UUID,
    smdp_address: str,
    matching_id: str,
    confirmation_code: str,
    apple_url: str,
    apn: str,
    who: str,
    now: datetime,
) -> Line:
    """Add the card of a new eSIM that its owner has bought, with what a phone needs to install it.

    Its activation code is its claim code. The same id again changes nothing and returns the card of the first call.
    The ICCID is taken as the carrier tells it: it has been paid for.

    Args:
        msisdn, confirmation_code, apple_url, apn: "" where the carrier does not tell.
    """
    there = Line.objects.filter(id=id).first()
    if there:
        return there
    market = plan_version.plan.market
    line = Line.objects.create(
        id=id,
        iccid=iccid,
        msisdn=msisdn or None,
        carrier=plan_version.carrier,
        market=market,
        zone=market.zone,
        claim_code_hash=claim_code_hash(iccid=iccid, code=matching_id),
        owner_id=owner,
        plan_version=plan_version,
        created_at=now,
        claimed_at=now,
    )
    Esim.objects.create(
        line=line,
        smdp_address=smdp_address,
        matching_id=matching_id,
        confirmation_code=confirmation_code,
        apple_url=apple_url,
        apn=apn,
    )
    journal.record(what="line.issued", subject=line.id, who=who, after={"owner": str(owner)}, now=now)
    return line


@transaction.atomic
def claim(*, customer: UUID, iccid: str, code: str, now: datetime) -> Line:
    """Make an unclaimed card the customer's. Claiming one's own card again changes nothing.

    Raises:
        InvalidIccid: the ICCID is not one.
        CannotClaim: no such card, a wrong code, or someone else's card; always the same.
    """
    line = Line.objects.select_for_update(of=("self",)).filter(iccid=iccid_of(iccid)).first()
    right = is_claim_code(iccid=iccid_of(iccid), code=code, stored_hash=line.claim_code_hash if line else _NO_CARD)
    if line is None or not right or line.owner_id not in (None, customer):
        raise CannotClaim("No card is waiting for this number and code.")
    if line.owner_id is None:
        line.owner_id = customer
        line.claimed_at = now
        line.save(update_fields=["owner", "claimed_at"])
        journal.record(
            what="line.claimed",
            subject=line.id,
            who=f"customer:{customer}",
            before={"owner": None},
            after={"owner": str(customer)},
            now=now,
        )
    return line


@transaction.atomic
def set_standing(*, line_id: UUID, standing: Standing, who: str, why: str, now: datetime) -> Line:
    """Say whether a card is in service; what is booked on it stays. The same again changes nothing.

    What is not in service is not sold for: its quotes say why, and what can be done instead.
    """
    line = lock(line_id)
    if line.standing != standing:
        before, line.standing = line.standing, standing
        line.save(update_fields=["standing"])
        journal.record(
            what="line.standing_set",
            subject=line_id,
            who=who,
            why=why,
            before={"standing": before},
            after={"standing": str(standing)},
            now=now,
        )
    return line


def lock(line_id: UUID) -> Line:
    """The line, locked until the transaction ends; whoever changes its time holds this.

    Locks are taken in one order everywhere: order, line, ledger accounts.
    """
    return Line.objects.select_for_update(of=("self",)).select_related("market").get(id=line_id)


@transaction.atomic(savepoint=False)
def open_period(
    *,
    line_id: UUID,
    order_id: UUID,
    ordinal: int,
    plan_version: PlanVersion,
    activated_at: datetime,
    funded_at: datetime,
    carrier_ends_at: datetime | None,
    who: str,
    now: datetime,
    track: str = "main",
) -> Period:
    """Book one bought period on the line, as ``rules.book`` says for its plan's policy.

    It begins when the carrier took it, or when it was paid, or at the end of what is booked, or it waits. The same
    order and ordinal again changes nothing and returns the period of the first call.
    """
    there = Period.objects.filter(order_id=order_id, ordinal=ordinal).first()
    if there:
        return there
    lock(line_id)
    policy = catalogue.policy(plan_version)
    # Those of one order are paid at one moment and wait in the order of their ids, so these follow each other too.
    id = UUID(int=ids.derived(order_id, "period:0").int + ordinal)
    rows = _on_track(line_id, track)
    new = Booked(id, None, funded_at, policy.period, renewal=policy.renewal)
    at = funded_at if policy.period.starts == "payment" else activated_at
    booking = book(tuple(map(booked, rows)), new, at)
    if not booking.is_beside:
        _store(rows, booking.track, who=who, now=now)
    period = Period(
        id=id,
        line_id=line_id,
        track=id.hex[:OWN_TRACK] if booking.is_beside else track,
        order_id=order_id,
        ordinal=ordinal,
        plan_version=plan_version,
        funded_at=funded_at,
        zone=policy.period.zone,
        carrier_ends_at=carrier_ends_at,
    )
    _put(period, booking.period)
    period.save(force_insert=True)
    journal.record(what="period.opened", subject=line_id, who=who, after=_told(period), now=now)
    return period


@transaction.atomic
def start_next_now(
    *,
    line_id: UUID,
    who: str,
    now: datetime,
    because: Literal["by_hand", "used_up"] = "by_hand",
    instead_of: UUID | None = None,
    starts: UUID | None = None,
    track: str = "main",
) -> bool:
    """Start the oldest period that waits on the track, and end what runs there: what is left of its time is gone.

    Args:
        instead_of: the period that is to end. Where another one runs by now nothing happens: so it can be asked again.
        starts: the period that is to begin. Where it is not the next one by now nothing happens, as above.

    Returns:
        Whether it started.

    Raises:
        CannotStart: nothing waits, or what waits may not be started so.
    """
    lock(line_id)
    rows = _on_track(line_id, track)
    known = pass_time(tuple(map(booked, rows)), now)
    if instead_of is not None and not any(p.id == instead_of and p.span and now in p.span for p in known):
        return False
    if starts is not None and starts != next_up(known):
        return False
    if because == "used_up" and not _ends_when_used_up(rows, now):
        raise CannotStart("not_used_up")
    return _store(rows, start_next(known, now, because), who=who, now=now) > 0


def _ends_when_used_up(rows: list[Period], now: datetime) -> bool:
    """Whether data that is used up does not come again in the period that runs: it is counted over the whole of it."""
    runs = [row for row in rows if (span := span_of(row)) and now in span]
    return all(catalogue.policy(row.plan_version).quota.data.window == "period" for row in runs)


@transaction.atomic(savepoint=False)
def begin_use(*, line_id: UUID, used_at: datetime, who: str, now: datetime) -> None:
    """The card was used: on each track on which nothing runs, what waits for its first use starts. Again: no change."""
    lock(line_id)
    waiting = Period.objects.filter(line_id=line_id, span__isnull=True, voided_at__isnull=True)
    for track in waiting.order_by("track").values_list("track", flat=True).distinct():
        rows = _on_track(line_id, track)
        _store(rows, use(tuple(map(booked, rows)), used_at), who=who, now=now)


@transaction.atomic(savepoint=False)
def take_back(*, period_id: UUID, who: str, why: str, now: datetime) -> bool:
    """Take a period back, as ``rules.take_out`` says: one that runs ends now, one that has not begun is voided.

    What lies behind it on its track moves up. Nothing is deleted. Taking it back again, or one that is over, changes
    nothing.

    Returns:
        Whether it was taken back by this call.
    """
    period = Period.objects.filter(id=period_id).first()
    if period is None:
        return False
    lock(period.line_id)
    rows = _on_track(period.line_id, period.track)
    given = next((row for row in rows if row.id == period_id), None)
    if given is None:
        return False
    was = booked(given)
    track = take_out(tuple(map(booked, rows)), period_id, now)
    if was in track:
        return False
    before = _told(given)
    _store(rows, track, who=who, now=now, given_back=period_id)
    journal.record(
        what="period.given_back", subject=period.line_id, who=who, why=why, before=before, after=_told(given), now=now
    )
    return True


def start_due_periods(*, now: datetime) -> int:
    """Start every queued period whose predecessor has ended, at exactly that end. Returns how many were started.

    Due means ``<= now``: a run missed for days is caught up, and calling it again changes nothing.
    """
    unfinished = Period.objects.filter(
        line=OuterRef("line"), track=OuterRef("track"), voided_at__isnull=True, span__endswith__gt=now
    )
    waiting = Period.objects.filter(~Exists(unfinished), span__isnull=True, voided_at__isnull=True)
    due = waiting.annotate(latest=_LATEST_START).filter(Q(latest__isnull=True) | Q(latest__lte=now))
    queues = due.order_by("line_id", "track").values_list("line_id", "track").distinct()
    return sum(_start_queue(line_id, track, now) for line_id, track in queues)


# By when a period that waits for its first use has waited enough; null for any other, which waits for the one before.
_DAYS = Cast(KeyTextTransform("start_by_days", KeyTransform("period", "plan_version__policy")), IntegerField())
_LATEST_START = ExpressionWrapper(
    F("funded_at") + Func(_DAYS, template="make_interval(days => %(expressions)s)", output_field=DurationField()),
    output_field=DateTimeField(),
)


@transaction.atomic
def _start_queue(line_id: UUID, track: str, now: datetime) -> int:
    lock(line_id)
    rows = _on_track(line_id, track)
    return _store(rows, pass_time(tuple(map(booked, rows)), now), who="clock", now=now)


@transaction.atomic
def note_carrier_end(*, line_id: UUID, ends_at: datetime, now: datetime) -> None:
    """Keep the carrier's own end of the running period beside ours. A new difference of an hour or more is told to
    staff by the fact "line.end_differs"; the same end again changes nothing.
    """
    line = lock(line_id)
    timeline_ = timeline(line, now)
    running = timeline_.running.period if timeline_.running else None
    if running is None or running.carrier_ends_at == ends_at:
        return
    running.carrier_ends_at = ends_at
    running.save(update_fields=["carrier_ends_at"])
    ours = [entry.span.ends_at for entry in timeline_.entries if entry.span.ends_at > now]
    if all(abs(end - ends_at) >= END_TOLERANCE for end in ours):
        journal.record(
            what="line.end_differs", subject=line_id, who=f"carrier:{line.carrier}", after=_told(running), now=now
        )


def _on_track(line_id: UUID, track: str) -> list[Period]:
    rows = Period.objects.filter(line_id=line_id, track=track, voided_at__isnull=True)
    return list(rows.select_related("plan_version"))


def _store(rows: list[Period], track: Track, *, who: str, now: datetime, given_back: UUID | None = None) -> int:
    """Store the periods that are other than they were, each with its fact; returns how many started.

    Args:
        given_back: the one whose fact the caller records.
    """
    after = {period.id: period for period in track}
    started = 0
    for row in rows:
        was, then = booked(row), after.get(row.id)
        if was == then:
            continue
        before = _told(row)
        if then is None:
            row.voided_at = now
            what = "period.lapsed"
        else:
            what = "period.changed" if was.span or then.span is None else "period.started"
            _put(row, then)
        row.save(update_fields=["span", "anchored_at", "buckets", "voided_at"])
        if row.id == given_back:
            continue
        journal.record(what=what, subject=row.line_id, who=who, before=before, after=_told(row), now=now)
        started += what == "period.started"
    return started


def _put(row: Period, then: Booked) -> None:
    """Give the row the span, the run's anchor and the buckets."""
    row.span = DateTimeTZRange(then.span.starts_at, then.span.ends_at) if then.span else None
    row.anchored_at = then.anchor.isoformat() if then.anchor else ""
    told = {kind: [span.starts_at.isoformat(), span.ends_at.isoformat()] for kind, span in then.buckets.items()}
    row.buckets = told or None


def _told(period: Period) -> dict[str, Any]:
    span = span_of(period)
    buckets = {"buckets": period.buckets} if period.buckets else {}
    return buckets | {
        "period": str(period.id),
        "order": str(period.order_id),
        "starts_at": span.starts_at.isoformat() if span else None,
        "ends_at": span.ends_at.isoformat() if span else None,
        "carrier_ends_at": period.carrier_ends_at.isoformat() if period.carrier_ends_at else None,
    }
